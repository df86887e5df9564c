"""A CSV file as rows with line numbers: streaming, and bounded whatever the file holds.

The csv module does the parsing (RFC 4180, leniently). Around it: a cell, a line and a row can't outgrow their limits, a
quote that is never closed is found and placed instead of swallowing the rest of the file, and bytes that mean
nothing in the encoding stay visible (as lone surrogates), so that their row can be rejected with line and column.
"""

import csv
import io
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Self

from app.flow.importing.problems import FileProblem, ImportProblem

MAX_LINE_CHARACTERS = 1 << 20
MAX_ROW_CHARACTERS = 4 << 20
"""Of a row that spans lines."""
DELIMITERS = (";", ",", "\t", "|")
EXCEL_HINT = re.compile(r'"?sep=[;,\t|]"?\s*$', re.IGNORECASE)
"""A first line by which Excel tells itself the delimiter; not a row."""
UNREADABLE = "\udcff"
"""What an unreadable place looks like after decoding: one of the lone surrogates of ``surrogateescape`` (PEP 383)."""


class Row(NamedTuple):
    line: int
    """Line of the file where the row begins, from 1."""
    cells: list[str]


class RowReader:
    """Iterates over the rows of a file, blank ones left out. A context manager, since it holds the file open."""

    def __init__(self, path: Path, *, encoding: str, delimiter: str) -> None:
        self._file = path.open("rb")
        # surrogateescape works byte by byte, which UTF-16 is not; there U+FFFD marks the place.
        self._wide = encoding.startswith("utf-16")
        errors = "replace" if self._wide else "surrogateescape"
        self._text = io.TextIOWrapper(self._file, encoding=encoding, errors=errors, newline=None)
        self._delimiter = delimiter
        self._sentinel = secrets.token_hex(16)
        self._pending: list[str] = []
        """Lines of the row that is being read."""
        self._lines = 0
        self._at_end = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._text.close()

    @property
    def bytes_read(self) -> int:
        """How far the file was read, for the progress bar (ahead of the rows by at most a buffer)."""
        return self._file.tell()

    def __iter__(self) -> Iterator[Row]:
        rows = csv.reader(self._feed(), delimiter=self._delimiter)
        pending, sentinel = self._pending, [self._sentinel]
        try:
            for cells in rows:
                if self._at_end:
                    if cells == sentinel:
                        return
                    raise self._unparsable()  # A quote swallowed the sentinel: it was open at the end.
                if any(cells):
                    yield Row(rows.line_num - len(pending) + 1, cells)
                pending.clear()
        except csv.Error:
            raise self._unparsable() from None

    def _feed(self) -> Iterator[str]:
        """Lines for the csv module; a line that no file holds closes them."""
        pending, wide = self._pending, self._wide
        characters = 0
        read_line = self._read_line
        while line := read_line():
            self._lines += 1
            characters = characters + len(line) if pending else len(line)
            pending.append(line)
            if len(line) >= MAX_LINE_CHARACTERS:
                raise ImportProblem(FileProblem.LINE_TOO_LONG, line=self._lines, limit=MAX_LINE_CHARACTERS)
            if characters > MAX_ROW_CHARACTERS:
                raise self._unparsable()
            if self._lines == 1 and EXCEL_HINT.match(line):
                line = "\n"
            yield line.replace("\ufffd", UNREADABLE) if wide else line
        # The csv module takes the end of each string for the end of a line, unless a quote is open.
        self._at_end = True
        yield self._sentinel

    def _read_line(self) -> str:
        try:
            return self._text.readline(MAX_LINE_CHARACTERS)
        except UnicodeError:  # UTF-16 was asked for and there is no byte order mark.
            raise ImportProblem(FileProblem.WRONG_ENCODING) from None

    def _unparsable(self) -> ImportProblem:
        """Where the quote opened that was never closed; else the cell that is too large."""
        first = self._lines - len(self._pending) + 1
        place = open_quote("".join(self._pending), self._delimiter)
        if place is not None:
            return ImportProblem(FileProblem.UNCLOSED_QUOTE, line=first + place[0], column=place[1])
        cells = self._pending[-1].split(self._delimiter)
        longest = max(range(len(cells)), key=lambda index: len(cells[index]))
        return ImportProblem(
            FileProblem.CELL_TOO_LARGE, line=self._lines, column=longest + 1, limit=csv.field_size_limit()
        )


def open_quote(text: str, delimiter: str) -> tuple[int, int] | None:
    """Where the quote opens that is never closed: lines before it in ``text`` (from 0), column (from 1).

    The states are the csv module's own: a quote opens at the start of a cell only, a doubled one stands for itself.
    """
    line, column, state = 0, 1, "start"
    opened = (0, 0)
    for character in text:
        if state == "quoted":
            state = "quote" if character == '"' else "quoted"
        elif character == '"' and state in ("start", "quote"):
            opened = (line, column) if state == "start" else opened
            state = "quoted"
        elif character in (delimiter, "\n"):
            state, column = "start", column + 1 if character == delimiter else 1
        else:
            state = "cell"
        line += character == "\n"
    return opened if state == "quoted" else None
