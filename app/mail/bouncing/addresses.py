"""Addresses in the wild: out of report fields, headers and sentences."""

import re

# Deliberately wide: an address that a host complains about may be one that no standard allows. A local part may hold an
# apostrophe or an equals sign (O'Brien, VERP), but in a sentence none begins with one.
_HARMFUL = r"\x00-\x1f\x7f-\x9f\ud800-\udfff"
_OTHER = rf"\s{_HARMFUL}<>()\[\]\",;:@*`«»：，；。（）【】「」、"
_QUOTED = rf"\"[^\"{_HARMFUL}]{{1,64}}\""
_DOMAIN = r"(?:\[[\w.:-]{1,250}\]|\w(?:[\w.-]{0,250}\w)?)"
_ADDRESS = re.compile(rf"(?:{_QUOTED}|[^{_OTHER}'=][^{_OTHER}]{{0,99}})@{_DOMAIN}")
_TYPED = re.compile(r"^\s*[\w-]{1,30}\s*;")
_ROLES = frozenset({"postmaster", "mailer-daemon", "mailerdaemon", "abuse", "hostmaster", "noc"})


def addresses_in(text: str) -> list[str]:
    """Every address of a line, in its order; bounded."""
    return [found.strip(".'`") for found in _ADDRESS.findall(text[:2000])[:50]]


def first_address(text: str) -> str:
    return next(iter(addresses_in(text)), "")


def typed_address(value: str) -> str:
    """The address of a field such as Final-Recipient (RFC 3464 §2.3.2): "rfc822; a@b", "LOCAL;<a@b>", or bare."""
    bare = _TYPED.sub("", value[:2000])
    plain = bare.replace("RFC822:", " ").replace("rfc822:", " ").replace("SMTP:", " ")
    found = (word.strip("<>")[:320] for word in plain.split() if "@" in word)
    return first_address(plain) or next((word for word in found if word.isprintable()), "")


def is_role(address: str) -> bool:
    """One of the mailboxes that a notice names as its own sender or for questions."""
    return address.partition("@")[0].lower() in _ROLES
