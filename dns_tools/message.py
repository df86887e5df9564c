"""A whole message as a receiver judges it: every signature, SPF where the client is known, and the DMARC verdict."""

import email
import email.utils
from collections.abc import Iterator
from dataclasses import dataclass
from email.errors import MessageError

import dns.resolver

from dns_tools.dmarc import DkimIdentity, Verdict, evaluate
from dns_tools.findings import Finding, finding
from dns_tools.lookup import is_domain, with_cache
from dns_tools.signatures import Signature, SignatureResult, verify_message
from dns_tools.spf import SpfOutcome, SpfResult, check_host

MAX_MESSAGE_BYTES = 50 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """What the receiver saw of the connection."""

    ip: str
    helo: str = ""
    mail_from: str = ""


SIGNATURE_CODES = {
    SignatureResult.PASS: "message.signature_pass",
    SignatureResult.FAIL: "message.signature_fail",
    SignatureResult.PERMERROR: "message.signature_permerror",
    SignatureResult.TEMPERROR: "message.signature_temperror",
}
DMARC_CODES = {
    "pass": "message.dmarc_pass",
    "fail": "message.dmarc_fail",
    "none": "message.dmarc_none",
    "temperror": "message.dmarc_temperror",
}
SPF_CODES = {
    SpfResult.PASS: "message.spf_pass",
    SpfResult.TEMPERROR: "message.spf_temperror",
}


def check_message(raw: bytes, resolver: dns.resolver.Resolver, envelope: Envelope | None = None) -> list[Finding]:
    """Never raises for what the bytes are; ValueError where the envelope's address is none."""
    resolver = with_cache(resolver)
    signatures = verify_message(raw, resolver)
    found = [_signature(signature) for signature in signatures]
    if not signatures:
        found.append(finding("message.unsigned", "message"))
    spf = _spf(resolver, envelope) if envelope is not None else None
    if spf is not None:
        found.append(spf_finding(spf))
    domains = from_domains(raw)
    if len(domains) != 1:
        return [*found, finding("message.from_count", "message", evidence=domains, count=len(domains))]
    return [*found, *_dmarc(resolver, domains[0], signatures, spf), *_partial(signatures)]


def from_domains(raw: bytes) -> list[str]:
    """One of every author address; a message ought to name one (RFC 5322 §3.6.2)."""
    try:
        parsed = email.message_from_bytes(raw[:MAX_MESSAGE_BYTES])
        headers = [str(header) for header in parsed.get_all("From", [])]
        addresses = [address for _, address in email.utils.getaddresses(headers)]
    except (MessageError, ValueError, IndexError, TypeError, AttributeError):
        return []
    domains = [address.rpartition("@")[2].lower() for address in addresses if "@" in address]
    return [domain for domain in domains if is_domain(domain)]


def _signature(signature: Signature) -> Finding:
    evidence = [signature.key_lookup.evidence] if signature.key_lookup is not None else []
    return finding(
        SIGNATURE_CODES[signature.result],
        signature.domain or "message",
        evidence=[*evidence, *([signature.detail] if signature.detail else [])],
        number=signature.number,
        domain=signature.domain or "—",
        selector=signature.selector or "—",
        algorithm=signature.algorithm or "—",
        reason=signature.reason or "—",
    )


def spf_finding(spf: SpfOutcome) -> Finding:
    evidence = [*(lookup.evidence for lookup in spf.lookups), *([spf.explanation] if spf.explanation else [])]
    code = SPF_CODES.get(spf.result, "message.spf_other")
    return finding(code, spf.domain, evidence=evidence, result=spf.result, term=spf.mechanism or spf.problem or "—")


def _spf(resolver: dns.resolver.Resolver, envelope: Envelope) -> SpfOutcome:
    domain = envelope.mail_from.rpartition("@")[2] or envelope.helo
    return check_host(envelope.ip, domain, envelope.mail_from, envelope.helo, resolver=resolver)


def _dmarc(
    resolver: dns.resolver.Resolver, domain: str, signatures: tuple[Signature, ...], spf: SpfOutcome | None
) -> Iterator[Finding]:
    verdict = evaluate(
        resolver,
        domain,
        spf_domain=spf.domain if spf is not None else "",
        spf_passed=spf is not None and spf.result is SpfResult.PASS,
        spf_unknown=spf is not None and spf.result is SpfResult.TEMPERROR,
        dkim=[
            DkimIdentity(
                domain=signature.domain,
                passed=signature.result is SignatureResult.PASS,
                unknown=signature.result is SignatureResult.TEMPERROR,
            )
            for signature in signatures
        ],
    )
    aligned = [*verdict.dkim_aligned, *(["SPF"] if verdict.spf_aligned else [])]
    yield finding(
        DMARC_CODES[verdict.result],
        domain,
        evidence=_record(verdict),
        aligned=", ".join(aligned) or "—",
        disposition=verdict.disposition,
    )


def _record(verdict: Verdict) -> list[str]:
    return [step.lookup.evidence for step in verdict.discovery.steps]


def _partial(signatures: tuple[Signature, ...]) -> Iterator[Finding]:
    for signature in signatures:
        if signature.partial_body:
            yield finding("message.partial_body", signature.domain, number=signature.number)
