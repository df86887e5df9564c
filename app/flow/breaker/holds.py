"""The holds of a relay for people: what is held now, what was; lifting one; closing those that have ended."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Select, select

from app.flow import bell
from app.flow.breaker.phases import Phase, ends_at, is_watch, phase
from app.flow.problem import Problem
from app.flow.sessions import AnySession
from app.models import EgressIp, HoldKind, ProviderHold, User

CLOSE_AT_MOST = 500
ORDER = (Phase.SUSPENDED, Phase.RECOVERING, Phase.SLOW, Phase.WATCHED)
"""The gravest first."""


class HoldProblem(Problem):
    """``code``: ``already_ended``."""


def current(session: AnySession, relay_id: int, now: datetime) -> list[ProviderHold]:
    """What is held or watched now, the gravest first."""
    rows = session.scalars(
        select(ProviderHold)
        .where(ProviderHold.relay_id == relay_id, ProviderHold.lifted_at.is_(None))
        .order_by(ProviderHold.started_at.desc())
    )
    return sorted(
        (hold for hold in rows if phase(hold, now) is not Phase.ENDED), key=lambda hold: ORDER.index(phase(hold, now))
    )


def history(relay_id: int) -> Select[ProviderHold]:
    """What was held, without what was only watched."""
    return select(ProviderHold).where(
        ProviderHold.relay_id == relay_id,
        ProviderHold.lifted_at.is_not(None),
        (ProviderHold.kind == HoldKind.SUSPENDED) | (ProviderHold.factor < 1),
    )


def addresses(session: AnySession, relay_id: int) -> dict[int, str]:
    """Of the relay's IPs, by id."""
    rows = session.execute(select(EgressIp.id, EgressIp.address).where(EgressIp.relay_id == relay_id))
    return {row.id: row.address for row in rows}


def lifters(session: AnySession, holds: Iterable[ProviderHold]) -> dict[int, str]:
    """Names of the people who lifted some of these, by id."""
    ids = {hold.lifted_by_id for hold in holds if hold.lifted_by_id is not None}
    return {row.id: row.name for row in session.execute(select(User.id, User.name).where(User.id.in_(ids)))}


def lift(session: AnySession, hold: ProviderHold, user: User | None, *, now: datetime) -> None:
    """The whole rate from now on. A suspension that was cut short counts as that short one when the next is made twice as
    long. Commits. Raises :class:`HoldProblem` where it has ended already."""
    session.refresh(hold, with_for_update=True)
    if phase(hold, now) is Phase.ENDED:
        session.rollback()
        raise HoldProblem("already_ended")
    hold.lifted_at, hold.lifted_by_id = now, user.id if user else None
    hold.until = min(hold.until, now)
    bell.ring_dispatcher(session)
    session.commit()


def close_ended(session: AnySession, now: datetime) -> int:
    """Holds whose recovery is through become history, dated when they ended; watches go. Commits."""
    rows = session.scalars(
        select(ProviderHold)
        .where(ProviderHold.lifted_at.is_(None), ProviderHold.until <= now)
        .order_by(ProviderHold.id)
        .limit(CLOSE_AT_MOST)
        .with_for_update(skip_locked=True)
    ).all()
    ended = [hold for hold in rows if phase(hold, now) is Phase.ENDED]
    for hold in ended:
        if is_watch(hold):
            session.delete(hold)
        else:
            hold.lifted_at = ends_at(hold)
    session.commit()
    return len(ended)
