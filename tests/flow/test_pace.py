"""What a campaign waits for, as the pages tell it; progress by mailbox provider."""

import dataclasses
from datetime import UTC, date, datetime, timedelta

from app.flow import pace
from app.flow.rates import waits
from app.flow.rates.waits import Wait, WaitCause
from app.models import Batch, BatchStatus, CampaignStatus
from tests import factories

NOW = datetime(2026, 11, 21, 15, 0, tzinfo=UTC)


def waiting(cause, seconds, provider="google"):
    return Wait(7, provider, cause, NOW.timestamp() + seconds)


def test_of_two_waits_of_a_provider_the_longer_one_is_told():
    found = pace.reasons_of([waiting(WaitCause.IP_RATE, 12), waiting(WaitCause.IP_RATE, 3)], now=NOW)
    assert [(one.provider, one.cause, one.seconds_left(NOW)) for one in found] == [("google", WaitCause.IP_RATE, 12)]


def test_a_limit_of_everybody_is_told_once_and_first():
    noted = [
        waiting(WaitCause.IP_RATE, 50, "yahoo"),
        *(waiting(WaitCause.PANEL_RATE, 5, p) for p in ("google", "other")),
    ]
    assert [one.provider for one in pace.reasons_of(noted, now=NOW)] == ["", "yahoo"]


def test_a_full_day_of_the_warm_up_lasts_until_the_day_of_utc_ends():
    (found,) = pace.reasons_of([waiting(WaitCause.WARM_UP, 300)], now=NOW)
    assert found.until == datetime(2026, 11, 22, tzinfo=UTC)


def test_a_wait_that_ended_a_moment_ago_is_still_told_to_people_but_not_to_the_dispatcher(redis, settings):
    waits.note(redis, campaign_id=7, provider="google", cause=WaitCause.IP_RATE, seconds=-1)
    waits.note(redis, campaign_id=8, provider="google", cause=WaitCause.IP_RATE, seconds=30)
    found = pace.reasons(settings, [7, 8, 9], now=datetime.now(UTC))
    assert {id_: len(reasons) for id_, reasons in found.items()} == {7: 1, 8: 1, 9: 0}
    assert [wait.campaign_id for wait in waits.current(redis)] == [8]


def test_a_wait_that_ended_long_ago_is_forgotten(redis, settings):
    waits.note(redis, campaign_id=7, provider="google", cause=WaitCause.IP_RATE, seconds=-60)
    assert pace.reasons(settings, [7], now=datetime.now(UTC)) == {7: []}


def test_nobody_knows_while_redis_is_away(settings):
    away = dataclasses.replace(settings, redis_url="redis://127.0.0.1:1/0")
    assert pace.reasons(away, [7], now=NOW) is None


def test_progress_by_provider_sums_its_batches_and_has_the_largest_first(session, panel):
    day = date(2026, 11, 20)
    campaign = factories.campaign(
        session, panel, status=CampaignStatus.SENDING, frozen_on=day, audience_frozen_at=NOW - timedelta(hours=1)
    )
    for first, provider, counts in (
        (1, "other", {"accepted": 60, "delivered": 40}),
        (101, "google", {"accepted": 150, "planned": 40, "deferred": 10}),
        (301, "google", {"planned": 200}),
    ):
        total = sum(counts.values())
        session.add(
            Batch(
                campaign_id=campaign.id, frozen_on=day, first_seq=first, last_seq=first + total - 1, provider=provider,
                status=BatchStatus.READY, **counts,
            )
        )  # fmt: skip
    session.commit()
    found = pace.by_provider(session, campaign.id)
    assert [(one.provider, one.settled, one.planned, one.waiting, one.deferred) for one in found] == [
        ("google", 150, 400, 240, 10),
        ("other", 100, 100, 0, 0),
    ]
