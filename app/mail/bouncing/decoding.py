"""Bytes into text: transfer encodings, character sets, RFC 2047 words, HTML.

Nothing here raises, whatever the bytes; what can't be decoded is shown as well as it can be. Every step is linear in
its input.
"""

import binascii
import codecs
import html
import quopri
import re
from collections.abc import Callable

# What mailers write -> what Python calls it, where the superset reads more of the mail that is really sent.
_ALIASES = {
    "gb2312": "gb18030", "gbk": "gb18030", "x-gbk": "gb18030", "ks_c_5601-1987": "cp949", "euc-kr": "cp949",
    "x-sjis": "cp932", "shift_jis": "cp932", "iso-8859-1": "cp1252", "latin1": "cp1252", "us-ascii": "utf-8",
    "ascii": "utf-8", "x-unknown": "utf-8", "iso-2022-jp": "iso2022_jp_ext", "unicode-1-1-utf-7": "utf-7",
    "iso-8859-8-i": "iso-8859-8", "tis-620": "cp874", "windows-874": "cp874", "big5": "big5hkscs",
}  # fmt: skip
_WORD = re.compile(r"=\?([\w.+*-]{1,40})\?([bBqQ])\?([^?\s]{0,998})\?=")
_BETWEEN_WORDS = re.compile(r"\?=[ \t\r\n]{1,80}=\?")
_BLOCK_TAGS = frozenset(
    {"p", "/p", "br", "br/", "div", "/div", "tr", "/tr", "li", "/li", "h1", "h2", "h3", "table", "hr"}
)
_HIDDEN_TAGS = frozenset({"style", "script", "head", "title"})
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]+")


def decode_transfer(body: bytes, encoding: str) -> bytes:
    """The body without its Content-Transfer-Encoding (RFC 2045 §6); broken base64 as far as it goes."""
    name = encoding.strip().lower()
    if name.startswith("base64"):
        return _base64(body)
    if name.startswith("quoted"):
        return quopri.decodestring(body)
    return body


def _base64(body: bytes) -> bytes:
    digits = _NOT_BASE64.sub(b"", body)
    digits = digits[: len(digits) - len(digits) % 4] + (b"" if len(digits) % 4 == 0 else _last_group(digits))
    try:
        return binascii.a2b_base64(digits)
    except binascii.Error:
        return body


def _last_group(digits: bytes) -> bytes:
    rest = digits[-(len(digits) % 4) :]
    return rest.ljust(4, b"=") if len(rest) > 1 else b""


def decode_text(body: bytes, charset: str) -> str:
    """The text, by the charset that is named, else as UTF-8, else as Latin-1, which reads everything."""
    name = charset.strip().strip("\"'").lower()
    if b"\x1b$" in body and name in ("", "us-ascii", "ascii", "utf-8", "iso-8859-1"):
        name = "iso-2022-jp"  # undeclared, but unmistakable: RFC 1468's escape sequences
    for candidate in (_ALIASES.get(name, name), "utf-8"):
        try:
            return _codec(candidate)(body, "strict")[0]
        except (LookupError, ValueError):
            continue
    return _lenient(body, _ALIASES.get(name, name))


def _codec(name: str) -> Callable[[bytes, str], tuple[str, int]]:
    """The decoder of a character set; refuses Python's own codecs (zlib, hex, idna …), which are none."""
    found = codecs.lookup(name or "utf-8")
    if not found._is_text_encoding or found.name in (
        "idna",
        "punycode",
        "undefined",
        "unicode_escape",
        "raw_unicode_escape",
    ):
        raise LookupError(name)
    return found.decode


def _lenient(body: bytes, name: str) -> str:
    try:
        return _codec(name)(body, "replace")[0]
    except (LookupError, ValueError):
        return body.decode("latin-1")


def decode_words(value: str) -> str:
    """RFC 2047 words in a header as text; words that don't decode stay as they are."""
    joined = _BETWEEN_WORDS.sub("?==?", value)
    return _WORD.sub(lambda found: _word(found[1], found[2], found[3]), joined)


def _word(charset: str, encoding: str, text: str) -> str:
    raw = text.encode("utf-8", "replace")
    if encoding in "bB":
        return decode_text(_base64(raw), charset.partition("*")[0])
    return decode_text(quopri.decodestring(raw.replace(b"_", b"=20")), charset.partition("*")[0])


def text_of_html(source: str) -> str:
    """The words of an HTML body, a line per block; tags go, addresses in angle brackets stay."""
    head, *rest = source.split("<")
    pieces, hidden = [head], ""
    for chunk in rest:
        tag, closed, words = chunk.partition(">")
        name = tag[:12].lower().split(" ")[0].split("\n")[0].strip()
        if hidden:
            hidden = "" if name == f"/{hidden}" else hidden
            continue
        if name in _HIDDEN_TAGS:
            hidden = name
        elif not closed:
            pieces.append("<" + chunk)
        else:
            pieces.append(("\n" if name in _BLOCK_TAGS else "") + words)
    return html.unescape("".join(pieces)).replace("\xa0", " ")
