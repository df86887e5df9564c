"""A campaign's rate, kept by a bucket in a real Redis: over time, by many takers, through flushes, away, odd clocks."""

import threading
import time

import pytest
from redis import Redis
from sqlalchemy.orm import Session

from app.extensions import db
from app.flow.rates.buckets import BUCKET_SECONDS, KEPT_SECONDS
from app.flow.rates.reserving import BROKER_AWAY_SECONDS, Rates
from app.flow.sessions import AnySession
from app.models import Campaign
from tests import factories

PER_SECOND = 10
CAPACITY = PER_SECOND * BUCKET_SECONDS


@pytest.fixture
def campaign(session, panel):
    return factories.campaign(session, panel, rate_per_hour=PER_SECOND * 3600)


@pytest.fixture
def take(session, redis, campaign):
    """``take(wanted)`` -> ``(granted, wait_seconds)`` of the campaign."""
    return lambda wanted: reserved(Rates(redis), session, campaign.id, wanted)


def reserved(rates: Rates, session: AnySession, campaign_id: int, wanted: int) -> tuple[int, float]:
    grant = rates.reserve(session, campaign_id=campaign_id, relay_id=0, provider="other", wanted=wanted)
    return grant.count, grant.wait_seconds


def key_of(campaign: Campaign) -> str:
    return f"chaski:rate:campaign:{campaign.id}"


def pass_seconds(redis: Redis, campaign: Campaign, seconds: float) -> None:
    """As if the last look had been so much longer ago (negative: as if the clock had been set back)."""
    redis.hincrbyfloat(key_of(campaign), "at", -seconds)


def test_campaign_without_a_rate_gets_what_it_wants_and_asks_no_redis(session, panel):
    unlimited = factories.campaign(session, panel)
    assert reserved(Rates(Redis(port=1)), session, unlimited.id, 500) == (500, 0.0)


def test_first_burst_is_the_bucket_and_then_it_waits_for_the_next(take):
    assert take(60) == (60, 0.0)
    assert take(60)[0] == pytest.approx(CAPACITY - 60, abs=1)
    granted, wait = take(60)
    assert granted == 0
    assert 0 < wait <= 1, "a second's worth is worth waking up for"


def test_bucket_refills_at_the_rate_and_never_above_its_size(take, redis, campaign):
    take(CAPACITY)
    pass_seconds(redis, campaign, 3)
    assert take(1000)[0] == pytest.approx(3 * PER_SECOND, abs=1)
    pass_seconds(redis, campaign, 100_000)
    assert take(1000)[0] == CAPACITY


def test_waiting_as_long_as_told_is_enough(take):
    take(CAPACITY)
    granted, wait = take(5)
    assert granted == 0
    time.sleep(wait)
    assert take(5)[0] >= 1


def test_an_hour_in_small_sips_gives_the_hourly_rate(take, redis, campaign):
    """Fractions of a token are kept: 7 an hour, looked at every 100 seconds, are 7."""
    campaign.rate_per_hour = 7
    db.session.commit()
    assert take(10) == (1, 0.0), "the smallest bucket holds one"
    granted = 0
    for _ in range(36):
        pass_seconds(redis, campaign, 100)
        granted += take(10)[0]
    assert granted in (6, 7)


def test_many_takers_at_once_get_no_more_than_the_rate_allows(redis, campaign):
    campaign.rate_per_hour = 200 * 3600
    db.session.commit()
    engine, campaign_id, granted = db.engine, campaign.id, []
    begun = time.monotonic()

    def work() -> None:
        rates = Rates(redis)
        with Session(engine) as own:
            while time.monotonic() < begun + 1.5:
                granted.append(reserved(rates, own, campaign_id, 37)[0])

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    allowed = 200 * (BUCKET_SECONDS + time.monotonic() - begun)
    assert sum(granted) <= allowed + 1
    assert sum(granted) >= 200 * (BUCKET_SECONDS + 1)
    assert max(granted) <= 37


def test_changed_rate_acts_at_the_next_chunk(take, redis, campaign):
    take(CAPACITY)
    campaign.rate_per_hour = 2 * PER_SECOND * 3600
    db.session.commit()
    pass_seconds(redis, campaign, 3)
    assert take(1000)[0] == pytest.approx(6 * PER_SECOND, abs=1)
    campaign.rate_per_hour = None
    db.session.commit()
    assert take(1000) == (1000, 0.0)


@pytest.mark.parametrize("command", ["flushdb", "script_flush"])
def test_flushed_redis_costs_one_bucket_and_no_error(take, redis, command):
    take(CAPACITY)
    getattr(redis, command)()
    assert take(1000)[0] <= CAPACITY
    assert take(1000)[0] <= 1


def test_clock_set_back_neither_stops_nor_bursts(take, redis, campaign):
    take(CAPACITY)
    pass_seconds(redis, campaign, -86_400)
    granted, wait = take(10)
    assert granted == 0
    assert wait <= 1
    pass_seconds(redis, campaign, 2)
    assert take(1000)[0] == pytest.approx(2 * PER_SECOND, abs=1)


def test_redis_that_is_away_means_waiting_not_sending(session, campaign):
    assert reserved(Rates(Redis(port=1)), session, campaign.id, 10) == (0, BROKER_AWAY_SECONDS)


def test_campaigns_have_buckets_of_their_own_that_are_forgotten(session, panel, redis, campaign, take):
    other = factories.campaign(session, panel, rate_per_hour=PER_SECOND * 3600)
    take(CAPACITY)
    assert reserved(Rates(redis), session, other.id, 1000)[0] == CAPACITY
    assert 0 < redis.ttl(key_of(campaign)) <= KEPT_SECONDS
