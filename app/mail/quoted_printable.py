"""Quoted-printable (RFC 2045 §6.7) that is canonical for DKIM's relaxed body (RFC 6376 §3.4.4) by
construction.

What the relaxed canonicalisation would change never comes out of here: lines end with CRLF, no white space
stands before a line end, no two blanks follow each other, there is no tab. Canonicalising afterwards with
regular expressions costs twice the RSA operation.

Three more things are encoded though RFC 2045 would let them pass: a leading dot (so that SMTP needs no
dot-stuffing, RFC 5321 §4.5.2), the F of a leading "From " (mbox files escape it and break signatures), and a
leading blank.

A text is cut into *segments* (literal parts and values of merge fields), encoded one by one, without
knowledge of each other: each starts at the beginning of a line and ends at the end of one, by a soft line
break where the text itself has none. So segments can be joined in any order, and the decoded text has no
break that the author's has not.
"""

import re
from binascii import b2a_qp

from markupsafe import escape

# RFC 2045 §6.7 (5): 76 characters without the CRLF, of which the last is the "=" of a soft line break.
MAX_LINE = 76
SOFT_BREAK = b"=\r\n"

# Stands for the recipient's token (32 characters) inside a text. A lone surrogate can't be in an author's
# text: `clean_text` replaces them.
TOKEN_MARK = "\udfff"  # noqa: S105  # no password
# Stands for it inside encoded bytes, where a NUL would have been encoded: no text can forge it.
TOKEN_BYTES = b"\0" * 32

_CODES = tuple(bytes((byte,)) if 0x20 <= byte <= 0x7E and byte != 0x3D else b"=%02X" % byte for byte in range(256))
_NEEDS_ESCAPE = re.compile("[&<>\"']").search

_FROM_ATOMS = [b"F", b"r", b"o", b"m", b" "]
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def clean_text(text: str) -> str:
    """`text` with LF as its only line end, and U+FFFD for what UTF-8 can't carry."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text.isascii():
        return text
    return _LONE_SURROGATE.sub("\ufffd", text)


def encode_literal(text: str) -> bytes:
    """One segment of the author's text, `TOKEN_MARK` included; LF is a line end."""
    lines = text.split("\n")
    encoded = [_encode_line(line) + b"\r\n" for line in lines[:-1]]
    if lines[-1]:
        encoded.append(_encode_line(lines[-1]) + SOFT_BREAK)
    return b"".join(encoded)


def encode_value(value: str) -> bytes:
    """One segment made of a recipient's value; nothing for an empty one. The same as `encode_literal` of the cleaned value,
    with a short way for what fits into one line and has nothing special in it."""
    if value.isprintable():
        encoded = b2a_qp(value.encode("utf-8"))
        if 0 < len(encoded) < MAX_LINE and not _has_special_place(encoded):
            return encoded + SOFT_BREAK
    return encode_literal(clean_text(value))


def encode_html_value(value: str) -> bytes:
    """As `encode_value`, with the value escaped for HTML text and quoted attributes."""
    return encode_value(str(escape(value)) if _NEEDS_ESCAPE(value) else value)


def _has_special_place(encoded: bytes) -> bool:
    return encoded[0] in b" ." or encoded.startswith(b"From ") or encoded.endswith(b"=20") or b"  " in encoded


def _encode_line(line: str) -> bytes:
    """One line without its end. Its last byte is never a blank: either kind of line end may follow."""
    atoms = _atoms(line)
    rows: list[bytes] = []
    row: list[bytes] = []
    width = 0
    for index, atom in enumerate(atoms):
        if width + len(atom) > MAX_LINE - 1:
            rows.append(b"".join(row))
            row, width = [], 0
        placed = atom if row else _at_line_start(atoms, index)
        row.append(placed)
        width += len(placed)
    rows.append(b"".join(row))
    return SOFT_BREAK.join(rows)


def _atoms(line: str) -> list[bytes]:
    """What a soft line break may stand between: single encoded bytes, and the token as a whole."""
    atoms: list[bytes] = []
    for index, piece in enumerate(line.split(TOKEN_MARK)):
        if index:
            atoms.append(TOKEN_BYTES)
        atoms.extend(map(_CODES.__getitem__, piece.encode("utf-8")))
    for index in range(len(atoms) - 1, -1, -1):
        is_last_or_before_blank = index + 1 == len(atoms) or atoms[index + 1] in (b" ", b"=20")
        if atoms[index] == b" " and is_last_or_before_blank:
            atoms[index] = b"=20"
    return atoms


def _at_line_start(atoms: list[bytes], index: int) -> bytes:
    """The atom as the first of a line, whether that line is the text's own or made by a soft line break."""
    atom = atoms[index]
    if atom == b".":
        return b"=2E"
    if atom == b" ":
        return b"=20"
    return b"=46" if atoms[index : index + 5] == _FROM_ATOMS else atom
