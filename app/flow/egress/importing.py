"""A sheet against what is there: new, changed, unchanged, wrong; then all of it at once, or nothing.

Between review and import somebody else may change the same IPs. The review's ``fingerprint`` comes back with the
confirmation; where the plan is another one by then, nothing is done and the new plan is reviewed.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from app.flow.egress.ips import begin_in, enter_state, ips_of
from app.flow.egress.pools import pools_of
from app.flow.egress.problems import SheetProblem
from app.flow.egress.sheet import RowProblem, SheetRow, read_sheet
from app.flow.sessions import AnySession
from app.models import EgressIp, EgressPool, EgressState, Relay

NEW_STATE, NEW_WEIGHT = EgressState.WARMING, 1


@dataclass(frozen=True)
class Facts:
    """What a sheet can say of an IP."""

    helo: str
    pool: str
    state: EgressState
    weight: int
    rate: int | None = None
    """Messages an hour; none: without limit."""


@dataclass(frozen=True)
class Change:
    """``before`` is ``None`` for a new IP."""

    line: int
    address: str
    before: Facts | None
    after: Facts

    def differences(self) -> list[tuple[str, object, object]]:
        """Column, old, new."""
        return [
            (column, old, getattr(self.after, column))
            for column, old in (vars(self.before) if self.before else {}).items()
            if old != getattr(self.after, column)
        ]


@dataclass(frozen=True)
class Plan:
    new: list[Change]
    changed: list[Change]
    unchanged: list[Change]
    problems: list[RowProblem]
    new_pools: list[str]

    @property
    def may_be_done(self) -> bool:
        """With a wrong row, nothing is imported: half a list of IPs is one that nobody reviewed."""
        return not self.problems and bool(self.new or self.changed)

    @property
    def fingerprint(self) -> str:
        told = [(one.address, one.before, one.after) for one in (*self.new, *self.changed)]
        return hashlib.sha256(repr((told, self.new_pools)).encode()).hexdigest()


def plan(session: AnySession, relay_id: int, text: str) -> Plan:
    """What importing ``text`` would do; changes nothing. Raises :class:`SheetProblem`."""
    sheet = read_sheet(text)
    pools = pools_of(session, relay_id)
    found = compare(sheet.rows, facts_of(session.scalars(ips_of(relay_id)).all(), pools), [one.name for one in pools])
    found.problems.extend(sheet.problems)
    found.problems.sort(key=lambda problem: problem.line)
    return found


def facts_of(ips: Sequence[EgressIp], pools: Sequence[EgressPool]) -> dict[str, Facts]:
    """By address."""
    names = {pool.id: pool.name for pool in pools}
    return {ip.address: Facts(ip.helo_name, names[ip.pool_id], ip.state, ip.weight, ip.rate_per_hour) for ip in ips}


def compare(rows: Sequence[SheetRow], there: Mapping[str, Facts], pool_names: Sequence[str]) -> Plan:
    """Pure. A pool written in other capitals is the same one."""
    result = Plan([], [], [], [], [])
    names = {name.casefold(): name for name in pool_names} | {name: name for name in pool_names}
    for row in rows:
        before = there.get(row.address)
        if problem := _missing(row, before):
            result.problems.append(problem)
            continue
        after = _after(row, before, names)
        if after.pool not in (*pool_names, *result.new_pools):
            result.new_pools.append(after.pool)
        kind = result.new if before is None else result.unchanged if before == after else result.changed
        kind.append(Change(row.line, row.address, before, after))
    return result


def _missing(row: SheetRow, before: Facts | None) -> RowProblem | None:
    """What only a new IP must say."""
    if before is None and row.helo_name is None:
        return RowProblem(line=row.line, column="helo", code="helo_missing")
    if before is None and row.pool is None:
        return RowProblem(line=row.line, column="pool", code="pool_missing")
    return None


def _after(row: SheetRow, before: Facts | None, names: dict[str, str]) -> Facts:
    old = before or Facts("", "", NEW_STATE, NEW_WEIGHT)
    return Facts(
        helo=row.helo_name or old.helo,
        pool=_pool_name(row.pool, names) if row.pool else old.pool,
        state=row.state or old.state,
        weight=row.weight or old.weight,
        rate=old.rate if row.rate is None else row.rate or None,
    )


def _pool_name(written: str, names: dict[str, str]) -> str:
    return names.get(written) or names.setdefault(written.casefold(), written)


def apply(
    session: AnySession, relay_id: int, text: str, *, reason: str, now: datetime, fingerprint: str | None = None
) -> tuple[Plan, bool]:
    """The plan, and whether it was done: not with wrong rows, nor where it differs from the reviewed one.
    ``reason`` stands beside every state that changes. Raises :class:`SheetProblem`."""
    _keep_still(session, relay_id)
    found = plan(session, relay_id, text)
    if not found.may_be_done or fingerprint not in (None, found.fingerprint):
        session.rollback()
        return found, False
    _store(session, relay_id, found, reason, now)
    session.commit()
    return found, True


def _keep_still(session: AnySession, relay_id: int) -> None:
    """Until the transaction ends nobody adds, changes or removes a pool or an IP of this relay: what is compared is what is
    changed. (The foreign keys of new rows wait for the lock on the relay.)"""
    session.execute(select(Relay.id).where(Relay.id == relay_id).with_for_update())
    session.execute(select(EgressPool.id).where(EgressPool.relay_id == relay_id).with_for_update())
    session.execute(select(EgressIp.id).where(EgressIp.relay_id == relay_id).order_by(EgressIp.id).with_for_update())
    session.expire_all()


def _store(session: AnySession, relay_id: int, found: Plan, reason: str, now: datetime) -> None:
    session.add_all(EgressPool(relay_id=relay_id, name=name) for name in found.new_pools)
    session.flush()
    pool_ids = {pool.name: pool.id for pool in pools_of(session, relay_id)}
    ips = {ip.address: ip for ip in session.scalars(ips_of(relay_id))}
    for change in (*found.new, *found.changed):
        ip = ips.get(change.address) or EgressIp(relay_id=relay_id, address=change.address)
        ip.helo_name, ip.weight = change.after.helo, change.after.weight
        ip.pool_id, ip.rate_per_hour = pool_ids[change.after.pool], change.after.rate
        if change.before is None:
            begin_in(ip, change.after.state, now=now, reason=reason)
            session.add(ip)
        elif change.after.state is not change.before.state:
            enter_state(ip, change.after.state, reason, now=now)


__all__ = ["Change", "Facts", "Plan", "SheetProblem", "apply", "compare", "plan"]
