"""Whether a record of a kind stands in the DNS at all: MX (RFC 5321 §5.1), SPF (RFC 7208 §4.5), DMARC (RFC 7489 §6.6.3).
What the record allows is not looked at.

The resolver is dnspython's and comes from the caller, with its servers and time limits.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import dns.exception
import dns.name
import dns.rdatatype
import dns.resolver


class Presence(StrEnum):
    PRESENT = "present"
    MISSING = "missing"
    SEVERAL = "several"  # Of SPF and DMARC: receivers then act as if there were none, or give up.
    UNREACHABLE = "unreachable"  # No answer, or an error of the name servers: says nothing about the record.


@dataclass(frozen=True, kw_only=True)
class PresenceCheck:
    status: Presence
    name: str
    """The DNS name that was asked for."""
    found: tuple[str, ...] = ()
    detail: str = ""

    @property
    def ok(self) -> bool:
        return self.status is Presence.PRESENT


def check_mx(resolver: dns.resolver.Resolver, domain: str) -> PresenceCheck:
    """Any MX but the null MX, which says that the domain takes no mail (RFC 7505)."""
    return _check(domain, lambda: query_mx(resolver, domain), at_most_one=False)


def check_spf(resolver: dns.resolver.Resolver, domain: str) -> PresenceCheck:
    return _check(domain, lambda: query_txt(resolver, domain, "v=spf1"))


def check_dmarc(resolver: dns.resolver.Resolver, domain: str) -> PresenceCheck:
    name = f"_dmarc.{domain}"
    return _check(name, lambda: query_txt(resolver, name, "v=DMARC1"))


def query_mx(resolver: dns.resolver.Resolver, name: str) -> tuple[str, ...]:
    """``10 mx.example.pe.``; raises ``dns.exception.DNSException``."""
    return tuple(
        f"{record.preference} {record.exchange}"
        for record in _answer(resolver, name, dns.rdatatype.MX)
        if record.exchange != dns.name.root
    )


def query_txt(resolver: dns.resolver.Resolver, name: str, version: str) -> tuple[str, ...]:
    """The texts whose first word is the version tag, as SPF (a blank behind it) and DMARC (a semicolon) write it."""
    texts = (
        b"".join(record.strings).decode("ascii", "replace") for record in _answer(resolver, name, dns.rdatatype.TXT)
    )
    return tuple(text for text in texts if text.replace(";", " ").split(" ", 1)[0].lower() == version.lower())


def _answer(resolver: dns.resolver.Resolver, name: str, kind: dns.rdatatype.RdataType) -> list[Any]:
    try:
        return list(resolver.resolve(name, kind, search=False))
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return []


def _check(name: str, query: Callable[[], tuple[str, ...]], *, at_most_one: bool = True) -> PresenceCheck:
    try:
        found = query()
    except dns.exception.DNSException as error:
        return PresenceCheck(status=Presence.UNREACHABLE, name=name, detail=type(error).__name__)
    if at_most_one and len(found) > 1:
        return PresenceCheck(status=Presence.SEVERAL, name=name, found=found)
    return PresenceCheck(status=Presence.PRESENT if found else Presence.MISSING, name=name, found=found)
