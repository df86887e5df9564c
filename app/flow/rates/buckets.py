"""Token buckets and day counters in Redis. Time is Redis' own, so that all workers share one clock.

A flush refills each bucket once, which is some seconds' worth; a day counter begins again with what the database knows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redis import Redis

BUCKET_SECONDS = 10
"""A bucket holds so many seconds' worth of its rate."""
KEPT_SECONDS = 2 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Bucket:
    key: str
    per_second: float

    @property
    def capacity(self) -> float:
        return max(1.0, self.per_second * BUCKET_SECONDS)

    def arguments(self) -> tuple[str, float, float]:
        return "rate", self.per_second, self.capacity


@dataclass(frozen=True, slots=True)
class DayCap:
    """``key`` names the day. ``used``: what the database knows of today; the counter knows what is on its way, too."""

    key: str
    cap: int
    used: int

    def arguments(self) -> tuple[str, float, float]:
        return "day", self.cap, self.used


Limit = Bucket | DayCap


@dataclass(frozen=True, slots=True)
class Room:
    free: int
    """How many may go now; negative where too many went."""
    wait_seconds: float | None
    """Until more may go; None: not before the day ends."""


# KEYS: the limits. ARGV: kind, a and b of each (rate: per second and capacity; day: cap and used), then what the script
# says itself.
STATE = """
local now = redis.call('TIME'); now = now[1] + now[2] / 1000000
local function arguments(i) return ARGV[3*i-2], tonumber(ARGV[3*i-1]), tonumber(ARGV[3*i]) end
local function free(i)
    local kind, a, b = arguments(i)
    -- The database knows more where the relay's log told later that mail left by this IP, or Redis was flushed.
    if kind == 'day' then return a - math.max(tonumber(redis.call('GET', KEYS[i])) or 0, b) end
    local state = redis.call('HMGET', KEYS[i], 'tokens', 'at')
    local at = tonumber(state[2]) or now
    -- The clock was set back: from here on it counts anew, else nothing would come until it has caught up.
    if at > now then redis.call('HSET', KEYS[i], 'at', now); at = now end
    return math.min(b, (tonumber(state[1]) or b) + (now - at) * a)
end
local function use(i, count)
    local kind, a, b = arguments(i)
    if kind == 'day' then redis.call('SET', KEYS[i], a - free(i) + count)
    else redis.call('HSET', KEYS[i], 'tokens', math.min(b, free(i) - count), 'at', now) end
    redis.call('EXPIRE', KEYS[i], tonumber(ARGV[#ARGV]))
end
"""

# Behind the limits: how many are wanted. A second's worth is worth waking up for.
ROOM = (
    STATE
    + """
local wanted, found = tonumber(ARGV[3*#KEYS+1]), {}
for i = 1, #KEYS do
    local kind, a, b = arguments(i)
    local tokens, wait = free(i), ''
    if kind == 'rate' then wait = tostring(math.max(0, math.min(wanted, b, math.max(1, a)) - tokens) / a) end
    found[2*i-1], found[2*i] = tostring(math.floor(tokens)), wait
end
return found
"""
)

# Behind the limits: the count of each. All or nothing.
TAKE = (
    STATE
    + """
for i = 1, #KEYS do if free(i) < tonumber(ARGV[3*#KEYS+i]) then return 0 end end
for i = 1, #KEYS do use(i, tonumber(ARGV[3*#KEYS+i])) end
return 1
"""
)

# The same, whatever is free: more than was taken, or (negative) less.
CORRECT = (
    STATE
    + """
for i = 1, #KEYS do use(i, tonumber(ARGV[3*#KEYS+i])) end
return 1
"""
)


class Buckets:
    """All limits of one Redis. Raises RedisError where it is away."""

    def __init__(self, redis: Redis) -> None:
        self._room = redis.register_script(ROOM)
        self._take = redis.register_script(TAKE)
        self._correct = redis.register_script(CORRECT)

    def room(self, limits: Sequence[Limit], wanted: int) -> list[Room]:
        if not limits:
            return []
        found: Any = self._room(keys=[limit.key for limit in limits], args=[*_arguments(limits), wanted, KEPT_SECONDS])
        words = [word.decode() if isinstance(word, bytes) else word for word in found]
        return [
            Room(int(float(free)), float(wait) if wait else None)
            for free, wait in zip(words[::2], words[1::2], strict=True)
        ]

    def take(self, counts: Mapping[Limit, int]) -> bool:
        """Take all of it, or nothing where one of them has not enough."""
        return not counts or bool(self._run(self._take, counts))

    def correct(self, counts: Mapping[Limit, int]) -> None:
        """Take more than is there where it was used already; negative counts give back."""
        if any(counts.values()):
            self._run(self._correct, counts)

    @staticmethod
    def _run(script: Any, counts: Mapping[Limit, int]) -> int:
        arguments = [*_arguments(list(counts)), *counts.values(), KEPT_SECONDS]
        return int(script(keys=[limit.key for limit in counts], args=arguments))


def _arguments(limits: Sequence[Limit]) -> list[str | float]:
    return [part for limit in limits for part in limit.arguments()]
