"""What waits for a limit at this moment: campaign and mailbox provider, until when, and for what.

Kept in Redis alone: the dispatcher rings nobody for it meanwhile, and the live page shows the reason. Lost, it costs some
rings that find nothing.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from redis import Redis

KEY = "chaski:waits"
LATELY_SECONDS = 4.0
"""A rate of some messages a second is waited for in short pieces: whoever looks in between sees the last one."""


class WaitCause(StrEnum):
    """What a batch waits for."""

    RELAY_RATE = "relay_rate"
    PANEL_RATE = "panel_rate"
    CAMPAIGN_RATE = "campaign_rate"
    IP_RATE = "ip_rate"  # Each IP of the pool has reached its rate, its own or at this provider.
    WARM_UP = "warm_up"  # Each IP of the pool that has room left is through with today's share of its warm-up.
    POOL_QUARANTINED = "pool_quarantined"
    PROVIDER_SLOWED = "provider_slowed"  # The breaker slowed the whole relay down, at this provider.
    SUSPENDED = "suspended"  # The breaker suspended each IP of the pool, or the whole relay, at this provider.
    URGENT_FIRST = "urgent_first"  # Something urgent waits for the same limit.
    BROKER_AWAY = "broker_away"  # Limits can't be checked.


@dataclass(frozen=True, slots=True)
class Wait:
    campaign_id: int
    provider: str
    cause: WaitCause
    until: float
    """Seconds since 1970, by the clock of Redis."""


def note(redis: Redis, *, campaign_id: int, provider: str, cause: WaitCause, seconds: float) -> None:
    now = _now(redis)
    with redis.pipeline() as pipeline:
        pipeline.zremrangebyscore(KEY, "-inf", now - LATELY_SECONDS)
        pipeline.zadd(KEY, {f"{campaign_id}:{provider}:{cause.value}": now + seconds})
        pipeline.execute()


def current(redis: Redis, *, lately_seconds: float = 0.0) -> list[Wait]:
    """``lately_seconds``: also those that ended so long ago."""
    found: Any = redis.zrangebyscore(KEY, f"({_now(redis) - lately_seconds}", "+inf", withscores=True)
    return [_wait(member, until) for member, until in found]


def _wait(member: bytes | str, until: float) -> Wait:
    written = member.decode() if isinstance(member, bytes) else member
    campaign_id, provider, cause = written.split(":")
    return Wait(int(campaign_id), provider, WaitCause(cause), until)


def _now(redis: Redis) -> float:
    seconds, microseconds = redis.time()
    return float(seconds) + float(microseconds) / 1e6
