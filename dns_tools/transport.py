"""TLS between mail servers: MTA-STS (RFC 8461) and TLS reporting (RFC 8460).

Fetching the policy is left to the caller: `fetch` is given the URL and answers with the octets, or raises OSError. Without
one, only the DNS half is judged.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import dns.resolver

from dns_tools.exchange import exchange_hosts
from dns_tools.findings import Finding, ToPublish, finding
from dns_tools.lookup import not_single, query
from dns_tools.tags import RecordError, parse_tags

MAX_POLICY_OCTETS = 64 * 1024
MAX_AGE_SECONDS = 31_557_600
SHORT_AGE_SECONDS = 86_400
IDENTIFIER = re.compile(r"[A-Za-z0-9]{1,32}\Z")
REPORT_URI = re.compile(r"(?:mailto:[^@\s]+@[A-Za-z0-9.-]+|https://[^\s,;!]+)\Z", re.IGNORECASE)
MX_PATTERN = re.compile(r"(?:\*\.)?[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?\Z")

Fetch = Callable[[str], bytes]


@dataclass(frozen=True, kw_only=True)
class StsPolicy:
    mode: str
    max_age_seconds: int
    mx: tuple[str, ...] = ()

    def allows(self, host: str) -> bool:
        """RFC 8461 §4.1: a wildcard stands for exactly one label."""
        host = host.lower().removesuffix(".")
        return any(
            host == pattern or (pattern.startswith("*.") and host.partition(".")[2] == pattern[2:])
            for pattern in self.mx
        )


def parse_sts_record(text: str) -> str:
    """The policy's id (§3.1). Raises :class:`RecordError`: ``version``, ``id`` and those of tag lists."""
    if not re.match(r"v=STSv1\s*(?:;|\Z)", text):
        raise RecordError("version", text[:20])
    identifier = parse_tags(text).get("id", "")
    if not IDENTIFIER.match(identifier):
        raise RecordError("id", identifier[:40])
    return identifier


def parse_sts_policy(octets: bytes) -> StsPolicy:
    """§3.2. Raises :class:`RecordError`: ``too_long``, ``not_ascii``, ``line``, ``version``, ``mode``, ``max_age``, ``mx``."""
    if len(octets) > MAX_POLICY_OCTETS:
        raise RecordError("too_long", str(len(octets)))
    try:
        lines = octets.decode("ascii").replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError as error:
        raise RecordError("not_ascii") from error
    fields: dict[str, list[str]] = {}
    for line in lines:
        key, colon, value = line.partition(":")
        if line.strip() and not colon:
            raise RecordError("line", line[:80])
        fields.setdefault(key.strip(), []).append(value.strip())
    return _policy(fields)


def _policy(fields: dict[str, list[str]]) -> StsPolicy:
    """Of a field that stands twice the first counts, but for mx."""
    first = {key: values[0] for key, values in fields.items()}
    patterns = tuple(pattern.lower().removesuffix(".") for pattern in fields.get("mx", []))
    mode, age = first.get("mode", ""), first.get("max_age", "")
    if first.get("version") != "STSv1":
        raise RecordError("version", first.get("version", "")[:20])
    if mode not in ("enforce", "testing", "none"):
        raise RecordError("mode", mode[:20])
    if not (age.isascii() and age.isdecimal() and len(age) <= 10 and int(age) <= MAX_AGE_SECONDS):
        raise RecordError("max_age", age[:20])
    if not all(MX_PATTERN.match(pattern) for pattern in patterns) or (mode != "none" and not patterns):
        raise RecordError("mx", ", ".join(patterns)[:80])
    return StsPolicy(mode=mode, max_age_seconds=int(age), mx=patterns)


def check_mta_sts(resolver: dns.resolver.Resolver, domain: str, *, fetch: Fetch | None = None) -> list[Finding]:
    lookup = query(resolver, f"_mta-sts.{domain}", "TXT")
    texts = lookup.versioned(b"v=STSv1")
    if len(texts) != 1:
        return [finding(f"mta_sts.{not_single(lookup, texts)}", domain, evidence=[lookup.evidence])]
    try:
        identifier = parse_sts_record(texts[0])
    except RecordError as error:
        return [finding("mta_sts.syntax", domain, evidence=[lookup.evidence], problem=str(error))]
    found = [finding("mta_sts.found", domain, evidence=[lookup.evidence], id=identifier)]
    return [*found, *_fetched(resolver, domain, fetch)] if fetch is not None else found


def _fetched(resolver: dns.resolver.Resolver, domain: str, fetch: Fetch) -> Iterator[Finding]:
    url = f"https://mta-sts.{domain}/.well-known/mta-sts.txt"
    try:
        policy = parse_sts_policy(fetch(url))
    except OSError as error:
        yield finding("mta_sts.not_fetched", domain, evidence=[str(error)[:200]], url=url)
        return
    except RecordError as error:
        yield finding("mta_sts.policy_syntax", domain, evidence=[url], problem=str(error))
        return
    yield finding(MODE_CODES[policy.mode], domain, evidence=[url, *policy.mx], mode=policy.mode)
    if policy.max_age_seconds < SHORT_AGE_SECONDS and policy.mode != "none":
        yield finding("mta_sts.short_age", domain, seconds=policy.max_age_seconds)
    outside = [host for host in exchange_hosts(resolver, domain) if not policy.allows(host)]
    if outside and policy.mode != "none":
        yield finding("mta_sts.mx_not_covered", domain, evidence=policy.mx, hosts=", ".join(outside))


MODE_CODES = {"enforce": "mta_sts.enforce", "testing": "mta_sts.not_enforced", "none": "mta_sts.not_enforced"}


def parse_tls_rpt(text: str) -> tuple[str, ...]:
    """Where reports go (RFC 8460 §3). Raises :class:`RecordError`: ``version``, ``rua`` and those of tag lists."""
    if not re.match(r"v=TLSRPTv1\s*(?:;|\Z)", text):
        raise RecordError("version", text[:20])
    targets = tuple(uri.strip() for uri in parse_tags(text).get("rua", "").split(","))
    if not all(REPORT_URI.match(uri) for uri in targets):
        raise RecordError("rua", ", ".join(targets)[:80])
    return targets


def check_tls_rpt(resolver: dns.resolver.Resolver, domain: str) -> list[Finding]:
    name = f"_smtp._tls.{domain}"
    lookup = query(resolver, name, "TXT")
    texts = lookup.versioned(b"v=TLSRPTv1")
    if len(texts) != 1:
        code = f"tls_rpt.{not_single(lookup, texts)}"
        publish = [ToPublish(name=name, type="TXT", text=f"v=TLSRPTv1; rua=mailto:tls@{domain}")]
        return [finding(code, domain, evidence=[lookup.evidence], publish=[] if lookup.unknown else publish)]
    try:
        targets = parse_tls_rpt(texts[0])
    except RecordError as error:
        return [finding("tls_rpt.syntax", domain, evidence=[lookup.evidence], problem=str(error))]
    return [finding("tls_rpt.found", domain, evidence=[lookup.evidence], targets=", ".join(targets))]
