"""IPs of a relay: added, changed, moved, removed; and their states, each change with its reason and time."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import Select, cast, func, select
from sqlalchemy.dialects.postgresql import INET
from sqlalchemy.exc import IntegrityError

from app.flow.egress.addresses import checked_address, checked_helo, checked_rate, checked_weight
from app.flow.egress.problems import EgressProblem
from app.flow.sessions import AnySession
from app.models import EGRESS_TRANSITIONS, EgressIp, EgressPool, EgressState, EgressUse

MAX_REASON = 300
BY_NUMBER: Any = func.encode(func.inet_send(cast(EgressIp.address, INET)), "hex")
"""Sorts 192.0.2.9 before 192.0.2.10, and IPv4 before IPv6."""


@dataclass(frozen=True, kw_only=True)
class IpDetails:
    """What administrators write."""

    address: str
    helo_name: str
    pool_id: int
    weight: int = 1
    rate_per_hour: int | None = None
    """Upper limit of all that leaves by it; none: as its providers allow."""


def ips_of(relay_id: int, *, pool_id: int | None = None, state: EgressState | None = None) -> Select[EgressIp]:
    """For a paged list."""
    statement = select(EgressIp).where(EgressIp.relay_id == relay_id)
    if pool_id is not None:
        statement = statement.where(EgressIp.pool_id == pool_id)
    return statement.where(EgressIp.state == state) if state is not None else statement


def add_ip(
    session: AnySession, relay_id: int, details: IpDetails, *, now: datetime, state: EgressState = EgressState.WARMING
) -> EgressIp:
    """Raises :class:`EgressProblem`."""
    ip = EgressIp(relay_id=relay_id, address=checked_address(details.address))
    ip.helo_name, ip.weight = checked_helo(details.helo_name), checked_weight(details.weight)
    ip.rate_per_hour = checked_rate(details.rate_per_hour)
    ip.pool_id = pool_of_relay(session, relay_id, details.pool_id).id
    begin_in(ip, state, now=now)
    session.add(ip)
    _commit(session)
    return ip


def change_ip(session: AnySession, ip: EgressIp, details: IpDetails) -> None:
    """Its address only while it has sent nothing: warm-up and figures are the address' own.
    Raises :class:`EgressProblem`."""
    address, helo_name = checked_address(details.address), checked_helo(details.helo_name)
    weight, rate = checked_weight(details.weight), checked_rate(details.rate_per_hour)
    pool = pool_of_relay(session, ip.relay_id, details.pool_id)
    if address != ip.address and has_sent(session, ip):
        raise EgressProblem("address_used")
    ip.address, ip.helo_name, ip.weight, ip.pool_id = address, helo_name, weight, pool.id
    ip.rate_per_hour = rate
    _commit(session)


def move_ips(session: AnySession, relay_id: int, ip_ids: list[int], pool_id: int) -> int:
    """Into another pool of the same relay; how many were elsewhere. Raises ``pool_missing``."""
    pool = pool_of_relay(session, relay_id, pool_id)
    moved = session.scalars(
        ips_of(relay_id).where(EgressIp.id.in_(ip_ids), EgressIp.pool_id != pool.id).with_for_update()
    ).all()
    for ip in moved:
        ip.pool_id = pool.id
    session.commit()
    return len(moved)


def remove_ip(session: AnySession, ip: EgressIp) -> None:
    """With its figures."""
    session.delete(ip)
    session.commit()


def has_sent(session: AnySession, ip: EgressIp) -> bool:
    return bool(session.scalar(select(select(EgressUse.day).where(EgressUse.egress_ip_id == ip.id).exists())))


def pool_of_relay(session: AnySession, relay_id: int, pool_id: int) -> EgressPool:
    """Until the transaction ends it stays. Raises ``pool_missing``, for another relay's too."""
    pool = session.get(EgressPool, pool_id, with_for_update={"read": True, "key_share": True})
    if pool is None or pool.relay_id != relay_id:
        raise EgressProblem("pool_missing")
    return pool


def find_ip(session: AnySession, relay_id: int, address: str) -> EgressIp | None:
    """By its address in any spelling. Raises ``address_invalid``, ``address_unusable``."""
    return session.scalar(ips_of(relay_id).where(EgressIp.address == checked_address(address)))


def quarantine(session: AnySession, ip: EgressIp, reason: str, *, now: datetime) -> None:
    """It sends nothing from now on; the rest of its pool takes its part. Raises :class:`EgressProblem`."""
    if not reason.strip():
        raise EgressProblem("reason_missing")
    change_state(session, ip, EgressState.QUARANTINED, reason, now=now)


def change_state(
    session: AnySession, ip: EgressIp, state: EgressState, reason: str, *, now: datetime, resume: bool = False
) -> None:
    """Raises ``wrong_state``. ``resume``: see :func:`enter_state`."""
    session.refresh(ip, with_for_update=True)
    try:
        enter_state(ip, state, reason, now=now, resume=resume)
    except EgressProblem:
        session.rollback()
        raise
    session.commit()


def enter_state(ip: EgressIp, state: EgressState, reason: str, *, now: datetime, resume: bool = False) -> None:
    """Warming starts at day 1, unless it resumes: then its days in quarantine don't count. The caller commits.
    Raises ``wrong_state``."""
    if state not in EGRESS_TRANSITIONS[ip.state]:
        raise EgressProblem("wrong_state", state=ip.state)
    if state is EgressState.WARMING:
        ip.warm_up_started_on = _resumed(ip, now) if resume else _day(now)
    ip.state, ip.state_reason, ip.state_since = state, " ".join(reason.split())[:MAX_REASON], now


def begin_in(ip: EgressIp, state: EgressState, *, now: datetime, reason: str = "") -> None:
    """The first state of a new IP."""
    ip.state, ip.state_reason, ip.state_since = state, " ".join(reason.split())[:MAX_REASON], now
    ip.warm_up_started_on = _day(now) if state is EgressState.WARMING else None


def warm_up_day(ip: EgressIp, *, today: date) -> int | None:
    """1 on the first day; none where it is not warming."""
    if ip.state is not EgressState.WARMING or ip.warm_up_started_on is None:
        return None
    return max(1, (today - ip.warm_up_started_on).days + 1)


def day_to_resume(ip: EgressIp) -> int | None:
    """The day of its warm-up that it stood at when it went into quarantine; none where it never warmed up here."""
    if ip.state is not EgressState.QUARANTINED or ip.warm_up_started_on is None:
        return None
    return max(1, (_day(ip.state_since) - ip.warm_up_started_on).days + 1)


def _resumed(ip: EgressIp, now: datetime) -> date:
    if ip.warm_up_started_on is None or ip.state is not EgressState.QUARANTINED:
        return _day(now)
    return min(_day(now), ip.warm_up_started_on + (_day(now) - _day(ip.state_since)))


def _day(moment: datetime) -> date:
    """Days of the warm-up are days of UTC, as those of :class:`~app.models.EgressUse`."""
    return moment.astimezone(UTC).date()


def _commit(session: AnySession) -> None:
    try:
        session.commit()
    except IntegrityError as error:
        session.rollback()
        raise EgressProblem("address_taken") from error
