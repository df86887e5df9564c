"""A file becomes contacts and subscriptions. The steps, in order, and who takes them:

    create        a person or a command: the file is stored and looked at
    save_mapping  a person: which column is what, into which list
    analyse       a worker: every row is read, checked, staged and classified; nothing of the panel changes
    confirm       a person, having seen what would happen
    apply         a worker: contacts and subscriptions, in one transaction

``due`` names what waits for a worker. Analysing and applying may be killed at any moment: their transaction is gone
with them and, when the lease has expired, the next worker starts over.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from psycopg import OperationalError as DriverError
from sqlalchemy import Engine, Select, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import joinedload

from app.config import Settings
from app.flow import custom_fields
from app.flow.importing import claims, retention, store
from app.flow.importing.apply import apply_rows
from app.flow.importing.check import RowChecker
from app.flow.importing.classify import classify
from app.flow.importing.guess import EMAIL, guess_mapping
from app.flow.importing.mapping import Guessed, check_mapping, check_new_fields, check_target
from app.flow.importing.problems import FileProblem, ImportProblem
from app.flow.importing.read import RowReader
from app.flow.importing.sniff import Sniffed, column_names, sniff
from app.flow.importing.stage import stage
from app.flow.sessions import AnySession
from app.logs import get_logger
from app.models import Import, ImportStatus

log = get_logger(__name__)
Work = Callable[[Import, claims.Heartbeat], dict[str, Any]]


def create(
    session: AnySession,
    settings: Settings,
    *,
    panel_id: int,
    user_id: int | None,
    filename: str,
    part: Path,
    list_id: int | None = None,
) -> Import:
    """Take over the stored upload ``part`` and look at it. Raises :class:`ImportProblem`; then nothing is kept."""
    target = check_target(session, panel_id, list_id, None) if list_id is not None else {}
    seen = sniff(part, max_columns=settings.max_import_columns)
    size_bytes = part.stat().st_size
    job = Import(
        panel_id=panel_id,
        created_by_id=user_id,
        filename="".join(sign for sign in filename if sign.isprintable())[-255:] or "contactos.csv",
        stored_path=store.adopt(part),
        size_bytes=size_bytes,
        encoding=seen.encoding,
        delimiter=seen.delimiter,
        has_header=seen.has_header,
        header=seen.header,
        mapping=guess_mapping(seen, custom_fields.of_panel(session, panel_id)),
        **target,
    )
    session.add(job)
    session.commit()
    return job


def look(settings: Settings, job: Import, *, encoding: str | None = None, delimiter: str | None = None) -> Sniffed:
    """The file's beginning, read as stored or as the person tries out. Raises :class:`ImportProblem`."""
    return sniff(
        stored_file(settings, job),
        max_columns=settings.max_import_columns,
        encoding=encoding or job.encoding,
        delimiter=delimiter or job.delimiter,
    )


def guessed_mapping(
    session: AnySession, settings: Settings, job: Import, *, encoding: str | None = None, delimiter: str | None = None
) -> Guessed:
    """What the columns probably are, the file read so."""
    seen = look(settings, job, encoding=encoding, delimiter=delimiter)
    fields = custom_fields.of_panel(session, job.panel_id)
    return Guessed(seen.header, guess_mapping(seen, fields), {field.key: field.label for field in fields})


def save_mapping(
    session: AnySession,
    settings: Settings,
    job: Import,
    *,
    mapping: Mapping[str, str],
    list_id: int | None = None,
    list_name: str | None = None,
    encoding: str | None = None,
    delimiter: str | None = None,
) -> None:
    """What the columns are and where the people go; then the rows are read. Raises :class:`ImportProblem`."""
    seen = look(settings, job, encoding=encoding, delimiter=delimiter)
    checked = check_mapping(mapping, columns=len(seen.header))
    labels = {field.key: field.label for field in custom_fields.of_panel(session, job.panel_id)}
    check_new_fields(checked, seen.header, labels)
    target = check_target(session, job.panel_id, list_id, list_name)
    claims.move(
        session,
        job.id,
        ImportStatus.QUEUED,
        mapping=checked,
        encoding=seen.encoding,
        delimiter=seen.delimiter,
        has_header=seen.has_header,
        header=seen.header,
        counts={},
        progress_bytes=0,
        **target,
    )
    session.commit()


def analyse(session: AnySession, settings: Settings, import_id: int) -> ImportStatus | None:
    """Read, check, stage and classify every row. The status it ends in; None where there was nothing to claim."""

    def work(job: Import, beat: claims.Heartbeat) -> dict[str, Any]:
        def tick(bytes_read: int) -> None:
            beat.progress_bytes = bytes_read
            beat.check()

        rows = _stage_rows(session, settings, job, tick)
        email_column = next(int(index) + 1 for index, target in job.mapping.items() if target == EMAIL)
        counts = classify(session, job, rows=rows, list_id=job.list_id, email_column=email_column)
        return {"counts": counts, "progress_bytes": job.size_bytes}

    return _run(session, settings, import_id, ImportStatus.ANALYSING, ImportStatus.READY, work)


def apply(session: AnySession, settings: Settings, import_id: int) -> ImportStatus | None:
    """Make contacts and subscriptions of the analysed rows, all or none. The status it ends in; None as above."""

    def work(job: Import, _: claims.Heartbeat) -> dict[str, Any]:
        list_id, done = apply_rows(session, job)
        ended = datetime.now(UTC)
        return {
            "counts": {**job.counts, **done},
            "list_id": list_id,
            "progress_bytes": job.size_bytes,
            "finished_at": ended,
        }

    return _run(session, settings, import_id, ImportStatus.APPLYING, ImportStatus.DONE, work)


def confirm(session: AnySession, job: Import) -> None:
    """The person has seen what would happen. Raises ``wrong_state``."""
    claims.move(session, job.id, ImportStatus.CONFIRMED)
    session.commit()


def cancel(session: AnySession, settings: Settings, job: Import) -> None:
    """Nothing will be imported; a worker that reads the file stops within a second. Raises ``wrong_state``."""
    claims.move(session, job.id, ImportStatus.CANCELLED, finished_at=datetime.now(UTC))
    session.commit()
    store.discard(settings, job.stored_path)


def of_panel(panel_id: int) -> Select[Import]:
    """The history, for paging."""
    return (
        select(Import)
        .where(Import.panel_id == panel_id)
        .options(joinedload(Import.mailing_list), joinedload(Import.created_by))
    )


def due(session: AnySession) -> list[tuple[str, int]]:
    """What waits for a worker, oldest first: (``analyse`` or ``apply``, import id)."""
    rows = session.execute(
        text(
            "SELECT CASE WHEN status IN ('queued', 'analysing') THEN 'analyse' ELSE 'apply' END, id FROM import "
            "WHERE status IN ('queued', 'confirmed') OR status IN ('analysing', 'applying') AND lease_expires_at < now() "
            "ORDER BY id"
        )
    )
    return [(step, import_id) for step, import_id in rows]


def tidy(session: AnySession, settings: Settings, *, now: datetime) -> int:
    """Forget what imports keep of people, when its days are over (``KEEP_IMPORT_DAYS``); the number of rows."""
    before = now - timedelta(days=settings.keep_import_days)
    return retention.forget_old(session, settings, now=now, before=before)


def stored_file(settings: Settings, job: Import) -> Path:
    path = store.path_of(settings, job.stored_path)
    if not path.exists():
        raise ImportProblem(FileProblem.MISSING)
    return path


def _stage_rows(session: AnySession, settings: Settings, job: Import, tick: Callable[[int], None]) -> int:
    types = {field.key: field.type for field in custom_fields.of_panel(session, job.panel_id)}
    checker = RowChecker(
        header=job.header if job.has_header else [""] * len(job.header), mapping=job.mapping, types=types
    )
    connection = session.connection().connection.driver_connection
    assert connection is not None  # noqa: S101  # a checked-out connection has one
    with RowReader(stored_file(settings, job), encoding=job.encoding, delimiter=job.delimiter) as reader:
        rows = iter(reader)
        if job.has_header and column_names(next(rows).cells) != job.header:
            raise ImportProblem(FileProblem.FILE_CHANGED)
        return stage(connection, reader, rows, checker, tick)


def _run(
    session: AnySession, settings: Settings, import_id: int, working: ImportStatus, wanted: ImportStatus, work: Work
) -> ImportStatus | None:
    """Claim, work under a heartbeat, finish: one transaction, which a lost claim, a kill or a problem undoes."""
    claim = claims.claim(session, import_id, working, settings.lease_seconds)
    if claim is None:
        return None
    job = session.get_one(Import, import_id)
    stored_path = job.stored_path
    with claims.Heartbeat(_engine(session), claim, on_lost=_interrupter(session)) as beat:
        try:
            claims.finish(session, claim, wanted, **work(job, beat))
            session.commit()
        except claims.LostClaim:
            session.rollback()
            return None
        except (OperationalError, DriverError):
            session.rollback()
            if beat.lost:
                return None
            raise  # The database will be back, and the import is due again when its lease has expired.
        except Exception as error:
            session.rollback()
            wanted = _fail(session, claim, error)
    if wanted in claims.ENDED:
        store.discard(settings, stored_path)
    return wanted


def _fail(session: AnySession, claim: claims.Claim, error: Exception) -> ImportStatus:
    """Nothing was imported; the import says why."""
    if not isinstance(error, ImportProblem):
        log.error("import_failed", import_id=claim.import_id, exc_info=error)
        error = ImportProblem(FileProblem.UNEXPECTED)
    try:
        claims.finish(session, claim, ImportStatus.FAILED, error=error.to_json(), finished_at=datetime.now(UTC))
        session.commit()
    except claims.LostClaim:
        session.rollback()
    return ImportStatus.FAILED


def _engine(session: AnySession) -> Engine:
    bind = session.get_bind()
    return bind if isinstance(bind, Engine) else bind.engine


def _interrupter(session: AnySession) -> Callable[[], None]:
    """Stops the statement that runs in the session's transaction; called from the heartbeat's thread."""
    connection = session.connection().connection.driver_connection
    assert connection is not None  # noqa: S101  # for mypy
    return lambda: connection.cancel_safe(timeout=5)
