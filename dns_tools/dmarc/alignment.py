"""The DMARC verdict for a message: does an identifier that authenticated belong to the author's domain? (RFC 9989 §5.3)"""

from collections.abc import Sequence
from dataclasses import dataclass

import dns.resolver

from dns_tools.dmarc.discovery import Discovery, discover, organizational_domain
from dns_tools.dmarc.record import Policy
from dns_tools.lookup import with_cache


@dataclass(frozen=True, kw_only=True)
class DkimIdentity:
    domain: str
    """d= of the signature."""
    passed: bool
    unknown: bool = False
    """The key could not be fetched: neither passed nor failed."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    result: str
    """``pass``, ``fail``, ``none`` (no record), or ``temperror``: the DNS did not tell, of the record or of an identifier
    that would have aligned."""
    discovery: Discovery
    spf_aligned: bool = False
    dkim_aligned: tuple[str, ...] = ()
    """The d= that passed and align."""
    disposition: Policy = Policy.NONE
    """What the author's domain asks to do with the message."""


def evaluate(
    resolver: dns.resolver.Resolver,
    from_domain: str,
    *,
    spf_domain: str = "",
    spf_passed: bool = False,
    spf_unknown: bool = False,
    dkim: Sequence[DkimIdentity] = (),
) -> Verdict:
    """``spf_domain``: of MAIL FROM, or of HELO where that was empty."""
    resolver = with_cache(resolver)
    discovery = discover(resolver, from_domain)
    record = discovery.record
    if record is None:
        return Verdict(result="temperror" if discovery.unknown else "none", discovery=discovery)
    spf_aligns = (spf_passed or spf_unknown) and aligned(resolver, discovery, spf_domain, strict=record.strict_spf)
    aligning = [
        identity
        for identity in dkim
        if (identity.passed or identity.unknown)
        and aligned(resolver, discovery, identity.domain, strict=record.strict_dkim)
    ]
    passed = (spf_aligns and spf_passed) or any(identity.passed for identity in aligning)
    result = "pass" if passed else "temperror" if spf_aligns or aligning else "fail"
    return Verdict(
        result=result,
        discovery=discovery,
        spf_aligned=spf_aligns and spf_passed,
        dkim_aligned=tuple(identity.domain for identity in aligning if identity.passed),
        disposition=discovery.policy or Policy.NONE if result == "fail" else Policy.NONE,
    )


def aligned(resolver: dns.resolver.Resolver, discovery: Discovery, domain: str, *, strict: bool) -> bool:
    """Strict: the same name. Relaxed: the same organisation (§4.4)."""
    domain = domain.lower().removesuffix(".")
    if not domain or domain == discovery.domain:
        return bool(domain)
    return not strict and organizational_domain(resolver, domain) == discovery.organizational_domain
