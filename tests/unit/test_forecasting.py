"""The forecast keeps every limit of every day, sends everybody once, and says what it hangs on."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.flow.forecasting import ColdIps, Conditions, Lane, Limiting, forecast

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 22, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def told(people, *, lanes=None, begins_at=NOON, **common):
    return forecast(
        people,
        Conditions(common={Limiting(name): rate for name, rate in common.items()}, lanes=lanes),
        begins_at=begins_at,
    )


def test_without_any_known_limit_there_is_no_forecast():
    assert told({"google": 10}) is None


def test_nobody_to_send_to_ends_at_once():
    assert told({}, speed=5.0).ends_at == NOON


def test_the_lowest_common_limit_decides():
    found = told({"google": 3000, "other": 600}, speed=100.0, relay_rate=1.0, panel_rate=7.0)
    assert abs(found.ends_at - (NOON + timedelta(hours=1))) < SECOND
    assert (found.limiting, found.provider) == (Limiting.RELAY_RATE, "")


def test_the_provider_that_is_through_last_is_the_bottleneck():
    lanes = {"google": Lane(per_ip=5.0, warm_ips=10), "outlook": Lane(per_ip=0.1, warm_ips=10)}
    found = told({"google": 3600, "outlook": 3600}, lanes=lanes, speed=100.0)
    assert abs(found.ends_at - (NOON + timedelta(hours=1))) < SECOND
    assert (found.limiting, found.provider, found.ips) == (Limiting.IP_RATE, "outlook", 10)


def test_a_warm_up_goes_on_the_next_day_where_today_is_used_up():
    cold = ColdIps(ips=12, caps=(100, 200), used=1150)
    found = told({"outlook": 50 + 2400 + 120}, lanes={"outlook": Lane(per_ip=1.0, warm_ips=0, cold=(cold,))}, speed=1e6)
    assert (found.limiting, found.provider, found.ips) == (Limiting.WARM_UP, "outlook", 12)
    # 50 today; 2,400 tomorrow; the day after they are warm: 120 by 12 IPs of a message a second.
    assert abs(found.ends_at - (MIDNIGHT + timedelta(days=1, seconds=10))) < SECOND
    assert [round(day.get("outlook", 0)) for day in found.by_day] == [50, 2400, 120]


def test_what_cold_ips_can_not_take_goes_by_the_warm_ones():
    lane = Lane(per_ip=1.0, warm_ips=1, cold=(ColdIps(ips=3, caps=(10, 20)),))
    found = told({"google": 70}, lanes={"google": lane}, speed=1e6)
    assert abs(found.ends_at - (NOON + timedelta(seconds=40))) < SECOND


def test_without_an_ip_nothing_ever_goes():
    found = told({"google": 1}, lanes={"google": Lane(per_ip=1.0, warm_ips=0)}, speed=10.0)
    assert (found.ends_at, found.limiting) == (None, Limiting.NO_IP)


def test_what_takes_longer_than_three_months_has_no_end():
    assert told({"google": 10_000_000}, campaign_rate=0.1).ends_at is None


caps = st.lists(st.integers(1, 500), min_size=1, max_size=5).map(lambda found: tuple(sorted(found)))
lane = st.builds(
    Lane,
    per_ip=st.floats(0.01, 20),
    warm_ips=st.integers(0, 5),
    cold=st.lists(st.builds(ColdIps, ips=st.integers(1, 9), caps=caps), max_size=3).map(tuple),
)
NAMES = ("google", "outlook", "other")
people_of_all = st.fixed_dictionaries({name: st.integers(0, 50_000) for name in NAMES})
lanes_of_all = st.fixed_dictionaries(dict.fromkeys(NAMES, lane))
moments = st.integers(0, 86_399).map(lambda second: datetime(2026, 11, 21, tzinfo=UTC) + timedelta(seconds=second))


@settings(max_examples=150, deadline=None)
@given(people_of_all, lanes_of_all, st.floats(0.05, 2000), moments)
def test_everybody_is_sent_once_and_no_day_takes_more_than_it_may(people, lanes, speed, begins_at):
    found = told(people, lanes=lanes, begins_at=begins_at, speed=speed)
    sent = {name: sum(day.get(name, 0.0) for day in found.by_day) for name in NAMES}
    if found.ends_at is not None:
        assert found.ends_at >= begins_at
        assert sent == pytest.approx(people, abs=1 + speed * 0.01)
    else:
        assert all(sent[name] <= people[name] + 1 for name in NAMES)
    midnight = begins_at.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    for number, day in enumerate(found.by_day):
        seconds = (midnight - begins_at).total_seconds() if number == 0 else 86_400.0
        assert sum(day.values()) <= speed * seconds + 1
        for name, count in day.items():
            assert count <= most_of_day(lanes[name], number, seconds) + 1


def most_of_day(of: Lane, number: int, seconds: float) -> float:
    by_rate = of.per_ip * seconds
    cold = sum(
        group.ips * (min(by_rate, group.caps[number]) if number < len(group.caps) else by_rate) for group in of.cold
    )
    return of.warm_ips * by_rate + cold


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 200_000), lane, st.floats(0.05, 2000), moments, st.integers(1, 50_000))
def test_one_provider_ends_never_earlier_with_more_people_nor_later_with_more_speed(people, of, speed, begins_at, more):
    def end(count, rate, lanes=of):
        found = told({"google": count}, lanes={"google": lanes}, begins_at=begins_at, speed=rate)
        return found.ends_at or datetime.max.replace(tzinfo=UTC)

    usual = end(people, speed)
    assert end(people + more, speed) >= usual - SECOND
    assert end(people, speed * 2) <= usual + SECOND if usual.year < 9999 else True
    another = Lane(per_ip=of.per_ip, warm_ips=of.warm_ips + 1, cold=of.cold)
    assert end(people, speed, another) <= usual + SECOND if usual.year < 9999 else True
