"""When a deferred delivery is tried again, and when it has waited long enough (RFC 5321 §4.5.4.1)."""

from datetime import timedelta


def next_attempt_after(attempt: int, *, first_wait_seconds: float, max_wait_seconds: float, jitter: float) -> timedelta:
    """The wait behind the ``attempt``-th try (1 is the first): doubles each time up to the maximum, then spread by up to
    a tenth. ``jitter``: 0 … 1, so that what was deferred together doesn't come back together."""
    doubled = first_wait_seconds * 2.0 ** min(max(attempt, 1) - 1, 40)
    return timedelta(seconds=min(max_wait_seconds, doubled) * (1 + jitter / 10))


def gives_up(age: timedelta, *, max_age_seconds: float) -> bool:
    """Whether a delivery that would be ``age`` old at its next try has waited long enough."""
    return age.total_seconds() > max_age_seconds
