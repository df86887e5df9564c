"""Jinja2's own lexer and parser, with the place of every token.

Jinja2 knows the line of a node but not its column. Its parser copies the lexer's line number from token to
node without looking at it; so a lexer that gives *offset + 1* instead makes every node and every syntax error
know its place. `Place` turns the offset into line and column, both from 1.

Comments are switched off: `{#` begins a comment in Jinja2, and is ordinary CSS in minified mail (`@media
x{#outlook…`).
"""

from bisect import bisect_right
from collections.abc import Iterator
from typing import Literal, NamedTuple

from jinja2 import nodes
from jinja2.exceptions import TemplateSyntaxError
from jinja2.lexer import Lexer
from jinja2.sandbox import SandboxedEnvironment

MAX_TOKENS_PER_TAG = 100
_TAG_BEGINS = frozenset({"variable_begin", "block_begin", "raw_begin"})
_TAG_ENDS = frozenset({"variable_end", "block_end", "raw_end"})

# No author can write these: `clean_text` replaces lone surrogates before a template is read.
_NO_COMMENT_START, _NO_COMMENT_END = "\ud800{#", "#}\ud800"


class LexedToken(NamedTuple):
    offset: int
    kind: str
    text: str


class Region(NamedTuple):
    """One `{{ … }}` or `{% … %}`, braces included."""

    start: int
    end: int
    kind: Literal["output", "statement"]


class Place:
    """Line and column (from 1, in characters) of offsets in one source."""

    def __init__(self, source: str) -> None:
        self._starts = [0] + [index + 1 for index, character in enumerate(source) if character == "\n"]

    def of(self, offset: int) -> tuple[int, int]:
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1


class _PlacedLexer(Lexer):
    def tokeniter(
        self, source: str, name: str | None, filename: str | None = None, state: str | None = None
    ) -> Iterator[tuple[int, str, str]]:
        """Jinja2's tokens with offset + 1 for the line number.

        The tokens' texts follow each other in the source; only white space that a `-` strips stands between
        them.
        """
        offset = 0
        try:
            for _line, kind, text in super().tokeniter(source, name, filename, state):
                offset = source.index(text, offset)
                yield offset + 1, kind, text
                offset += len(text)
        except TemplateSyntaxError as error:
            raise TemplateSyntaxError(error.message or "", offset + 1, name, filename) from None


class MergeEnvironment(SandboxedEnvironment):
    """The environment that merge templates are parsed in; it never runs them (see `merge`)."""

    def __init__(self) -> None:
        super().__init__(
            comment_start_string=_NO_COMMENT_START,
            comment_end_string=_NO_COMMENT_END,
            keep_trailing_newline=True,
            autoescape=False,
        )
        self._placed_lexer = _PlacedLexer(self)

    @property
    def lexer(self) -> Lexer:
        return self._placed_lexer


_ENVIRONMENT = MergeEnvironment()


class TagTooLongError(TemplateSyntaxError):
    """More between one pair of braces than anybody would write; found before time is spent on all of it."""


def lex(source: str) -> list[LexedToken]:
    """All tokens of a cleaned source. Raises TemplateSyntaxError; its lineno is an offset + 1."""
    tokens: list[LexedToken] = []
    begin = tokens_in_tag = 0
    for place, kind, text in _ENVIRONMENT.lexer.tokeniter(source, None):
        tokens.append(LexedToken(place - 1, kind, text))
        if kind in _TAG_BEGINS:
            begin, tokens_in_tag = place, 0
        elif kind not in ("data", "whitespace"):
            tokens_in_tag += 1
            if tokens_in_tag > MAX_TOKENS_PER_TAG:
                raise TagTooLongError("tag too long", begin)
    return tokens


def parse(source: str) -> nodes.Template:
    """The syntax tree; every node's `lineno` is an offset + 1. Raises TemplateSyntaxError likewise."""
    return _ENVIRONMENT._parse(source, None, None)


def offset_of(place: nodes.Node | TemplateSyntaxError) -> int:
    """The offset in the source of a node or of an error of this module."""
    if isinstance(place, nodes.Compare):
        return offset_of(place.expr)  # Jinja2 gives a comparison the place of what follows it
    if isinstance(place, nodes.Operand):
        return offset_of(place.expr)  # and its right side none
    return (place.lineno or 1) - 1


def regions(source: str) -> list[Region]:
    """Where the template's own text is inside `source`; everything between is the author's literal text.

    Raises TemplateSyntaxError, also for a tag that is never closed.
    """
    found: list[Region] = []
    start, is_open = 0, False
    for token in lex(source):
        if token.kind in _TAG_BEGINS:
            start, is_open = token.offset, True
        elif token.kind in _TAG_ENDS:
            is_open = False
        if token.kind == "variable_end":
            found.append(Region(start, token.offset + len(token.text), "output"))
        elif token.kind == "block_end":
            found.append(Region(start, token.offset + len(token.text), "statement"))
    if is_open:
        raise TemplateSyntaxError("tag never closed", start + 1)
    return found
