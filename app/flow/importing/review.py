"""What people see of an import: its rows by outcome, and the rejected ones as a file."""

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Select, bindparam, select

from app.flow.importing.guess import ABOUT_REJECTS, EMAIL, FIELD_PREFIX, NAME, folded
from app.flow.sessions import AnySession
from app.flow.slices import in_slices
from app.models import Import, ImportRow, RowOutcome

REJECTED = (RowOutcome.INVALID, RowOutcome.DUPLICATE)
MAILED = (RowOutcome.NEW, RowOutcome.CHANGED, RowOutcome.UNCHANGED)
"""People who are on the list after the import and may be mailed."""
KEPT_UNMAILED = (RowOutcome.SUPPRESSED, RowOutcome.UNSUBSCRIBED)


def total(counts: Mapping[str, int], *outcomes: RowOutcome) -> int:
    return sum(counts.get(outcome.value, 0) for outcome in outcomes)


def has_rows(session: AnySession, job: Import) -> bool:
    """Whether its rows can still be looked at: they are forgotten some time after its end."""
    return session.scalar(rows_of(job, None).limit(1)) is not None


def rows_of(job: Import, outcome: RowOutcome | None) -> Select[Any]:
    """Rows of the import, for paging by line."""
    statement = select(ImportRow).where(ImportRow.import_id == job.id)
    return statement if outcome is None else statement.where(ImportRow.outcome == outcome)


def rejected_rows(session: AnySession, job: Import) -> Iterator[Any]:
    """All rejected rows (as :class:`ImportRow` has them) in the file's order."""
    behind = (
        select(*ImportRow.__table__.columns)
        .where(ImportRow.import_id == job.id, ImportRow.outcome.in_(REJECTED), ImportRow.line > bindparam("after"))
        .order_by(ImportRow.line)
        .limit(bindparam("slice"))
    )
    return in_slices(session, behind, key="line")


def own_columns(job: Import) -> list[int]:
    """The columns of the file that are the person's own: a file of rejected rows that came back and was rejected again
    doesn't say twice why."""
    return [index for index, name in enumerate(job.header) if folded(name) not in ABOUT_REJECTS]


def original_cells(job: Import, row: Any) -> list[str]:
    """The row as the file has it. Duplicates were valid rows, of which only the imported columns are kept."""
    if row.cells is not None:
        return list(row.cells)
    kept: dict[str, Any] = {EMAIL: row.email, NAME: row.name}
    kept.update({FIELD_PREFIX + key: value for key, value in row.fields.items()})
    return [str(kept.get(job.mapping.get(str(index), ""), "")) for index in range(len(job.header))]
