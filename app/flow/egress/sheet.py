"""A CSV file of IPs becomes rows, or problems with row, column and what was read. Pure; says nothing of what is there."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.flow.egress.addresses import checked_address, checked_helo, checked_rate, checked_weight
from app.flow.egress.pools import checked_name
from app.flow.egress.problems import EgressProblem, SheetProblem
from app.flow.formulas import undefused
from app.flow.importing.guess import folded
from app.models import EgressState

COLUMNS = ("address", "helo", "pool", "state", "weight", "rate")
HEADERS: dict[str, str] = {
    **dict.fromkeys(("address", "ip", "ip_address", "direccion", "direccion_ip"), "address"),
    **dict.fromkeys(("helo", "ehlo", "helo_name", "nombre_helo", "nombre"), "helo"),
    **dict.fromkeys(("pool", "grupo"), "pool"),
    **dict.fromkeys(("state", "status", "estado"), "state"),
    **dict.fromkeys(("weight", "peso"), "weight"),
    **dict.fromkeys(("rate", "rate_per_hour", "hourly_limit", "limite", "limite_por_hora"), "rate"),
}
"""As :func:`~app.flow.importing.guess.folded` writes them."""
STATES: dict[str, EgressState] = {
    **dict.fromkeys(("warming", "warming_up", "en_calentamiento", "calentamiento", "calentando"), EgressState.WARMING),
    **dict.fromkeys(("active", "activa", "activo"), EgressState.ACTIVE),
    **dict.fromkeys(
        ("quarantined", "quarantine", "in_quarantine", "en_cuarentena", "cuarentena"), EgressState.QUARANTINED
    ),
}
WITHOUT_LIMIT = frozenset({"sin_limite", "ninguno", "none", "no_limit", "unlimited"})
"""An empty cell changes nothing: this is how a limit is taken away."""
NO_LIMIT = 0
NEEDED = ("address",)
MAX_ROWS = 2000
MAX_BYTES = 512 * 1024
MAX_SHOWN = 60


@dataclass(frozen=True, kw_only=True)
class SheetRow:
    """What a row says of one IP; ``None`` where it says nothing: then it stays as it is."""

    line: int
    address: str
    helo_name: str | None
    pool: str | None
    state: EgressState | None
    weight: int | None
    rate: int | None
    """Messages an hour; :data:`NO_LIMIT`: without limit."""


@dataclass(frozen=True, kw_only=True)
class RowProblem:
    """``code``: one of :class:`EgressProblem`'s, ``address_missing``, ``address_repeated`` (``seen``: the row it is in
    already), ``state_unknown``, ``too_many_cells``; for new IPs also ``helo_missing``, ``pool_missing``."""

    line: int
    """As a spreadsheet counts."""
    column: str
    """One of :data:`COLUMNS`."""
    code: str
    value: str = ""
    seen: int = 0


@dataclass(frozen=True)
class Sheet:
    rows: list[SheetRow]
    problems: list[RowProblem]


def decoded(content: bytes) -> str:
    """UTF-8 or UTF-16 with its mark, else Windows-1252, as offices have it. Raises ``not_text``."""
    if content.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")) or len(content) > MAX_BYTES:
        raise SheetProblem("not_text" if len(content) <= MAX_BYTES else "too_large", limit_bytes=MAX_BYTES)
    encodings = ("utf-16",) if content.startswith((b"\xff\xfe", b"\xfe\xff")) else ("utf-8-sig", "cp1252")
    for encoding in encodings:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise SheetProblem("not_text")


def read_sheet(text: str) -> Sheet:
    """Raises :class:`SheetProblem` where the file as a whole can't be understood."""
    text = text.removeprefix("\ufeff").replace("\0", "\u2400")
    if not text.strip():
        raise SheetProblem("empty")
    lines = _rows(text)
    header, *rest = lines or [(1, [])]
    columns = _columns(header[1])
    if not rest:
        raise SheetProblem("no_rows")
    if len(rest) > MAX_ROWS:
        raise SheetProblem("too_many_rows", limit=MAX_ROWS)
    return _read_rows(columns, rest)


def _rows(text: str) -> list[tuple[int, list[str]]]:
    """Those with something in them, each with its number."""
    first = next(line for line in text.splitlines() if line.strip())
    delimiter = max((";", ",", "\t"), key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        cells = [(reader.line_num, [undefused(cell).strip() for cell in row]) for row in reader]
    except csv.Error:
        raise SheetProblem("not_text") from None
    return [(line, row) for line, row in cells if any(row)]


def _columns(header: Sequence[str]) -> list[str]:
    found = [HEADERS.get(folded(name), "") for name in header]
    for name, column in zip(header, found, strict=True):
        if name and not column:
            raise SheetProblem("column_unknown", column=name[:MAX_SHOWN])
        if column and found.count(column) > 1:
            raise SheetProblem("column_repeated", column=column)
    for column in NEEDED:
        if column not in found:
            raise SheetProblem("column_missing", column=column)
    return found


def _read_rows(columns: Sequence[str], lines: Sequence[tuple[int, list[str]]]) -> Sheet:
    sheet, seen = Sheet([], []), dict[str, int]()
    for line, cells in lines:
        try:
            row = _read_row(line, columns, cells)
            if (first := seen.setdefault(row.address, line)) != line:
                raise CellProblem("address", "address_repeated", row.address, seen=first)
        except CellProblem as problem:
            sheet.problems.append(problem.of_row(line))
        else:
            sheet.rows.append(row)
    return sheet


class CellProblem(Exception):
    """Until it is known in which row."""

    def __init__(self, column: str, code: str, value: str, *, seen: int = 0) -> None:
        super().__init__(code)
        self.column, self.code, self.value, self.seen = column, code, value[:MAX_SHOWN], seen

    def of_row(self, line: int) -> RowProblem:
        return RowProblem(line=line, column=self.column, code=self.code, value=self.value, seen=self.seen)


def _read_row(line: int, columns: Sequence[str], cells: Sequence[str]) -> SheetRow:
    surplus = [cell for cell in cells[len(columns) :] if cell]
    if surplus:
        raise CellProblem(columns[-1], "too_many_cells", surplus[0])
    told = {column: cell for column, cell in zip(columns, cells, strict=False) if column and cell}
    if "address" not in told:
        raise CellProblem("address", "address_missing", "")
    return SheetRow(
        line=line,
        address=_cell(told, "address", checked_address) or "",
        helo_name=_cell(told, "helo", checked_helo),
        pool=_cell(told, "pool", checked_name),
        state=_state(told.get("state")),
        weight=_number(told, "weight", checked_weight),
        rate=NO_LIMIT if folded(told.get("rate", "")) in WITHOUT_LIMIT else _number(told, "rate", checked_rate),
    )


def _cell(told: dict[str, str], column: str, check: Callable[[str], str]) -> str | None:
    if column not in told:
        return None
    try:
        return check(told[column])
    except EgressProblem as problem:
        raise CellProblem(column, problem.code, told[column]) from problem


def _state(cell: str | None) -> EgressState | None:
    if cell is None:
        return None
    if folded(cell) not in STATES:
        raise CellProblem("state", "state_unknown", cell)
    return STATES[folded(cell)]


def _number(told: dict[str, str], column: str, check: Callable[[int], int | None]) -> int | None:
    if column not in told:
        return None
    cell = told[column]
    try:
        return check(int(cell) if cell.isascii() and cell.isdigit() and len(cell) < 10 else 0)
    except EgressProblem as problem:
        raise CellProblem(column, problem.code, cell) from problem
