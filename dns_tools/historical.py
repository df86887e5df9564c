"""Records of two forerunners that no receiver of weight reads any more: Sender ID (RFC 4406) and DomainKeys (RFC 4870).

They are shown because old zones still hold them and somebody will ask; nothing depends on them, and removing them is safe.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import dns.resolver

from dns_tools.findings import Finding, finding
from dns_tools.lookup import query
from dns_tools.tags import RecordError, parse_tags

SENDER_ID = re.compile(r"spf2\.0/(?P<scopes>[A-Za-z0-9,_.-]+)(?: (?P<terms>.*))?\Z", re.DOTALL)
SCOPES = frozenset({"mfrom", "pra"})


@dataclass(frozen=True, kw_only=True)
class SenderIdRecord:
    scopes: tuple[str, ...]
    terms: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class DomainKeysPolicy:
    testing: bool = False
    """t=y"""
    signs_all: bool = False
    """o=-; the default o=~ says that some mail is not signed."""
    note: str = ""
    report_to: str = ""


def parse_sender_id(text: str) -> SenderIdRecord:
    """RFC 4406 §3.1. Raises :class:`RecordError`: ``version``, ``scope``."""
    found = SENDER_ID.match(text)
    if found is None:
        raise RecordError("version", text[:20])
    scopes = tuple(scope.lower() for scope in found["scopes"].split(","))
    if not set(scopes) & SCOPES:
        raise RecordError("scope", found["scopes"][:40])
    return SenderIdRecord(scopes=scopes, terms=tuple((found["terms"] or "").split()))


def parse_domainkeys_policy(text: str) -> DomainKeysPolicy:
    """RFC 4870 §3.6. Raises :class:`RecordError`: ``policy`` and those of tag lists."""
    tags = parse_tags(text)
    if not set(tags) & {"o", "t", "n", "r"} or tags.get("o", "~") not in "~-":
        raise RecordError("policy", text[:40])
    return DomainKeysPolicy(
        testing=tags.get("t", "").lower() == "y",
        signs_all=tags.get("o") == "-",
        note=tags.get("n", ""),
        report_to=tags.get("r", ""),
    )


def check_historical(resolver: dns.resolver.Resolver, domain: str) -> list[Finding]:
    found = [*_sender_id(resolver, domain), *_domainkeys(resolver, domain)]
    return found or [finding("historical.none", domain)]


def _sender_id(resolver: dns.resolver.Resolver, domain: str) -> Iterator[Finding]:
    lookup = query(resolver, domain, "TXT")
    for text in lookup.texts:
        if text.lower().startswith(b"spf2.0"):
            try:
                record = parse_sender_id(text.decode("latin-1"))
                scopes = ", ".join(record.scopes)
            except RecordError as error:
                scopes = str(error)
            yield finding("historical.sender_id", domain, evidence=[lookup.evidence], scopes=scopes)


def _domainkeys(resolver: dns.resolver.Resolver, domain: str) -> Iterator[Finding]:
    lookup = query(resolver, f"_domainkey.{domain}", "TXT")
    for text in lookup.texts:
        try:
            policy = parse_domainkeys_policy(text.decode("latin-1"))
        except RecordError:
            continue
        signs = "o=-" if policy.signs_all else "o=~"
        yield finding("historical.domainkeys", domain, evidence=[lookup.evidence], policy=signs)
