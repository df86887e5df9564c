"""Header values: RFC 2047 words, display names, addresses, dates, and folding (RFC 5322 §2.2.3).

Every function gives a *canonical* value: printable ASCII with single blanks between words and none at its
ends. That is what DKIM's relaxed header canonicalisation (RFC 6376 §3.4.2) would make of it, and folding it
at any of its blanks changes nothing for a verifier. No value, whatever it holds, can end its header.
"""

import re
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache

from app.mail.addresses import domain_to_ascii

# RFC 2047 §2 allows words of 75 characters; shorter ones leave room for "Reply-To: " on the 76-character
# line.
_MAX_ENCODED_WORD = 64
_WORD_START, _WORD_END = "=?utf-8?q?", "?="
_MAX_WORD_PAYLOAD = _MAX_ENCODED_WORD - len(_WORD_START) - len(_WORD_END)
MAX_LINE = 78
# What a person could still read in one line; longer ones come from broken imports. It bounds the header as
# well.
MAX_DISPLAY_NAME = 200

# RFC 2047 §5 (3): the only characters that need no encoding also inside a display name; "_" stands for the
# blank.
_Q_SAFE = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!*+-/")
_Q_CODES = tuple(chr(byte) if byte in _Q_SAFE else "_" if byte == 0x20 else f"={byte:02X}" for byte in range(256))
# Words of at most 60 characters: a longer run without a blank could not be folded (RFC 5322 §2.1.1).
_PLAIN_TEXT = re.compile(r"[!-~]{1,60}(?: [!-~]{1,60})*\Z").match
_PLAIN_PHRASE = re.compile(r"[A-Za-z0-9!#$%&'*+/?^_`{|}~-]{1,60}(?: [A-Za-z0-9!#$%&'*+/?^_`{|}~-]{1,60})*\Z").match
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
# dot-atom "@" dot-atom (RFC 5322 §3.2.3) in ASCII: what `addresses.parse_address` makes.
_ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?\Z").match


class UnusableAddressError(ValueError):
    """An address that can't stand in a header or an envelope; the delivery fails, nothing is sent."""


def one_line(value: str) -> str:
    """`value` with one blank for controls, line ends of every script and runs of blanks."""
    if not value.isprintable():
        value = _LONE_SURROGATE.sub("\ufffd", _CONTROL.sub(" ", value))
    return " ".join(value.split())


def encode_text(value: str) -> str:
    """An unstructured value (Subject): as it is where ASCII can say it, RFC 2047 words where not."""
    text = one_line(value)
    if not text or (_PLAIN_TEXT(text) and "=?" not in text):
        return text
    return encode_words(text)


def encode_phrase(value: str) -> str:
    """A display name (RFC 5322 §3.2.5): bare, quoted, or RFC 2047 words."""
    text = one_line(value)[:MAX_DISPLAY_NAME].rstrip()
    if not text or _PLAIN_PHRASE(text):
        return text
    if _PLAIN_TEXT(text) and "=?" not in text:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return encode_words(text)


class _CharacterCodes(dict[int, str]):
    """Code point -> its Q encoding, filled as characters are met (there are some hundreds in all the names of a country)."""

    def __missing__(self, point: int) -> str:
        code = self[point] = "".join([_Q_CODES[byte] for byte in chr(point).encode("utf-8")])
        return code


_CODES = _CharacterCodes()


def encode_words(text: str) -> str:
    """`text` as RFC 2047 words in the Q encoding, none cut inside a character (§5, last paragraph of (3))."""
    whole = text.translate(_CODES)
    if len(whole) <= _MAX_WORD_PAYLOAD:
        return f"{_WORD_START}{whole}{_WORD_END}"
    words: list[str] = []
    start = 0
    while len(whole) - start > _MAX_WORD_PAYLOAD:
        end = _character_start(whole, start + _MAX_WORD_PAYLOAD)
        words.append(whole[start:end])
        start = end
    words.append(whole[start:])
    return " ".join([f"{_WORD_START}{word}{_WORD_END}" for word in words])


def _character_start(encoded: str, at: int) -> int:
    """The last place up to `at` where a character begins: not inside "=C3", and not before a UTF-8 continuation byte,
    which is always one of =80 to =BF."""
    if encoded[at - 1] == "=":
        at -= 1
    elif encoded[at - 2] == "=":
        at -= 2
    while encoded[at] == "=" and encoded[at + 1] in "89AB":
        at -= 3
    return at


def mailbox(name: str, address: str) -> str:
    """`name <address>` for From, To and Reply-To (RFC 5322 §3.4); the address alone where the name is empty.

    Raises UnusableAddressError for an address that is not ASCII dot-atoms on both sides of one "@".
    """
    checked = check_address(address)
    phrase = encode_phrase(name) if name else ""
    return f"{phrase} <{checked}>" if phrase else checked


def check_address(address: str) -> str:
    """`address` with its domain in A-labels; unchanged where it is ASCII already, as stored addresses are.

    Raises UnusableAddressError where it could break out of a header or an SMTP command.
    """
    if not address.isascii():
        local_part, _, domain = address.rpartition("@")
        address = f"{local_part}@{domain_to_ascii(domain) or ''}"
    if not _ADDRESS(address):
        raise UnusableAddressError(f"not a usable e-mail address: {address[:80]!r}")
    return address


@lru_cache(maxsize=64)
def date_value(moment: datetime) -> str:
    """RFC 5322 §3.3; `moment` must be aware. Kept for the chunk of messages that share it."""
    if moment.tzinfo is None:
        raise ValueError("the date of a message needs a time zone")
    return format_datetime(moment.astimezone(UTC))


def fold(name: str, value: str) -> str:
    """The header's wire form with its CRLF: lines of at most 78 characters where its blanks allow it."""
    if len(name) + len(value) + 2 <= MAX_LINE:
        return f"{name}: {value}\r\n"
    lines: list[str] = []
    line = f"{name}:"
    for index, word in enumerate(value.split(" ")):
        # The first word stays beside the name: a line of white space alone is obsolete syntax (RFC 5322
        # §4.2).
        if index and len(line) + 1 + len(word) > MAX_LINE:
            lines.append(line)
            line = f" {word}"
        else:
            line += f" {word}"
    lines.append(line)
    return "\r\n".join(lines) + "\r\n"
