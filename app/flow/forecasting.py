"""When a campaign ends: its recipients by mailbox provider against the limits in force, simulated day by day. Pure.

Mail is taken for a fluid. The limits of all providers together (measured speed, relay, panel, campaign) are shared out in
proportion to what is left for each provider, as batches are laid out; what a provider can't take goes to the others. Urgent
campaigns of others take what they can first; other campaigns of the same panel have their even part. Between two events (a
provider is through, the caps of some cold IPs are used up, a provider's hold changes, somebody begins, a day of UTC ends)
nothing changes.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from app.flow.forecast_terms import INSTANT, OF_PROVIDER, OWN, Conditions, Forecast, Limiting

MOST_DAYS = 90
NOTHING = 1e-6
"""Of a message, or of a second: what remains of a sum of fractions."""
UNLIMITED = 1e9
"""Messages a second."""


def forecast(
    people: Mapping[str, float], conditions: Conditions, *, begins_at: datetime, now: datetime | None = None
) -> Forecast | None:
    """``people``: messages by provider. ``now``: the day of which the conditions tell; the begin where empty. None: no limit
    is known, so there is nothing to reckon with."""
    if not conditions.common and conditions.lanes is None:
        return None
    run = _Run(people, conditions, begins_at, now or begins_at)
    run.to_the_end()
    return run.result()


Rates = dict[str, float]
"""Messages a second, by provider."""


def _share_out(
    left: Mapping[str, float], room: float | None, most: Mapping[str, float | None]
) -> tuple[Rates, set[str]]:
    """Rates within ``room``, in proportion to what is left for each provider, and those that took all they can. Those that
    take less than their part first: what they leave is shared among the rest."""
    rates, at_their_most = Rates(), set[str]()
    for provider in sorted(left, key=lambda one: (1e18 if most[one] is None else most[one] or 0.0) / left[one]):
        waiting = sum(count for one, count in left.items() if one not in rates)
        part = None if room is None else room * left[provider] / waiting
        own = most[provider]
        rates[provider] = min(rate for rate in (part, own, UNLIMITED) if rate is not None)
        if own is not None and (part is None or own <= part):
            at_their_most.add(provider)
        room = None if room is None else max(0.0, room - rates[provider])
    return rates, at_their_most


class _Flow:
    """One campaign's messages."""

    def __init__(self, people: Mapping[str, float], begins_at: datetime) -> None:
        self.left = {provider: float(count) for provider, count in people.items() if count > 0}
        self.begins_at = begins_at.astimezone(UTC)
        self.rates = Rates()

    def is_active(self, now: datetime) -> bool:
        return bool(self.left) and self.begins_at <= now + INSTANT

    def go_on(self, seconds: float) -> list[str]:
        """Who is through: less than a thousandth of a second is left for them."""
        for provider, rate in self.rates.items():
            self.left[provider] -= min(self.left[provider], rate * seconds)
        over = [one for one, rate in self.rates.items() if self.left[one] <= max(NOTHING, rate * 0.001)]
        for provider in over:
            del self.left[provider]
        return over


class _Run:
    def __init__(self, people: Mapping[str, float], conditions: Conditions, begins_at: datetime, now: datetime) -> None:
        self._ours = _Flow(people, begins_at)
        self._ahead = [_Flow(one.people, one.begins_at) for one in conditions.rivals if one.is_ahead]
        self._beside = [_Flow(one.people, one.begins_at) for one in conditions.rivals if not one.is_ahead]
        self._conditions = conditions
        self._now = now.astimezone(UTC)
        self._first_day = (self._ours.begins_at.date() - self._now.date()).days
        self._day = 0
        self._caps = self._caps_of_day()
        self._moments = sorted(
            [flow.begins_at for flow in (self._ours, *self._ahead, *self._beside)]
            + [moment.astimezone(UTC) for lane in (conditions.lanes or {}).values() for moment in lane.changes()]
        )
        self._held: dict[str, Counter[Limiting]] = {provider: Counter() for provider in self._ours.left}
        self._by_day: list[dict[str, float]] = [{}]
        self._last = max(self._ours.left, key=lambda provider: self._ours.left[provider], default="")
        if not self._ours.left:
            self._now = self._ours.begins_at

    def _caps_of_day(self) -> dict[str, list[float | None]]:
        """What is left of today's caps, by provider and group of IPs; None: they are warm by now."""
        return {
            provider: [
                max(0.0, group.ips * group.caps[self._day] - (group.used if self._day == 0 else 0))
                if self._day < len(group.caps)
                else None
                for group in lane.groups
            ]
            for provider, lane in (self._conditions.lanes or {}).items()
        }

    def to_the_end(self) -> None:
        while self._ours.left and self._day < self._first_day + MOST_DAYS:
            holds = self._set_rates()
            self._go_on(holds, self._until_event())

    # How fast now.

    def _set_rates(self) -> dict[str, Limiting]:
        """Of everybody; and what holds each provider of ours back."""
        for flow in (self._ours, *self._ahead, *self._beside):
            flow.rates = Rates()
        of_all = {name: rate for name, rate in self._conditions.common.items() if name not in OWN}
        room = min(of_all.values(), default=None)
        providers = {one for flow in (self._ours, *self._ahead, *self._beside) for one in flow.left}
        most = {provider: self._capacity(provider) for provider in providers}
        is_late = False
        for flow in (one for one in self._ahead if one.is_active(self._now)):
            flow.rates, _ = _share_out(flow.left, room, most)
            is_late = is_late or bool(flow.rates)
            room = None if room is None else max(0.0, room - sum(flow.rates.values()))
            most = {
                one: None if rate is None else max(0.0, rate - flow.rates.get(one, 0)) for one, rate in most.items()
            }
        return self._set_even_rates(room, most, is_late=is_late)

    def _set_even_rates(
        self, room: float | None, most: Mapping[str, float | None], *, is_late: bool
    ) -> dict[str, Limiting]:
        """Of ours and those that share with it; each has its part of what the urgent ones leave."""
        sharers = [flow for flow in (*self._beside, self._ours) if flow.is_active(self._now)]
        part = 1 / max(1, len(sharers))
        own = {provider: None if rate is None else rate * part for provider, rate in most.items()}
        common = self._conditions.common
        of_panel = [common[Limiting.PANEL_RATE] * part] if Limiting.PANEL_RATE in common else []
        of_all = [] if room is None else [room * part]
        full = set[str]()
        for flow in sharers:
            of_campaign = (
                [common[Limiting.CAMPAIGN_RATE]] if flow is self._ours and Limiting.CAMPAIGN_RATE in common else []
            )
            flow.rates, full = _share_out(flow.left, min(of_all + of_panel + of_campaign, default=None), own)
        if not self._ours.rates:
            return {}
        limiting = self._common_limit(None if room is None else room * part, part, is_late=is_late)
        return {one: self._own_limit(one, is_late=is_late) if one in full else limiting for one in self._ours.rates}

    def _common_limit(self, room: float | None, part: float, *, is_late: bool) -> Limiting:
        common = self._conditions.common
        of_ours = {name: common[name] * (part if name is Limiting.PANEL_RATE else 1) for name in OWN if name in common}
        lowest = min(of_ours, key=lambda one: of_ours[one], default=None)
        if lowest is not None and (room is None or of_ours[lowest] <= room):
            return lowest
        of_all = {name: rate for name, rate in common.items() if name not in OWN}
        usual = min(of_all, key=lambda one: of_all[one], default=Limiting.SPEED)
        return (
            Limiting.URGENT_FIRST if is_late and room is not None and room < of_all[usual] * part - NOTHING else usual
        )

    def _capacity(self, provider: str) -> float | None:
        lane = (self._conditions.lanes or {}).get(provider)
        if lane is None or (lane.free_from is not None and lane.free_from <= self._now + INSTANT):
            return None
        return lane.per_ip * (lane.warm_ips + sum(self._open_ips(provider)))

    def _open_ips(self, provider: str) -> list[float]:
        """Of each group, in whole IPs' worth: none whose day is used up, less of those that are held."""
        lane = (self._conditions.lanes or {})[provider]
        return [
            group.ips * group.factor(self._now) if cap is None or cap > NOTHING else 0.0
            for group, cap in zip(lane.groups, self._caps[provider], strict=True)
        ]

    def _own_limit(self, provider: str, *, is_late: bool) -> Limiting:
        lane = (self._conditions.lanes or {})[provider]
        if not lane.ips:
            return Limiting.NO_IP
        groups = list(zip(lane.groups, self._caps[provider], strict=True))
        lost = {
            Limiting.IP_RATE: 0.0,
            Limiting.WARM_UP: float(sum(group.ips for group, cap in groups if cap is not None and cap <= NOTHING)),
            Limiting.HELD: sum(group.ips * (1 - group.factor(self._now)) for group, _cap in groups),
        }
        found = max(lost, key=lambda one: lost[one])
        return Limiting.URGENT_FIRST if is_late and found is Limiting.IP_RATE else found

    # What happens next.

    def _total(self) -> Rates:
        total = Counter[str]()
        for flow in (self._ours, *self._ahead, *self._beside):
            for provider, rate in flow.rates.items():
                total[provider] += rate  # type: ignore[assignment]  # A Counter of floats.
        return dict(total)

    def _by_group(self, provider: str, rate: float) -> list[float]:
        """What of a provider's rate goes by each group: each IP its part."""
        if provider not in self._caps or not (capacity := self._capacity(provider)):
            return []
        part = rate * (self._conditions.lanes or {})[provider].per_ip / capacity
        return [ips * part for ips in self._open_ips(provider)]

    def _until_event(self) -> float:
        """Seconds."""
        events = [(self._midnight() - self._now).total_seconds()]
        events += [(one - self._now).total_seconds() for one in self._moments if one > self._now + INSTANT][:1]
        for flow in (self._ours, *self._ahead, *self._beside):
            events += [flow.left[provider] / rate for provider, rate in flow.rates.items() if rate > 0]
        for provider, rate in self._total().items():
            groups = zip(self._caps.get(provider, ()), self._by_group(provider, rate), strict=False)
            events += [cap / speed for cap, speed in groups if cap is not None and cap > NOTHING and speed > 0]
        return min(events)

    def _midnight(self) -> datetime:
        return self._now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)

    def _go_on(self, holds: Mapping[str, Limiting], seconds: float) -> None:
        midnight = self._midnight()
        self._use_caps(seconds)
        for provider, rate in self._ours.rates.items():
            sent = min(self._ours.left[provider], rate * seconds)
            self._by_day[-1][provider] = self._by_day[-1].get(provider, 0.0) + sent
            self._held[provider][holds[provider]] += max(1, round(seconds * 1000))
        self._now = min(midnight, self._now + timedelta(seconds=seconds))
        for flow in (*self._ahead, *self._beside):
            flow.go_on(seconds)
        for provider in self._ours.go_on(seconds):
            self._last = provider
        if (midnight - self._now).total_seconds() < 0.001:
            self._begin_day(midnight)

    def _use_caps(self, seconds: float) -> None:
        for provider, rate in self._total().items():
            for number, speed in enumerate(self._by_group(provider, rate)):
                cap = self._caps[provider][number]
                if cap is not None:
                    left = cap - speed * seconds
                    self._caps[provider][number] = left if left > NOTHING * max(1.0, cap) else 0.0

    def _begin_day(self, midnight: datetime) -> None:
        self._now, self._day = midnight, self._day + 1
        self._caps = self._caps_of_day()
        self._by_day.append({})

    # What came of it.

    def result(self) -> Forecast:
        stuck = next(iter(self._ours.left), "")
        last = stuck or self._last
        held = self._held.get(last, Counter())
        limiting = held.most_common(1)[0][0] if held else Limiting.SPEED
        found = Forecast(
            ends_at=None if stuck else self._now, limiting=limiting, by_day=self._by_day[self._first_day :]
        )
        return self._of_provider(found, last) if limiting in OF_PROVIDER else found

    def _of_provider(self, found: Forecast, provider: str) -> Forecast:
        lane = (self._conditions.lanes or {})[provider]
        cold = [group for group in lane.groups if group.caps]
        held = [group for group in lane.groups if group.steps]
        ips = {Limiting.WARM_UP: cold, Limiting.HELD: held}.get(found.limiting)
        day = self._first_day
        return replace(
            found,
            provider=provider,
            ips=lane.ips if ips is None else sum(group.ips for group in ips),
            first_day=sum(
                max(0, group.ips * group.caps[day] - (0 if day else group.used))
                for group in cold
                if day < len(group.caps)
            ),
            held_until=max((step.until for group in held for step in group.steps), default=None),
        )
