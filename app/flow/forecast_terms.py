"""What a forecast is made of and what it tells: limits, IPs, holds, other campaigns; the end and what it hangs on. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

INSTANT = timedelta(milliseconds=1)
"""Two moments no further apart are the same."""


class Limiting(StrEnum):
    """What a forecast hangs on."""

    SPEED = "speed"  # What was measured: nothing of ours holds it back.
    RELAY_RATE = "relay_rate"
    PANEL_RATE = "panel_rate"
    CAMPAIGN_RATE = "campaign_rate"
    IP_RATE = "ip_rate"
    WARM_UP = "warm_up"
    HELD = "held"  # The provider complained: the breaker goes slowly there, or not at all.
    URGENT_FIRST = "urgent_first"
    NO_IP = "no_ip"


OWN = (Limiting.PANEL_RATE, Limiting.CAMPAIGN_RATE)
"""These don't hold campaigns of other panels."""
OF_PROVIDER = (Limiting.IP_RATE, Limiting.WARM_UP, Limiting.HELD, Limiting.NO_IP)


@dataclass(frozen=True, kw_only=True)
class HoldStep:
    """What the breaker leaves of the rate until then: 0 nothing, 1 all of it. Behind the last step it is all of it."""

    until: datetime
    factor: float


@dataclass(frozen=True, kw_only=True)
class IpGroup:
    """IPs for which the same holds."""

    ips: int
    caps: tuple[int, ...] = ()
    """What each of them may hand over today, tomorrow …; behind the last one they are warm."""
    used: int = 0
    """Of today's caps, by all of them."""
    steps: tuple[HoldStep, ...] = ()
    """The earliest first."""

    def factor(self, now: datetime) -> float:
        return next((step.factor for step in self.steps if step.until > now + INSTANT), 1.0)


@dataclass(frozen=True, kw_only=True)
class Lane:
    """The IPs of a pool, as one provider takes from them."""

    per_ip: float
    """Messages a second."""
    warm_ips: int
    groups: tuple[IpGroup, ...] = ()
    """Cold ones, and those that the breaker holds."""
    free_from: datetime | None = None
    """From then on nothing of this limits: a relay without IPs of ours is only held for a time."""

    @property
    def ips(self) -> int:
        return self.warm_ips + sum(group.ips for group in self.groups)

    def changes(self) -> list[datetime]:
        return [step.until for group in self.groups for step in group.steps] + (
            [self.free_from] if self.free_from else []
        )


@dataclass(frozen=True, kw_only=True)
class Rival:
    """Another campaign through the same relay."""

    people: Mapping[str, float]
    """By provider."""
    begins_at: datetime
    is_ahead: bool
    """An urgent one, where ours isn't: it takes what it can. Else one of the same panel, which shares evenly."""


@dataclass(frozen=True, kw_only=True)
class Conditions:
    common: Mapping[Limiting, float]
    """Messages a second of all providers together."""
    lanes: Mapping[str, Lane] | None
    """By provider, as of today; None: the relay has no IPs of ours. A provider without a lane takes what comes."""
    rivals: Sequence[Rival] = ()


@dataclass(frozen=True, kw_only=True)
class Forecast:
    ends_at: datetime | None
    """None: not within three months, or not at all."""
    limiting: Limiting
    """What the provider that is through last waited for most of the time."""
    provider: str = ""
    """That provider, where the limit is one of it."""
    ips: int = 0
    """How many are warming, held, or at their rate."""
    first_day: int = 0
    """Where they are warming: how many more they may hand over on the first day."""
    held_until: datetime | None = None
    by_day: Sequence[Mapping[str, float]] = field(default=(), repr=False)
    """Messages on each day of UTC from the begin on, by provider."""
