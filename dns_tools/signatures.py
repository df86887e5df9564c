"""The verdict on every DKIM signature of a message (RFC 6376, 8301, 8463).

dkimpy canonicalises, hashes and checks; the key comes through the caller's resolver and our own reading of the record, so
that "no key", "two keys" and "no answer" stay apart. Ed25519 is checked by `cryptography`: dkimpy would want PyNaCl.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import dkim as dkimpy
import dkim.crypto
import dns.resolver
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from dns_tools.dkim import KeyRecord, parse_record, record_name
from dns_tools.lookup import Lookup, query
from dns_tools.tags import RecordError

MAX_SIGNATURES = 20
"""RFC 6376 §8.4: a message with endless signatures is an attack on the verifier."""
MISREADINGS = (dkimpy.DKIMException, ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError)
"""What dkimpy raises for headers that nobody would write by accident."""

silent = logging.getLogger("dns_tools.signatures.dkimpy")
silent.addHandler(logging.NullHandler())
silent.propagate = False


class SignatureResult(StrEnum):
    """RFC 8601 §2.7.1."""

    PASS = "pass"  # noqa: S105 - a verdict, no secret
    FAIL = "fail"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


@dataclass(frozen=True, kw_only=True)
class Signature:
    number: int
    result: SignatureResult
    reason: str = ""
    """Stable: ``key_missing``, ``key_several``, ``key_revoked``, ``key_…`` of the record, ``key_unusable``,
    ``algorithm``, ``weak_hash``, ``from_not_signed``, ``identity``, ``body_changed``, ``signature_wrong``, ``expired``,
    ``unreachable``, ``unreadable``."""
    domain: str = ""
    selector: str = ""
    algorithm: str = ""
    identity: str = ""
    signed_headers: tuple[str, ...] = ()
    partial_body: bool = False
    """l=: whatever is appended after it stays unsigned (§8.2)."""
    testing: bool = False
    key_lookup: Lookup | None = None
    detail: str = ""


class _Failed(Exception):
    def __init__(self, result: SignatureResult, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.result = result
        self.reason = reason
        self.detail = detail


def verify_message(raw: bytes, resolver: dns.resolver.Resolver) -> tuple[Signature, ...]:
    """In the order of the headers; empty where the message bears none. Never raises for what the bytes are."""
    try:
        # dkimpy answers for headers in the order it found them, and counts them itself.
        count = sum(name.lower() == b"dkim-signature" for name, _ in _Verifier(raw, resolver).headers)
    except MISREADINGS as error:
        return (
            Signature(number=1, result=SignatureResult.PERMERROR, reason="unreadable", detail=type(error).__name__),
        )
    return tuple(_verify(raw, resolver, number) for number in range(min(count, MAX_SIGNATURES)))


def _verify(raw: bytes, resolver: dns.resolver.Resolver, number: int) -> Signature:
    verifier = _Verifier(raw, resolver)
    result, reason, detail = SignatureResult.PASS, "", ""
    try:
        if not verifier.verify(number):
            result, reason = SignatureResult.FAIL, "signature_wrong"
    except _Failed as failed:
        result, reason, detail = failed.result, failed.reason, failed.detail
    except dkimpy.ValidationError as error:
        result, reason, detail = *_of_dkimpy(str(error)), str(error)[:200]
    except MISREADINGS as error:
        result, reason, detail = SignatureResult.PERMERROR, "unreadable", str(error)[:200]
    return verifier.signature(number + 1, result, reason, detail)


def _of_dkimpy(message: str) -> tuple[SignatureResult, str]:
    if message.startswith("body hash mismatch"):
        return SignatureResult.FAIL, "body_changed"
    if "past" in message and message.startswith("x="):
        return SignatureResult.PERMERROR, "expired"
    if message.startswith("i="):
        return SignatureResult.PERMERROR, "identity"
    if message.startswith("unknown signature algorithm"):
        return SignatureResult.PERMERROR, "algorithm"
    return SignatureResult.PERMERROR, "unreadable"


class _Ed25519Key:
    """What dkimpy expects of PyNaCl's key; it remembers instead of raising an exception of PyNaCl's."""

    def __init__(self, octets: bytes) -> None:
        self.key = Ed25519PublicKey.from_public_bytes(octets)
        self.valid = False

    def verify(self, digest: bytes, signature: bytes) -> None:
        try:
            self.key.verify(signature, digest)
            self.valid = True
        except InvalidSignature:
            self.valid = False


class _Verifier(dkimpy.DKIM):  # type: ignore[misc]  # dkimpy is untyped
    pk: Any

    def __init__(self, raw: bytes, resolver: dns.resolver.Resolver) -> None:
        super().__init__(raw, logger=silent)
        self.resolver = resolver
        self.fields: dict[bytes, bytes] = {}
        self.lookup: Lookup | None = None
        self.key: KeyRecord | None = None

    def signature(self, number: int, result: SignatureResult, reason: str, detail: str) -> Signature:
        text = {
            name.decode("ascii", "replace"): value.decode("utf-8", "replace") for name, value in self.fields.items()
        }
        return Signature(
            number=number,
            result=result,
            reason=reason,
            detail=detail,
            domain=text.get("d", "").lower(),
            selector=text.get("s", ""),
            algorithm=text.get("a", ""),
            identity=text.get("i", ""),
            signed_headers=tuple(name.strip().lower() for name in text.get("h", "").split(":") if name.strip()),
            partial_body="l" in text,
            testing=self.key is not None and self.key.testing,
            key_lookup=self.lookup,
        )

    def verify_headerprep(self, idx: int = 0) -> Any:
        try:
            return super().verify_headerprep(idx)
        finally:
            self.fields = getattr(self, "signature_fields", None) or {}

    def verify_sig(
        self, sig: dict[bytes, bytes], include_headers: list[bytes], sig_header: Any, dnsfunc: Callable[..., Any]
    ) -> bool:
        if sig[b"a"] == b"rsa-sha1":
            raise _Failed(SignatureResult.PERMERROR, "weak_hash")  # RFC 8301 §3.1.
        if b"from" not in include_headers:
            raise _Failed(SignatureResult.PERMERROR, "from_not_signed")  # §5.4.
        record = self.key = self.find_key(sig)
        algorithm = sig[b"a"].decode("ascii", "replace")
        if algorithm != f"{record.key_type}-sha256":
            raise _Failed(SignatureResult.PERMERROR, "algorithm", f"{algorithm}, {record.key_type}")
        self._check_identity(sig, record)
        return self._check(sig, include_headers, sig_header, record, dnsfunc)

    def _check(
        self, sig: dict[bytes, bytes], include_headers: list[bytes], sig_header: Any, record: KeyRecord, dnsfunc: Any
    ) -> bool:
        self.ktag, self.keysize, self.seqtlsrpt = record.key_type.encode("ascii"), 256, False
        if record.key_type == "ed25519":
            self.pk = key = _Ed25519Key(record.public_key)
            return bool(self.verify_sig_process(sig, include_headers, sig_header, dnsfunc)) and key.valid
        numbers = dkim.crypto.parse_public_key(record.public_key)
        self.pk, self.keysize = numbers, dkimpy.bitsize(numbers["modulus"])
        return bool(self.verify_sig_process(sig, include_headers, sig_header, dnsfunc))

    def _check_identity(self, sig: dict[bytes, bytes], record: KeyRecord) -> None:
        """t=s: the identity must be of the very domain (§3.6.1)."""
        host = sig.get(b"i", b"@" + sig[b"d"]).rpartition(b"@")[2].lower()
        if "s" in record.flags and host != sig[b"d"].lower():
            raise _Failed(SignatureResult.PERMERROR, "identity")

    def find_key(self, sig: dict[bytes, bytes]) -> KeyRecord:
        domain, selector = (sig[tag].decode("utf-8", "replace") for tag in (b"d", b"s"))
        found = self.lookup = query(self.resolver, record_name(domain, selector), "TXT")
        if found.unknown:
            raise _Failed(SignatureResult.TEMPERROR, "unreachable", found.status)
        if len(found.records) != 1:
            raise _Failed(SignatureResult.PERMERROR, "key_several" if found.records else "key_missing")
        try:
            record = parse_record(found.texts[0].decode("ascii", "replace"))
        except RecordError as error:
            raise _Failed(SignatureResult.PERMERROR, f"key_{error.code}", error.detail) from error
        if record.revoked:
            raise _Failed(SignatureResult.PERMERROR, "key_revoked")
        if not record.usable_for_mail:
            raise _Failed(SignatureResult.PERMERROR, "key_unusable")
        return record
