"""A row of the file as address, name and fields, or the first reason why it is rejected."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from app.flow.field_values import MAX_VALUE_CHARACTERS, FieldValue, UnreadableValue, read_value
from app.flow.formulas import undefused
from app.flow.importing.guess import EMAIL, FIELD_PREFIX, NAME
from app.flow.importing.problems import EMAIL_PREFIX, RowProblem
from app.flow.importing.read import Row
from app.flow.importing.sniff import column_names
from app.mail.addresses import Address, AddressProblem, parse_address
from app.models import FieldType

MAX_NAME_CHARACTERS = 200
ILLEGIBLE = re.compile("[\0\ud800-\udfff]")
"""NUL, and the lone surrogates that stand for unreadable bytes."""
NOT_READ_AS = {
    FieldType.NUMBER: RowProblem.NOT_A_NUMBER,
    FieldType.DATE: RowProblem.NOT_A_DATE,
    FieldType.BOOLEAN: RowProblem.NOT_A_BOOLEAN,
}


class Checked(NamedTuple):
    line: int
    email: str
    name: str
    fields: dict[str, FieldValue]
    """Only fields whose cell is filled: an empty cell never wipes a value."""


class Rejected(NamedTuple):
    line: int
    column: int
    """From 1."""
    reason: str
    cells: list[str]


class CellProblem(Exception):
    def __init__(self, reason: str, index: int) -> None:
        self.reason = reason
        self.index = index


class RowChecker:
    """Checks rows of one file. Made once per analysis; a row costs some microseconds."""

    def __init__(self, *, header: Sequence[str], mapping: Mapping[str, str], types: Mapping[str, FieldType]) -> None:
        """``types`` of the panel's fields by key; a field that does not exist yet is text."""
        self._columns = len(header)
        self._header = [name.casefold() for name in header] if any(header) else None
        by_target = {target: int(index) for index, target in mapping.items()}
        self._email = by_target[EMAIL]
        self._name = by_target.get(NAME)
        keys = [(key.removeprefix(FIELD_PREFIX), at) for key, at in by_target.items() if key.startswith(FIELD_PREFIX)]
        self._fields = [(at, key, types.get(key, FieldType.TEXT)) for key, at in keys]

    def check(self, row: Row) -> Checked | Rejected | None:
        """None for a row whose cells are all blank: spreadsheets write them below their tables."""
        if "'" in "".join(row.cells):
            row = Row(row.line, [undefused(cell) for cell in row.cells])
        line, cells = row
        try:
            if len(cells) != self._columns:
                cells = self._fit(cells)
            parsed = parse_address(cells[self._email])
            if not isinstance(parsed, Address):
                return self._no_address(row, parsed)
            return Checked(line, parsed.address, self._name_in(cells), self._fields_in(cells))
        except CellProblem as problem:
            return Rejected(line, problem.index + 1, problem.reason, row.cells)

    def _fit(self, cells: list[str]) -> list[str]:
        """Missing cells at the end are empty ones; surplus ones may be, too."""
        if any(cell.strip() for cell in cells[self._columns :]):
            raise CellProblem(RowProblem.TOO_MANY_CELLS, self._columns)
        return (cells + [""] * (self._columns - len(cells)))[: self._columns]

    def _no_address(self, row: Row, problem: AddressProblem) -> Rejected | None:
        if problem is AddressProblem.EMPTY and not any(cell.strip() for cell in row.cells):
            return None
        reason = EMAIL_PREFIX + problem.value
        if self._header and [name.casefold() for name in column_names(row.cells)] == self._header:
            reason = RowProblem.REPEATED_HEADER.value
        elif (illegible := _illegible(row.cells[self._email])) is not None:
            reason = illegible
        return Rejected(row.line, self._email + 1, reason, row.cells)

    def _name_in(self, cells: list[str]) -> str:
        if self._name is None:
            return ""
        name = _clean(cells[self._name], self._name, keep="")
        if len(name) > MAX_NAME_CHARACTERS:
            raise CellProblem(RowProblem.NAME_TOO_LONG, self._name)
        return name

    def _fields_in(self, cells: list[str]) -> dict[str, FieldValue]:
        values: dict[str, FieldValue] = {}
        for index, key, type_ in self._fields:
            text = _clean(cells[index], index, keep="\n")
            if not text:
                continue
            if len(text) > MAX_VALUE_CHARACTERS:
                raise CellProblem(RowProblem.VALUE_TOO_LONG, index)
            values[key] = text if type_ is FieldType.TEXT else _read(type_, text, index)
        return values


def _read(type_: FieldType, text: str, index: int) -> FieldValue:
    try:
        return read_value(type_, text)
    except UnreadableValue:
        raise CellProblem(NOT_READ_AS[type_], index) from None


def _illegible(cell: str) -> str | None:
    found = ILLEGIBLE.search(cell)
    if found is None:
        return None
    return RowProblem.NUL if found.group() == "\0" else RowProblem.UNREADABLE


def _clean(cell: str, index: int, *, keep: str) -> str:
    """Without blanks around it and control characters in it, in NFC (two spellings of «é» become one)."""
    text = cell.strip()
    if not text.isprintable():
        if (illegible := _illegible(text)) is not None:
            raise CellProblem(illegible, index)
        text = "".join(sign if sign.isprintable() or sign in keep else _blank(sign) for sign in text).strip()
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _blank(sign: str) -> str:
    """Blanks of every kind become a space, control and format characters nothing."""
    return " " if sign.isspace() else ""
