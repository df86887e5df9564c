"""What the owner of a domain should know of a published DKIM key, and whether it is the one that signs.

check_dkim(resolver, domain, selector, private_key=…)      findings
record_of(private_key)                                     the record that belongs to a private key
"""

from collections.abc import Iterator

import dns.resolver
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_private_key,
)

from dns_tools.dkim import KeyRecord, build_record, parse_record, record_name
from dns_tools.findings import Finding, ToPublish, finding
from dns_tools.lookup import Lookup, query
from dns_tools.tags import RecordError

GOOD_RSA_BITS = 2048
"""RFC 8301 §3.2."""
UNLIKELY_SELECTOR = "no-such-selector-here"


def record_of(private_key: bytes) -> str:
    """``private_key``: PEM, RSA or Ed25519. Raises :class:`RecordError` (``private_key``)."""
    try:
        key = load_pem_private_key(private_key, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise RecordError("private_key") from error
    if isinstance(key, RSAPrivateKey):
        return build_record(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    if isinstance(key, Ed25519PrivateKey):
        return build_record(key.public_key().public_bytes_raw(), "ed25519")
    raise RecordError("private_key", type(key).__name__)


def check_dkim(
    resolver: dns.resolver.Resolver, domain: str, selector: str, *, private_key: bytes | None = None
) -> list[Finding]:
    """Raises :class:`RecordError` where the private key is none."""
    name = record_name(domain, selector)
    expected = record_of(private_key) if private_key is not None else ""
    publish = [ToPublish(name=name, type="TXT", text=expected)] if expected else []
    lookup = query(resolver, name, "TXT")
    if len(lookup.records) != 1:
        code = "dkim.unreachable" if lookup.unknown else "dkim.several" if lookup.records else "dkim.missing"
        return [finding(code, name, evidence=[lookup.evidence], publish=publish)]
    text = lookup.texts[0].decode("ascii", "replace")
    try:
        record = parse_record(text)
    except RecordError as error:
        return [finding("dkim.syntax", name, evidence=[lookup.evidence], publish=publish, problem=str(error))]
    return [
        *_usable(name, lookup, record, text),
        *_matches(name, lookup, record, expected),
        *_wildcard(resolver, domain),
    ]


def _usable(name: str, lookup: Lookup, record: KeyRecord, text: str) -> Iterator[Finding]:
    if record.revoked:
        yield finding("dkim.revoked", name, evidence=[lookup.evidence])
        return
    if not record.usable_for_mail:
        yield finding("dkim.unusable", name, evidence=[text])
        return
    yield finding("dkim.found", name, evidence=[lookup.evidence], kind=_kind(record))
    if 0 < _rsa_bits(record) < GOOD_RSA_BITS:
        yield finding("dkim.short_key", name, evidence=[text], bits=_rsa_bits(record), wanted=GOOD_RSA_BITS)
    if record.testing:
        yield finding("dkim.testing", name, evidence=[text])
    if not text.replace(" ", "").startswith("v=DKIM1"):
        yield finding("dkim.no_version", name, evidence=[text])


def _kind(record: KeyRecord) -> str:
    return f"RSA {_rsa_bits(record)}" if record.key_type == "rsa" else "Ed25519"


def _rsa_bits(record: KeyRecord) -> int:
    if record.key_type != "rsa":
        return 0
    key = load_der_public_key(record.public_key)
    return key.key_size if isinstance(key, RSAPublicKey) else 0


def _matches(name: str, lookup: Lookup, record: KeyRecord, expected: str) -> Iterator[Finding]:
    if not expected:
        return
    own = parse_record(expected)
    if (own.key_type, own.public_key) == (record.key_type, record.public_key):
        yield finding("dkim.matches", name, evidence=[lookup.evidence])
    else:
        publish = [ToPublish(name=name, type="TXT", text=expected)]
        yield finding("dkim.different", name, evidence=[lookup.evidence], publish=publish)


def _wildcard(resolver: dns.resolver.Resolver, domain: str) -> Iterator[Finding]:
    """A TXT record for any selector hides typing errors in selectors, and answers keys nobody published."""
    found = query(resolver, record_name(domain, UNLIKELY_SELECTOR), "TXT")
    if found.answered:
        yield finding("dkim.wildcard", domain, evidence=[found.evidence])
