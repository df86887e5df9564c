"""What takes reading a whole ledger is read once, anew when something happened, and by a worker where it takes long."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from app.flow import events, report_details
from app.models import CampaignDetails
from tests import factories, ledger

NOW = datetime(2027, 1, 5, 12, tzinfo=UTC)


@pytest.fixture
def campaign(session, panel):
    campaign = factories.campaign(session, panel)
    ledger.freeze(session, campaign, ["accepted"] * 3 + ["skipped:unsubscribed", "bounced"])
    return campaign


@pytest.fixture
def everything_is_large(monkeypatch):
    monkeypatch.setattr(report_details, "READ_AT_ONCE", 0)


def somebody_opens(session, campaign, seq: int) -> None:
    session.execute(
        text("INSERT INTO engagement (frozen_on, campaign_id, seq, opens, first_open_at) VALUES (:f, :c, :s, 1, :at)"),
        {"f": campaign.frozen_on, "c": campaign.id, "s": seq, "at": NOW},
    )
    events.sum_up(session, campaign.id)
    session.commit()


def test_small_campaign_is_read_at_once_and_again_when_something_happened(session, campaign):
    first = report_details.details(session, campaign)
    assert first.is_current and first.skipped == {"unsubscribed": 1} and first.spans == []
    somebody_opens(session, campaign, 1)
    second = report_details.details(session, campaign)
    assert [(span.begins_at, span.openers) for span in second.spans] == [(NOW, 1)]
    assert second.domains[0].openers == 1


def test_nothing_happened_means_nothing_is_read(session, campaign):
    made = report_details.details(session, campaign).made_at
    assert report_details.details(session, campaign).made_at == made


def test_what_is_kept_is_what_was_made(session, campaign):
    somebody_opens(session, campaign, 2)
    made = report_details.make(session, campaign)
    assert report_details.details(session, campaign) == made


def test_large_campaign_is_read_by_a_worker(session, campaign, everything_is_large):
    assert report_details.details(session, campaign, now=NOW) is None
    assert report_details.wanted(session) == [campaign.id]
    assert report_details.make_wanted(session, campaign.id)
    assert report_details.wanted(session) == []
    assert not report_details.make_wanted(session, campaign.id), "a ring that comes twice finds nothing to do"
    assert report_details.details(session, campaign).is_current


def test_large_campaign_shows_the_last_reading_until_the_next_one(session, campaign, everything_is_large):
    made_at = report_details.make(session, campaign).made_at
    somebody_opens(session, campaign, 1)
    soon = report_details.details(session, campaign, now=made_at + timedelta(seconds=5))
    assert not soon.is_current and soon.spans == []
    assert report_details.wanted(session) == [], "it rests between two readings"
    report_details.details(session, campaign, now=made_at + timedelta(seconds=11))
    assert report_details.wanted(session) == [campaign.id]


def test_long_reading_rests_longer(session, campaign, everything_is_large):
    made_at = report_details.make(session, campaign).made_at
    session.get(CampaignDetails, campaign.id).took_ms = 3000
    session.commit()
    somebody_opens(session, campaign, 1)
    report_details.details(session, campaign, now=made_at + timedelta(seconds=59))
    assert report_details.wanted(session) == []
    report_details.details(session, campaign, now=made_at + timedelta(seconds=61))
    assert report_details.wanted(session) == [campaign.id]
