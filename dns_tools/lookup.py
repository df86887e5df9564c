"""One question to the DNS, with all that is needed to show its answer as evidence.

    make_resolver("192.0.2.53:53")      a dnspython resolver with our time limits
    query(resolver, name, "TXT")        a `Lookup`; never raises for what the DNS says or fails to say

dnspython repeats a question until its time is up, asks every server it was given, and turns to TCP when an answer over UDP
is truncated. What it leaves to us: an authoritative server may answer with an alias and nothing else, so aliases are
followed here too; and an error is a result, because "the servers do not answer" must never read as "there is no record".
"""

import copy
import ipaddress
import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.resolver

MAX_ALIASES = 8
"""CNAME links that are followed by questions of our own; longer chains are a mistake or an attack."""
PARALLEL_QUESTIONS = 12
"""Of checks over many addresses: enough for 48 of them in seconds, few enough for a list not to mind."""
EDNS_PAYLOAD_OCTETS = 1232
"""Fits a datagram everywhere (DNS flag day 2020)."""


class LookupStatus(StrEnum):
    ANSWER = "answer"
    NODATA = "nodata"
    NXDOMAIN = "nxdomain"
    SERVFAIL = "servfail"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    BAD_NAME = "bad_name"  # Could not be asked: an empty or overlong label, or too long as a whole.
    ERROR = "error"


VOID = frozenset({LookupStatus.NODATA, LookupStatus.NXDOMAIN})
UNKNOWN = frozenset({LookupStatus.SERVFAIL, LookupStatus.REFUSED, LookupStatus.TIMEOUT, LookupStatus.ERROR})


class BadName(ValueError):
    """The text cannot be a domain name."""


@dataclass(frozen=True, kw_only=True)
class Lookup:
    """What one question brought. ``records`` are dnspython's rdata."""

    name: str
    type: str
    status: LookupStatus
    records: tuple[Any, ...] = ()
    ttl_seconds: int | None = None
    server: str = ""
    """Who answered; where nobody did, or said that there is no such name, who was asked."""
    aliases: tuple[str, ...] = ()
    """The names that CNAME records led to, in their order."""
    authenticated: bool = False
    """The resolver says that it validated the answer by DNSSEC (AD)."""
    authoritative: bool = False
    """The server speaks for the zone itself (AA), not from memory."""
    detail: str = ""

    @property
    def answered(self) -> bool:
        return self.status is LookupStatus.ANSWER

    @property
    def void(self) -> bool:
        """The DNS says for certain that there is no such record."""
        return self.status in VOID or self.status is LookupStatus.BAD_NAME

    @property
    def unknown(self) -> bool:
        """No answer, or an error of the servers: says nothing about the record."""
        return self.status in UNKNOWN

    @property
    def texts(self) -> tuple[bytes, ...]:
        """TXT records, the strings of each joined without a space (RFC 7208 §3.3)."""
        return tuple(b"".join(record.strings) for record in self.records)

    def versioned(self, version: bytes) -> list[str]:
        """The TXT records that begin with this version tag."""
        return [text.decode("latin-1") for text in self.texts if text.startswith(version)]

    @property
    def evidence(self) -> str:
        shown = "; ".join(str(record) for record in self.records) or self.detail
        alias = "".join(f" -> {name}" for name in self.aliases)
        ttl = f" ttl={self.ttl_seconds}" if self.ttl_seconds is not None else ""
        server = f" @{self.server}" if self.server else ""
        return f"{self.name}{alias} {self.type}: {self.status}{ttl}{server} {shown}".rstrip()


def not_single(lookup: Lookup, texts: list[str]) -> str:
    """Why there is not exactly one record of a kind: the last part of a finding's code."""
    return "unreachable" if lookup.unknown else "several" if texts else "missing"


def make_resolver(
    server: str | None = None, *, timeout_seconds: float = 2.0, lifetime_seconds: float = 6.0
) -> dns.resolver.Resolver:
    """``server``: ``ADDRESS``, ``ADDRESS:PORT`` or ``[IPV6]:PORT``; without one, what the system uses. ValueError."""
    resolver = dns.resolver.Resolver(configure=server is None)
    if server is not None:
        address, resolver.port = split_server(server)
        resolver.nameservers = [address]
    resolver.timeout = timeout_seconds
    resolver.lifetime = lifetime_seconds
    resolver.use_edns(0, 0, EDNS_PAYLOAD_OCTETS)
    resolver.flags = dns.flags.RD | dns.flags.AD
    return resolver


def split_server(text: str) -> tuple[str, int]:
    address, port = text, "53"
    if text.startswith("["):
        address, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":") or port
    elif text.count(":") == 1:
        address, _, port = text.partition(":")
    address = "127.0.0.1" if address == "localhost" else address
    if not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        raise ValueError(f"no port: {port[:20]!r}")
    return str(ipaddress.ip_address(address)), int(port)


def with_cache(resolver: dns.resolver.Resolver) -> dns.resolver.Resolver:
    """The same resolver, remembering answers: for checks that ask the same again for each of many addresses."""
    if resolver.cache is not None:
        return resolver
    caching = copy.copy(resolver)
    caching.cache = dns.resolver.LRUCache()
    return caching


def to_name(text: str) -> dns.name.Name:
    """An absolute name out of exactly these labels: no escapes, no search list. :class:`BadName`.

    Names that come out of SPF macros may hold any character, so a backslash here is a backslash.
    """
    try:
        octets = text.encode("ascii")
    except UnicodeEncodeError:
        octets = _to_ascii(text)
    labels = octets.removesuffix(b".").split(b".")
    try:
        return dns.name.Name([*labels, b""])
    except dns.exception.DNSException as error:
        raise BadName(type(error).__name__) from error


def _to_ascii(text: str) -> bytes:
    try:
        return dns.name.from_text(text).to_text().encode("ascii")
    except (dns.exception.DNSException, UnicodeError, ValueError) as error:
        raise BadName("no internationalised name") from error


def is_domain(text: str) -> bool:
    """At least two labels of 1 to 63 octets, and 255 octets on the wire at most (RFC 7208 §4.3)."""
    try:
        return len(to_name(text)) > 2
    except BadName:
        return False


def query(resolver: dns.resolver.Resolver, name: str | dns.name.Name, rdtype: str) -> Lookup:
    try:
        wanted = to_name(name) if isinstance(name, str) else name
    except BadName as error:
        return Lookup(name=str(name)[:300], type=rdtype, status=LookupStatus.BAD_NAME, detail=str(error))
    return _follow(resolver, wanted, wanted, rdtype, ())


def _follow(
    resolver: dns.resolver.Resolver, asked: dns.name.Name, name: dns.name.Name, rdtype: str, aliases: tuple[str, ...]
) -> Lookup:
    unanswered = Lookup(
        name=asked.to_text(omit_final_dot=True),
        type=rdtype,
        status=LookupStatus.NODATA,
        server=asked_servers(resolver),
        aliases=aliases,
    )
    try:
        answer = resolver.resolve(name, rdtype)
    except dns.resolver.NoAnswer as error:
        response = error.kwargs.get("response")
        target, links = _alias_target(response, name)
        if target != name and len(aliases) < MAX_ALIASES:
            return _follow(resolver, asked, target, rdtype, aliases + links)
        if _is_referral(response):
            return replace(unanswered, status=LookupStatus.ERROR, detail="lame server")
        return unanswered
    except dns.exception.DNSException as error:
        status, server, detail = _explain(error)
        return replace(unanswered, status=status, server=server or unanswered.server, detail=detail)
    return _answered(unanswered, answer, _alias_target(answer.response, name)[1])


def _answered(unanswered: Lookup, answer: dns.resolver.Answer, links: tuple[str, ...]) -> Lookup:
    return replace(
        unanswered,
        status=LookupStatus.ANSWER,
        records=tuple(answer),
        ttl_seconds=answer.rrset.ttl if answer.rrset is not None else None,
        server=f"{answer.nameserver}:{answer.port}" if answer.nameserver else unanswered.server,
        aliases=unanswered.aliases + links,
        authenticated=bool(answer.response.flags & dns.flags.AD),
        authoritative=bool(answer.response.flags & dns.flags.AA),
    )


def asked_servers(resolver: dns.resolver.Resolver) -> str:
    return ",".join(f"{server}:{resolver.port}" for server in getattr(resolver, "nameservers", ()))


def _is_referral(response: dns.message.Message | None) -> bool:
    """The server sends us elsewhere: it is lame for this zone and knows nothing of the record."""
    if response is None or response.flags & dns.flags.AA:
        return False
    kinds = {rrset.rdtype for rrset in response.authority}
    return dns.rdatatype.NS in kinds and dns.rdatatype.SOA not in kinds


def _alias_target(response: dns.message.Message | None, name: dns.name.Name) -> tuple[dns.name.Name, tuple[str, ...]]:
    """Where the CNAME records of this response lead from ``name``."""
    links: list[str] = []
    targets = {
        rrset.name: rrset[0].target
        for rrset in (response.answer if response is not None else [])
        if rrset.rdtype == dns.rdatatype.CNAME
    }
    while name in targets and len(links) < MAX_ALIASES:
        name = targets[name]
        links.append(name.to_text(omit_final_dot=True))
    return name, tuple(links)


def _explain(error: dns.exception.DNSException) -> tuple[LookupStatus, str, str]:
    if isinstance(error, dns.resolver.NXDOMAIN):
        return LookupStatus.NXDOMAIN, "", ""
    if isinstance(error, dns.exception.Timeout):
        return LookupStatus.TIMEOUT, "", f"{float(error.kwargs.get('timeout', math.nan)):.1f} s"
    if isinstance(error, dns.resolver.NoNameservers):
        return _refusal(error.kwargs.get("errors", ()))
    if isinstance(error, dns.resolver.YXDOMAIN | dns.name.NameTooLong | dns.name.LabelTooLong):
        return LookupStatus.BAD_NAME, "", type(error).__name__
    return LookupStatus.ERROR, "", type(error).__name__


def _refusal(errors: Any) -> tuple[LookupStatus, str, str]:
    """Of servers that all failed; the last one's reason is as good as any."""
    status, server, detail = LookupStatus.ERROR, "", ""
    for failed in errors:
        server, detail = f"{failed[0]}:{failed[2]}", str(failed[3])
        response = failed[4] if len(failed) > 4 else None
        rcode = response.rcode() if response is not None else None
        if rcode == dns.rcode.SERVFAIL:
            status = LookupStatus.SERVFAIL
        elif rcode == dns.rcode.REFUSED:
            status = LookupStatus.REFUSED
    return status, server, detail
