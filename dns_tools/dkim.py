"""DKIM keys in the DNS (RFC 6376 §3.6.1): building, parsing and checking the TXT record of a public key.

    build_record(public_key, key_type="rsa")        what to publish
    parse_record(text)                              what a record says, or RecordError
    check_published_key(resolver, domain, selector, expected=…)   does it match, and if not, why

The resolver is dnspython's and comes from the caller, with its servers and time limits.
"""

import base64
import binascii
from dataclasses import dataclass, field
from enum import StrEnum

import dns.resolver
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from dns_tools import findings
from dns_tools.lookup import query
from dns_tools.tags import RecordError, parse_tags

MAX_RECORD_CHARACTERS = 4096
"""A 4096-bit RSA key takes about 750; what is much longer is no key but an attack."""
MIN_RSA_BITS = 1024
"""RFC 8301 §3.2: verifiers must not take shorter ones."""
ED25519_OCTETS = 32


@dataclass(frozen=True, kw_only=True)
class KeyRecord:
    """A parsed record. ``public_key`` is empty where the key is revoked (``p=``)."""

    public_key: bytes
    key_type: str = "rsa"
    hash_algorithms: tuple[str, ...] = ()
    """Empty: all are acceptable."""
    service_types: tuple[str, ...] = ("*",)
    flags: tuple[str, ...] = ()

    @property
    def revoked(self) -> bool:
        return not self.public_key

    @property
    def testing(self) -> bool:
        """``t=y``: verifiers treat the mail as if it were unsigned."""
        return "y" in self.flags

    @property
    def usable_for_mail(self) -> bool:
        """Whether ``s=`` and ``h=`` let the key verify e-mail signed with SHA-256."""
        hashes = not self.hash_algorithms or "sha256" in self.hash_algorithms
        return hashes and bool({"*", "email"} & set(self.service_types))


def record_name(domain: str, selector: str) -> str:
    return f"{selector}._domainkey.{domain}"


def build_record(public_key: bytes, key_type: str = "rsa") -> str:
    """``public_key``: a DER SubjectPublicKeyInfo for RSA, the bare 32 octets for Ed25519 (RFC 8463 §4.2)."""
    return f"v=DKIM1; k={key_type}; p={base64.b64encode(public_key).decode()}"


def parse_record(text: str) -> KeyRecord:
    """Raises :class:`RecordError`; its codes here: ``too_long``, ``not_a_tag_list``, ``duplicate_tag``, ``version``,
    ``no_key``, ``base64``, ``key_type``, ``key``, ``key_too_short``."""
    if len(text) > MAX_RECORD_CHARACTERS:
        raise RecordError("too_long", str(len(text)))
    tags = parse_tags(text)
    if "v" in tags and (tags["v"] != "DKIM1" or next(iter(tags)) != "v"):
        raise RecordError("version", tags["v"])
    if "p" not in tags:
        raise RecordError("no_key")
    record = KeyRecord(
        public_key=_decode(tags["p"]),
        key_type=tags.get("k", "rsa"),
        hash_algorithms=_words(tags.get("h", "")),
        service_types=_words(tags.get("s", "*")) or ("*",),
        flags=_words(tags.get("t", "")),
    )
    check_key(record)
    return record


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise RecordError("base64") from error


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(":") if word.strip())


def check_key(record: KeyRecord) -> None:
    """The key is one that verifiers can use. Raises :class:`RecordError`."""
    if record.revoked:
        return
    if record.key_type == "ed25519":
        if len(record.public_key) != ED25519_OCTETS:
            raise RecordError("key", f"{len(record.public_key)} octets")
        return
    if record.key_type != "rsa":
        raise RecordError("key_type", record.key_type)
    try:
        key = load_der_public_key(record.public_key)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise RecordError("key") from error
    if not isinstance(key, RSAPublicKey):
        raise RecordError("key")
    if key.key_size < MIN_RSA_BITS:
        raise RecordError("key_too_short", str(key.key_size))


zone_line = findings.zone_line
"""A record of ours as a line of a zone file."""


class KeyStatus(StrEnum):
    MATCHES = "matches"
    MISSING = "missing"
    DIFFERENT = "different"
    SEVERAL = "several"  # RFC 6376 §3.6.2.2: with more than one record the result is undefined.
    REVOKED = "revoked"
    UNREADABLE = "unreadable"
    UNUSABLE = "unusable"  # `s=` or `h=` keep it from verifying mail.
    UNREACHABLE = "unreachable"  # No answer, or an error of the name servers: says nothing about the record.


@dataclass(frozen=True, kw_only=True)
class KeyCheck:
    status: KeyStatus
    name: str
    """The DNS name that was asked for."""
    found: tuple[str, ...] = field(default=())
    """Texts of the TXT records, their strings joined."""
    detail: str = ""
    testing: bool = False

    @property
    def ok(self) -> bool:
        return self.status is KeyStatus.MATCHES


def check_published_key(resolver: dns.resolver.Resolver, domain: str, selector: str, *, expected: str) -> KeyCheck:
    """Whether the DNS shows the key of the record ``expected``. Never raises for what the DNS says."""
    name = record_name(domain, selector)
    lookup = query(resolver, name, "TXT")
    if lookup.unknown:
        return KeyCheck(status=KeyStatus.UNREACHABLE, name=name, detail=lookup.status)
    found = tuple(text.decode("ascii", "replace") for text in lookup.texts)
    if len(found) != 1:
        return KeyCheck(status=KeyStatus.SEVERAL if found else KeyStatus.MISSING, name=name, found=found)
    try:
        record = parse_record(found[0])
    except RecordError as error:
        return KeyCheck(status=KeyStatus.UNREADABLE, name=name, found=found, detail=error.code)
    return KeyCheck(status=_compare(record, parse_record(expected)), name=name, found=found, testing=record.testing)


def _compare(record: KeyRecord, expected: KeyRecord) -> KeyStatus:
    if record.revoked:
        return KeyStatus.REVOKED
    if (record.key_type, record.public_key) != (expected.key_type, expected.public_key):
        return KeyStatus.DIFFERENT
    return KeyStatus.MATCHES if record.usable_for_mail else KeyStatus.UNUSABLE
