"""What the owner of a domain should know of its DMARC record, and whether the reports it asks for may be sent.

check_dmarc(resolver, domain)      findings
next_record(text, record)          one step further on the way none -> quarantine -> reject
"""

import re
from collections.abc import Iterator, Sequence

import dns.resolver

from dns_tools.dmarc.alignment import aligned
from dns_tools.dmarc.discovery import Discovery, Step, discover, organizational_domain
from dns_tools.dmarc.record import STRENGTH, Policy, Record, ReportAddress, is_dmarc
from dns_tools.findings import Finding, ToPublish, finding
from dns_tools.lookup import query, with_cache

POLICY_CODES = {
    Policy.NONE: "dmarc.policy_none",
    Policy.QUARANTINE: "dmarc.policy_quarantine",
    Policy.REJECT: "dmarc.policy_reject",
}
NEXT = {Policy.NONE: Policy.QUARANTINE, Policy.QUARANTINE: Policy.REJECT}


def check_dmarc(resolver: dns.resolver.Resolver, domain: str) -> list[Finding]:
    resolver = with_cache(resolver)
    discovery = discover(resolver, domain)
    if discovery.applied is None or discovery.record is None:
        return [_absent(resolver, discovery), *_broken(discovery)]
    return [
        finding(
            "dmarc.found",
            domain,
            evidence=[discovery.applied.lookup.evidence],
            where=discovery.applied.domain,
            organization=discovery.organizational_domain,
        ),
        *_broken(discovery),
        *_policy(discovery, discovery.applied, discovery.record),
        *_mistakes(discovery, discovery.record),
        *_reports(resolver, discovery, discovery.applied, discovery.record),
    ]


def check_alignment(
    resolver: dns.resolver.Resolver, domain: str, *, return_path: str = "", signers: Sequence[str] = ()
) -> list[Finding]:
    """Of mail yet to be sent: would its return path (SPF) and its signatures (d=) count for the author's domain?"""
    resolver = with_cache(resolver)
    discovery = discover(resolver, domain)
    record = discovery.record or Record()
    pairs = [("SPF", return_path, record.strict_spf)] if return_path else []
    pairs += [("DKIM", signer, record.strict_dkim) for signer in signers]
    return [
        finding(
            "dmarc.aligned" if aligned(resolver, discovery, name, strict=strict) else "dmarc.not_aligned",
            domain,
            evidence=[step.lookup.evidence for step in discovery.steps],
            method=method,
            name=name,
        )
        for method, name, strict in pairs
    ]


def _absent(resolver: dns.resolver.Resolver, discovery: Discovery) -> Finding:
    domain = discovery.domain
    evidence = [step.lookup.evidence for step in discovery.steps]
    if discovery.unknown:
        return finding("dmarc.unreachable", domain, evidence=evidence)
    proposal = ToPublish(name=f"_dmarc.{domain}", type="TXT", text=f"v=DMARC1; p=none; rua=mailto:dmarc@{domain}")
    apex = query(resolver, domain, "TXT")
    misplaced = any(is_dmarc(text) for text in apex.texts)
    code = "dmarc.wrong_place" if misplaced else "dmarc.missing"
    return finding(code, domain, evidence=[apex.evidence] if misplaced else evidence, publish=[proposal])


def _broken(discovery: Discovery) -> Iterator[Finding]:
    for step in discovery.steps:
        if step.problem == "unreachable":
            if not discovery.unknown:
                yield finding(
                    "dmarc.step_unreachable", discovery.domain, evidence=[step.lookup.evidence], where=step.domain
                )
        elif step.problem:
            code = "dmarc.several" if step.problem == "several" else "dmarc.syntax"
            yield finding(
                code, discovery.domain, evidence=[step.lookup.evidence], where=step.domain, problem=step.problem
            )


def _policy(discovery: Discovery, applied: Step, record: Record) -> Iterator[Finding]:
    domain, policy = discovery.domain, record.policy
    text = _text(applied)
    following = next_record(text, record)
    publish = [ToPublish(name=f"_dmarc.{applied.domain}", type="TXT", text=following)] if following else []
    yield finding(POLICY_CODES[policy], domain, evidence=[text], publish=publish)
    if record.testing:
        yield finding("dmarc.testing", domain, evidence=[text], policy=discovery.policy or policy)
    for tag, weaker in (("sp", record.subdomain_policy), ("np", record.nonexistent_policy)):
        if weaker is not None and STRENGTH[weaker] < STRENGTH[policy]:
            yield finding("dmarc.weaker_below", domain, evidence=[text], tag=tag, weaker=weaker, policy=policy)
    if discovery.legacy_record_domain != applied.domain:
        legacy = discovery.legacy_record_domain or "—"
        yield finding("dmarc.discovery_differs", domain, evidence=[text], where=applied.domain, legacy=legacy)


def _text(step: Step) -> str:
    return next((text.decode("ascii", "replace") for text in step.lookup.texts if is_dmarc(text)), "")


def next_record(text: str, record: Record) -> str:
    """Empty where there is nothing further, or nobody who would see what it does."""
    if record.policy not in NEXT or not record.aggregate_to or record.policy_missing:
        return ""
    return re.sub(r"(;\s*p\s*=\s*)[A-Za-z]+", rf"\g<1>{NEXT[record.policy]}", text, count=1)


def _mistakes(discovery: Discovery, record: Record) -> Iterator[Finding]:
    for code, found in (
        ("dmarc.bad_value", record.mistakes),
        ("dmarc.unknown_tag", record.unknown),
        ("dmarc.removed_tag", record.removed),
    ):
        if found:
            yield finding(code, discovery.domain, evidence=found, tags=", ".join(found))
    if record.policy_missing:
        yield finding("dmarc.no_policy_tag", discovery.domain)
    if record.percent < 100:
        yield finding("dmarc.percent", discovery.domain, percent=record.percent)


def _reports(resolver: dns.resolver.Resolver, discovery: Discovery, applied: Step, record: Record) -> Iterator[Finding]:
    if not record.aggregate_to:
        yield finding("dmarc.no_reports", discovery.domain, evidence=[_text(applied)])
    seen: set[str] = set()
    for target in (*record.aggregate_to, *record.failure_to):
        if target.domain not in seen:
            seen.add(target.domain)
            yield check_report_address(resolver, applied.domain, target)


def check_report_address(resolver: dns.resolver.Resolver, domain: str, target: ReportAddress) -> Finding:
    """Whoever is to receive reports on somebody else's domain must say that it agrees (RFC 9990 §4, RFC 7489 §7.1)."""
    if organizational_domain(resolver, target.domain) == organizational_domain(resolver, domain):
        return _receives(resolver, domain, target)
    name = f"{domain}._report._dmarc.{target.domain}"
    agreed = query(resolver, name, "TXT")
    if agreed.unknown:
        return finding("dmarc.report_unknown", domain, evidence=[agreed.evidence], address=target.address)
    if any(is_dmarc(text) for text in agreed.texts):
        return _receives(resolver, domain, target, agreed.evidence)
    publish = [ToPublish(name=name, type="TXT", text="v=DMARC1;")]
    return finding(
        "dmarc.report_refused", domain, evidence=[agreed.evidence], publish=publish, address=target.address, name=name
    )


def _receives(resolver: dns.resolver.Resolver, domain: str, target: ReportAddress, *evidence: str) -> Finding:
    exchange = query(resolver, target.domain, "MX")
    known = exchange if exchange.answered or exchange.unknown else query(resolver, target.domain, "A")
    code = (
        "dmarc.report_accepted"
        if known.answered
        else "dmarc.report_unknown"
        if known.unknown
        else "dmarc.report_no_mail"
    )
    return finding(code, domain, evidence=[*evidence, known.evidence], address=target.address)
