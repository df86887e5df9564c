"""A full limit belongs to what is urgent first: while something urgent waits for it, nothing else takes what comes back.

Without this, senders of a large campaign would take every token the moment it is there. Kept in Redis alone; lost, it is said
again with the next refusal.
"""

from collections.abc import Iterable

from redis import Redis

from app.flow.rates.allowances import Allowances
from app.flow.rates.buckets import Bucket, Limit
from app.flow.rates.waits import WaitCause

STEP_ASIDE_SECONDS = 1.0
ASK_AGAIN_SECONDS = 2.5
"""Until the urgent batch was rung again and has asked, once its wait is over."""


def keep_room(redis: Redis, found: Allowances, cause: WaitCause, seconds: float) -> None:
    """Something urgent was refused for ``cause`` and asks again in so many seconds."""
    with redis.pipeline() as pipeline:
        for limit in _full(found, cause):
            pipeline.set(_key(limit), 1, px=round((seconds + ASK_AGAIN_SECONDS) * 1000))
        pipeline.execute()


def is_kept(redis: Redis, found: Allowances) -> bool:
    """Whether something urgent waits for one of these limits."""
    keys = [_key(limit) for limit in _shared(found)]
    return bool(keys) and bool(redis.exists(*keys))


def _full(found: Allowances, cause: WaitCause) -> Iterable[Limit]:
    """A campaign's own limit and a used-up day are nobody else's."""
    if cause is WaitCause.IP_RATE:
        return [limit for limits in found.by_ip.values() for limit in limits if isinstance(limit, Bucket)]
    return [limit for limit, its in found.common.items() if its is cause and its is not WaitCause.CAMPAIGN_RATE]


def _shared(found: Allowances) -> list[Limit]:
    return [
        *(limit for limit, cause in found.common.items() if cause is not WaitCause.CAMPAIGN_RATE),
        *_full(found, WaitCause.IP_RATE),
    ]


def _key(limit: Limit) -> str:
    return f"chaski:urgent:{limit.key}"
