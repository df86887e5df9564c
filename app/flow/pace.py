"""What a campaign waits for at this moment, and how far it is at each mailbox provider."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import func, select

from app.config import Settings
from app.flow.rates import waits
from app.flow.rates.waits import WaitCause
from app.flow.reports import STATUS_SUMS
from app.flow.sessions import AnySession
from app.models import Batch

REDIS_TIMEOUT_SECONDS = 0.5
"""A page that fetches itself every two seconds doesn't wait longer for a reason."""
OF_EVERYBODY = frozenset(
    {WaitCause.RELAY_RATE, WaitCause.PANEL_RATE, WaitCause.CAMPAIGN_RATE, WaitCause.URGENT_FIRST, WaitCause.BROKER_AWAY}
)
"""Causes that have nothing to do with the provider."""


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why batches of a campaign wait. ``provider`` is empty where it is the same for all of them."""

    provider: str
    cause: WaitCause
    until: datetime

    def seconds_left(self, now: datetime) -> float:
        return max(0.0, (self.until - now).total_seconds())


def reasons(settings: Settings, campaign_ids: Iterable[int], *, now: datetime) -> dict[int, list[Reason]] | None:
    """By campaign, what is waited for the longest first; None: Redis is away, nobody knows."""
    try:
        noted = waits.current(_client(settings.redis_url), lately_seconds=waits.LATELY_SECONDS)
    except RedisError:
        return None
    return {id_: reasons_of([wait for wait in noted if wait.campaign_id == id_], now=now) for id_ in campaign_ids}


def reasons_of(noted: Iterable[waits.Wait], *, now: datetime) -> list[Reason]:
    """One for each provider, or for all of them. Pure."""
    longest: dict[str, Reason] = {}
    for wait in sorted(noted, key=lambda wait: wait.until):
        provider = "" if wait.cause in OF_EVERYBODY else wait.provider
        longest[provider] = Reason(provider=provider, cause=wait.cause, until=_until(wait, now))
    return sorted(longest.values(), key=lambda reason: (reason.provider != "", -reason.until.timestamp()))


def _until(wait: waits.Wait, now: datetime) -> datetime:
    """A day's share is looked at again every few minutes, since people may change it, but it comes with the new day."""
    return next_day(now) if wait.cause is WaitCause.WARM_UP else datetime.fromtimestamp(wait.until, UTC)


def next_day(now: datetime) -> datetime:
    """When the day of the warm-up ends: days are UTC's."""
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


@cache
def _client(redis_url: str) -> Redis:
    return Redis.from_url(redis_url, socket_timeout=REDIS_TIMEOUT_SECONDS, socket_connect_timeout=REDIS_TIMEOUT_SECONDS)


@dataclass(frozen=True, kw_only=True)
class ProviderProgress:
    """Deliveries of one mailbox provider."""

    provider: str
    planned: int
    """All of them."""
    settled: int
    """Those for which nothing more will be done."""
    waiting: int
    deferred: int


def by_provider(session: AnySession, campaign_id: int) -> list[ProviderProgress]:
    """The largest first; sums over the batches, each of which has the recipients of one provider."""
    sums = [func.sum(expression).label(name) for name, expression in STATUS_SUMS.items()]
    rows = session.execute(
        select(Batch.provider, *sums).where(Batch.campaign_id == campaign_id).group_by(Batch.provider)
    )
    found = [
        ProviderProgress(
            provider=row.provider,
            planned=int(
                sum(getattr(row, name) for name in STATUS_SUMS) - row.delivered
            ),  # Who stand in `accepted` as well.
            settled=int(row.accepted + row.bounced + row.failed + row.skipped),
            waiting=int(row.waiting),
            deferred=int(row.deferred),
        )
        for row in rows
    ]
    return sorted(found, key=lambda one: (-one.planned, one.provider))
