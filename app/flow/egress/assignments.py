"""Which pool a panel's stream uses at a relay. Where nothing is assigned, it is the relay's oldest pool with IPs."""

from collections.abc import Mapping

from sqlalchemy import delete, exists, select
from sqlalchemy.dialects.postgresql import insert

from app.flow.egress.ips import pool_of_relay
from app.flow.egress.problems import EgressProblem
from app.flow.sessions import AnySession
from app.models import EgressAssignment, EgressIp, EgressPool, MailStream, Panel

Cell = tuple[int, MailStream]
"""Panel and stream."""


def assignments_of(session: AnySession, relay_id: int) -> dict[Cell, int]:
    """The pool of each cell that has one."""
    rows = session.scalars(select(EgressAssignment).where(EgressAssignment.relay_id == relay_id))
    return {(row.panel_id, row.stream): row.pool_id for row in rows}


def default_pool(session: AnySession, relay_id: int) -> EgressPool | None:
    """What everything without an assignment uses; none while the relay has no IPs."""
    return session.scalar(
        select(EgressPool)
        .where(EgressPool.relay_id == relay_id, exists().where(EgressIp.pool_id == EgressPool.id))
        .order_by(EgressPool.id)
        .limit(1)
    )


def assign(session: AnySession, relay_id: int, wanted: Mapping[Cell, int | None]) -> int:
    """All of ``wanted`` at once (``None``: no assignment of its own); how many cells changed. Messages that already have an
    IP keep it. Raises ``pool_missing``, and ``pool_empty`` for one that could send nothing."""
    before = assignments_of(session, relay_id)
    panel_ids = set(session.scalars(select(Panel.id)))
    changes = {
        cell: pool_id for cell, pool_id in wanted.items() if pool_id != before.get(cell) and cell[0] in panel_ids
    }
    for new_pool_id in {pool_id for pool_id in changes.values() if pool_id is not None}:
        _refuse_empty(session, pool_of_relay(session, relay_id, new_pool_id))
    for cell, pool_id in changes.items():
        _store(session, relay_id, cell, pool_id)
    session.commit()
    return len(changes)


def _refuse_empty(session: AnySession, pool: EgressPool) -> None:
    if not session.scalar(select(exists().where(EgressIp.pool_id == pool.id))):
        raise EgressProblem("pool_empty", name=pool.name)


def _store(session: AnySession, relay_id: int, cell: Cell, pool_id: int | None) -> None:
    panel_id, stream = cell
    key = {"relay_id": relay_id, "panel_id": panel_id, "stream": stream}
    if pool_id is None:
        session.execute(delete(EgressAssignment).filter_by(**key))
        return
    statement = insert(EgressAssignment).values(**key, pool_id=pool_id)
    session.execute(
        statement.on_conflict_do_update(index_elements=["relay_id", "panel_id", "stream"], set_={"pool_id": pool_id})
    )
