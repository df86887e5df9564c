"""Who may work on an import: a claim by compare-and-set, a lease that a heartbeat renews, a number that fences off
whoever lost it. A cancelled import is a lost claim."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event, Thread
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Engine, text, update
from sqlalchemy.exc import SQLAlchemyError

from app.flow.bell import ring_dispatcher
from app.flow.importing.problems import FileProblem, ImportProblem
from app.flow.sessions import AnySession, rows_changed
from app.logs import get_logger
from app.models import IMPORT_TRANSITIONS, Import, ImportStatus, check_transition, sources_of

BEAT_SECONDS = 1.0
ENDED = frozenset({ImportStatus.DONE, ImportStatus.FAILED, ImportStatus.CANCELLED})
log = get_logger(__name__)


@dataclass(frozen=True)
class Claim:
    import_id: int
    number: int
    working: ImportStatus
    lease_seconds: int


class LostClaim(Exception):
    """Somebody cancelled the import, or another worker took it over: leave everything as it is."""


def claim(session: AnySession, import_id: int, working: ImportStatus, lease_seconds: int) -> Claim | None:
    """Take the import to ``working``; None where that is not due, or another worker holds it. Commits."""
    number = session.scalar(
        text(
            "UPDATE import SET status = :working, moved_at = now(), claim = claim + 1, progress_bytes = 0, "
            "lease_expires_at = now() + make_interval(secs => :lease_seconds) WHERE id = :id AND status = ANY(:sources) "
            "AND (status <> :working OR lease_expires_at < now()) RETURNING claim"
        ),
        {
            "id": import_id,
            "working": working.value,
            "sources": sources_of(IMPORT_TRANSITIONS, working),
            "lease_seconds": lease_seconds,
        },
    )
    session.commit()
    return None if number is None else Claim(import_id, number, working, lease_seconds)


def finish(session: AnySession, claim: Claim, wanted: ImportStatus, **values: Any) -> None:
    """The last statement of the work's transaction. Raises :class:`LostClaim`; the caller rolls back."""
    check_transition(IMPORT_TRANSITIONS, claim.working, wanted)
    statement = (
        update(Import)
        .where(Import.id == claim.import_id, Import.claim == claim.number, Import.status == claim.working)
        .values(status=wanted, moved_at=datetime.now(UTC), lease_expires_at=None, **values)
    )
    if rows_changed(session, statement) != 1:
        raise LostClaim


def move(session: AnySession, import_id: int, wanted: ImportStatus, **values: Any) -> None:
    """A person's move, as far as the table allows it. Raises ``wrong_state``. Rings; the caller commits."""
    allowed = [ImportStatus(source) for source in sources_of(IMPORT_TRANSITIONS, wanted)]
    statement = (
        update(Import)
        .where(Import.id == import_id, Import.status.in_(allowed))
        .values(status=wanted, moved_at=datetime.now(UTC), lease_expires_at=None, **values)
    )
    if rows_changed(session, statement) != 1:
        status = session.scalar(text("SELECT status FROM import WHERE id = :id"), {"id": import_id})
        raise ImportProblem(FileProblem.WRONG_STATE, status=status)
    ring_dispatcher(session)


class Heartbeat:
    """Renews the lease and writes the progress each second, on a connection of its own, while the work's transaction is
    open. ``on_lost`` is called once when the claim is gone (it may interrupt a statement that is running)."""

    def __init__(self, engine: Engine, claim: Claim, on_lost: Callable[[], None]) -> None:
        self.progress_bytes = 0
        self.lost = False
        self._engine = engine
        self._claim = claim
        self._on_lost = on_lost
        self._stop = Event()
        self._thread = Thread(target=self._beat, name=f"import-{claim.import_id}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, _: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def check(self) -> None:
        """Raises :class:`LostClaim` where it is."""
        if self.lost:
            raise LostClaim

    def _beat(self) -> None:
        while not self._stop.wait(BEAT_SECONDS) and not self.lost:
            try:
                self.lost = not self._renew()
            except SQLAlchemyError as error:  # The database restarts: the lease outlives some missed beats.
                log.warning("import_heartbeat_failed", import_id=self._claim.import_id, error=type(error).__name__)
            if self.lost:
                self._on_lost()

    def _renew(self) -> bool:
        statement = text(
            "UPDATE import SET progress_bytes = :progress_bytes, "
            "lease_expires_at = now() + make_interval(secs => :lease_seconds) "
            "WHERE id = :id AND claim = :claim AND status = :working"
        )
        with self._engine.begin() as connection:
            renewed = connection.execute(
                statement,
                {
                    "progress_bytes": self.progress_bytes,
                    "lease_seconds": self._claim.lease_seconds,
                    "id": self._claim.import_id,
                    "claim": self._claim.number,
                    "working": self._claim.working.value,
                },
            )
            return renewed.rowcount == 1
