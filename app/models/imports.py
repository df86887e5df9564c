"""Import: one uploaded file on its way into a list; ImportRow: what becomes of each of its rows."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.extensions import Model
from app.models.contact import MailingList
from app.models.types import Timestamp, enum_text
from app.models.user import User


class ImportStatus(StrEnum):
    UPLOADED = "uploaded"  # Stored and sniffed; waits for the person to map the columns.
    QUEUED = "queued"  # Mapped; waits for a worker to read the rows.
    ANALYSING = "analysing"
    READY = "ready"  # The person sees what would happen; nothing of theirs has changed yet.
    CONFIRMED = "confirmed"  # Waits for a worker to apply it.
    APPLYING = "applying"
    DONE = "done"
    FAILED = "failed"  # Nothing imported; `error` says why.
    CANCELLED = "cancelled"


IMPORT_TRANSITIONS: dict[ImportStatus, frozenset[ImportStatus]] = {
    ImportStatus.UPLOADED: frozenset({ImportStatus.QUEUED, ImportStatus.FAILED, ImportStatus.CANCELLED}),
    ImportStatus.QUEUED: frozenset({ImportStatus.ANALYSING, ImportStatus.CANCELLED}),
    # Analysing again: the lease of a killed worker expired and another one starts over (staging is emptied first).
    ImportStatus.ANALYSING: frozenset(
        {ImportStatus.ANALYSING, ImportStatus.READY, ImportStatus.FAILED, ImportStatus.CANCELLED}
    ),
    # Back to queued: the person changed the mapping after seeing the result.
    ImportStatus.READY: frozenset({ImportStatus.QUEUED, ImportStatus.CONFIRMED, ImportStatus.CANCELLED}),
    ImportStatus.CONFIRMED: frozenset({ImportStatus.APPLYING, ImportStatus.CANCELLED}),
    # Applying is one transaction: a kill leaves nothing half-imported and the next worker starts it again.
    ImportStatus.APPLYING: frozenset({ImportStatus.APPLYING, ImportStatus.DONE, ImportStatus.FAILED}),
    ImportStatus.DONE: frozenset(),
    ImportStatus.FAILED: frozenset(),
    ImportStatus.CANCELLED: frozenset(),
}


class Import(Model):
    __tablename__ = "import"

    id: Mapped[int] = mapped_column(primary_key=True)
    panel_id: Mapped[int] = mapped_column(ForeignKey("panel.id"), index=True)
    list_id: Mapped[int | None] = mapped_column(ForeignKey("mailing_list.id"))
    list_name: Mapped[str | None] = mapped_column(String(100))
    """A list to be made when the import is applied, so that a cancelled import leaves none behind."""
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id", ondelete="SET NULL"))
    filename: Mapped[str] = mapped_column(String(255))
    stored_path: Mapped[str]
    """Relative to the upload directory."""
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    encoding: Mapped[str] = mapped_column(String(40))
    delimiter: Mapped[str] = mapped_column(String(1))
    has_header: Mapped[bool] = mapped_column(default=True, server_default=text("true"))
    """Whether line 1 names the columns; a bare list of addresses has none."""
    header: Mapped[list[str]] = mapped_column(JSONB)
    """One name per column; made up («Columna 2») where the file gives none."""
    mapping: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict, server_default=text("'{}'"))
    """Column index (as text) -> ``email``, ``name``, ``field:<key>`` or ``skip``. Fields that do not exist yet are made
    when the import is applied."""
    status: Mapped[ImportStatus] = mapped_column(enum_text(ImportStatus), default=ImportStatus.UPLOADED)
    counts: Mapped[dict[str, int]] = mapped_column(JSONB, default=dict, server_default=text("'{}'"))
    """Rows by :class:`RowOutcome`, and ``total``."""
    progress_bytes: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    error: Mapped[str | None]
    """JSON: ``code`` and what its sentence needs (line, column …)."""
    claim: Mapped[int] = mapped_column(default=0, server_default="0")
    """Raised by every claim: the fence against a worker that lost its lease."""
    lease_expires_at: Mapped[datetime | None] = mapped_column(Timestamp)
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    moved_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    """When a person or a worker last moved it on."""
    finished_at: Mapped[datetime | None] = mapped_column(Timestamp)

    mailing_list: Mapped[MailingList | None] = relationship()
    created_by: Mapped[User | None] = relationship()


class RowOutcome(StrEnum):
    """What the import does with a row."""

    NEW = "new"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    DUPLICATE = "duplicate"  # The address stands in an earlier row of the file; the first one counts.
    INVALID = "invalid"
    SUPPRESSED = "suppressed"  # The contact is kept up to date but will not be mailed.
    UNSUBSCRIBED = "unsubscribed"  # Left this list before: stays so.


class ImportRow(Model):
    """Staging: filled by COPY, classified by SQL, applied by one upsert. Kept for the rejects file."""

    __tablename__ = "import_row"

    import_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """No foreign key: it would double the time of filling a million rows, and imports are never deleted."""
    line: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """Line of the file where the row begins; the header is line 1."""
    email: Mapped[str | None] = mapped_column(String(254), index=True)
    name: Mapped[str] = mapped_column(String(200), default="", server_default="")
    fields: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict, server_default=text("'{}'"))
    outcome: Mapped[RowOutcome | None] = mapped_column(enum_text(RowOutcome))
    column: Mapped[int | None]
    """1-based column of the problem."""
    reason: Mapped[str | None] = mapped_column(String(40))
    """Stable code of the problem (``duplicate:12``: of line 12); its sentence is made where it is shown."""
    cells: Mapped[list[str] | None] = mapped_column(JSONB)
    """The row as it stood in the file, for rejected rows only."""

    __table_args__ = (
        # Rejected rows have no address to find them by when a person is erased.
        Index("ix_import_row_rejected", "import_id", "line", postgresql_where=text("cells IS NOT NULL")),
    )
