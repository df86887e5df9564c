"""Who receives a domain's mail: MX, null MX (RFC 7505), and the certificates pinned by DANE (RFC 7672)."""

import ipaddress
from collections.abc import Iterator
from typing import Any

import dns.name
import dns.resolver

from dns_tools.findings import Finding, finding
from dns_tools.lookup import Lookup, query

MAX_HOSTS = 20
SMTP_PORT = 25
MATCHING_TYPES = (0, 1, 2)
"""The certificate itself, SHA-256, SHA-512 (RFC 6698 §2.1.3); dnspython refuses digests of a wrong length."""
SMTP_USAGES = (2, 3)
"""DANE-TA and DANE-EE; the others are undefined for SMTP (RFC 7672 §3.1.3)."""


def check_mx(resolver: dns.resolver.Resolver, domain: str) -> list[Finding]:
    lookup = query(resolver, domain, "MX")
    if lookup.unknown:
        return [finding("mx.unreachable", domain, evidence=[lookup.evidence])]
    if not lookup.answered:
        return [_implicit(resolver, domain, lookup)]
    hosts = sorted(lookup.records, key=lambda record: record.preference)[:MAX_HOSTS]
    if any(host.exchange == dns.name.root for host in hosts):
        code = "mx.null" if len(hosts) == 1 else "mx.null_mixed"
        return [finding(code, domain, evidence=[lookup.evidence])]
    found = [finding("mx.found", domain, evidence=[lookup.evidence], count=len(hosts))]
    return [*found, *(problem for host in hosts for problem in _host(resolver, domain, host.exchange))]


def _implicit(resolver: dns.resolver.Resolver, domain: str, lookup: Lookup) -> Finding:
    """RFC 5321 §5.1: without MX records mail goes to the domain's own address."""
    addresses = [query(resolver, domain, rdtype) for rdtype in ("A", "AAAA")]
    evidence = [lookup.evidence, *(address.evidence for address in addresses)]
    if any(address.answered for address in addresses):
        return finding("mx.implicit", domain, evidence=evidence)
    unknown = any(address.unknown for address in addresses)
    return finding("mx.unreachable" if unknown else "mx.missing", domain, evidence=evidence)


def _host(resolver: dns.resolver.Resolver, domain: str, name: dns.name.Name) -> Iterator[Finding]:
    host = name.to_text(omit_final_dot=True)
    if _is_address(host):
        yield finding("mx.host_is_address", domain, host=host)
        return
    addresses = [query(resolver, name, rdtype) for rdtype in ("A", "AAAA")]
    evidence = [address.evidence for address in addresses]
    if any(address.aliases for address in addresses):
        yield finding("mx.host_is_alias", domain, evidence=evidence, host=host)
    if not any(address.answered for address in addresses):
        code = "mx.host_unreachable" if any(address.unknown for address in addresses) else "mx.host_without_address"
        yield finding(code, domain, evidence=evidence, host=host)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def exchange_hosts(resolver: dns.resolver.Resolver, domain: str) -> list[str]:
    """The names that receive the domain's mail, best first; none for a null MX."""
    return hosts_of(query(resolver, domain, "MX"))


def hosts_of(lookup: Lookup) -> list[str]:
    """The hosts of an answer about MX: best first, equals by name, so that servers that turn their answers around always
    give the same list; none for a null MX."""
    hosts = [(record.preference, record.exchange.to_text(omit_final_dot=True).lower()) for record in lookup.records
             if record.exchange != dns.name.root]  # fmt: skip
    return [name for _preference, name in sorted(hosts)[:MAX_HOSTS]]


def check_dane(resolver: dns.resolver.Resolver, domain: str) -> list[Finding]:
    hosts = exchange_hosts(resolver, domain)
    found = [result for host in hosts for result in _tlsa(resolver, host)]
    return found or [finding("dane.none", domain, evidence=hosts)]


def _tlsa(resolver: dns.resolver.Resolver, host: str) -> Iterator[Finding]:
    name = f"_{SMTP_PORT}._tcp.{host}"
    lookup = query(resolver, name, "TLSA")
    if lookup.unknown:
        yield finding("dane.unreachable", host, evidence=[lookup.evidence])
    if not lookup.answered:
        return
    wrong = [str(record) for record in lookup.records if not usable_tlsa(record)]
    if len(wrong) == len(lookup.records):
        yield finding("dane.unusable", host, evidence=[lookup.evidence], records="; ".join(wrong)[:200])
    elif not lookup.authenticated:
        yield finding("dane.not_signed", host, evidence=[lookup.evidence])
    else:
        yield finding("dane.found", host, evidence=[lookup.evidence], count=len(lookup.records) - len(wrong))


def usable_tlsa(record: Any) -> bool:
    return record.usage in SMTP_USAGES and record.selector in (0, 1) and record.mtype in MATCHING_TYPES
