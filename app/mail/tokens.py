"""The 32 characters that stand for one delivery: in its Message-ID, its return path, its links and its pixel.

A token is the base32 (RFC 4648 §6, lower case, no padding needed) of 20 bytes::

    campaign_id uint32 | seq uint48 | 10 bytes of keyed BLAKE2b over the first ten

It is made of letters and digits only, and read whatever its case, because mail systems change the case of
local parts. The key is derived from the installation's key per purpose, so that the proof of a campaign that
a person sends to itself can never be taken for a delivery.
"""

import hmac
from base64 import b32decode
from collections.abc import Callable
from enum import StrEnum
from hashlib import blake2b
from struct import Struct
from typing import NamedTuple

TOKEN_CHARACTERS = 32
MAX_CAMPAIGN_ID = 2**32 - 1
MAX_SEQ = 2**48 - 1
MIN_KEY_BYTES = 16

_MAC_BYTES = 10
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS = tuple(first + second for first in _ALPHABET for second in _ALPHABET)
_REFERENCE = Struct(">IHI")  # campaign_id, the high 16 and the low 32 bits of seq

RETURN_PATH_PREFIX = "b-"
UNSUBSCRIBE_PREFIX = "u-"


class TokenPurpose(StrEnum):
    """What a token stands for; at most 9 ASCII characters, as part of BLAKE2b's 16-byte personalisation."""

    DELIVERY = "delivery"
    PROOF = "proof"


class DeliveryRef(NamedTuple):
    """The key of a delivery: the recipient's number within its campaign."""

    campaign_id: int
    seq: int


def _keyed_state(key: bytes, purpose: TokenPurpose) -> "blake2b":
    if len(key) < MIN_KEY_BYTES:
        raise ValueError(f"the installation key must have at least {MIN_KEY_BYTES} bytes, not {len(key)}")
    # The installation key may be longer than the 64 bytes that BLAKE2b takes as a key, so it is the message
    # here.
    derived = blake2b(key, digest_size=32, person=f"chaski-{purpose}".encode()).digest()
    return blake2b(key=derived, digest_size=_MAC_BYTES)


class TokenMaker:
    """Makes the tokens of one campaign; copying the keyed state costs a quarter of keying it again."""

    def __init__(self, key: bytes, campaign_id: int, purpose: TokenPurpose = TokenPurpose.DELIVERY) -> None:
        if not 0 <= campaign_id <= MAX_CAMPAIGN_ID:
            raise ValueError(f"campaign_id {campaign_id} does not fit into 32 bits")
        self.campaign_id = campaign_id
        self._copy_state: Callable[[], blake2b] = _keyed_state(key, purpose).copy

    def token(self, seq: int) -> str:
        """The token of the recipient number `seq` (0 to 2**48 - 1)."""
        if not 0 <= seq <= MAX_SEQ:
            raise ValueError(f"seq {seq} does not fit into 48 bits")
        mac = self._copy_state()
        mac.update(_REFERENCE.pack(self.campaign_id, seq >> 32, seq & 0xFFFFFFFF))
        low = int.from_bytes(mac.digest(), "big")
        # 80 bits of reference and 80 bits of MAC are sixteen characters each: eight table look-ups of ten
        # bits.
        high = self.campaign_id << 48 | seq
        p = _PAIRS
        return (
            f"{p[high >> 70]}{p[high >> 60 & 1023]}{p[high >> 50 & 1023]}{p[high >> 40 & 1023]}"
            f"{p[high >> 30 & 1023]}{p[high >> 20 & 1023]}{p[high >> 10 & 1023]}{p[high & 1023]}"
            f"{p[low >> 70]}{p[low >> 60 & 1023]}{p[low >> 50 & 1023]}{p[low >> 40 & 1023]}"
            f"{p[low >> 30 & 1023]}{p[low >> 20 & 1023]}{p[low >> 10 & 1023]}{p[low & 1023]}"
        )


class TokenReader:
    """Reads tokens of one purpose with a key derived once; for endpoints that read thousands a second."""

    def __init__(self, key: bytes, purpose: TokenPurpose = TokenPurpose.DELIVERY) -> None:
        self._copy_state: Callable[[], blake2b] = _keyed_state(key, purpose).copy

    def read(self, token: str) -> DeliveryRef | None:
        """The delivery that `token` stands for; None for whatever this installation did not make."""
        # str.upper() maps some letters outside ASCII into ASCII (ſ becomes S), hence isascii() first.
        if len(token) != TOKEN_CHARACTERS or not token.isascii():
            return None
        try:
            raw = b32decode(token.upper())
        except ValueError:
            return None
        if len(raw) != _REFERENCE.size + _MAC_BYTES:  # "=" padding inside the 32 characters
            return None
        mac = self._copy_state()
        mac.update(raw[: _REFERENCE.size])
        if not hmac.compare_digest(mac.digest(), raw[_REFERENCE.size :]):
            return None
        campaign_id, high, low = _REFERENCE.unpack_from(raw)
        return DeliveryRef(campaign_id, high << 32 | low)


def make_token(key: bytes, campaign_id: int, seq: int, *, purpose: TokenPurpose = TokenPurpose.DELIVERY) -> str:
    """One token; a `TokenMaker` is ten times as fast for the second one."""
    return TokenMaker(key, campaign_id, purpose).token(seq)


def read_token(key: bytes, token: str, *, purpose: TokenPurpose = TokenPurpose.DELIVERY) -> DeliveryRef | None:
    """The delivery that `token` stands for, in constant time for the MAC; None for anything wrong."""
    return TokenReader(key, purpose).read(token)


def message_id(token: str, domain: str) -> str:
    """RFC 5322 §3.6.4; derived from the delivery, so that a retry carries the same one."""
    return f"<{token}@{domain}>"


def return_path(token: str, domain: str) -> str:
    """The envelope sender (VERP): a bounce to it names its delivery."""
    return f"{RETURN_PATH_PREFIX}{token}@{domain}"


def unsubscribe_address(token: str, domain: str) -> str:
    """The address of the mailto form of List-Unsubscribe (RFC 2369 §3.2)."""
    return f"{UNSUBSCRIBE_PREFIX}{token}@{domain}"


def token_of_message_id(message_id_value: str) -> str | None:
    """The token inside a Message-ID, with or without angle brackets, not verified; `read_token` does."""
    return _token_before_at(message_id_value.strip().removeprefix("<"), prefix="")


def token_of_return_path(address: str) -> str | None:
    """The token inside the address that a bounce came to, not verified; `read_token` does."""
    return _token_before_at(address.strip().removeprefix("<"), prefix=RETURN_PATH_PREFIX)


def token_of_unsubscribe_address(address: str) -> str | None:
    """The token inside the address that an unsubscribe mail came to, not verified; `read_token` does."""
    return _token_before_at(address.strip().removeprefix("<"), prefix=UNSUBSCRIBE_PREFIX)


def _token_before_at(value: str, *, prefix: str) -> str | None:
    local_part, at, _domain = value.partition("@")
    token = local_part.lower()
    if not at or not local_part.isascii() or not token.startswith(prefix):
        return None
    token = token[len(prefix) :]
    return token if len(token) == TOKEN_CHARACTERS and token.isalnum() else None
