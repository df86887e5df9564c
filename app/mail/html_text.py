"""The text part of a mail, made from its HTML: readable for people and for filters, merge tags untouched.

Links keep their address (`text (address)`), lists their signs, table cells a bar between them; white space is
collapsed as a browser would. Hidden preheaders, styles and scripts are left out. What stood in `{% if %}`
still does, with its blank lines inside, so that a paragraph that is not printed leaves no hole.
"""

import re
from html import unescape

from jinja2.exceptions import TemplateSyntaxError

from app.mail.markup import Piece, attributes, pieces
from app.mail.quoted_printable import clean_text
from app.mail.template_syntax import Region, parse, regions

# Frames the number of a merge tag while HTML is parsed; `clean_text` lets no author write lone surrogates.
_OPEN, _CLOSE = "\ud801", "\ud802"
_FRAMED = re.compile(f"{_OPEN}([0-9]+){_CLOSE}")
_KEYWORD = re.compile(r"\{%[-+]?\s*([a-z]+)")
_BRACE_OF_TAG = re.compile(r"\{(?=[{%])")
_WHITE_SPACE = " \t\n\f\r"
_HIDDEN_STYLE = re.compile(r"display\s*:\s*none|mso-hide\s*:\s*all", re.IGNORECASE)

_PARAGRAPHS = frozenset({
    "p", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "ul", "ol", "dl", "table", "pre", "hr",
    "address", "figure",
})  # fmt: skip
_LINES = frozenset({
    "html", "body", "div", "li", "tr", "dt", "dd", "section", "article", "header", "footer", "main",
    "nav", "aside", "center", "form", "fieldset", "caption",
})  # fmt: skip
_SKIPPED = frozenset({
    "head", "style", "script", "title", "template", "svg", "object",
})  # fmt: skip
_VOID = frozenset({
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track",
    "wbr",
})  # fmt: skip
_RULE = "-" * 20


def html_to_text(source: str) -> str:
    """The text template of a checked HTML template; ends with one line end, or is empty.

    Raises TemplateSyntaxError for one that is broken.
    """
    source = clean_text(source)
    found = regions(source)
    text = _TextWriter(source, found).text()
    filled = _unframe(text, source, found, with_statements=True)
    try:
        parse(filled)
    except TemplateSyntaxError:
        # An `if` that begins inside a tag and ends outside of it; rather all its text than none.
        bare = _unframe(text, source, found, with_statements=False).strip("\n")
        return f"{bare}\n" if bare else ""
    return filled


def _unframe(text: str, source: str, found: list[Region], *, with_statements: bool) -> str:
    def fill(match: re.Match[str]) -> str:
        region = found[int(match[1])]
        is_kept = with_statements or region.kind == "output"
        return source[region.start : region.end] if is_kept else ""

    return _FRAMED.sub(fill, text)


class _TextWriter:
    """Writes text while it reads tags; breaks and blanks are wanted first, written before the next word."""

    def __init__(self, source: str, found: list[Region]) -> None:
        self._keywords: dict[int, str] = {}
        self._out: list[str] = []
        self._breaks = 0  # line ends wanted before the next word
        self._wants_blank = False
        self._wants_bar = False
        self._is_between_blocks = False  # the wanted line ends come from an end tag
        self._is_at_line_start = True
        self._breaks_at_ifs: list[int] = []
        self._lists: list[int] = []  # the next number of each open list; 0 for one without numbers
        self._links: list[tuple[str, int]] = []
        self._skipped_tag = ""
        self._skipped_depth = 0
        self._preformatted_depth = 0
        self._source = self._frame(source, found)
        for piece in pieces(self._source):
            self._read(piece)

    def _frame(self, source: str, found: list[Region]) -> str:
        framed: list[str] = []
        position = 0
        for number, region in enumerate(found):
            keyword = _KEYWORD.match(source, region.start)
            if keyword:
                self._keywords[number] = keyword[1]
            framed += [source[position : region.start], f"{_OPEN}{number}{_CLOSE}"]
            position = region.end
        return "".join([*framed, source[position:]])

    def text(self) -> str:
        lines = "".join(self._out).replace("\xa0", " ").split("\n")
        text = "\n".join(line.rstrip(" ") for line in lines).strip("\n")
        return f"{text}\n" if text else ""

    # What is read.

    def _read(self, piece: Piece) -> None:
        if piece.kind == "text":
            self._read_text(self._source[piece.start : piece.end])
        elif piece.kind == "comment":
            self._read_comment(self._source[piece.start : piece.end])
        elif piece.kind == "start_tag":
            found = reversed(attributes(self._source, piece))
            # A statement inside the tag (`<a {% if ruc %}href=…`) sticks to the name that follows it.
            values = {_FRAMED.sub("", attribute.name): attribute.value for attribute in found}
            self._read_start_tag(piece.name, values)
        else:
            self._read_end_tag(piece.name)

    def _read_start_tag(self, tag: str, values: dict[str, str]) -> None:
        if tag == "body":
            self._skipped_depth = 0  # many a head is never closed
        if self._skipped_depth:
            self._skipped_depth += tag == self._skipped_tag
        elif tag in _SKIPPED or _HIDDEN_STYLE.search(values.get("style", "")):
            if tag not in _VOID:
                self._skipped_tag, self._skipped_depth = tag, 1
        else:
            self._want_breaks(tag, is_between_blocks=False)
            self._begin(tag, values)

    def _begin(self, tag: str, values: dict[str, str]) -> None:
        if tag in ("ul", "ol"):
            self._lists.append(1 if tag == "ol" else 0)
        elif tag == "li":
            self._write_bullet()
        elif tag in ("td", "th"):
            self._wants_bar = not self._breaks and not self._is_at_line_start
        elif tag == "a":
            self._links.append(("".join(values.get("href", "").split()), len(self._out)))
        elif tag == "img":
            self._wants_blank = True
            self._write_words(f"{values.get('alt', '')} ")
        elif tag == "br":
            self._breaks += 1
            self._is_at_line_start = self._is_between_blocks = self._wants_blank = False
        elif tag == "hr":
            self._write_words(_RULE)
            self._want_breaks(tag, is_between_blocks=True)
        elif tag == "pre":
            self._preformatted_depth += 1

    def _read_end_tag(self, tag: str) -> None:
        if self._skipped_depth:
            self._skipped_depth -= tag == self._skipped_tag
            return
        if tag == "a" and self._links:
            self._write_address(*self._links.pop())
        elif tag in ("ul", "ol") and self._lists:
            self._lists.pop()
        elif tag == "pre" and self._preformatted_depth:
            self._preformatted_depth -= 1
        self._want_breaks(tag, is_between_blocks=True)

    def _read_text(self, text: str) -> None:
        data = unescape(text)
        position = 0
        for framed in _FRAMED.finditer(data):
            if int(framed[1]) in self._keywords:
                self._write_data(data[position : framed.start()])
                self._write_statement(framed[0], self._keywords[int(framed[1])])
                position = framed.end()
        self._write_data(data[position:])

    def _read_comment(self, data: str) -> None:
        for framed in _FRAMED.finditer(data):
            if int(framed[1]) in self._keywords:
                self._write_statement(framed[0], self._keywords[int(framed[1])])

    # What is written.

    def _want_breaks(self, tag: str, *, is_between_blocks: bool) -> None:
        wanted = 2 if tag in _PARAGRAPHS else 1 if tag in _LINES else 0
        if tag in ("ul", "ol") and self._lists:
            wanted = 1  # a list inside a list goes on with it
        if not wanted or (self._is_at_line_start and not self._breaks):
            return
        self._breaks = max(self._breaks, wanted)
        self._is_between_blocks = is_between_blocks
        self._wants_blank = self._wants_bar = False

    def _write_data(self, data: str) -> None:
        if self._skipped_depth or not data:
            return
        if self._preformatted_depth:
            self._settle()
            self._out.append(_literal(data))
            self._is_at_line_start = data.endswith("\n")
        else:
            self._write_words(data)

    def _write_words(self, data: str) -> None:
        words = [word for word in re.split(f"[{_WHITE_SPACE}]+", data) if word]
        self._wants_blank |= data[:1] in _WHITE_SPACE
        if not words:
            return
        self._settle()
        self._out.append(_literal(" ".join(words)))
        self._is_at_line_start = False
        self._wants_blank = data[-1] in _WHITE_SPACE

    def _write_statement(self, framed: str, keyword: str) -> None:
        """Between two blocks, what stands inside the `if` wants the line ends; so does what follows."""
        if keyword == "if":
            is_inside_line = not (self._is_between_blocks and self._breaks)
            if is_inside_line:
                self._settle()
            self._breaks_at_ifs.append(self._breaks)
        elif self._breaks_at_ifs:
            if self._wants_blank and not self._breaks:
                self._settle()
            self._breaks = max(self._breaks, self._breaks_at_ifs[-1])
            if keyword == "endif":
                self._breaks_at_ifs.pop()
        self._out.append(framed)

    def _write_bullet(self) -> None:
        self._settle()
        number = self._lists[-1] if self._lists else 0
        if number:
            self._lists[-1] += 1
        indent = "  " * max(len(self._lists) - 1, 0)
        self._out.append(f"{indent}{number}. " if number else f"{indent}- ")
        self._is_at_line_start = True

    def _write_address(self, href: str, start: int) -> None:
        label = "".join(self._out[start:]).strip()
        address = href.removeprefix("mailto:").removeprefix("tel:")
        if not address or address.startswith("#") or label in (href, address, address.partition("://")[2]):
            return
        if label:
            self._out.append(f" ({_literal(address)})")
        else:
            self._write_words(address)

    def _settle(self) -> None:
        """Writes the line ends, the bar or the blank that were wanted before what comes now."""
        if self._breaks:
            self._out.append("\n" * self._breaks)
            self._is_at_line_start = True
        elif self._wants_bar:
            self._out.append(" | ")
        elif self._wants_blank and not self._is_at_line_start:
            self._out.append(" ")
        self._breaks = 0
        self._wants_blank = self._wants_bar = self._is_between_blocks = False


def _literal(text: str) -> str:
    """Text in which a brace that was an entity in the HTML is still meant as a brace."""
    return _BRACE_OF_TAG.sub("{{ '{' }}", text)
