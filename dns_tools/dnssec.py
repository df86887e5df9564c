"""Whether a domain is signed, and whether its signature holds against what its parent says (RFC 4035).

The chain above the parent is the resolver's to validate; its word (AD) is told as evidence. What is checked here is the link
that domain owners break: DS records in the parent, the keys they name, and the signature over the keys.
"""

import copy
from typing import Any

import dns.dnssec
import dns.exception
import dns.flags
import dns.name
import dns.rdatatype
import dns.resolver
import dns.rrset

from dns_tools.findings import Finding, finding
from dns_tools.lookup import EDNS_PAYLOAD_OCTETS, BadName, Lookup, query, to_name

OLD_DIGESTS = frozenset({1})
"""SHA-1 (RFC 8624 §3.3)."""


def check_dnssec(resolver: dns.resolver.Resolver, domain: str) -> list[Finding]:
    asking = copy.copy(resolver)
    asking.use_edns(0, dns.flags.DO, EDNS_PAYLOAD_OCTETS)
    parents = query(asking, domain, "DS")
    keys = query(asking, domain, "DNSKEY")
    evidence = [parents.evidence[:400], keys.evidence[:400]]
    if parents.unknown or keys.unknown:
        # A validating resolver answers SERVFAIL for a broken chain; without its check (CD) the records still come.
        return [_without_validation(asking, domain, evidence)]
    if not parents.answered:
        return [finding("dnssec.unsigned_keys" if keys.answered else "dnssec.unsigned", domain, evidence=evidence)]
    return [*_judge(asking, domain, parents, keys, evidence)]


def _without_validation(asking: dns.resolver.Resolver, domain: str, evidence: list[str]) -> Finding:
    unchecked = copy.copy(asking)
    unchecked.flags = (asking.flags or dns.flags.RD) | dns.flags.CD
    unchecked.cache = None
    parents, keys = query(unchecked, domain, "DS"), query(unchecked, domain, "DNSKEY")
    if parents.answered and not keys.unknown:
        return finding("dnssec.broken", domain, evidence=[*evidence, parents.evidence[:400]], problem="SERVFAIL")
    return finding("dnssec.unreachable", domain, evidence=evidence)


def _judge(
    asking: dns.resolver.Resolver, domain: str, parents: Lookup, keys: Lookup, evidence: list[str]
) -> list[Finding]:
    problem = _broken_link(asking, domain, parents, keys)
    if problem:
        return [finding("dnssec.broken", domain, evidence=evidence, problem=problem)]
    found = [finding("dnssec.signed", domain, evidence=evidence, validated="AD" if keys.authenticated else "—")]
    if all(record.digest_type in OLD_DIGESTS for record in parents.records):
        found.append(finding("dnssec.old_digest", domain, evidence=[parents.evidence[:400]]))
    return found


def _broken_link(asking: dns.resolver.Resolver, domain: str, parents: Lookup, keys: Lookup) -> str:
    """Empty where a key named by the parent signs the keys."""
    if not keys.answered:
        return "no DNSKEY"
    try:
        name = to_name(domain.lower())
        named = [key for key in keys.records if any(_names(name, parent, key) for parent in parents.records)]
        if not named:
            return "no DNSKEY matches the DS"
        answer = asking.resolve(name, "DNSKEY")
        signatures = answer.response.get_rrset(
            answer.response.answer, name, answer.rdclass, dns.rdatatype.RRSIG, dns.rdatatype.DNSKEY
        )
        if signatures is None or answer.rrset is None:
            return "no RRSIG over the DNSKEY records"
        trusted: dict[dns.name.Name, Any] = {name: dns.rrset.from_rdata_list(name, 0, named)}
        dns.dnssec.validate(answer.rrset, signatures, trusted)
    except (dns.exception.DNSException, BadName, ValueError) as error:
        return str(error)[:120] or type(error).__name__
    return ""


def _names(name: dns.name.Name, parent: Any, key: Any) -> bool:
    if parent.key_tag != dns.dnssec.key_id(key) or parent.algorithm != key.algorithm:
        return False
    try:
        policy = dns.dnssec.allow_all_policy
        return bool(dns.dnssec.make_ds(name, key, parent.digest_type, policy=policy, validating=True) == parent)
    except (dns.exception.DNSException, ValueError):
        return False
