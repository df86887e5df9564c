"""The forecast keeps every limit of every day, sends everybody once, and says what it hangs on."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.flow.forecast_terms import Conditions, HoldStep, IpGroup, Lane, Limiting, Rival
from app.flow.forecasting import forecast

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 22, tzinfo=UTC)
SECOND = timedelta(seconds=1)


HOUR = timedelta(hours=1)


def told(people, *, lanes=None, begins_at=NOON, now=None, rivals=(), **common):
    return forecast(
        people,
        Conditions(common={Limiting(name): rate for name, rate in common.items()}, lanes=lanes, rivals=rivals),
        begins_at=begins_at,
        now=now,
    )


def about(moment, expected):
    return abs(moment - expected) < SECOND


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
    cold = IpGroup(ips=12, caps=(100, 200), used=1150)
    found = told(
        {"outlook": 50 + 2400 + 120}, lanes={"outlook": Lane(per_ip=1.0, warm_ips=0, groups=(cold,))}, speed=1e6
    )
    assert (found.limiting, found.provider, found.ips) == (Limiting.WARM_UP, "outlook", 12)
    # 50 today; 2,400 tomorrow; the day after they are warm: 120 by 12 IPs of a message a second.
    assert abs(found.ends_at - (MIDNIGHT + timedelta(days=1, seconds=10))) < SECOND
    assert [round(day.get("outlook", 0)) for day in found.by_day] == [50, 2400, 120]


def test_what_cold_ips_can_not_take_goes_by_the_warm_ones():
    lane = Lane(per_ip=1.0, warm_ips=1, groups=(IpGroup(ips=3, caps=(10, 20)),))
    found = told({"google": 70}, lanes={"google": lane}, speed=1e6)
    assert abs(found.ends_at - (NOON + timedelta(seconds=40))) < SECOND


def test_without_an_ip_nothing_ever_goes():
    found = told({"google": 1}, lanes={"google": Lane(per_ip=1.0, warm_ips=0)}, speed=10.0)
    assert (found.ends_at, found.limiting) == (None, Limiting.NO_IP)


def test_what_takes_longer_than_three_months_has_no_end():
    assert told({"google": 10_000_000}, campaign_rate=0.1).ends_at is None


# Holds of the breaker.


def test_a_suspended_ip_sends_from_its_end_on_and_meanwhile_the_others_do():
    """Two IPs of a message a second, one suspended for half an hour: 1,800 go by the other, then 2 a second."""
    held = IpGroup(ips=1, steps=(HoldStep(until=NOON + HOUR / 2, factor=0),))
    found = told({"google": 1800 + 3600}, lanes={"google": Lane(per_ip=1.0, warm_ips=1, groups=(held,))}, speed=1e6)
    assert about(found.ends_at, NOON + HOUR)


def test_a_suspended_provider_is_waited_for_and_said_with_its_end():
    steps = (HoldStep(until=NOON + 2 * HOUR, factor=0), HoldStep(until=NOON + 3 * HOUR, factor=0.5))
    lanes = {"google": Lane(per_ip=1.0, warm_ips=0, groups=(IpGroup(ips=2, steps=steps),))}
    found = told({"google": 3600 + 7200, "other": 10}, lanes=lanes, speed=1e6)
    # Nothing for two hours, an hour at half of two a second, the rest at two a second.
    assert about(found.ends_at, NOON + 4 * HOUR)
    assert (found.limiting, found.provider, found.ips) == (Limiting.HELD, "google", 2)
    assert found.held_until == NOON + 3 * HOUR


def test_a_hold_of_one_provider_does_not_delay_another():
    lanes = {
        "google": Lane(
            per_ip=1.0, warm_ips=0, groups=(IpGroup(ips=1, steps=(HoldStep(until=NOON + HOUR, factor=0),)),)
        ),
        "other": Lane(per_ip=1.0, warm_ips=1),
    }
    found = told({"google": 60, "other": 600}, lanes=lanes, speed=1e6)
    assert about(found.ends_at, NOON + HOUR + 60 * SECOND)
    assert sum(day.get("other", 0) for day in found.by_day) == pytest.approx(600, abs=1)


def test_a_cold_ip_that_is_held_begins_its_day_of_warm_up_later():
    """Held until an hour after midnight: nothing of today's cap, then tomorrow's 100 in 100 s, the day after it is warm."""
    cold = IpGroup(ips=1, caps=(50, 100), steps=(HoldStep(until=MIDNIGHT + HOUR, factor=0),))
    found = told({"google": 110}, lanes={"google": Lane(per_ip=1.0, warm_ips=0, groups=(cold,))}, speed=1e6)
    assert [round(day.get("google", 0)) for day in found.by_day] == [0, 100, 10]
    assert about(found.ends_at, MIDNIGHT + timedelta(days=1, seconds=10))


def test_a_relay_without_ips_of_ours_is_unlimited_again_after_the_hold():
    lane = Lane(per_ip=1.0, warm_ips=0, groups=(IpGroup(ips=1, steps=(HoldStep(until=NOON + HOUR, factor=0.5),)),),
                free_from=NOON + HOUR)  # fmt: skip
    found = told({"google": 1800 + 3600}, lanes={"google": lane}, speed=10.0)
    assert about(found.ends_at, NOON + HOUR + 360 * SECOND)


def test_what_is_left_of_the_first_day_of_warm_up_is_told():
    cold = IpGroup(ips=3, caps=(5000, 8000), used=3000)
    found = told({"google": 40_000}, lanes={"google": Lane(per_ip=1.0, warm_ips=0, groups=(cold,))}, speed=1e6)
    assert (found.limiting, found.ips, found.first_day) == (Limiting.WARM_UP, 3, 12_000)


# Other campaigns.


def test_an_urgent_campaign_is_waited_for():
    """3,600 of theirs at a message a second, then 3,600 of ours."""
    urgent = Rival(people={"google": 3600}, begins_at=NOON, is_ahead=True)
    found = told({"google": 3600}, rivals=[urgent], relay_rate=1.0)
    assert about(found.ends_at, NOON + 2 * HOUR)
    assert told({"google": 3599}, rivals=[urgent], relay_rate=1.0).limiting is Limiting.URGENT_FIRST


def test_an_urgent_campaign_that_begins_in_between_interrupts():
    urgent = Rival(people={"google": 1800}, begins_at=NOON + HOUR / 2, is_ahead=True)
    assert about(told({"google": 3600}, rivals=[urgent], relay_rate=1.0).ends_at, NOON + 1.5 * HOUR)
    late = Rival(people={"google": 1800}, begins_at=NOON + 2 * HOUR, is_ahead=True)
    assert about(told({"google": 3600}, rivals=[late], relay_rate=1.0).ends_at, NOON + HOUR)


def test_our_panels_limit_is_not_used_up_by_an_urgent_campaign_of_another():
    urgent = Rival(people={"google": 3600}, begins_at=NOON, is_ahead=True)
    found = told({"google": 3600}, rivals=[urgent], relay_rate=2.0, panel_rate=1.0)
    # 2 a second for the urgent one, half an hour; then ours at its panel's one a second.
    assert about(found.ends_at, NOON + 1.5 * HOUR)


def test_campaigns_of_a_panel_share_evenly_until_one_is_through():
    beside = Rival(people={"google": 900}, begins_at=NOON, is_ahead=False)
    found = told({"google": 2700}, rivals=[beside], panel_rate=1.0)
    # Both at half a message a second until theirs is through after 1,800 s, the 1,800 left of ours at one.
    assert about(found.ends_at, NOON + HOUR)


def test_what_runs_before_a_later_begin_is_over_by_then():
    beside = Rival(people={"google": 3600}, begins_at=NOON, is_ahead=False)
    found = told({"google": 3600}, rivals=[beside], panel_rate=1.0, begins_at=NOON + HOUR, now=NOON)
    assert about(found.ends_at, NOON + 2 * HOUR)


def test_caps_of_the_day_of_a_later_begin_count():
    cold = IpGroup(ips=1, caps=(10, 20, 30), used=10)
    lanes = {"google": Lane(per_ip=1.0, warm_ips=0, groups=(cold,))}
    found = told({"google": 25}, lanes=lanes, begins_at=MIDNIGHT + HOUR, now=NOON, speed=1e6)
    assert [round(day.get("google", 0)) for day in found.by_day] == [20, 5]
    assert told({"google": 25}, lanes=lanes, speed=1e6, begins_at=MIDNIGHT + HOUR, now=NOON).first_day == 20


caps = st.lists(st.integers(1, 500), min_size=1, max_size=5).map(lambda found: tuple(sorted(found)))
steps = st.lists(
    st.tuples(st.integers(1, 200_000), st.sampled_from([0.0, 0.25, 0.5, 1.0])), max_size=4, unique_by=lambda one: one[0]
).map(
    lambda found: tuple(HoldStep(until=MIDNIGHT - 24 * HOUR + n * SECOND, factor=factor) for n, factor in sorted(found))
)
lane = st.builds(
    Lane,
    per_ip=st.floats(0.01, 20),
    warm_ips=st.integers(0, 5),
    groups=st.lists(st.builds(IpGroup, ips=st.integers(1, 9), caps=caps | st.just(()), steps=steps), max_size=3).map(
        tuple
    ),
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
        group.ips * (min(by_rate, group.caps[number]) if number < len(group.caps) else by_rate) for group in of.groups
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
    another = Lane(per_ip=of.per_ip, warm_ips=of.warm_ips + 1, groups=of.groups)
    assert end(people, speed, another) <= usual + SECOND if usual.year < 9999 else True


def later(people, conditions, begins_at):
    found = forecast(people, conditions, begins_at=begins_at)
    return found.ends_at or datetime.max.replace(tzinfo=UTC)


@settings(max_examples=120, deadline=None)
@given(st.integers(1, 100_000), lane, st.sampled_from(list(Limiting)[:4]), st.floats(0.05, 200), moments, st.data())
def test_no_lower_limit_of_any_kind_ends_earlier(people, of, which, rate, begins_at, data):
    usual = Conditions(common={which: rate, Limiting.SPEED: 1000.0}, lanes={"google": of})
    end = later({"google": people}, usual, begins_at)
    rivals = [
        Rival(
            people={"google": data.draw(st.integers(1, 5000))}, begins_at=begins_at, is_ahead=data.draw(st.booleans())
        )
    ]
    held = tuple(
        replace(one, steps=(HoldStep(until=begins_at + HOUR, factor=0.0),)) for one in of.groups if not one.steps
    )
    worse = {
        "rate": replace(usual, common={**usual.common, which: rate / 2}),
        "slower IPs": replace(usual, lanes={"google": replace(of, per_ip=of.per_ip / 2)}),
        "lower caps": replace(
            usual,
            lanes={
                "google": replace(
                    of, groups=tuple(replace(one, caps=tuple(cap // 2 for cap in one.caps)) for one in of.groups)
                )
            },
        ),
        "a hold": replace(usual, lanes={"google": replace(of, groups=(*(g for g in of.groups if g.steps), *held))}),
        "a rival": replace(usual, rivals=rivals),
    }
    for name, conditions in worse.items():
        assert later({"google": people}, conditions, begins_at) >= end - SECOND, name
