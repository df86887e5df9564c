"""A mail's bytes as a `Letter`: its headers and its parts, flat and in order.

The standard library's parser builds the whole tree and follows its own depth; this one reads a bounded beginning of
the mail, a bounded number of parts and levels, each byte a constant number of times, and takes broken MIME as it
comes: no header end, no boundary, the wrong boundary, wrong line ends.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from app.mail.bouncing.decoding import decode_text, decode_transfer, decode_words, text_of_html

# A DSN stands before the message it returns. What is further back than this is the message.
MAX_BYTES = 1 << 20
MAX_PARTS = 60
MAX_DEPTH = 8
MAX_HEADERS = 1000
MAX_HEADER_BYTES = 1 << 17
MAX_VALUE = 4000  # characters of one header
MAX_TEXT = 200_000  # characters of one part

_FIELD = re.compile(r"([!-9;-~]{1,80})[ \t]*:(.*)", re.DOTALL)
_PARAMETER = re.compile(r";\s{0,20}([\w*-]{1,40})\s{0,20}=\s{0,20}(\"[^\"]{0,300}\"|[^\s;\"]{1,300})")
_HEADER_END = re.compile(rb"\n[ \t]{0,80}\n")


@dataclass(slots=True)
class Part:
    """A leaf. `text` is empty for what is neither text nor a report; a returned message keeps its source."""

    content_type: str
    headers: dict[str, list[str]]
    text: str


@dataclass(slots=True)
class Letter:
    """`headers` have lower-case names and decoded values, in their order; `parts` are flat."""

    headers: dict[str, list[str]]
    content_type: str
    parameters: dict[str, str]
    parts: list[Part] = field(default_factory=list)

    def header(self, name: str) -> str:
        return self.headers.get(name, [""])[0]

    def texts(self) -> Iterator[str]:
        """What people are meant to read: plain text first, HTML where there is nothing else."""
        plain = [part.text for part in self.parts if part.content_type == "text/plain" and part.text.strip()]
        if not plain:
            plain = [part.text for part in self.parts if part.content_type == "text/html"]
        yield from plain

    def originals(self) -> Iterator[Part]:
        """The returned message, or its headers, where a part of its own holds them."""
        for part in self.parts:
            if part.content_type in ("message/rfc822", "text/rfc822-headers", "text/rfc822", "message/global"):
                yield part


def read_letter(raw: bytes) -> Letter:
    """The beginning of a mail as a letter; never raises."""
    source = raw[:MAX_BYTES].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if source.startswith(b"From ") or source.startswith(b">From "):
        source = source.partition(b"\n")[2]  # an mbox's envelope line
    headers, body = split_message(source.lstrip(b"\n"))
    content_type, parameters = read_content_type(_first(headers, "content-type"))
    letter = Letter(headers, content_type, parameters)
    _collect(letter.parts, headers, body, 0)
    return letter


def split_message(source: bytes) -> tuple[dict[str, list[str]], bytes]:
    """Headers and body; a mail whose first line is no header is all body."""
    found = _HEADER_END.search(source[: MAX_HEADER_BYTES + 100])
    end = found.start() if found else len(source)
    if source[:1] == b"\n":
        return {}, source[1:]
    head = source[: min(end, MAX_HEADER_BYTES)]
    headers = read_headers(decode_text(head, "utf-8"))
    if not headers:
        return {}, source
    return headers, source[found.end() :] if found else b""


def read_headers(text: str) -> dict[str, list[str]]:
    """Unfolded, decoded headers by lower-case name."""
    headers: dict[str, list[str]] = {}
    for name, value in _fields(text):
        headers.setdefault(name, []).append(decode_words(value[:MAX_VALUE]).strip())
    return headers


def _fields(text: str) -> Iterator[tuple[str, str]]:
    name, lines = "", [""]
    for count, line in enumerate(text.split("\n")):
        if count > MAX_HEADERS:
            break
        if line[:1] in (" ", "\t") and name:
            lines.append(line)
            continue
        if name:
            yield name, " ".join(lines)
        found = _FIELD.match(line[: MAX_VALUE + 100])
        name, lines = (found[1].lower(), [found[2]]) if found else ("", [""])
    if name:
        yield name, " ".join(lines)


def read_content_type(value: str) -> tuple[str, dict[str, str]]:
    """RFC 2045 §5.1, as far as mailers keep to it; text/plain where nothing can be read."""
    kind = value.partition(";")[0].strip().lower()
    pairs = _PARAMETER.findall(";" + value.partition(";")[2])
    return kind or "text/plain", {name.lower().rstrip("*"): text.strip('"') for name, text in pairs[:20]}


def _collect(parts: list[Part], headers: dict[str, list[str]], body: bytes, depth: int) -> None:
    if len(parts) >= MAX_PARTS:
        return
    content_type, parameters = read_content_type(_first(headers, "content-type"))
    boundary = parameters.get("boundary", "")
    pieces = _pieces(body, boundary) if content_type.startswith("multipart/") and depth < MAX_DEPTH else []
    for piece in pieces:
        _collect(parts, *split_part(piece), depth + 1)
    if not pieces:
        parts.append(_leaf(headers, content_type, parameters, body))


def split_part(piece: bytes) -> tuple[dict[str, list[str]], bytes]:
    if piece.startswith(b"\n"):
        return {}, piece[1:]
    return split_message(piece)


def _pieces(body: bytes, boundary: str) -> list[bytes]:
    """The parts between the boundary's lines; a missing or wrong boundary is guessed from the first such line."""
    delimiter = b"--" + boundary.encode("utf-8", "replace").rstrip()
    if not boundary or delimiter not in body:
        delimiter = _guessed_boundary(body)
    return _split(b"\n" + body, delimiter) if delimiter else []


def _split(body: bytes, delimiter: bytes) -> list[bytes]:
    """What stands between the delimiter's own lines; an inner boundary may begin with the same letters."""
    lines = re.finditer(rb"\n" + re.escape(delimiter) + rb"(--)?[ \t]{0,80}(?=\n|\Z)", body)
    pieces, start = [], -1
    for line, _ in zip(lines, range(MAX_PARTS), strict=False):
        if start >= 0:
            pieces.append(body[start : line.start() + 1])
        if line[1]:
            return pieces
        start = line.end() + 1
    return [*pieces, body[start:]] if start >= 0 else []


def _guessed_boundary(body: bytes) -> bytes:
    for found in re.finditer(
        rb"(?m)^(--[^\s-][^\n]{3,120}|-{3,60}[^\s-][^\n]{3,120})\n(?=[Cc]ontent-)", body[:100_000]
    ):
        return found[1].rstrip()
    return b""


def _leaf(headers: dict[str, list[str]], content_type: str, parameters: dict[str, str], body: bytes) -> Part:
    if not content_type.startswith(("text/", "message/", "multipart/")):
        return Part(content_type, headers, "")
    raw = decode_transfer(body, _first(headers, "content-transfer-encoding"))
    text = decode_text(raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n"), parameters.get("charset", ""))[:MAX_TEXT]
    if content_type == "text/html":
        text = text_of_html(text)
    elif content_type.startswith("multipart/"):
        content_type = "text/plain"  # without a boundary it can only be read as one text
    return Part(content_type, headers, text)


def _first(headers: dict[str, list[str]], name: str) -> str:
    return headers.get(name, [""])[0]
