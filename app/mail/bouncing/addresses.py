"""Addresses in the wild: out of report fields, headers and sentences."""

import re

# Deliberately wide: an address that a host complains about may be one that no standard allows.
_ADDRESS = re.compile(
    r"(?:\"[^\"\n]{1,64}\"|[^\s<>()\[\]\",;:@'*`«»：，；。（）【】「」、=]{1,100})@(?:\[[\w.:-]{1,250}\]|\w(?:[\w.-]{0,250}\w)?)"
)
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
    return first_address(plain) or next((word.strip("<>") for word in plain.split() if "@" in word), "")


def is_role(address: str) -> bool:
    """One of the mailboxes that a notice names as its own sender or for questions."""
    return address.partition("@")[0].lower() in _ROLES
