"""DNS lists of addresses and domains (RFC 5782): blocklists and one of good reputation, with their answers explained.

    load_lists()                              the shipped ones (blocklists.toml), as data
    check_address(resolver, ip, lists)        findings
    check_domain(resolver, domain, lists)     findings
    check_addresses(resolver, ips, lists)     the same for many addresses, several questions at a time
    probe(resolver, blocklist)                whether the list works from here at all

An answer is not yet a listing. Lists that refuse to answer (a public resolver, too many questions) do so with an address of
their own, and a domain that was sold answers everything: both are told apart from listings, and neither means "clean".
"""

import functools
import ipaddress
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from typing import Any

import dns.resolver

from dns_tools.findings import Finding, finding
from dns_tools.lookup import PARALLEL_QUESTIONS, Lookup, query

REFUSALS = ipaddress.ip_network("127.255.255.0/24")
"""Spamhaus's convention, taken over by others: .252 a typing error, .254 a public resolver, .255 too many questions."""
LOOPBACK = ipaddress.ip_network("127.0.0.0/8")


class Kind(StrEnum):
    ADDRESS = "address"
    DOMAIN = "domain"
    ALLOW = "allow"


class Style(StrEnum):
    EXACT = "exact"  # One address of the answer has one meaning.
    MASK = "mask"  # The bits of the last octet are lists of their own.
    TRUST = "trust"  # dnswl.org: the last octet is the level of trust.


@dataclass(frozen=True, kw_only=True)
class Blocklist:
    name: str
    zone: str
    kind: Kind
    style: Style = Style.EXACT
    ipv6: bool = False
    minor: bool = False
    """Few receivers refuse mail because of it."""
    removal: str = ""
    refused: tuple[str, ...] = ()
    codes: tuple[tuple[str, str, str], ...] = ()
    """(code, Spanish, English)"""

    def meanings(self, address: str) -> tuple[str, str]:
        """What an answer means, in Spanish and English."""
        last = int(address.rpartition(".")[2])
        held = [
            (spanish, english)
            for code, spanish, english in self.codes
            if (self.style is Style.EXACT and code == address)
            or (self.style is Style.MASK and int(code) & last)
            or (self.style is Style.TRUST and int(code) == last)
        ]
        spanish, english = (", ".join(texts) for texts in zip(*held, strict=True)) if held else ("", "")
        return spanish or address, english or address

    def refuses(self, address: str) -> bool:
        return ipaddress.ip_address(address) in REFUSALS or address in self.refused


def parse_lists(text: str) -> tuple[Blocklist, ...]:
    """Of a TOML file in the form of the shipped one. Raises ValueError."""
    try:
        return tuple(_entry(entry) for entry in tomllib.loads(text)["list"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a list of lists: {error}") from error


def _entry(entry: dict[str, Any]) -> Blocklist:
    codes = entry.pop("codes", {})
    given = {
        **entry,
        "kind": Kind(entry["kind"]),
        "style": Style(entry.get("style", "exact")),
        "refused": tuple(entry.get("refused", ())),
        "codes": tuple((code, meaning["es"], meaning["en"]) for code, meaning in codes.items()),
    }
    return Blocklist(**given)


@functools.cache
def load_lists() -> tuple[Blocklist, ...]:
    return parse_lists(resources.files("dns_tools").joinpath("blocklists.toml").read_text(encoding="utf-8"))


def reversed_address(ip: str) -> str:
    """The labels under which a list knows an address (RFC 5782 §2.1, §2.4)."""
    return ipaddress.ip_address(ip).reverse_pointer.removesuffix(".in-addr.arpa").removesuffix(".ip6.arpa")


def check_address(resolver: dns.resolver.Resolver, ip: str, lists: Sequence[Blocklist] | None = None) -> list[Finding]:
    """ValueError where ``ip`` is no address."""
    address = ipaddress.ip_address(ip)
    asked = [
        entry
        for entry in (load_lists() if lists is None else lists)
        if entry.kind is not Kind.DOMAIN and (address.version == 4 or entry.ipv6)
    ]
    return _judge(resolver, ip, reversed_address(ip), asked)


def check_domain(
    resolver: dns.resolver.Resolver, domain: str, lists: Sequence[Blocklist] | None = None
) -> list[Finding]:
    asked = [entry for entry in (load_lists() if lists is None else lists) if entry.kind is Kind.DOMAIN]
    return _judge(resolver, domain, domain.removesuffix("."), asked)


def check_addresses(
    resolver: dns.resolver.Resolver, ips: Sequence[str], lists: Sequence[Blocklist] | None = None
) -> list[Finding]:
    with ThreadPoolExecutor(PARALLEL_QUESTIONS) as threads:
        return [
            found for findings in threads.map(lambda ip: check_address(resolver, ip, lists), ips) for found in findings
        ]


def _judge(resolver: dns.resolver.Resolver, subject: str, labels: str, lists: Sequence[Blocklist]) -> list[Finding]:
    found: list[Finding] = []
    clean: list[str] = []
    for entry in lists:
        answer = query(resolver, f"{labels}.{entry.zone}", "A")
        judged = list(_answer(resolver, entry, subject, answer))
        found += judged
        if not judged and entry.kind is not Kind.ALLOW:
            clean.append(entry.name)
    if clean:
        found.append(finding("dnsbl.clean", subject, evidence=clean, count=len(clean)))
    return found


def _answer(resolver: dns.resolver.Resolver, entry: Blocklist, subject: str, answer: Lookup) -> Iterator[Finding]:
    if answer.void:
        return
    if not answer.answered:
        yield finding("dnsbl.unreachable", subject, evidence=[answer.evidence], name=entry.name)
        return
    addresses = [record.address for record in answer.records]
    refusals = [address for address in addresses if entry.refuses(address)]
    strange = [address for address in addresses if ipaddress.ip_address(address) not in LOOPBACK]
    if refusals:
        yield finding("dnsbl.refused", subject, evidence=[answer.evidence], name=entry.name, code=refusals[0])
    elif strange:
        yield finding("dnsbl.strange", subject, evidence=[answer.evidence], name=entry.name, code=strange[0])
    else:
        yield _listing(resolver, entry, subject, answer, addresses)


def _listing(
    resolver: dns.resolver.Resolver, entry: Blocklist, subject: str, answer: Lookup, addresses: list[str]
) -> Finding:
    meanings = [entry.meanings(address) for address in addresses]
    code = "dnsbl.listed_minor" if entry.minor else "dnsbl.listed"
    if entry.kind is Kind.ALLOW:
        code = "dnsbl.trusted"
    reasons = query(resolver, answer.name, "TXT").texts if entry.kind is not Kind.ALLOW else ()
    return finding(
        code,
        subject,
        evidence=[answer.evidence, *(reason.decode("utf-8", "replace")[:300] for reason in reasons)],
        name=entry.name,
        meaning_es="; ".join(spanish for spanish, _ in meanings),
        meaning_en="; ".join(english for _, english in meanings),
        removal=entry.removal or entry.zone,
    )


def probe(resolver: dns.resolver.Resolver, entry: Blocklist) -> Finding:
    """RFC 5782 §5: 127.0.0.2 (a domain: TEST) is always listed, 127.0.0.1 (INVALID) never."""
    listed, unlisted = ("test", "invalid") if entry.kind is Kind.DOMAIN else ("2.0.0.127", "1.0.0.127")
    present = query(resolver, f"{listed}.{entry.zone}", "A")
    absent = query(resolver, f"{unlisted}.{entry.zone}", "A")
    evidence = [present.evidence, absent.evidence]
    if present.unknown or absent.unknown:
        return finding("dnsbl.unreachable", entry.zone, evidence=evidence, name=entry.name)
    addresses = [record.address for record in present.records]
    if any(entry.refuses(address) for address in addresses):
        return finding("dnsbl.refused", entry.zone, evidence=evidence, name=entry.name, code=addresses[0])
    if absent.answered:
        return finding("dnsbl.lists_all", entry.zone, evidence=evidence, name=entry.name)
    return finding(
        "dnsbl.works" if present.answered else "dnsbl.lists_none", entry.zone, evidence=evidence, name=entry.name
    )
