"""A CSV file streamed to the browser: RFC 4180, UTF-8 with a byte order mark (Excel needs it), formula cells defused."""

import csv
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from flask import Response, stream_with_context

ROWS_PER_BLOCK = 500
FORMULA_STARTS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
"""A spreadsheet takes a cell that begins so for a formula (OWASP, "CSV Injection")."""
BREAKING_STARTS = ("\t", "\r", "\n")
"""These alone make some spreadsheets begin another cell."""
PLAIN_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)*")
CELL_ENDS = re.compile(r"([;\t\r\n])")
"""Where a program that splits at ``;`` or tabs, as a Spanish Excel does, begins another cell, quoted or not."""
INVISIBLE = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})
"""Unicode categories of white space, control and format characters, which spreadsheets drop in front of a formula."""


def defused(cell: Any) -> str:
    """``=1+1`` as ``'=1+1``: spreadsheets show it as text. Plain numbers stay, whatever their sign."""
    text = "" if cell is None else str(cell)
    safe = "".join(map(_defused_piece, CELL_ENDS.split(text)))
    return f"'{safe}" if text.startswith(BREAKING_STARTS) else safe


def _defused_piece(text: str) -> str:
    return f"'{text}" if _visible(text).startswith(FORMULA_STARTS) and not PLAIN_NUMBER.fullmatch(text) else text


def _visible(text: str) -> str:
    """``text`` from its first character that a spreadsheet shows. Quotes may be taken for the format's own."""
    first = (at for at, one in enumerate(text) if one != '"' and unicodedata.category(one) not in INVISIBLE)
    return text[next(first, len(text)) :]


class _Echo:
    """What ``csv.writer`` writes to: gives each line back."""

    def write(self, line: str) -> str:
        return line


def csv_lines(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """The file in blocks, defused. Every cell is quoted, so that nothing inside one is taken for a separator."""
    writer = csv.writer(_Echo(), quoting=csv.QUOTE_ALL)
    block = ["\ufeff", writer.writerow([defused(name) for name in header])]
    for row in rows:
        block.append(writer.writerow([defused(cell) for cell in row]))
        if len(block) >= ROWS_PER_BLOCK:
            yield "".join(block)
            block.clear()
    yield "".join(block)


def csv_answer(filename: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Response:
    """``rows`` are read while they are sent: a million of them need no memory."""
    response = Response(stream_with_context(csv_lines(header, rows)), mimetype="text/csv")
    response.headers.set("Content-Disposition", "attachment", filename=_plain(filename))
    response.headers["Cache-Control"] = "no-store"
    return response


def _plain(filename: str) -> str:
    ascii_name = unicodedata.normalize("NFKD", filename).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._-]+", "-", ascii_name).strip("-") or "datos.csv"
