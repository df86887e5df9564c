"""Where the warming IPs of a relay stand today, and the end of a warm-up."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select

from app.flow.egress.figures import warm_up_caps
from app.flow.egress.ips import BY_NUMBER, enter_state, ips_of, warm_up_day
from app.flow.sessions import AnySession
from app.models import EgressIp, EgressState, EgressUse

WARM_UP_OVER = "warm_up_over"
"""The reason that stands beside an IP that became active by itself: a code, which pages say in words."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A warming IP at one provider, today."""

    ip_id: int
    address: str
    day: int
    """From 1."""
    cap: int | None
    """What it may hand over today; none behind the schedule's last day."""
    sent: int

    @property
    def left(self) -> int | None:
        """None: as much as its rates allow."""
        return None if self.cap is None else max(0, self.cap - self.sent)


@dataclass(frozen=True, kw_only=True)
class ProviderDay:
    """All warming IPs of a relay at one provider, today."""

    provider: str
    caps: Sequence[int]
    """The schedule: messages on the first day, the second …"""
    places: list[Place]

    @property
    def sent(self) -> int:
        return sum(place.sent for place in self.places)

    @property
    def left(self) -> int:
        """Of those IPs that have a cap today."""
        return sum(place.left or 0 for place in self.places)


def today_of(session: AnySession, relay_id: int, *, today: date) -> list[ProviderDay]:
    """Those to whom most went today first; empty where no IP is warming. ``today``: of UTC."""
    warming = session.scalars(ips_of(relay_id, state=EgressState.WARMING).order_by(BY_NUMBER)).all()
    sent = _sent(session, [ip.id for ip in warming], today)
    days = [
        ProviderDay(provider=provider, caps=caps, places=[_place(ip, provider, caps, sent, today) for ip in warming])
        for provider, caps in warm_up_caps(session).items()
    ]
    return sorted(days, key=lambda one: -one.sent) if warming else []


def _sent(session: AnySession, ip_ids: Sequence[int], today: date) -> dict[tuple[int, str], int]:
    rows = session.execute(
        select(EgressUse.egress_ip_id, EgressUse.provider, EgressUse.submitted).where(
            EgressUse.egress_ip_id.in_(ip_ids), EgressUse.day == today
        )
    )
    return {(ip_id, provider): submitted for ip_id, provider, submitted in rows}


def _place(ip: EgressIp, provider: str, caps: Sequence[int], sent: Mapping[tuple[int, str], int], today: date) -> Place:
    day = warm_up_day(ip, today=today) or 1
    cap = caps[day - 1] if day <= len(caps) else None
    return Place(ip_id=ip.id, address=ip.address, day=day, cap=cap, sent=sent.get((ip.id, provider), 0))


def activate_warm(session: AnySession, *, now: datetime) -> list[str]:
    """Warming IPs that are through with the schedule of every provider become active, with reason and date. Returns their
    addresses. Commits."""
    last_day = longest(warm_up_caps(session).values())
    warming = session.scalars(
        select(EgressIp).where(EgressIp.state == EgressState.WARMING).order_by(EgressIp.id).with_for_update()
    ).all()
    warm = [ip for ip in warming if (warm_up_day(ip, today=now.date()) or 0) > last_day]
    for ip in warm:
        enter_state(ip, EgressState.ACTIVE, WARM_UP_OVER, now=now)
    session.commit()
    return [ip.address for ip in warm]


def longest(schedules: Iterable[Sequence[int]]) -> int:
    """Days of the longest one."""
    return max((len(caps) for caps in schedules), default=0)
