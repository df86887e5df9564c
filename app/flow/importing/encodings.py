"""Which encoding a file is in: by its byte order mark, else UTF-8 where all of it is valid, else by what its letters
outside ASCII look like."""

import codecs
from pathlib import Path

from charset_normalizer import from_bytes

from app.flow.importing.problems import FileProblem, ImportProblem

BLOCK_BYTES = 1 << 20
HEAD_BYTES = 8192
SUSPECT_BYTES = 64 * 1024
"""Of lines with letters outside ASCII: enough for a judgement."""

ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "latin-1", "cp850", "mac_roman")
"""What a person may choose."""
CANDIDATES = ["cp1252", "cp850", "mac_roman"]
"""What offices' files are in when not in Unicode. Latin-1 is read as Windows-1252, its superset (as WHATWG does)."""

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
SIGNATURES = (
    (b"PK\x03\x04", "spreadsheet"),  # XLSX and ODS are ZIP files
    (b"\xd0\xcf\x11\xe0", "spreadsheet"),  # XLS
    (b"%PDF", "pdf"),
    (b"\x1f\x8b", "compressed"),
    (b"Rar!", "compressed"),
    (b"7z\xbc\xaf", "compressed"),
    (b"\x89PNG", "image"),
    (b"\xff\xd8\xff", "image"),
    (b"GIF8", "image"),
)
CONTROLS = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1a\x1b"))
"""Bytes that text files don't hold."""
MOST_CONTROLS = 0.02
"""Share of control bytes above which a file is no text; a stray one is a matter of its row."""


def detect_encoding(path: Path) -> str:
    """One of :data:`ENCODINGS`. Raises ``empty`` and ``not_text``."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        raise ImportProblem(FileProblem.EMPTY)
    marked = next((encoding for mark, encoding in MARKS if head.startswith(mark)), None)
    if marked is not None:
        return marked
    _refuse_known_binaries(head)
    wide = _utf16_without_mark(head)
    if wide is not None:
        return wide
    if len(head.translate(None, CONTROLS)) < len(head) * (1 - MOST_CONTROLS):
        raise ImportProblem(FileProblem.NOT_TEXT, kind="binary")
    suspect = _bytes_against_utf8(path)
    return "utf-8" if suspect is None else _by_letters(suspect)


def _refuse_known_binaries(head: bytes) -> None:
    for signature, kind in SIGNATURES:
        if head.startswith(signature):
            raise ImportProblem(FileProblem.NOT_TEXT, kind=kind)


def _utf16_without_mark(head: bytes) -> str | None:
    """Western text in UTF-16 has a zero in nearly every second byte, and none in the others."""
    even, odd = head[0::2], head[1::2]
    if not odd:
        return None
    zeros_even, zeros_odd = even.count(0) / len(even), odd.count(0) / len(odd)
    if zeros_odd > 0.7 and zeros_even < 0.1:
        return "utf-16-le"
    return "utf-16-be" if zeros_even > 0.7 and zeros_odd < 0.1 else None


def _bytes_against_utf8(path: Path) -> bytes | None:
    """None where the whole file is valid UTF-8; else lines of it with bytes outside ASCII."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    valid, suspect = True, bytearray()
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            if valid:
                valid = _decodes(decoder, block)
            if not block.isascii() and len(suspect) < SUSPECT_BYTES:
                suspect += b"\n".join(line for line in block.splitlines() if not line.isascii())[:SUSPECT_BYTES]
            if not valid and len(suspect) >= SUSPECT_BYTES:
                break
    return None if valid and _decodes(decoder, b"", final=True) else bytes(suspect)


def _decodes(decoder: codecs.IncrementalDecoder, block: bytes, *, final: bool = False) -> bool:
    try:
        decoder.decode(block, final)
    except UnicodeDecodeError:
        return False
    return True


def _by_letters(suspect: bytes) -> str:
    best = from_bytes(suspect, cp_isolation=CANDIDATES).best()
    return best.encoding if best is not None and best.encoding in CANDIDATES else "cp1252"
