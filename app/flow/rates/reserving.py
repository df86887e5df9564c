"""A chunk's reservation: every limit at once, spread over the IPs, or how long to wait and for what.

What was reserved and not used (the campaign was paused, recipients were skipped) is given back. A retry keeps the IP that it
had, even where the reservation foresaw another one: :meth:`Rates.settle` then corrects both.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from redis import Redis
from redis.exceptions import RedisError

from app.flow.egress.spreading import Spread, spread
from app.flow.rates import priority, waits
from app.flow.rates.allowances import Allowances, allowances
from app.flow.rates.buckets import Buckets, DayCap, Limit, Room
from app.flow.rates.waits import WaitCause
from app.flow.sessions import AnySession
from app.logs import get_logger

log = get_logger(__name__)

BROKER_AWAY_SECONDS = 5.0
QUARANTINE_SECONDS = 30.0
"""How long a pool without a usable IP waits for a person."""
SUSPENDED_SECONDS = 60.0
"""Not until the suspension ends: somebody may lift it."""
DAY_CAP_SECONDS = 300.0
"""Not until midnight: somebody may raise the cap, or release an IP."""
TRIES = 5
"""Another worker may take what was free between looking and taking."""


@dataclass(frozen=True)
class Grant:
    count: int
    wait_seconds: float = 0.0
    """Only where nothing is granted."""
    ips: Mapping[int, int] | None = None
    """How many by which IP; None where the relay has none of ours."""
    addresses: Mapping[int, str] = field(default_factory=dict)
    """Of every IP that may be used, also by a retry that had it before: an IP that only has to slow down, but none that is
    through with its day."""
    limits: Allowances | None = field(default=None, repr=False)

    @property
    def in_turn(self) -> list[int] | None:
        """An IP for each message, those of one IP as far from each other as possible."""
        if self.ips is None:
            return None
        places = [((n + 0.5) / count, ip_id) for ip_id, count in self.ips.items() for n in range(count)]
        return [ip_id for _, ip_id in sorted(places)]


class RateLimits(Protocol):
    """What sending asks before each chunk."""

    def reserve(self, session: AnySession, *, campaign_id: int, relay_id: int, provider: str, wanted: int) -> Grant: ...

    def settle(self, grant: Grant, used: Mapping[int | None, int]) -> None:
        """``used``: messages that went out, by IP (None: by none of ours)."""


class Rates:
    """Implements :class:`RateLimits` over Redis. A limit that can't be checked is kept by waiting."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._buckets = Buckets(redis)

    def reserve(self, session: AnySession, *, campaign_id: int, relay_id: int, provider: str, wanted: int) -> Grant:
        found = allowances(session, campaign_id=campaign_id, relay_id=relay_id, provider=provider)
        if not found.common and found.candidates is None and found.suspended_until is None:
            return Grant(wanted)
        try:
            grant, cause = self._in_lane(found, wanted)
            if cause is not None:
                waits.note(
                    self._redis, campaign_id=campaign_id, provider=provider, cause=cause, seconds=grant.wait_seconds
                )
        except RedisError as error:
            log.warning("rates_not_checked", campaign_id=campaign_id, error=str(error))
            return Grant(0, BROKER_AWAY_SECONDS)
        return grant

    def _in_lane(self, found: Allowances, wanted: int) -> tuple[Grant, WaitCause | None]:
        """What is urgent keeps room for itself where it is refused; all the rest steps aside for it."""
        if not found.is_urgent and priority.is_kept(self._redis, found):
            return Grant(0, priority.STEP_ASIDE_SECONDS), WaitCause.URGENT_FIRST
        grant, cause = self._reserve(found, wanted)
        if found.is_urgent and cause is not None:
            priority.keep_room(self._redis, found, cause, grant.wait_seconds)
        return grant, cause

    def _reserve(self, found: Allowances, wanted: int) -> tuple[Grant, WaitCause | None]:
        if found.suspended_until is not None:
            left = (found.suspended_until - datetime.now(UTC)).total_seconds()
            return Grant(0, min(SUSPENDED_SECONDS, max(0.05, left))), WaitCause.SUSPENDED
        if found.candidates == []:
            return Grant(0, QUARANTINE_SECONDS), WaitCause.POOL_QUARANTINED
        for _ in range(TRIES):
            common = dict(zip(found.common, self._buckets.room(list(found.common), wanted), strict=True))
            count = min([wanted, *(room.free for room in common.values())])
            if count < 1:
                return _wait_for_common(found, common)
            rooms = self._rooms_of_ips(found, count)
            share = self._spread(found, rooms, count)
            if share is not None and not share.given:
                return _wait_for_ips(rooms)
            if self._take(found, share, count):
                return _granted(found, share, count, rooms), None
        return Grant(0, 0.2), None

    def _rooms_of_ips(self, found: Allowances, wanted: int) -> dict[int, dict[Limit, Room]]:
        limits = [(ip_id, limit) for ip_id, of_ip in found.by_ip.items() for limit in of_ip]
        rooms: dict[int, dict[Limit, Room]] = {}
        seen = self._buckets.room([limit for _, limit in limits], wanted)
        for (ip_id, limit), room in zip(limits, seen, strict=True):
            rooms.setdefault(ip_id, {})[limit] = room
        return rooms

    def _spread(self, found: Allowances, rooms: dict[int, dict[Limit, Room]], count: int) -> Spread | None:
        """None where the relay has no IPs of ours."""
        if found.candidates is None:
            return None
        free = {ip_id: max(0, min(room.free for room in of_ip.values())) for ip_id, of_ip in rooms.items()}
        turns = int(self._redis.get(found.turns_key) or 0)
        return spread(count, found.candidates, room=free, position=turns)

    def _take(self, found: Allowances, share: Spread | None, count: int) -> bool:
        sent = count if share is None else sum(share.given.values())
        taken = self._buckets.take(_counts(found, sent, share.given if share else {}))
        if taken and share is not None:
            self._redis.set(found.turns_key, share.position, ex=7 * 24 * 3600)
        return taken

    def settle(self, grant: Grant, used: Mapping[int | None, int]) -> None:
        if grant.limits is None:
            return
        by_ip = Counter({ip_id: count for ip_id, count in used.items() if ip_id is not None})
        by_ip.subtract(dict(grant.ips or {}))
        counts = _counts(grant.limits, sum(used.values()) - grant.count, by_ip)
        try:
            self._buckets.correct({limit: count for limit, count in counts.items() if count})
        except RedisError as error:
            log.warning("rates_not_settled", error=str(error))


def _counts(found: Allowances, count: int, by_ip: Mapping[int, int]) -> dict[Limit, int]:
    of_ips = {limit: by_ip.get(ip_id, 0) for ip_id, limits in found.by_ip.items() for limit in limits}
    return {limit: number for limit, number in (dict.fromkeys(found.common, count) | of_ips).items() if number}


def _granted(found: Allowances, share: Spread | None, count: int, rooms: Mapping[int, Mapping[Limit, Room]]) -> Grant:
    if share is None or found.candidates is None:
        return Grant(count, limits=found)
    addresses = {ip.id: ip.address for ip in found.candidates if not _is_through(rooms[ip.id])}
    return Grant(sum(share.given.values()), ips=share.given, addresses=addresses, limits=found)


def _is_through(of_ip: Mapping[Limit, Room]) -> bool:
    """With today's share of its warm-up: a retry is a message, too, and goes by another IP then."""
    return any(isinstance(limit, DayCap) and room.free < 1 for limit, room in of_ip.items())


def _wait_for_common(found: Allowances, rooms: Mapping[Limit, Room]) -> tuple[Grant, WaitCause]:
    """The one that is full the longest is what is waited for."""
    limit = max((one for one, room in rooms.items() if room.free < 1), key=lambda one: rooms[one].wait_seconds or 0)
    return Grant(0, max(0.05, rooms[limit].wait_seconds or 0)), found.common[limit]


def _wait_for_ips(rooms: Mapping[int, Mapping[Limit, Room]]) -> tuple[Grant, WaitCause]:
    """Until the first IP has room again; an IP has when all of its limits have."""
    seconds, cause = DAY_CAP_SECONDS, WaitCause.WARM_UP
    for of_ip in rooms.values():
        if _is_through(of_ip):
            continue
        longest = max(room.wait_seconds or 0 for room in of_ip.values())
        if longest <= seconds:
            seconds, cause = longest, WaitCause.IP_RATE
    return Grant(0, max(0.05, seconds)), cause
