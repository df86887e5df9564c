"""Macros of SPF records (RFC 7208 §7): read once, when the record is parsed, and expanded when a term is reached.

    read_domain_spec("%{ir}.%{v}._spf.%{d2}")     pieces, or SpfSyntaxError
    expand(pieces, value_of)                      the text; `value_of` is given a letter

`explanation=True` allows the letters c, r and t, and spaces (§6.2).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

MAX_NAME_CHARACTERS = 253

MACRO = re.compile(r"%\{([A-Za-z])([0-9]*)([Rr]?)([-.+,/_=]*)\}")
LITERAL = re.compile(r"[\x21-\x24\x26-\x7e]+")
EXPLANATION_LITERAL = re.compile(r"[\x20-\x24\x26-\x7e]+")
ESCAPES = {"%%": "%", "%_": " ", "%-": "%20"}
LETTERS = frozenset("slodiphv")
EXPLANATION_LETTERS = LETTERS | frozenset("crt")
TOP_LABEL = re.compile(r"(?:[A-Za-z0-9]*[A-Za-z][A-Za-z0-9]*|[A-Za-z0-9]+-[A-Za-z0-9-]*[A-Za-z0-9])\Z")
UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


class SpfSyntaxError(ValueError):
    """The record breaks the grammar of RFC 7208 §12. ``code`` is stable, ``detail`` the offending piece."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail


@dataclass(frozen=True, kw_only=True)
class Macro:
    letter: str
    keep: int = 0
    """How many right-hand parts remain; 0: all."""
    reverse: bool = False
    delimiters: str = "."
    url_escape: bool = False


Piece = str | Macro
Pieces = tuple[Piece, ...]


def read_macro_string(text: str, *, explanation: bool = False) -> Pieces:
    literal = EXPLANATION_LITERAL if explanation else LITERAL
    pieces: list[Piece] = []
    at = 0
    while at < len(text):
        if found := literal.match(text, at):
            pieces.append(found.group())
            at = found.end()
        elif text[at : at + 2] in ESCAPES:
            pieces.append(ESCAPES[text[at : at + 2]])
            at += 2
        elif found := MACRO.match(text, at):
            pieces.append(_macro(found, EXPLANATION_LETTERS if explanation else LETTERS))
            at = found.end()
        else:
            raise SpfSyntaxError("macro", text[at : at + 40])
    return tuple(pieces)


def _macro(found: re.Match[str], letters: frozenset[str]) -> Macro:
    letter, digits, reverse, delimiters = found.groups()
    if letter.lower() not in letters:
        raise SpfSyntaxError("macro", found.group()[:40])
    if digits and not digits.strip("0"):
        raise SpfSyntaxError("macro", found.group()[:40])  # §7.3: a DIGIT must be nonzero.
    return Macro(
        letter=letter.lower(),
        keep=int(digits[-9:]) if digits else 0,
        reverse=bool(reverse),
        delimiters=delimiters or ".",
        url_escape=letter.isupper(),
    )


def read_domain_spec(text: str) -> Pieces:
    """A macro string that ends in a macro or in a label that can be a top-level domain (§7.1)."""
    if not text:
        raise SpfSyntaxError("empty_domain")
    pieces = read_macro_string(text)
    if not _ends_in_macro(text):
        before, dot, label = text.removesuffix(".").rpartition(".")
        if not dot or not TOP_LABEL.match(label):
            raise SpfSyntaxError("domain", text[:80])
        if not any(isinstance(piece, Macro) for piece in pieces) and "%" not in before:
            _check_labels(text.removesuffix("."))
    return pieces


def _check_labels(text: str) -> None:
    """§4.8 leaves open whether such a name is an error or just matches nothing; its owner wants to hear of it."""
    if len(text) > MAX_NAME_CHARACTERS or not all(0 < len(label) <= 63 for label in text.split(".")):
        raise SpfSyntaxError("domain", text[:80])


def _ends_in_macro(text: str) -> bool:
    """``%%`` counts, and a ``%`` that belongs to an earlier ``%%`` does not start anything."""
    ends = at = 0
    for found in re.finditer(r"%\{[^}]*\}|%[%_-]", text):
        at, ends = found.start(), found.end()
    return ends == len(text) and at < ends


def expand(pieces: Pieces, value_of: Callable[[str], str]) -> str:
    return "".join(piece if isinstance(piece, str) else _expand_macro(piece, value_of) for piece in pieces)


def _expand_macro(macro: Macro, value_of: Callable[[str], str]) -> str:
    value = value_of(macro.letter)
    if macro.reverse or macro.keep or macro.delimiters != ".":
        parts = re.split(f"[{re.escape(macro.delimiters)}]", value)
        if macro.reverse:
            parts.reverse()
        value = ".".join(parts[-macro.keep :] if macro.keep else parts)
    return _url_escaped(value) if macro.url_escape else value


def _url_escaped(value: str) -> str:
    return "".join(
        character if character in UNRESERVED else "".join(f"%{octet:02X}" for octet in character.encode())
        for character in value
    )


def shorten(name: str) -> str:
    """A name too long to ask for loses labels from the left until it fits (§7.3)."""
    name = name.removesuffix(".")
    while len(name) > MAX_NAME_CHARACTERS and "." in name:
        name = name.partition(".")[2]
    return name
