from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mail.retry import JITTER_SHARE, gives_up, next_attempt_after

MINUTE, HOUR = 60.0, 3600.0
jitters = st.floats(0, 1)


def wait(attempt: int, jitter: float = 0.5) -> float:
    return next_attempt_after(
        attempt, first_wait_seconds=5 * MINUTE, max_wait_seconds=4 * HOUR, jitter=jitter
    ).total_seconds()


def test_waits_double_up_to_the_longest():
    assert [wait(attempt) / MINUTE for attempt in range(1, 9)] == [5, 10, 20, 40, 80, 160, 240, 240]


def test_jitter_moves_a_wait_by_a_fifth_to_either_side():
    assert wait(1, 0.0) == pytest.approx(4 * MINUTE)
    assert wait(1, 1.0) == pytest.approx(6 * MINUTE)


@given(st.integers(1, 10**9), jitters)
def test_wait_is_bounded_at_any_attempt(attempt: int, jitter: float):
    assert 5 * MINUTE * (1 - JITTER_SHARE) <= wait(attempt, jitter) <= 4 * HOUR * (1 + JITTER_SHARE) + 1e-3


@given(st.integers(1, 100), jitters)
def test_wait_never_shrinks_with_the_attempt(attempt: int, jitter: float):
    assert wait(attempt + 1, jitter) >= wait(attempt, jitter)


@pytest.mark.parametrize(
    "changed",
    [
        {"attempt": 0},
        {"jitter": 1.1},
        {"jitter": -0.1},
        {"first_wait_seconds": 0.0},
        {"max_wait_seconds": 1.0},
    ],
)
def test_arguments_without_sense_are_errors(changed: dict[str, float]):
    arguments = {"attempt": 1, "first_wait_seconds": 60.0, "max_wait_seconds": 600.0, "jitter": 0.5} | changed
    with pytest.raises(ValueError, match=r"tries|jitter|wait"):
        next_attempt_after(int(arguments.pop("attempt")), **arguments)


def test_delivery_is_given_up_when_the_next_try_would_come_too_late():
    first = datetime(2026, 3, 14, tzinfo=UTC)
    assert not gives_up(first, first + timedelta(hours=48), max_age=timedelta(hours=48))
    assert gives_up(first, first + timedelta(hours=48, seconds=1), max_age=timedelta(hours=48))
