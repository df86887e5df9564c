"""DKIM signatures (RFC 6376), RSA and Ed25519 (RFC 8463), over headers and body that are canonical already.

`compose` makes headers and body that relaxed canonicalisation (§3.4.2, §3.4.4) would not change, so signing
is two hashes and one private-key operation, without a regular expression. Given something else, the signature
would not verify; the tests prove with dkimpy and OpenDKIM that nothing else comes out of `compose`.

From, To, Subject and Date stand in h= once more than in the message (§8.15), so that nobody can add a second
one without breaking the signature. There is no l= (§8.2). RFC 8058 §4 wants both List-Unsubscribe headers
signed.
"""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from enum import StrEnum
from hashlib import sha256
from typing import NamedTuple

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

from app.mail.addresses import domain_to_ascii
from app.mail.header_words import fold

Header = tuple[str, str]

RSA_BITS = 2048  # RFC 8301 §3.2: at least 1024, better 2048; longer ones do not fit into one UDP answer
MIN_RSA_BITS = 1024

SIGNED_HEADERS = frozenset({
    "from", "to", "cc", "subject", "date", "message-id", "reply-to", "list-unsubscribe",
    "list-unsubscribe-post", "list-id", "feedback-id", "mime-version", "content-type",
    "content-transfer-encoding",
})  # fmt: skip
OVERSIGNED_HEADERS = ("from", "to", "subject", "date")
# Where blanks are put into h= and b=, so that the header can be folded to lines of at most 78 characters.
_NAMES_PER_ROW = 4
_BASE64_PER_ROW = 72


class KeyKind(StrEnum):
    RSA = "rsa"
    ED25519 = "ed25519"


class KeyPair(NamedTuple):
    """`public_record` is the TXT record's text (RFC 6376 §3.6.1), not cut into strings of 255 yet."""

    private_pem: bytes
    public_record: str


class DkimKeyError(ValueError):
    """A private key that can't sign DKIM: unreadable, of another kind, or too short."""


def generate_key(kind: KeyKind) -> KeyPair:
    """A new key pair; RSA takes some tenths of a second."""
    key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
    if kind == KeyKind.RSA:
        key = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    else:
        key = ed25519.Ed25519PrivateKey.generate()
    private_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return KeyPair(private_pem, public_record(private_pem))


def public_record(private_key_pem: bytes) -> str:
    """The text to publish at `selector._domainkey.domain` for a private key."""
    key = _load(private_key_pem)
    if isinstance(key, rsa.RSAPrivateKey):
        public = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return f"v=DKIM1; k=rsa; p={b64encode(public).decode()}"
    # RFC 8463 §4.2: the bare 32 bytes, not a SubjectPublicKeyInfo.
    return f"v=DKIM1; k=ed25519; p={b64encode(key.public_key().public_bytes_raw()).decode()}"


class DkimSigner:
    """Signs for one domain and selector; safe to share between threads (OpenSSL releases the GIL)."""

    def __init__(self, domain: str, selector: str, private_key_pem: bytes) -> None:
        ascii_domain = domain_to_ascii(domain)
        if ascii_domain is None or domain_to_ascii(f"{selector}.{domain}") is None:
            raise ValueError(f"not a domain and selector: {domain!r}, {selector!r}")
        self.domain = ascii_domain
        self.selector = selector
        self._key = _load(private_key_pem)
        algorithm = "rsa-sha256" if isinstance(self._key, rsa.RSAPrivateKey) else "ed25519-sha256"
        self._start = f"v=1; a={algorithm}; c=relaxed/relaxed; d={ascii_domain}; s={selector}; t="

    def sign(self, headers: Sequence[Header], body: bytes, timestamp: int) -> Header:
        """The DKIM-Signature header, itself canonical, of a message as `compose` renders it.

        timestamp: seconds since 1970, for t=
        """
        return self.sign_hashed(headers, body_hash(body), timestamp)

    def sign_hashed(self, headers: Sequence[Header], body_hash_base64: str, timestamp: int) -> Header:
        """As `sign`, for a body hashed already: the second signature of a message needs no second hash."""
        names, lines = _select(headers)
        unsigned = f"{self._start}{timestamp}; h={_rows_of_names(names)}; bh={body_hash_base64}; b="
        lines.append(f"dkim-signature:{unsigned}")
        signature = b64encode(self._sign_bytes("\r\n".join(lines).encode("ascii"))).decode("ascii")
        return "DKIM-Signature", unsigned + _rows_of_base64(signature)

    def _sign_bytes(self, signed: bytes) -> bytes:
        if isinstance(self._key, rsa.RSAPrivateKey):
            return self._key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
        return self._key.sign(sha256(signed).digest())  # RFC 8463 §3: the hash is what Ed25519 signs


def body_hash(body: bytes) -> str:
    """bh= of a canonical body."""
    return b64encode(sha256(body).digest()).decode("ascii")


def assemble(headers: Iterable[Header], signatures: Iterable[Header], body: bytes) -> bytes:
    """The message as it goes over the wire: signatures first, long headers folded, CRLF everywhere."""
    head = "".join([fold(name, value) for name, value in (*signatures, *headers)])
    return head.encode("ascii") + b"\r\n" + body


def _select(headers: Sequence[Header]) -> tuple[list[str], list[str]]:
    """The names for h= and the canonical header lines in the same order.

    Of several headers of one name the last is taken first (RFC 6376 §5.4.2), hence from the end.
    """
    names: list[str] = []
    lines: list[str] = []
    for name, value in reversed(headers):
        lower = name.lower()
        if lower in SIGNED_HEADERS:
            names.append(lower)
            lines.append(f"{lower}:{value}")
    names.extend(OVERSIGNED_HEADERS)
    return names, lines


def _rows_of_names(names: list[str]) -> str:
    rows = [":".join(names[index : index + _NAMES_PER_ROW]) for index in range(0, len(names), _NAMES_PER_ROW)]
    return ": ".join(rows)


def _rows_of_base64(text: str) -> str:
    return " ".join([text[index : index + _BASE64_PER_ROW] for index in range(0, len(text), _BASE64_PER_ROW)])


def _load(private_key_pem: bytes) -> rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(private_key_pem, password=None)
    except (ValueError, TypeError) as error:
        raise DkimKeyError("the private key can't be read") from error
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < MIN_RSA_BITS:
        raise DkimKeyError(f"an RSA key for DKIM has at least {MIN_RSA_BITS} bits, not {key.key_size}")
    if not isinstance(key, rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey):
        raise DkimKeyError("a key for DKIM is RSA or Ed25519")
    return key
