"""The mapping page: what it shows of each column, and what the person chose."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.flow.importing.guess import EMAIL, FIELD_PREFIX, NAME, SKIP, propose_key
from app.flow.importing.problems import FileProblem, ImportProblem
from app.flow.importing.sniff import Sniffed, visible
from app.models import CustomField

NEW = "new"
NEW_LIST = "new"
SHOWN_SAMPLES = 3
SHOWN_CHARACTERS = 60


@dataclass(frozen=True, kw_only=True)
class Column:
    index: int
    header: str
    samples: list[str]
    choice: str
    """``email``, ``name``, ``skip``, ``field:<key>`` of an existing field, or ``new``."""
    new_key: str
    """Of the field that ``new`` makes."""

    @property
    def number(self) -> int:
        return self.index + 1


def columns_of(seen: Sniffed, mapping: Mapping[str, str], fields: Sequence[CustomField]) -> list[Column]:
    existing = {FIELD_PREFIX + field.key for field in fields}
    taken = {target.removeprefix(FIELD_PREFIX) for target in (*existing, *mapping.values())}
    columns = []
    for index, header in enumerate(seen.header):
        target = mapping.get(str(index), SKIP)
        known = target in existing or target in (EMAIL, NAME, SKIP)
        column = Column(
            index=index,
            header=header,
            samples=_samples(seen, index),
            choice=target if known else NEW,
            new_key=propose_key(header, index + 1, taken) if known else target.removeprefix(FIELD_PREFIX),
        )
        taken.add(column.new_key)
        columns.append(column)
    return columns


def _samples(seen: Sniffed, index: int) -> list[str]:
    filled = (visible(row[index]).strip() for row in seen.samples)
    return [_short(cell) for cell in filled if cell][:SHOWN_SAMPLES]


def _short(cell: str) -> str:
    return cell if len(cell) <= SHOWN_CHARACTERS else f"{cell[: SHOWN_CHARACTERS - 1]}…"


def mapping_from(form: Mapping[str, str], columns: int) -> dict[str, str]:
    """What was posted, as ``Import.mapping`` has it."""
    mapping = {}
    for index in range(columns):
        choice = form.get(f"column_{index}", SKIP)
        mapping[str(index)] = FIELD_PREFIX + form.get(f"key_{index}", "").strip() if choice == NEW else choice
    return mapping


def target_from(form: Mapping[str, str]) -> tuple[int | None, str | None]:
    """The id of the chosen list, or the name of the new one."""
    chosen = form.get("list_id", "")
    return (int(chosen), None) if chosen.isdecimal() and len(chosen) < 10 else (None, form.get("list_name"))


OF_A_COLUMN = {
    FileProblem.SEVERAL_EMAIL_COLUMNS,
    FileProblem.SEVERAL_NAME_COLUMNS,
    FileProblem.FIELD_TWICE,
    FileProblem.FIELD_EXISTS,
}
OF_THE_LIST = {FileProblem.NO_LIST, FileProblem.LIST_NAME_TOO_LONG, FileProblem.LIST_ARCHIVED}


def faulty_field(problem: ImportProblem, form: Mapping[str, str]) -> str | None:
    """The id of the field where a refused mapping can be mended; None where the file itself is at fault."""
    if problem.code in OF_THE_LIST:
        return "list_name" if form.get("list_id") == NEW_LIST else "list_id"
    if problem.code is FileProblem.NO_EMAIL_COLUMN:
        return "column_0"
    if problem.code is FileProblem.BAD_FIELD_KEY:
        return f"key_{problem.details['column'] - 1}"
    if problem.code in OF_A_COLUMN:
        return f"column_{problem.details['column'] - 1}"
    return None
