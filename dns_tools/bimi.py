"""BIMI: the mark that mailboxes show beside a message (draft-brand-indicators-for-message-identification).

Only the record is judged, and whether DMARC is strict enough for it; nothing is fetched.
"""

import re
from dataclasses import dataclass

import dns.resolver

from dns_tools.dmarc import discover
from dns_tools.dmarc.record import Policy
from dns_tools.findings import Finding, finding
from dns_tools.lookup import not_single, query
from dns_tools.tags import RecordError, parse_tags

HTTPS = re.compile(r"https://[^\s;,]+\Z", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class BimiRecord:
    location: str
    """l=: an SVG by https; empty with an empty authority: the domain declines to take part."""
    authority: str = ""
    """a=: a certificate (VMC, CMC)."""

    @property
    def declined(self) -> bool:
        return not self.location and not self.authority


def parse(text: str) -> BimiRecord:
    """Raises :class:`RecordError`: ``version``, ``location``, ``authority`` and those of tag lists."""
    if not re.match(r"v=BIMI1\s*(?:;|\Z)", text):
        raise RecordError("version", text[:20])
    tags = parse_tags(text)
    location, authority = tags.get("l", ""), tags.get("a", "")
    if "l" not in tags or (location and not HTTPS.match(location)):
        raise RecordError("location", location[:80])
    if authority and not HTTPS.match(authority):
        raise RecordError("authority", authority[:80])
    return BimiRecord(location=location, authority=authority)


def check_bimi(resolver: dns.resolver.Resolver, domain: str, selector: str = "default") -> list[Finding]:
    lookup = query(resolver, f"{selector}._bimi.{domain}", "TXT")
    texts = lookup.versioned(b"v=BIMI1")
    if len(texts) != 1:
        return [finding(f"bimi.{not_single(lookup, texts)}", domain, evidence=[lookup.evidence])]
    try:
        record = parse(texts[0])
    except RecordError as error:
        return [finding("bimi.syntax", domain, evidence=[lookup.evidence], problem=str(error))]
    if record.declined:
        return [finding("bimi.declined", domain, evidence=[lookup.evidence])]
    found = [finding("bimi.found", domain, evidence=[lookup.evidence], location=record.location)]
    if not record.authority:
        found.append(finding("bimi.no_certificate", domain, evidence=texts))
    if discover(resolver, domain).policy not in (Policy.QUARANTINE, Policy.REJECT):
        found.append(finding("bimi.weak_dmarc", domain, evidence=texts))
    return found
