"""Cells of files for spreadsheets: one that would be taken for a formula gets an apostrophe, and loses it on its way back."""

import re
import unicodedata
from typing import Any

FORMULA_STARTS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
"""A spreadsheet takes a cell that begins so for a formula (OWASP, "CSV Injection")."""
BREAKING_STARTS = ("\t", "\r", "\n")
"""These alone make some spreadsheets begin another cell."""
PLAIN_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)*")
CELL_ENDS = re.compile(r"([;,\t\r\n])")
"""Where a program that splits at another sign than the file's (an English Excel at the comma) begins another cell, quoted
or not."""
INVISIBLE = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})
"""Unicode categories of white space, control and format characters, which spreadsheets drop in front of a formula."""


def defused(cell: Any) -> str:
    """``=1+1`` as ``'=1+1``: spreadsheets show it as text. Plain numbers stay, whatever their sign."""
    text = "" if cell is None else str(cell)
    safe = "".join(map(_defused_piece, CELL_ENDS.split(text)))
    return f"'{safe}" if text.startswith(BREAKING_STARTS) else safe


def undefused(cell: str) -> str:
    """What :func:`defused` made of a cell, as it was: a file of ours that comes back is not changed by the round trip."""
    if "'" not in cell:
        return cell
    if cell.startswith("'") and cell[1:].startswith(BREAKING_STARTS):
        cell = cell[1:]
    return "".join(map(_undefused_piece, CELL_ENDS.split(cell)))


def _undefused_piece(text: str) -> str:
    return text[1:] if text.startswith("'") and _defused_piece(text[1:]) == text else text


def _defused_piece(text: str) -> str:
    return (
        f"'{text}"
        if _visible(text.lstrip("'")).startswith(FORMULA_STARTS) and not PLAIN_NUMBER.fullmatch(text)
        else text
    )


def _visible(text: str) -> str:
    """``text`` from its first character that a spreadsheet shows. Quotes may be taken for the format's own."""
    first = (at for at, one in enumerate(text) if one != '"' and unicodedata.category(one) not in INVISIBLE)
    return text[next(first, len(text)) :]
