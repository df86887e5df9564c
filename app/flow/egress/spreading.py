"""How many messages each IP gets, so that over time the shares are those of the weights. Pure.

The order in which IPs take turns is fixed by their weights alone: a cycle of as many turns as the weights sum to, in which
every IP is at each moment less than one message away from its share (earliest deadline first over the windows of Baruah et
al., "Proportionate Progress", 1996). So all that must be remembered between two chunks is one number, how many turns
were taken; it may live in Redis and be shared by all workers. A pool of several providers needs one for each of them, else
their turns beat against each other.

What a full IP can't take goes to the others by their own cycle; it makes nothing good later, since a cold IP must not get
a burst for having waited.
"""

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import gcd

from app.flow.egress.choosing import EgressCandidate
from app.models import EgressState


@dataclass(frozen=True)
class Spread:
    given: dict[int, int]
    """IP -> messages; only IPs that get some."""
    waiting: int
    """What nobody can take now."""
    position: int
    """For the next call."""


def spread(
    count: int, candidates: Sequence[EgressCandidate], *, room: Mapping[int, int | None], position: int = 0
) -> Spread:
    """``room``: how many messages each IP may still take; ``None`` without limit, missing means none at all.
    ``position``: turns taken before, as the last call returned it (0 at first, any number after a loss)."""
    left = {
        one.id: room.get(one.id, 0) for one in sorted(candidates, key=lambda one: one.id)
        if one.state is not EgressState.QUARANTINED
    }  # fmt: skip
    weights = {one.id: one.weight for one in candidates}
    given: Counter[int] = Counter()
    waiting = count
    while waiting and (takers := [ip_id for ip_id, may in left.items() if may is None or may > 0]):
        turns = _turns(tuple(weights[ip_id] for ip_id in takers), position, waiting)
        taken = {ip_id: _at_most(turns[at], left[ip_id]) for at, ip_id in enumerate(takers)}
        left |= {ip_id: None if (may := left[ip_id]) is None else may - taken[ip_id] for ip_id in takers}
        given.update(taken)
        # Some taker is full now, or nothing waits any more: the loop ends.
        position, waiting = position + sum(taken.values()), waiting - sum(taken.values())
    return Spread({ip_id: number for ip_id, number in given.items() if number}, waiting, position)


def _at_most(wanted: int, room: int | None) -> int:
    return wanted if room is None else min(wanted, room)


def _turns(weights: tuple[int, ...], position: int, count: int) -> Counter[int]:
    """How often each comes in the ``count`` turns from ``position`` on."""
    order = turn_order(weights)
    cycles, rest = divmod(count, len(order))
    begin = position % len(order)
    turns = Counter(order[begin : begin + rest])
    turns.update(order[: max(0, begin + rest - len(order))])
    if cycles:
        turns.update({at: cycles * share for at, share in enumerate(_reduced(weights))})
    return turns


@lru_cache(maxsize=256)
def turn_order(weights: tuple[int, ...]) -> tuple[int, ...]:
    """One cycle: whose turn it is, as index into ``weights``.

    The k-th message of i (from 0) may come from turn ``floor(k·W/w)`` on and must before ``ceil((k+1)·W/w)``; for one relay
    that takes one message a turn, earliest deadline first always keeps to these windows."""
    shares = _reduced(weights)
    total = sum(shares)
    later = [(0, at, 0) for at in range(len(shares))]  # When it may come, who, its how-manieth.
    ready: list[tuple[int, int, int]] = []  # Its deadline, who, its how-manieth.
    order = []
    for turn in range(total):
        while later and later[0][0] <= turn:
            _, at, number = heapq.heappop(later)
            heapq.heappush(ready, (-(-(number + 1) * total // shares[at]), at, number))
        _, at, number = heapq.heappop(ready)
        order.append(at)
        if number + 1 < shares[at]:
            heapq.heappush(later, ((number + 1) * total // shares[at], at, number + 1))
    return tuple(order)


def _reduced(weights: tuple[int, ...]) -> tuple[int, ...]:
    divisor = gcd(*weights)
    return tuple(weight // divisor for weight in weights)
