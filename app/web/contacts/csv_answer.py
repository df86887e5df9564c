"""A CSV file streamed to the browser: UTF-8 with a byte order mark (Excel needs it), else as RFC 4180 has it; formulas
defused."""

import csv
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from flask import Response, stream_with_context

from app.extensions import db
from app.flow.formulas import defused

ROWS_PER_BLOCK = 500
SPANISH_DELIMITER = ";"
"""What a Spanish Excel splits at when a file is opened by a double click: the comma is its decimal sign."""


class _Echo:
    """What ``csv.writer`` writes to: gives each line back."""

    def write(self, line: str) -> str:
        return line


def csv_lines(
    header: Sequence[str], rows: Iterable[Sequence[Any]], delimiter: str = SPANISH_DELIMITER
) -> Iterator[str]:
    """The file in blocks, defused. Every cell is quoted, so that nothing inside one is taken for a separator."""
    writer = csv.writer(_Echo(), delimiter=delimiter, quoting=csv.QUOTE_ALL)
    block = ["\ufeff", writer.writerow([defused(name) for name in header])]
    for row in rows:
        block.append(writer.writerow([defused(cell) for cell in row]))
        if len(block) >= ROWS_PER_BLOCK:
            yield "".join(block)
            block.clear()
    yield "".join(block)


def csv_answer(
    filename: str, header: Sequence[str], rows: Iterable[Sequence[Any]], delimiter: str = SPANISH_DELIMITER
) -> Response:
    """``rows`` are read while they are sent: a million of them need no memory, and the request's own transaction ends
    before, since sending may take minutes. What it has loaded (the panel, the person) stays readable."""
    db.session.close()
    response = Response(stream_with_context(csv_lines(header, rows, delimiter)), mimetype="text/csv")
    response.headers.set("Content-Disposition", "attachment", filename=_plain(filename))
    response.headers["Cache-Control"] = "no-store"
    return response


def _plain(filename: str) -> str:
    ascii_name = unicodedata.normalize("NFKD", filename).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._-]+", "-", ascii_name).strip("-") or "datos.csv"
