"""A part goes first, over all providers; the rest waits, goes, or is held; a person has the last word."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text

from app.flow import audience, batches, campaigns, canary, sending
from app.flow.canary import Figures
from app.models import Batch, Campaign, CampaignStatus, CanaryStage, MailDomain
from app.web.campaigns.causes import pause_cause
from tests import factories
from tests.flow.streets import street
from tests.scripted_relay import Behaviour, ScriptedRelay

NOW = datetime(2026, 11, 21, 15, tzinfo=UTC)


@pytest.fixture
def campaign(session, settings, panel):
    """400 people at two providers; a tenth goes first, the rest waits 20 minutes."""
    factories.signed_domain(session, settings, panel)
    mailing_list = factories.mailing_list(session, panel)
    factories.contacts(session, panel, mailing_list, 400)
    session.execute(text("UPDATE contact SET domain = 'g.test', email = 'q' || id || '@g.test' WHERE id % 4 = 0"))
    session.add(MailDomain(domain="g.test", provider="google", expires_at=NOW + timedelta(days=3650)))
    campaign = factories.campaign(
        session, panel, mailing_list, status=CampaignStatus.PREPARING, canary_percent=10, canary_minutes=20
    )
    assert audience.prepare(session, settings, campaign.id)
    return session.get_one(Campaign, campaign.id, populate_existing=True)


def stage_of(session, campaign) -> CanaryStage | None:
    return session.get_one(Campaign, campaign.id, populate_existing=True).canary_stage


def send_due(session, settings) -> int:
    return sum(
        sending.send_batch(session, street(settings), batch_id)
        for batch_id in batches.ring_due(session, window=1000, ring_again_seconds=0)
    )


def part(session) -> list[Batch]:
    return list(session.scalars(select(Batch).where(Batch.is_canary)))


def test_part_is_of_every_provider_and_about_as_large_as_asked_for(session, campaign):
    chosen = part(session)
    assert {batch.provider for batch in chosen} == {"google", "other"}
    assert 40 <= sum(batch.last_seq - batch.first_seq + 1 for batch in chosen) <= 60
    assert stage_of(session, campaign) is CanaryStage.SENDING


def test_rest_waits_for_the_part_and_then_for_its_time(session, settings, panel, campaign):
    size = sum(batch.planned for batch in part(session))
    with ScriptedRelay() as relay:
        factories.relay(session, panel, relay.port)
        assert send_due(session, settings) == size
        assert send_due(session, settings) == 0
        canary.look(session, now=NOW)
        assert stage_of(session, campaign) is CanaryStage.WATCHING
        canary.look(session, now=NOW + timedelta(minutes=19))
        assert send_due(session, settings) == 0
        canary.look(session, now=NOW + timedelta(minutes=20))
        assert stage_of(session, campaign) is CanaryStage.PASSED
        assert send_due(session, settings) == 400 - size
        assert len({stored.rcpt_to for stored in relay.stored}) == len(relay.stored) == 400


def test_batch_that_was_rung_by_mistake_is_not_claimed_before_its_time(session, settings, campaign):
    other = session.scalars(select(Batch).where(~Batch.is_canary)).first()
    assert other is not None
    assert batches.claim(session, other.id, worker="w", lease_seconds=60) is None


def test_too_many_bounces_hold_the_rest_at_once_and_say_so(session, settings, panel, campaign):
    with ScriptedRelay(default=Behaviour(rcpt="550 5.1.1 no such user")) as relay:
        factories.relay(session, panel, relay.port)
        assert send_due(session, settings)
        session.execute(text("UPDATE batch SET bounced = 60 WHERE is_canary AND provider = 'other'"))
        canary.look(session, now=NOW)
    row = session.get_one(Campaign, campaign.id, populate_existing=True)
    assert (row.status, row.canary_stage) == (CampaignStatus.PAUSED, CanaryStage.HELD)
    assert row.status_reason.startswith("canary:bounced 100.0 5")
    campaigns.resume_campaign(session, panel.id, campaign.id)
    assert stage_of(session, campaign) is CanaryStage.PASSED
    assert len(batches.ring_due(session, window=1000, ring_again_seconds=0)) > 0, "a person said that the rest may go"


def test_blocked_ip_holds_the_rest_as_bounces_would(session, settings, panel, campaign):
    """The relay's log tells it: no bounce of a person, but nothing arrives."""
    with ScriptedRelay() as relay:
        factories.relay(session, panel, relay.port)
        assert send_due(session, settings)
        session.execute(text("UPDATE batch SET failed = 60, accepted = 0 WHERE is_canary"))
        canary.look(session, now=NOW)
    row = session.get_one(Campaign, campaign.id, populate_existing=True)
    assert (row.status, row.canary_stage) == (CampaignStatus.PAUSED, CanaryStage.HELD)
    assert "rechazan nuestra dirección IP" in pause_cause(row.status_reason)


def test_pause_and_resume_by_a_person_does_not_let_the_rest_go(session, panel, campaign):
    campaigns.pause_campaign(session, panel.id, campaign.id)
    campaigns.resume_campaign(session, panel.id, campaign.id)
    assert stage_of(session, campaign) is CanaryStage.SENDING


def test_campaign_without_a_part_goes_at_once(session, settings, panel):
    factories.signed_domain(session, settings, panel)
    mailing_list = factories.mailing_list(session, panel)
    factories.contacts(session, panel, mailing_list, 30)
    plain = factories.campaign(session, panel, mailing_list, status=CampaignStatus.PREPARING)
    assert audience.prepare(session, replace(settings, batch_size=10), plain.id)
    assert stage_of(session, plain) is None
    assert len(batches.ring_due(session, window=16, ring_again_seconds=0)) == 3


@pytest.mark.parametrize(
    ("figures", "is_complete", "trouble"),
    [
        (Figures(tried=0, bounced=0, deferred=0, to_try=0), True, ""),
        (Figures(tried=49, bounced=49, deferred=0, to_try=9), False, ""),
        (Figures(tried=49, bounced=49, deferred=0, to_try=0), True, "bounced 100.0 5"),
        (Figures(tried=100, bounced=5, deferred=0, to_try=9), False, ""),
        (Figures(tried=100, bounced=6, deferred=0, to_try=9), False, "bounced 6.0 5"),
        (Figures(tried=100, bounced=0, deferred=90, to_try=9), False, ""),
        (Figures(tried=100, bounced=0, deferred=21, to_try=0), True, "deferred 21.0 20"),
        (Figures(tried=100, bounced=5, deferred=0, to_try=9, failed=5), False, ""),
        (Figures(tried=100, bounced=0, deferred=0, to_try=9, failed=6), False, "failed 6.0 5"),
    ],
)
def test_what_speaks_against_the_rest(figures, is_complete, trouble):
    assert figures.trouble(is_complete=is_complete) == trouble
