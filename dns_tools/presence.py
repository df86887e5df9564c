"""Whether a record of a kind stands in the DNS at all: MX (RFC 5321 §5.1), SPF (RFC 7208 §4.5), DMARC (RFC 9989 §4.10).
What the record allows is not looked at.

The resolver is dnspython's and comes from the caller, with its servers and time limits.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import dns.name
import dns.resolver

from dns_tools.dmarc.record import is_dmarc
from dns_tools.lookup import Lookup, query
from dns_tools.spf.record import is_spf


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
    lookup = query(resolver, domain, "MX")
    hosts = tuple(
        f"{record.preference} {record.exchange}" for record in lookup.records if record.exchange != dns.name.root
    )
    return _judge(domain, lookup, hosts, at_most_one=False)


def check_spf(resolver: dns.resolver.Resolver, domain: str) -> PresenceCheck:
    return _check_text(resolver, domain, is_spf)


def check_dmarc(resolver: dns.resolver.Resolver, domain: str) -> PresenceCheck:
    return _check_text(resolver, f"_dmarc.{domain}", is_dmarc)


def _check_text(resolver: dns.resolver.Resolver, name: str, is_one: Callable[[bytes], bool]) -> PresenceCheck:
    lookup = query(resolver, name, "TXT")
    found = tuple(text.decode("ascii", "replace") for text in lookup.texts if is_one(text))
    return _judge(name, lookup, found)


def _judge(name: str, lookup: Lookup, found: tuple[str, ...], *, at_most_one: bool = True) -> PresenceCheck:
    if lookup.unknown:
        return PresenceCheck(status=Presence.UNREACHABLE, name=name, detail=lookup.status)
    if at_most_one and len(found) > 1:
        return PresenceCheck(status=Presence.SEVERAL, name=name, found=found)
    return PresenceCheck(status=Presence.PRESENT if found else Presence.MISSING, name=name, found=found)
