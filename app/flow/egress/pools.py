"""Pools of a relay."""

from collections.abc import Mapping

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError

from app.flow.egress.problems import EgressProblem
from app.flow.sessions import AnySession
from app.models import EgressAssignment, EgressIp, EgressPool

MAX_NAME = 60


def pools_of(session: AnySession, relay_id: int) -> list[EgressPool]:
    """Oldest first: the first one with IPs is the one that streams without an assignment use."""
    return list(session.scalars(select(EgressPool).where(EgressPool.relay_id == relay_id).order_by(EgressPool.id)))


def make_pool(session: AnySession, relay_id: int, name: str) -> EgressPool:
    """Raises :class:`EgressProblem`."""
    pool = EgressPool(relay_id=relay_id, name=checked_name(name))
    session.add(pool)
    _commit(session)
    return pool


def rename_pool(session: AnySession, pool: EgressPool, name: str) -> None:
    """Raises :class:`EgressProblem`."""
    pool.name = checked_name(name)
    _commit(session)


def delete_pool(session: AnySession, pool: EgressPool) -> None:
    """Only an empty one; what was assigned to it goes back to the relay's oldest pool. Raises :class:`EgressProblem`."""
    lock_pool(session, pool.id)
    count = session.scalar(select(func.count()).where(EgressIp.pool_id == pool.id))
    if count:
        session.rollback()
        raise EgressProblem("pool_not_empty", count=count)
    session.execute(delete(EgressAssignment).where(EgressAssignment.pool_id == pool.id))
    session.execute(delete(EgressPool).where(EgressPool.id == pool.id))
    session.commit()


def lock_pool(session: AnySession, pool_id: int) -> None:
    """Until the transaction ends, nobody puts an IP into it (the foreign key's own lock waits for this one)."""
    session.execute(select(EgressPool.id).where(EgressPool.id == pool_id).with_for_update())


def checked_name(name: str) -> str:
    """Blanks tidied. Raises ``name_missing``, ``name_too_long``."""
    name = " ".join(name.split())
    if not name or not name.isprintable():
        raise EgressProblem("name_missing")
    if len(name) > MAX_NAME:
        raise EgressProblem("name_too_long", limit=MAX_NAME)
    return name


def ip_counts(session: AnySession, relay_id: int) -> Mapping[int, Mapping[str, int]]:
    """By pool: how many IPs in each state."""
    found: dict[int, dict[str, int]] = {pool.id: {} for pool in pools_of(session, relay_id)}
    rows = session.execute(
        select(EgressIp.pool_id, EgressIp.state, func.count())
        .where(EgressIp.relay_id == relay_id)
        .group_by(EgressIp.pool_id, EgressIp.state)
    )
    for pool_id, state, count in rows:
        found.setdefault(pool_id, {})[state.value] = count
    return found


def _commit(session: AnySession) -> None:
    try:
        session.commit()
    except IntegrityError as error:
        session.rollback()
        raise EgressProblem("name_taken") from error
