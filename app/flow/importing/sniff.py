"""What an uploaded file looks like: encoding, delimiter, header, and rows to show and to guess from."""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from app.flow.importing.encodings import ENCODINGS, detect_encoding
from app.flow.importing.problems import FileProblem, ImportProblem
from app.flow.importing.read import DELIMITERS, Row, RowReader
from app.mail.addresses import Address, parse_address

SAMPLE_ROWS = 100
SAMPLE_CHARACTERS = 256 * 1024
MAX_HEADER_CHARACTERS = 200


@dataclass(frozen=True, kw_only=True)
class Sniffed:
    encoding: str
    delimiter: str
    has_header: bool
    header: list[str]
    """One per column; empty where the file gives no name."""
    samples: list[list[str]]
    """The first rows, each with as many cells as the header."""
    has_unreadable: bool
    """Whether the rows seen hold bytes that mean nothing in this encoding: it is probably another one."""


def sniff(path: Path, *, max_columns: int, encoding: str | None = None, delimiter: str | None = None) -> Sniffed:
    """Look at the file; ``encoding`` and ``delimiter`` are taken as given where they are. Raises :class:`ImportProblem`."""
    detected = detect_encoding(path)  # Refuses what is no text, whatever the person says it is.
    encoding = encoding if encoding in ENCODINGS else detected
    if delimiter not in DELIMITERS:
        delimiter = detect_delimiter(_first_lines(path, encoding))
    with RowReader(path, encoding=encoding, delimiter=delimiter) as reader:
        rows = list(islice(reader, SAMPLE_ROWS + 1))
    if not rows:
        raise ImportProblem(FileProblem.EMPTY)
    return _describe(rows, encoding, delimiter, max_columns)


def _describe(rows: list[Row], encoding: str, delimiter: str, max_columns: int) -> Sniffed:
    has_header = not any(isinstance(parse_address(cell), Address) for cell in rows[0].cells)
    samples = [row.cells for row in rows[has_header:]]
    if not samples:
        raise ImportProblem(FileProblem.HEADER_ONLY)
    header = header_of(rows[0]) if has_header else [""] * max(len(row) for row in samples)
    if len(header) > max_columns:
        raise ImportProblem(FileProblem.TOO_MANY_COLUMNS, columns=len(header), limit=max_columns)
    return Sniffed(
        encoding=encoding,
        delimiter=delimiter,
        has_header=has_header,
        header=header,
        samples=[(row + [""] * len(header))[: len(header)] for row in samples],
        has_unreadable=any("\udc80" <= sign <= "\udcff" for row in rows for cell in row.cells for sign in cell),
    )


def header_of(row: Row) -> list[str]:
    """The names of the columns. Raises ``repeated_header``."""
    names = column_names(row.cells)
    first_with: dict[str, int] = {}
    for column, name in enumerate(names, start=1):
        first = first_with.setdefault(name.casefold(), column)
        if name and first != column:
            raise ImportProblem(
                FileProblem.REPEATED_HEADER, header=name, line=row.line, column=column, first_column=first
            )
    return names


def column_names(cells: Sequence[str]) -> list[str]:
    """Cells of a header as names: blanks tidied, empty ones at the end left out."""
    names = [" ".join(visible(cell).split())[:MAX_HEADER_CHARACTERS] for cell in cells]
    while names and not names[-1]:
        names.pop()
    return names


def visible(cell: str) -> str:
    """``cell`` as it can be shown and stored: what could not be read, and NUL, by signs that stand for them."""
    if cell.isprintable():
        return cell
    return "".join("\ufffd" if "\ud800" <= sign <= "\udfff" else "\u2400" if sign == "\0" else sign for sign in cell)


def _first_lines(path: Path, encoding: str) -> list[str]:
    errors = "replace" if encoding.startswith("utf-16") else "surrogateescape"
    with path.open(encoding=encoding, errors=errors, newline=None) as text:
        try:
            return text.read(SAMPLE_CHARACTERS).splitlines(keepends=True)[:SAMPLE_ROWS]
        except UnicodeError:
            raise ImportProblem(FileProblem.WRONG_ENCODING) from None


def detect_delimiter(lines: Sequence[str]) -> str:
    """The delimiter that cuts the most lines into as many cells as the first, and into more than one."""
    if lines and (told := lines[0].strip().lower()).startswith("sep=") and told[4:] in DELIMITERS:
        return told[4:]  # What Excel writes to tell itself.
    scores = {delimiter: _consistency(lines, delimiter) for delimiter in DELIMITERS}
    best = max(DELIMITERS, key=lambda delimiter: scores[delimiter])
    return best if scores[best] > (0, 0) else _absent_delimiter(lines)


def _consistency(lines: Sequence[str], delimiter: str) -> tuple[float, int]:
    """Share of rows that have as many cells as most, where that is more than one; and that number."""
    try:
        widths = [len(cells) for cells in csv.reader(lines, delimiter=delimiter) if any(cells)]
    except csv.Error:
        return (0, 0)
    if not widths or widths[0] < 2:
        return (0, 0)
    width, rows = Counter(widths).most_common(1)[0]
    return (round(rows / len(widths), 1), width) if width > 1 else (0, 0)


def _absent_delimiter(lines: Sequence[str]) -> str:
    """For a single column: one that cuts nothing («Pérez, Juan» stays whole)."""
    return min(DELIMITERS, key=lambda delimiter: sum(line.count(delimiter) for line in lines))
