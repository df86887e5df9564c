"""When a campaign ends: its recipients by mailbox provider against the limits in force, simulated day by day. Pure.

Mail is taken for a fluid. The limits of all providers together (measured speed, relay, panel, campaign) are shared out in
proportion to what is left for each provider, as batches are laid out; what a provider can't take goes to the others. Between
two events (a provider is through, the caps of some cold IPs are used up, a day of UTC ends) nothing changes.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

MOST_DAYS = 90
NOTHING = 1e-6
"""Of a message, or of a second: what remains of a sum of fractions."""


class Limiting(StrEnum):
    """What a forecast hangs on."""

    SPEED = "speed"  # What was measured: nothing of ours holds it back.
    RELAY_RATE = "relay_rate"
    PANEL_RATE = "panel_rate"
    CAMPAIGN_RATE = "campaign_rate"
    IP_RATE = "ip_rate"
    WARM_UP = "warm_up"
    NO_IP = "no_ip"


@dataclass(frozen=True, kw_only=True)
class ColdIps:
    """Warming IPs of the same day."""

    ips: int
    caps: tuple[int, ...]
    """What each of them may hand over today, tomorrow …; behind the last one they are warm."""
    used: int = 0
    """Of today's caps, by all of them."""


@dataclass(frozen=True, kw_only=True)
class Lane:
    """The IPs of a pool, as one provider takes from them."""

    per_ip: float
    """Messages a second."""
    warm_ips: int
    cold: tuple[ColdIps, ...] = ()

    @property
    def ips(self) -> int:
        return self.warm_ips + sum(group.ips for group in self.cold)


@dataclass(frozen=True, kw_only=True)
class Conditions:
    common: Mapping[Limiting, float]
    """Messages a second of all providers together."""
    lanes: Mapping[str, Lane] | None
    """By provider; None: the relay has no IPs of ours."""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    ends_at: datetime | None
    """None: not within :data:`MOST_DAYS`, or not at all."""
    limiting: Limiting
    """What the provider that is through last waited for most of the time."""
    provider: str = ""
    """That provider, where the limit is one of it."""
    ips: int = 0
    """How many are warming, or at their rate."""
    by_day: Sequence[Mapping[str, float]] = field(default=(), repr=False)
    """Messages on each day of UTC, by provider."""


def forecast(people: Mapping[str, int], conditions: Conditions, *, begins_at: datetime) -> Forecast | None:
    """``people``: recipients by provider. None: no limit is known, so there is nothing to reckon with."""
    if not conditions.common and conditions.lanes is None:
        return None
    run = _Run(people, conditions, begins_at)
    run.to_the_end()
    return run.result()


class _Run:
    def __init__(self, people: Mapping[str, int], conditions: Conditions, begins_at: datetime) -> None:
        self._left = {provider: float(count) for provider, count in people.items() if count > 0}
        self._conditions = conditions
        self._now = begins_at.astimezone(UTC)
        self._day = 0
        self._caps = self._caps_of_day()
        self._held: dict[str, Counter[Limiting]] = {provider: Counter() for provider in self._left}
        self._by_day: list[dict[str, float]] = [{}]
        self._last = max(self._left, key=lambda provider: self._left[provider], default="")

    def _caps_of_day(self) -> dict[str, list[float | None]]:
        """What is left of today's caps, by provider and group of cold IPs; None: they are warm by now."""
        return {
            provider: [
                max(0.0, group.ips * group.caps[self._day] - (group.used if self._day == 0 else 0))
                if self._day < len(group.caps)
                else None
                for group in lane.cold
            ]
            for provider, lane in (self._conditions.lanes or {}).items()
        }

    def to_the_end(self) -> None:
        while self._left and self._day < MOST_DAYS:
            rates, holds = self._rates()
            self._go_on(rates, holds, self._until_event(rates))

    def _rates(self) -> tuple[dict[str, float], dict[str, Limiting]]:
        """Messages a second now, and what holds each provider back."""
        rates, holds = dict[str, float](), dict[str, Limiting]()
        limiting = min(self._conditions.common, key=lambda one: self._conditions.common[one], default=Limiting.SPEED)
        room = self._conditions.common.get(limiting)
        most = {provider: self._capacity(provider) for provider in self._left}
        # Those that take less than their part first: what they leave is shared among the rest.
        for provider in sorted(
            self._left, key=lambda one: (most[one] or (0 if most[one] == 0 else 1e18)) / self._left[one]
        ):
            waiting = sum(left for one, left in self._left.items() if one not in rates)
            part = None if room is None else room * self._left[provider] / waiting
            own = most[provider]
            rates[provider] = min(rate for rate in (part, own, 1e9) if rate is not None)
            is_own = own is not None and (part is None or own <= part)
            holds[provider] = self._own_limit(provider) if is_own else limiting
            room = None if room is None else max(0.0, room - rates[provider])
        return rates, holds

    def _capacity(self, provider: str) -> float | None:
        if self._conditions.lanes is None:
            return None
        lane, caps = self._conditions.lanes[provider], self._caps[provider]
        open_ips = sum(group.ips for group, cap in zip(lane.cold, caps, strict=True) if cap is None or cap > NOTHING)
        return lane.per_ip * (lane.warm_ips + open_ips)

    def _own_limit(self, provider: str) -> Limiting:
        lane = (self._conditions.lanes or {})[provider]
        if not lane.ips:
            return Limiting.NO_IP
        full = any(cap is not None and cap <= NOTHING for cap in self._caps[provider])
        return Limiting.WARM_UP if full else Limiting.IP_RATE

    def _cold_rates(self, provider: str, rate: float) -> list[float]:
        """What of a provider's rate goes by each group whose caps aren't used up: each IP its part."""
        if self._conditions.lanes is None:
            return []
        lane, caps = self._conditions.lanes[provider], self._caps[provider]
        capacity = self._capacity(provider) or 0.0
        part = rate / capacity if capacity else 0.0
        return [
            lane.per_ip * group.ips * part if cap is None or cap > NOTHING else 0.0
            for group, cap in zip(lane.cold, caps, strict=True)
        ]

    def _until_event(self, rates: Mapping[str, float]) -> float:
        """Seconds."""
        events = [(self._midnight() - self._now).total_seconds()]
        for provider, rate in rates.items():
            if rate > 0:
                events.append(self._left[provider] / rate)
            cold = zip(self._caps.get(provider, ()), self._cold_rates(provider, rate), strict=False)
            events += [cap / speed for cap, speed in cold if cap is not None and cap > NOTHING and speed > 0]
        return min(events)

    def _midnight(self) -> datetime:
        return self._now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)

    def _go_on(self, rates: Mapping[str, float], holds: Mapping[str, Limiting], seconds: float) -> None:
        midnight = self._midnight()
        for provider, rate in rates.items():
            for number, speed in enumerate(self._cold_rates(provider, rate)):
                cap = self._caps[provider][number]
                if cap is not None:
                    left = cap - speed * seconds
                    self._caps[provider][number] = left if left > NOTHING * max(1.0, cap) else 0.0
            sent = min(self._left[provider], rate * seconds)
            self._left[provider] -= sent
            self._by_day[-1][provider] = self._by_day[-1].get(provider, 0.0) + sent
            self._held[provider][holds[provider]] += max(1, round(seconds * 1000))
        self._now = min(midnight, self._now + timedelta(seconds=seconds))
        self._drop_those_through(rates)
        if (midnight - self._now).total_seconds() < 0.001:
            self._begin_day(midnight)

    def _drop_those_through(self, rates: Mapping[str, float]) -> None:
        """Less than a thousandth of a second is left for them."""
        for provider in [one for one, left in self._left.items() if left <= max(NOTHING, rates[one] * 0.001)]:
            del self._left[provider]
            self._last = provider

    def _begin_day(self, midnight: datetime) -> None:
        self._now, self._day = midnight, self._day + 1
        self._caps = self._caps_of_day()
        self._by_day.append({})

    def result(self) -> Forecast:
        stuck = next(iter(self._left), "")
        last = stuck or self._last
        held = self._held.get(last, Counter())
        limiting = held.most_common(1)[0][0] if held else Limiting.SPEED
        is_own = limiting in (Limiting.IP_RATE, Limiting.WARM_UP, Limiting.NO_IP)
        return Forecast(
            ends_at=None if stuck else self._now,
            limiting=limiting,
            provider=last if is_own else "",
            ips=self._ips(last, limiting) if is_own else 0,
            by_day=self._by_day,
        )

    def _ips(self, provider: str, limiting: Limiting) -> int:
        lane = (self._conditions.lanes or {})[provider]
        return sum(group.ips for group in lane.cold) if limiting is Limiting.WARM_UP else lane.ips
