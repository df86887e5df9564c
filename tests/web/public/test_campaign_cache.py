"""The cache of campaigns: one question for many hits, bounded, and of use while PostgreSQL is away."""

import threading
from datetime import date

import pytest
from sqlalchemy.exc import OperationalError

from app.flow.events import CampaignFacts
from app.web.public import campaign_cache
from app.web.public.campaign_cache import CampaignCache, FactsUnavailable

FACTS = CampaignFacts(1, date(2026, 11, 21), 10, True, {0: "https://example.pe/"})


class Database:
    """Answers, counts the questions, and can be away."""

    def __init__(self, facts: CampaignFacts | None = FACTS) -> None:
        self.facts, self.away, self.asked = facts, False, 0

    def load(self, _campaign_id: int) -> CampaignFacts | None:
        self.asked += 1
        if self.away:
            raise OperationalError("SELECT", {}, Exception("away"))
        return self.facts


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_campaign_is_asked_for_once_a_minute(clock: Clock) -> None:
    database = Database()
    cache = CampaignCache(database.load, token_days=730, clock=clock)
    for _ in range(100):
        assert cache.get(1) is not None
    assert database.asked == 1
    clock.now += 61
    cache.get(1)
    assert database.asked == 2


def test_a_missing_campaign_is_remembered_shortly(clock: Clock) -> None:
    database = Database(None)
    cache = CampaignCache(database.load, token_days=730, clock=clock)
    assert [cache.get(1) for _ in range(100)] == [None] * 100
    assert database.asked == 1
    clock.now, database.facts = 6.0, FACTS
    assert cache.get(1) is not None


def test_an_audience_that_still_grows_is_looked_at_every_second(clock: Clock) -> None:
    database = Database(CampaignFacts(1, date(2026, 11, 21), 10, False, {}))
    cache = CampaignCache(database.load, token_days=730, clock=clock)
    cache.get(1)
    clock.now, database.facts = 1.1, FACTS
    campaign = cache.get(1)
    assert campaign is not None and campaign.locations == {"0": "https://example.pe/"}


def test_away_the_old_facts_do_and_the_database_is_left_alone(clock: Clock) -> None:
    database = Database()
    cache = CampaignCache(database.load, token_days=730, clock=clock)
    cache.get(1)
    clock.now, database.away = 61.0, True
    assert all(cache.get(1) is not None for _ in range(50))
    with pytest.raises(FactsUnavailable):
        cache.get(2)
    assert database.asked == 2
    clock.now, database.away = 64.0, False
    assert cache.get(2) is not None


def test_it_never_holds_more_than_its_bound(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign_cache, "MAX_CAMPAIGNS", 10)
    cache = CampaignCache(Database().load, token_days=730, clock=clock)
    for campaign_id in range(1000):
        cache.get(campaign_id)
    assert len(cache._kept) == 10


def test_threads_that_miss_together_ask_once() -> None:
    database, start = Database(), threading.Barrier(8)
    cache = CampaignCache(database.load, token_days=730)

    def hit() -> None:
        start.wait()
        assert cache.get(1) is not None

    threads = [threading.Thread(target=hit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert database.asked == 1
