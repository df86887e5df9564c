"""How fast each IP of a relay may go to a provider now, as the open holds have it: one query over a small index."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select

from app.flow.breaker.phases import Phase, factor, phase
from app.flow.sessions import AnySession
from app.models import ProviderHold


@dataclass(frozen=True)
class Standing:
    """By IP; ``None`` is every IP of the relay, and the relay itself where it has none of ours."""

    factors: Mapping[int | None, float] = field(default_factory=dict)
    """0 < factor < 1, of those that go slowly."""
    suspended: Mapping[int | None, datetime] = field(default_factory=dict)
    """Until when."""

    def factor(self, ip_id: int | None) -> float:
        """What is left of the rate of an IP that isn't suspended."""
        return min(self.factors.get(ip_id, 1.0), self.factors.get(None, 1.0))

    def suspended_until(self, ip_id: int | None) -> datetime | None:
        found = [until for one in {ip_id, None} if (until := self.suspended.get(one)) is not None]
        return max(found, default=None)


def standing(session: AnySession, relay_id: int, provider: str, now: datetime) -> Standing:
    factors: dict[int | None, float] = {}
    suspended: dict[int | None, datetime] = {}
    for hold in open_holds(session, relay_id, provider, now):
        ip_id = hold.egress_ip_id
        if phase(hold, now) is Phase.SUSPENDED:
            suspended[ip_id] = max(hold.until, suspended.get(ip_id, hold.until))
        else:
            factors[ip_id] = min(factor(hold, now), factors.get(ip_id, 1.0))
    return Standing({ip_id: left for ip_id, left in factors.items() if left < 1}, suspended)


def open_holds(session: AnySession, relay_id: int, provider: str, now: datetime) -> list[ProviderHold]:
    """Those that have not ended, also by the clock alone; watches too."""
    rows = session.scalars(
        select(ProviderHold)
        .where(ProviderHold.relay_id == relay_id, ProviderHold.provider == provider, ProviderHold.lifted_at.is_(None))
        .order_by(ProviderHold.id)
        .execution_options(populate_existing=True)
    )
    return [hold for hold in rows if phase(hold, now) is not Phase.ENDED]
