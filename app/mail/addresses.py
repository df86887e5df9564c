"""E-mail addresses as people type them and files hold them: the mailable address, or why it is none.

A pattern decides the ordinary ones (about one microsecond), a cache the domains, which repeat.
email-validator decides what has letters outside ASCII. No DNS: whether a domain takes mail is a question of
another time.

Addresses are lower-cased as a whole: RFC 5321 §2.4 lets a host tell upper from lower case before the "@",
none that matters does, and people type both. Letters outside ASCII before the "@" would need SMTPUTF8 (RFC
6531) all the way to the mailbox, so they are refused; behind it they become A-labels (RFC 5891).
"""

import re
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from email_validator import EmailSyntaxError, validate_email

MAX_ADDRESS = 254  # RFC 5321 §4.5.3.1.3: a path has 256 octets, two of them angle brackets
MAX_LOCAL_PART = 64  # RFC 5321 §4.5.3.1.1
MAX_DOMAIN = 253
# Bounds the work on a cell that holds a whole document.
_MAX_RAW = 1000

_ATEXT = r"a-z0-9!#$%&'*+/=?^_`{|}~-"
_LOCAL_PART = re.compile(rf"[{_ATEXT}]+(?:\.[{_ATEXT}]+)*\Z").match
_ORDINARY = re.compile(rf"([{_ATEXT}]+(?:\.[{_ATEXT}]+)*)@([a-z0-9.-]+)\Z").match
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z").match
# What copying from documents and spreadsheets leaves around an address.
_AROUND = " \t\r\n\v\f\xa0\u200b\u200c\u200d\u2060\ufeff\u202f\u2007"
_ZERO_WIDTH = re.compile("[\u200b\u200c\u200d\u2060\ufeff\u00ad]")


class AddressProblem(StrEnum):
    """Why a text is no mailable address."""

    EMPTY = "empty"
    MISSING_AT = "missing_at"
    SEVERAL_ADDRESSES = "several_addresses"
    SPACES = "spaces"
    EXTRA_TEXT = "extra_text"  # a name beside the address, angle brackets, mailto:
    CONTROL_CHARACTER = "control_character"
    TOO_LONG = "too_long"
    MISSING_LOCAL_PART = "missing_local_part"
    LOCAL_PART_TOO_LONG = "local_part_too_long"
    NON_ASCII_LOCAL_PART = "non_ascii_local_part"
    BAD_LOCAL_PART = "bad_local_part"
    MISSING_DOMAIN = "missing_domain"
    DOMAIN_WITHOUT_DOT = "domain_without_dot"
    BAD_DOMAIN = "bad_domain"


class Address(NamedTuple):
    """A mailable address: lower case, ASCII on both sides of the "@"."""

    address: str
    local_part: str
    domain: str

    def __str__(self) -> str:
        return self.address


def domain_of(address: str) -> str:
    """What stands behind the last @."""
    return address.rpartition("@")[2]


def parse_address(raw: str) -> Address | AddressProblem:
    """The normalised address in `raw`, or the first reason why there is none."""
    text = raw.lower()
    ordinary = _ORDINARY(text)
    # "İ".lower() is two characters, and "K" (Kelvin) becomes ASCII; neither may pass as an ordinary letter.
    if ordinary is not None and len(text) <= MAX_ADDRESS and raw.isascii():
        local_part, domain = ordinary.groups()
        problem = _domain_problem(domain)
        if problem is None and len(local_part) <= MAX_LOCAL_PART:
            return Address(text, local_part, domain)
    return _parse_unusual(raw)


def domain_to_ascii(domain: str) -> str | None:
    """`domain` in lower case and A-labels; None where it is no domain name with at least two labels."""
    ascii_domain = _ascii_domain(domain)
    return None if isinstance(ascii_domain, AddressProblem) else ascii_domain


def _parse_unusual(raw: str) -> Address | AddressProblem:
    """Every reason in the order in which a person would want to hear them."""
    text = raw[:_MAX_RAW].strip(_AROUND)
    problem = _shape_problem(text) or (AddressProblem.TOO_LONG if len(raw) > _MAX_RAW else None)
    if problem is not None:
        return problem
    local_part, _, domain = _ZERO_WIDTH.sub("", text).rpartition("@")
    problem = _local_part_problem(local_part)
    if problem is not None:
        return problem
    ascii_domain = _ascii_domain(domain)
    if isinstance(ascii_domain, AddressProblem):
        return ascii_domain
    address = f"{local_part.lower()}@{ascii_domain}"
    return AddressProblem.TOO_LONG if len(address) > MAX_ADDRESS else Address(address, local_part.lower(), ascii_domain)


def _shape_problem(text: str) -> AddressProblem | None:
    if not text:
        return AddressProblem.EMPTY
    if "@" not in text:
        return AddressProblem.MISSING_AT
    if text.count("@") > 1:
        return (
            AddressProblem.SEVERAL_ADDRESSES if re.search(r"@[^@]*[,;|/\s][^@]*@", text) else AddressProblem.BAD_DOMAIN
        )
    if any(sign in text for sign in "<>") or text.lower().startswith("mailto:"):
        return AddressProblem.EXTRA_TEXT
    if any(character.isspace() for character in text):
        return AddressProblem.SPACES
    if not _ZERO_WIDTH.sub("", text).isprintable():
        return AddressProblem.CONTROL_CHARACTER
    return None


def _local_part_problem(local_part: str) -> AddressProblem | None:
    if not local_part:
        return AddressProblem.MISSING_LOCAL_PART
    if not local_part.isascii():
        return AddressProblem.NON_ASCII_LOCAL_PART
    if len(local_part) > MAX_LOCAL_PART:
        return AddressProblem.LOCAL_PART_TOO_LONG
    return None if _LOCAL_PART(local_part.lower()) else AddressProblem.BAD_LOCAL_PART


@lru_cache(maxsize=65_536)
def _domain_problem(domain: str) -> AddressProblem | None:
    """Letters, digits and hyphens (RFC 1123 §2.1), at least two labels, the last one no number."""
    if not domain:
        return AddressProblem.MISSING_DOMAIN
    labels = domain.split(".")
    if len(labels) < 2:
        return AddressProblem.DOMAIN_WITHOUT_DOT
    if len(domain) > MAX_DOMAIN or not all(_LABEL(label) for label in labels) or labels[-1].isdigit():
        return AddressProblem.BAD_DOMAIN
    return AddressProblem.BAD_DOMAIN if any(map(_is_bad_a_label, labels)) else None


def _is_bad_a_label(label: str) -> bool:
    """Whether a label with hyphens in third and fourth place is no A-label (RFC 5891 §4.2.3.1)."""
    return label[2:4] == "--" and isinstance(_validated_domain(f"{label}.example.pe"), AddressProblem)


@lru_cache(maxsize=4_096)
def _ascii_domain(domain: str) -> str | AddressProblem:
    if domain.isascii():
        return _domain_problem(domain.lower()) or domain.lower()
    return _validated_domain(domain)


def _validated_domain(domain: str) -> str | AddressProblem:
    try:
        validated = validate_email(
            f"a@{domain}", check_deliverability=False, allow_smtputf8=False, globally_deliverable=False
        )
    except EmailSyntaxError:
        return AddressProblem.BAD_DOMAIN
    ascii_domain = validated.ascii_domain.lower()
    return ascii_domain if "." in ascii_domain else AddressProblem.DOMAIN_WITHOUT_DOT
