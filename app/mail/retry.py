"""When a deferred delivery is tried again, and when it is given up.

Waits double from try to try, so that a host that is down for a night costs a dozen tries and not a thousand
(RFC 5321 §4.5.4.1 asks for at least 30 minutes after the first ones, and for four to five days before giving
up; both are settings). Jitter spreads what was deferred together, which would come back together otherwise.
"""

from datetime import datetime, timedelta

# How far jitter moves a wait to either side.
JITTER_SHARE = 0.2
# 2 ** 40 first waits are more than any maximum; it keeps the power of two small.
_MAX_DOUBLINGS = 40


def next_attempt_after(attempt: int, *, first_wait_seconds: float, max_wait_seconds: float, jitter: float) -> timedelta:
    """How long to wait after try number `attempt` (from 1) was deferred.

    jitter: 0 to 1, drawn by the caller; 0.5 gives the wait itself, the ends 20 % less and more
    """
    if attempt < 1:
        raise ValueError(f"tries are counted from 1, not {attempt}")
    if not 0 <= jitter <= 1:
        raise ValueError(f"jitter is between 0 and 1, not {jitter}")
    if not 0 < first_wait_seconds <= max_wait_seconds:
        raise ValueError("the first wait is positive and no longer than the longest one")
    doubled = first_wait_seconds * 2.0 ** min(attempt - 1, _MAX_DOUBLINGS)
    wait = min(doubled, max_wait_seconds)
    return timedelta(seconds=wait * (1 + JITTER_SHARE * (2 * jitter - 1)))


def gives_up(first_attempt_at: datetime, next_attempt_at: datetime, *, max_age: timedelta) -> bool:
    """Whether the next try would come after the delivery's last hour; then it is given up now, not then."""
    return next_attempt_at - first_attempt_at > max_age
