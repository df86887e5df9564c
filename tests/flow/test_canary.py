"""A part goes first, over all providers; the rest waits, goes, or is held; a person has the last word."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text

from app.flow import audience, batches, campaigns, canary, complaining, sending
from app.flow.canary import Figures, Limits
from app.models import Batch, Campaign, CampaignStatus, CanaryStage, MailDomain, Suppression, SuppressionReason
from app.web.campaigns.causes import pause_cause
from tests import factories
from tests.fixtures.laws import arrange
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
    assert row.status_reason.startswith("canary:bounced ")
    assert row.status_reason.endswith(" 5")
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


LIMITS = Limits(bounced=5, deferred=20, complained=0.3)


@pytest.mark.parametrize(
    ("figures", "is_complete", "trouble"),
    [
        (Figures(), True, ""),
        (Figures(tried=49, bounced=49, to_try=9), False, ""),
        (Figures(tried=49, bounced=49), True, "bounced 49 49 5"),
        (Figures(tried=20, bounced=3), True, ""),
        (Figures(tried=20, bounced=4), True, ""),
        (Figures(tried=20, bounced=5), True, "bounced 5 20 5"),
        (Figures(tried=100, bounced=5, to_try=9), False, ""),
        (Figures(tried=100, bounced=6, to_try=9), False, "bounced 6 100 5"),
        (Figures(tried=100, failed=5, to_try=9), False, ""),
        (Figures(tried=100, failed=6, to_try=9), False, "failed 6 100 5"),
        (Figures(tried=100, deferred=90, to_try=9), False, ""),
        (Figures(tried=100, deferred=21), True, "deferred 21 100 20"),
        (Figures(tried=100, accepted=100, complained=2, to_try=9), False, ""),
        (Figures(tried=1000, accepted=1000, complained=3, to_try=9), False, ""),
        (Figures(tried=1000, accepted=999, complained=3, to_try=9), False, "complained 3 999 0.3"),
        (Figures(tried=100, accepted=80, bounced=20, complained=3), True, "bounced 20 100 5; complained 3 80 0.3"),
    ],
)
def test_what_speaks_against_the_rest(figures, is_complete, trouble):
    assert figures.trouble(LIMITS, is_complete=is_complete) == trouble


def test_limit_of_nothing_holds_at_the_fewest_that_are_no_chance():
    nothing = Limits(bounced=0, deferred=0, complained=0)
    assert Figures(tried=10_000, bounced=4).trouble(nothing, is_complete=True) == ""
    assert Figures(tried=10_000, bounced=5).trouble(nothing, is_complete=True) == "bounced 5 10000 0"


# Complaints.


def complain(session, campaign, *places: int) -> None:
    """Recipients of the part, by their place in it."""
    seqs = sorted(seq for batch in part(session) for seq in range(batch.first_seq, batch.last_seq + 1))
    for seq in (seqs[place] for place in places):
        assert complaining.note_complaint(session, campaign, seq, source=f"letter:{seq}")


def test_complaints_of_the_part_hold_the_rest(session, settings, panel, campaign):
    with ScriptedRelay() as relay:
        factories.relay(session, panel, relay.port)
        assert send_due(session, settings)
    complain(session, campaign, 0, 1)
    canary.look(session, now=NOW)
    assert stage_of(session, campaign) is CanaryStage.WATCHING
    complain(session, campaign, -1)
    canary.look(session, now=NOW + timedelta(minutes=20))
    row = session.get_one(Campaign, campaign.id, populate_existing=True)
    assert row.canary_stage is CanaryStage.HELD
    size = sum(batch.accepted for batch in part(session))
    assert row.status_reason == f"canary:complained 3 {size} 0.3"


def test_complaint_of_the_same_person_counts_once_and_suppresses(session, settings, panel, campaign):
    first = part(session)[0]
    assert complaining.note_complaint(session, campaign, first.first_seq, source="letter:1")
    assert not complaining.note_complaint(session, campaign, first.first_seq, source="letter:2")
    assert not complaining.note_complaint(session, campaign, 999_999, source="letter:3")
    found = canary.standing(session, campaign.id)
    assert found is not None
    assert found.figures.complained == 1
    suppressed = session.scalars(select(Suppression)).one()
    assert (suppressed.panel_id, suppressed.reason) == (panel.id, SuppressionReason.COMPLAINT)


def test_complaints_of_the_rest_and_of_other_campaigns_do_not_count(session, panel, campaign):
    other = session.scalars(select(Batch).where(~Batch.is_canary)).first()
    assert other is not None
    assert complaining.note_complaint(session, campaign, other.first_seq, source="letter:1")
    found = canary.standing(session, campaign.id)
    assert found is not None
    assert found.figures.complained == 0


# Whose limits.


def test_campaign_says_otherwise_than_its_panel(session, panel, campaign):
    panel.canary_bounced_percent, panel.canary_minutes = 2.5, 7
    campaign.canary_deferred_percent, campaign.canary_minutes = 33, None
    session.commit()
    found = canary.standing(session, campaign.id)
    assert found is not None
    assert (found.limits, found.minutes) == (Limits(bounced=2.5, deferred=33, complained=0.3), 7)


def test_lower_limit_of_the_campaign_holds_what_the_panel_would_let_pass(session, settings, panel, campaign):
    with ScriptedRelay() as relay:
        factories.relay(session, panel, relay.port)
        assert send_due(session, settings)
    arrange(session)
    session.execute(
        text("UPDATE batch SET bounced = 6, accepted = 194 WHERE is_canary AND provider = 'other' AND first_seq = "
             "(SELECT min(first_seq) FROM batch WHERE is_canary AND provider = 'other')")
    )  # fmt: skip
    canary.look(session, now=NOW)
    assert stage_of(session, campaign) is CanaryStage.WATCHING
    session.get_one(Campaign, campaign.id).canary_bounced_percent = 1
    session.commit()
    canary.look(session, now=NOW)
    assert stage_of(session, campaign) is CanaryStage.HELD


def test_part_is_not_over_while_one_provider_has_not_been_tried(session, settings, panel, campaign):
    """All providers, or it proves nothing about the one that is missing."""
    waiting = [(campaign.id, "google")]
    with ScriptedRelay() as relay:
        factories.relay(session, panel, relay.port)
        for batch_id in batches.ring_due(session, window=1000, ring_again_seconds=0, held=waiting):
            sending.send_batch(session, street(settings), batch_id)
        canary.look(session, now=NOW)
        assert stage_of(session, campaign) is CanaryStage.SENDING
        assert send_due(session, settings)
        assert {stored.rcpt_to.partition("@")[2] for stored in relay.stored} >= {"g.test"}
    canary.look(session, now=NOW)
    assert stage_of(session, campaign) is CanaryStage.WATCHING
