"""Reverse DNS of a sending address: its name, whether the name leads back, and whether it greets with it.

check_ptr(resolver, ip, helo="")      findings
"""

import ipaddress
import re
from collections.abc import Iterator

import dns.name
import dns.resolver

from dns_tools.findings import Finding, ToPublish, finding
from dns_tools.lookup import Lookup, is_domain, query

MAX_NAMES = 10
GENERIC = re.compile(
    r"(?:^|[.-])(?:dynamic|dyn|dhcp|pool|ppp|dsl|adsl|cable|dial(?:up)?|customer|client|broadband)(?:[.-]|\d|$)"
)

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


def check_ptr(resolver: dns.resolver.Resolver, ip: str, *, helo: str = "") -> list[Finding]:
    """``helo``: the name with which this address greets. ValueError where ``ip`` is no address."""
    address = ipaddress.ip_address(ip)
    pointers = query(resolver, address.reverse_pointer, "PTR")
    found = [*_names(resolver, address, pointers, helo)]
    return [*found, *_helo(resolver, address, helo, pointers)] if helo else found


def _names(resolver: dns.resolver.Resolver, address: IPAddress, pointers: Lookup, helo: str) -> Iterator[Finding]:
    ip = str(address)
    publish = [ToPublish(name=address.reverse_pointer, type="PTR", text=f"{helo}.")] if helo else []
    if not pointers.answered:
        code = "ptr.unreachable" if pointers.unknown else "ptr.missing"
        yield finding(code, ip, evidence=[pointers.evidence], publish=[] if pointers.unknown else publish)
        return
    names = [record.target for record in pointers.records[:MAX_NAMES]]
    if len(pointers.records) > 1:
        yield finding("ptr.several", ip, evidence=[pointers.evidence], count=len(pointers.records))
    confirmed = False
    for name in names:
        forward = query(resolver, name, "A" if address.version == 4 else "AAAA")
        here = leads_to(forward, address)
        confirmed = confirmed or here
        code = "ptr.confirmed" if here else "ptr.forward_unreachable" if forward.unknown else "ptr.not_forward"
        yield finding(code, ip, evidence=[pointers.evidence, forward.evidence], name=_text(name))
        if here and is_generic(_text(name), address):
            yield finding("ptr.generic", ip, evidence=[pointers.evidence], publish=publish, name=_text(name))


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower()


def leads_to(forward: Lookup, address: IPAddress) -> bool:
    return any(ipaddress.ip_address(record.address) == address for record in forward.records)


def is_generic(name: str, address: IPAddress) -> bool:
    """A name as providers give it to lines they did not hand to anybody: the address within it, or a word for it."""
    if GENERIC.search(name):
        return True
    if address.version == 6:
        return address.exploded.replace(":", "")[-12:] in name.replace("-", "").replace(".", "")
    octets = str(address).split(".")
    orders = (octets, octets[::-1])
    return any(re.search(r"(?<!\d)0*" + r"[.-]0*".join(order) + r"(?!\d)", name) is not None for order in orders)


def _helo(resolver: dns.resolver.Resolver, address: IPAddress, helo: str, pointers: Lookup) -> Iterator[Finding]:
    """RFC 5321 §4.1.1.1: a name of the host that resolves; receivers want it to be this address's."""
    ip = str(address)
    if helo.startswith("[") or not is_domain(helo):
        yield finding("ptr.helo_no_name", ip, helo=helo)
        return
    forward = query(resolver, helo, "A" if address.version == 4 else "AAAA")
    if forward.unknown:
        yield finding("ptr.helo_unreachable", ip, evidence=[forward.evidence], helo=helo)
    elif not leads_to(forward, address):
        kind = "A" if address.version == 4 else "AAAA"
        publish = [ToPublish(name=helo, type=kind, text=ip)]
        yield finding("ptr.helo_elsewhere", ip, evidence=[forward.evidence], publish=publish, helo=helo)
    elif helo.lower().removesuffix(".") in {_text(record.target) for record in pointers.records}:
        yield finding("ptr.helo_matches", ip, evidence=[forward.evidence], helo=helo)
    else:
        yield finding("ptr.helo_differs", ip, evidence=[pointers.evidence, forward.evidence], helo=helo)
