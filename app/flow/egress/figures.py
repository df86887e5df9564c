"""What each IP sent, by day and provider, as the ledger of use has it; where it stands in its warm-up."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Select, func, select

from app.flow.egress.ips import ips_of
from app.flow.providers import limits_of
from app.flow.sessions import AnySession
from app.models import EgressIp, EgressState, EgressUse

WEEK_DAYS = 7


@dataclass(frozen=True)
class Use:
    """Messages."""

    today: int = 0
    """Handed over."""
    week: int = 0
    """Of the last seven days, today among them."""
    deferred: int = 0
    """Of the week, as the next one."""
    bounced: int = 0
    delivered: int = 0
    """Known only where somebody reads the relay's log."""


NO_USE = Use()


def use_of_ips(session: AnySession, ip_ids: Sequence[int], *, today: date) -> dict[int, Use]:
    """All providers together; ``today`` is a day of UTC."""
    rows = session.execute(
        _uses(today, EgressUse.egress_ip_id).where(EgressUse.egress_ip_id.in_(ip_ids)).group_by(EgressUse.egress_ip_id)
    )
    return {row[0]: Use(*row[1:]) for row in rows}


def use_by_provider(session: AnySession, ip_id: int, *, today: date) -> dict[str, Use]:
    """By provider, most of the week first."""
    rows = session.execute(
        _uses(today, EgressUse.provider).where(EgressUse.egress_ip_id == ip_id).group_by(EgressUse.provider)
    )
    return dict(sorted(((row[0], Use(*row[1:])) for row in rows), key=lambda one: (-one[1].week, one[0])))


def _uses(today: date, key: Any) -> Select[Any]:
    return select(
        key,
        func.coalesce(func.sum(EgressUse.submitted).filter(EgressUse.day == today), 0),
        func.sum(EgressUse.submitted),
        func.sum(EgressUse.deferred),
        func.sum(EgressUse.bounced),
        func.sum(EgressUse.delivered),
    ).where(EgressUse.day > today - timedelta(days=WEEK_DAYS), EgressUse.day <= today)


@dataclass(frozen=True)
class Step:
    """Where a warming IP stands at one provider."""

    provider: str
    day: int
    days: int
    cap: int | None
    """What it may hand over today; none behind the last day."""
    sent: int

    @property
    def share(self) -> float:
        """Of today's cap that is used, 0 to 1."""
        return min(1.0, self.sent / self.cap) if self.cap else 0.0


def warm_up_steps(day: int, caps: Mapping[str, Sequence[int]], use: Mapping[str, Use]) -> Iterator[Step]:
    """For each provider with a schedule. Pure."""
    for provider, schedule in sorted(caps.items()):
        cap = schedule[day - 1] if day <= len(schedule) else None
        yield Step(provider, day, len(schedule), cap, use.get(provider, NO_USE).today)


def warm_up_caps(session: AnySession) -> dict[str, Sequence[int]]:
    """The schedules in force, by provider: as shipped, but for what people changed."""
    return {provider: limits.warm_up_caps for provider, limits in limits_of(session).items()}


def pool_shares(session: AnySession, relay_id: int) -> dict[int, float]:
    """The part of its pool's mail that each IP gets by its weight, 0 to 1; 0 in quarantine."""
    ips = session.scalars(ips_of(relay_id)).all()
    sending = [ip for ip in ips if ip.state is not EgressState.QUARANTINED]
    weights: dict[int, int] = {}
    for ip in sending:
        weights[ip.pool_id] = weights.get(ip.pool_id, 0) + ip.weight
    return {ip.id: ip.weight / weights[ip.pool_id] if ip in sending else 0.0 for ip in ips}


def others_sending(session: AnySession, ip: EgressIp) -> int:
    """How many of its pool would take its part over."""
    return (
        session.scalar(
            select(func.count()).where(
                EgressIp.pool_id == ip.pool_id, EgressIp.id != ip.id, EgressIp.state != EgressState.QUARANTINED
            )
        )
        or 0
    )
