"""How many a campaign may send now: a token bucket in Redis, reserved per chunk.

The bucket holds ten seconds' worth. It lives in Redis alone: a flush refills it once, which is harmless.
"""

from collections.abc import Callable

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import text

from app.flow.sessions import AnySession
from app.logs import get_logger

log = get_logger(__name__)

Reserve = Callable[[AnySession, int, int], tuple[int, float]]
"""``(session, campaign_id, wanted) -> (granted, wait_seconds)``; wait only where nothing is granted."""

BUCKET_SECONDS = 10
REDIS_AWAY_SECONDS = 5.0

# KEYS[1] bucket; ARGV rate per second, capacity, wanted. Time is Redis' own, so that all workers share one clock.
TAKE = """
local now = redis.call('TIME'); now = now[1] + now[2] / 1000000
local rate, capacity, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local state = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = math.min(capacity, (tonumber(state[1]) or capacity) + math.max(0, now - (tonumber(state[2]) or now)) * rate)
local granted = math.min(wanted, math.floor(tokens))
redis.call('HSET', KEYS[1], 'tokens', tokens - granted, 'at', now)
redis.call('EXPIRE', KEYS[1], 3600)
local wait = 0
if granted == 0 then wait = (1 - tokens) / rate end
return {granted, tostring(wait)}
"""


def campaign_rates(redis: Redis) -> Reserve:
    """Reserve within the campaign's ``rate_per_hour``; read anew for each chunk, so that a change acts at once."""
    take = redis.register_script(TAKE)

    def reserve(session: AnySession, campaign_id: int, wanted: int) -> tuple[int, float]:
        rate = session.scalar(text("SELECT rate_per_hour FROM campaign WHERE id = :id"), {"id": campaign_id})
        if rate is None:
            return wanted, 0.0
        per_second = rate / 3600
        try:
            granted, wait = take(
                keys=[f"chaski:rate:campaign:{campaign_id}"],
                args=[per_second, max(1.0, per_second * BUCKET_SECONDS), wanted],
            )
        except RedisError as error:
            # A limit that can't be checked is kept by waiting.
            log.warning("rate_not_checked", campaign_id=campaign_id, error=str(error))
            return 0, REDIS_AWAY_SECONDS
        return int(granted), float(wait)

    return reserve
