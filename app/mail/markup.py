"""Where tags, comments and texts are in HTML, as browsers see them (WHATWG HTML §13.2.5), in time linear in
its length.

Not the standard library's html.parser: in Python 3.11 it takes minutes for half a megabyte of "<a " (each
unfinished tag is read to the end of the source again), and it doesn't say where an attribute stands. The
regular expressions here never look back (possessive quantifiers), and a tag that isn't finished ends the
reading.
"""

import re
from collections.abc import Iterator
from html import unescape
from typing import Literal, NamedTuple

_NAME = re.compile(r"[A-Za-z][^\s/>]*+")

# Attributes of a tag up to its ">". A quotation mark that is never closed belongs to a bare value.
_TAG_REST = re.compile(r"""(?>[\s/]++|[^\s/>=]++(?:\s*+=\s*+(?>"[^"]*+"|'[^']*+'|[^\s>]*+))?+|=)*+>""")
_ATTRIBUTE = re.compile(r"""([^\s/>=]++)(?:\s*+=\s*+(?>"([^"]*+)"|'([^']*+)'|([^\s>]*+)))?+""")
# Their content is text, whatever it looks like, until their own end tag.
_RAW_TEXT = frozenset({"script", "style", "title", "textarea", "xmp", "iframe", "noembed", "noframes"})
_RAW_END = {name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE) for name in _RAW_TEXT}
_MARKUP = re.compile(r"<(?=[A-Za-z/!?])")


class Attribute(NamedTuple):
    """`start` and `end` enclose the raw value without quotation marks; `value` has its entities resolved."""

    name: str
    value: str
    start: int
    end: int
    is_quoted: bool


class Piece(NamedTuple):
    """A tag, a comment (declarations included) or a run of text; `source[start:end]` is all of it."""

    kind: Literal["start_tag", "end_tag", "comment", "text"]
    name: str
    start: int
    end: int


def pieces(source: str) -> Iterator[Piece]:
    """The whole source, cut up without gaps."""
    position = text_start = 0
    while True:
        opening = _MARKUP.search(source, position)
        piece = _markup_at(source, opening.start()) if opening else None
        if opening is None or piece is None:
            break
        if piece.kind == "text":  # "<" that begins nothing
            position = piece.end
            continue
        yield from _text(text_start, piece.start)
        yield piece
        position = text_start = piece.end
        if piece.kind == "start_tag" and piece.name in _RAW_TEXT:
            closing = _RAW_END[piece.name].search(source, position)
            position = closing.start() if closing else len(source)
            yield from _text(text_start, position)
            text_start = position
    yield from _text(text_start, len(source))


def attributes(source: str, tag: Piece) -> list[Attribute]:
    """A start tag's attributes in their order; of two with one name, browsers take the first."""
    found: list[Attribute] = []
    for match in _ATTRIBUTE.finditer(source, tag.start + 1 + len(tag.name), tag.end - 1):
        group = next((number for number in (2, 3, 4) if match[number] is not None), None)
        value, (start, end) = (match[group], match.span(group)) if group else ("", (match.end(), match.end()))
        found.append(Attribute(match[1].lower(), unescape(value), start, end, group in (2, 3)))
    return found


def _text(start: int, end: int) -> Iterator[Piece]:
    if end > start:
        yield Piece("text", "", start, end)


def _markup_at(source: str, start: int) -> Piece | None:
    """What begins with the "<" at `start`; None where it is not finished before the source's end."""
    if source.startswith("<!--", start):
        return _comment(source, start)
    is_end_tag = source.startswith("/", start + 1)
    name = _NAME.match(source, start + 1 + is_end_tag)
    if name is None and not is_end_tag and source[start + 1] not in "!?":
        return Piece("text", "", start, start + 1)
    if name is None:
        end = source.find(">", start)
        return Piece("comment", "", start, end + 1) if end >= 0 else None
    rest = _TAG_REST.match(source, name.end())
    return Piece("end_tag" if is_end_tag else "start_tag", name[0].lower(), start, rest.end()) if rest else None


def _comment(source: str, start: int) -> Piece:
    if source.startswith((">", "->"), start + 4):
        return Piece("comment", "", start, source.index(">", start) + 1)
    end = source.find("-->", start + 4)
    return Piece("comment", "", start, end + 3 if end >= 0 else len(source))
