"""What a hold means at a moment. It follows from its dates alone, so nothing has to happen for it to go on. Pure."""

from datetime import datetime
from enum import StrEnum

from app.mail.backoff import recovery
from app.models import HoldKind, ProviderHold


class Phase(StrEnum):
    WATCHED = "watched"  # Replies that fit a rule, too few yet to act: everything goes on.
    SLOW = "slow"
    SUSPENDED = "suspended"
    RECOVERING = "recovering"  # The rate doubles step by step.
    ENDED = "ended"


def phase(hold: ProviderHold, now: datetime) -> Phase:
    if hold.lifted_at is not None or now >= ends_at(hold):
        return Phase.ENDED
    if is_watch(hold):
        return Phase.WATCHED
    if now >= hold.until:
        return Phase.RECOVERING
    return Phase.SUSPENDED if hold.kind is HoldKind.SUSPENDED else Phase.SLOW


def factor(hold: ProviderHold, now: datetime) -> float:
    """What is left of the rate: 0 while suspended, 1 where nothing is held (any more)."""
    match phase(hold, now):
        case Phase.SUSPENDED:
            return 0.0
        case Phase.SLOW:
            return hold.factor
        case Phase.RECOVERING:
            return recovery().factor_after(hold.factor, now - hold.until)
    return 1.0


def step(hold: ProviderHold, now: datetime) -> tuple[int, int]:
    """Of a recovering hold: at which step it is, from 1, and how many there are."""
    return (now - hold.until) // recovery().step + 1, recovery().steps_from(hold.factor)


def ends_at(hold: ProviderHold) -> datetime:
    """When the rate is whole again, unless the provider complains before."""
    if is_watch(hold):
        return hold.until
    return hold.until + recovery().steps_from(hold.factor) * recovery().step


def is_watch(hold: ProviderHold) -> bool:
    """Too few replies to act on: they are counted until ``until``, and hold nothing."""
    return hold.kind is HoldKind.SLOW and hold.factor >= 1
