"""Counts, rate, time left, the plot, reactions: true to the ledger."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text

from app.flow import events, recipients, reports, sampling
from app.models import Campaign, CampaignSample, CampaignStatus, Delivery
from tests import factories, ledger


@pytest.fixture
def campaign(session, panel):
    return factories.campaign(session, panel)


def samples(session, campaign, *points: tuple[float, int], now: datetime) -> None:
    """Points as (seconds ago, answered)."""
    for ago, answered in points:
        session.add(
            CampaignSample(
                campaign_id=campaign.id, at=now - timedelta(seconds=ago), answered=answered, accepted=answered
            )
        )
    session.commit()


def pass_seconds(session, seconds: float) -> None:
    session.execute(text("UPDATE campaign_sample SET at = at - make_interval(secs => :s)"), {"s": seconds})
    session.commit()


def test_every_delivery_is_in_exactly_one_figure(session, campaign):
    statuses = [
        "planned", "sending", "accepted", "delivered", "deferred", "bounced", "failed", "skipped:cancelled", "unknown"
    ]  # fmt: skip
    ledger.freeze(session, campaign, statuses, batch_size=2)
    now = reports.counts(session, campaign.id)
    assert (now.planned, now.waiting, now.accepted, now.settled, now.answered) == (9, 2, 2, 5, 5)
    figures = (now.waiting, now.accepted, now.deferred, now.bounced, now.failed, now.skipped, now.unknown)
    assert sum(figures) == now.planned
    assert now.delivered == 1, "one of the accepted ones"
    filtered = [
        len(session.execute(recipients.recipients(session, campaign, chosen=chosen)).all())
        for chosen in recipients.FILTERS
        if chosen != "delivered"
    ]
    assert filtered == list(figures)
    delivered = session.execute(recipients.recipients(session, campaign, chosen="delivered")).all()
    assert [row.Delivery.status for row in delivered] == ["delivered"]


def test_campaign_without_ledger_counts_zeros(session, campaign):
    assert reports.counts_of(session, [campaign.id, 999]) == {campaign.id: reports.Counts(), 999: reports.Counts()}


def test_rare_status_is_found_through_its_batches_and_is_the_same(session, campaign):
    statuses = ["accepted"] * 100
    statuses[17] = statuses[93] = "bounced"
    ledger.freeze(session, campaign, statuses, batch_size=10)
    statement = recipients.recipients(session, campaign, chosen="bounced")
    assert "batch" in str(statement)
    assert [d.seq for d, _e in session.execute(statement.order_by(Delivery.seq))] == [18, 94]
    assert "batch" not in str(recipients.recipients(session, campaign, chosen="accepted"))


class TestSpeed:
    def test_rate_is_measured_from_the_samples_to_now(self, session, campaign):
        ledger.freeze(session, campaign, ["accepted"] * 80 + ["planned"] * 40)
        now = datetime.now(UTC)
        samples(session, campaign, (60, 20), (10, 60), (2, 78), now=now)
        speed = reports.speed(session, campaign, reports.counts(session, campaign.id), now)
        assert speed.last_10_seconds == pytest.approx(2.0, rel=0.01)
        assert speed.last_minute == pytest.approx(1.0, rel=0.01)
        assert speed.seconds_left == pytest.approx(40.0, rel=0.01)

    def test_young_campaign_is_measured_from_its_first_sample(self, session, campaign):
        ledger.freeze(session, campaign, ["accepted"] * 8 + ["planned"] * 4)
        now = datetime.now(UTC)
        samples(session, campaign, (4, 0), now=now)
        speed = reports.speed(session, campaign, reports.counts(session, campaign.id), now)
        assert speed.last_10_seconds == pytest.approx(2.0, rel=0.01)

    def test_old_samples_say_nothing_about_now(self, session, campaign):
        """The one who writes samples was away: no figure is better than a wrong one."""
        ledger.freeze(session, campaign, ["accepted"] * 8 + ["planned"] * 4)
        now = datetime.now(UTC)
        samples(session, campaign, (3600, 0), now=now)
        speed = reports.speed(session, campaign, reports.counts(session, campaign.id), now)
        assert speed == reports.Speed(None, None, None)

    def test_standstill_has_no_time_left(self, session, campaign):
        ledger.freeze(session, campaign, ["accepted"] * 8 + ["planned"] * 4)
        now = datetime.now(UTC)
        samples(session, campaign, (60, 8), (10, 8), now=now)
        assert reports.speed(session, campaign, reports.counts(session, campaign.id), now) == reports.Speed(
            0.0, 0.0, None
        )

    def test_paused_campaign_has_no_speed(self, session, campaign):
        ledger.freeze(session, campaign, ["accepted"], status=CampaignStatus.PAUSED)
        now = datetime.now(UTC)
        samples(session, campaign, (10, 0), now=now)
        assert reports.speed(session, campaign, reports.counts(session, campaign.id), now).last_minute is None


class TestSamples:
    def test_sample_holds_the_counts_and_a_second_one_waits(self, session, campaign):
        ledger.freeze(session, campaign, ["accepted", "delivered", "bounced", "planned"])
        assert sampling.sample(session, campaign.id) is True
        assert sampling.sample(session, campaign.id) is False
        assert session.execute(text("SELECT answered, accepted FROM campaign_sample")).all() == [(3, 2)]

    def test_sweep_samples_what_sends_and_what_just_ended(self, session, panel):
        def of(status, **values):
            row = factories.campaign(session, panel, **values)
            ledger.freeze(session, row, ["accepted"], status=status)
            return row.id

        sending = of(CampaignStatus.SENDING)
        ended = of(CampaignStatus.FINISHED, finished_at=datetime.now(UTC))
        of(CampaignStatus.FINISHED, finished_at=datetime.now(UTC) - timedelta(hours=1))
        of(CampaignStatus.PAUSED)
        assert sampling.sample_running(session) == 2
        found = session.scalars(text("SELECT campaign_id FROM campaign_sample ORDER BY 1")).all()
        assert list(found) == [sending, ended]

    def test_plot_is_thinned_and_keeps_both_ends(self, session, campaign):
        now = datetime.now(UTC)
        samples(session, campaign, *((1000 - n, n) for n in range(1000)), now=now)
        points = reports.progress(session, campaign.id, points=50)
        assert 45 <= len(points) <= 51
        assert points[-1].accepted == 999
        assert [p.accepted for p in points] == sorted(p.accepted for p in points)
        assert reports.progress(session, campaign.id + 1) == []

    def test_standstill_is_two_samples_however_long(self, session, campaign):
        ledger.freeze(session, campaign, ["accepted", "planned"])
        for ago in range(1000, 0, -50):
            pass_seconds(session, 50)
            assert sampling.sample(session, campaign.id) is True, f"{ago} s ago"
        begin, end = session.scalars(select(CampaignSample).order_by(CampaignSample.at)).all()
        assert (begin.accepted, end.accepted) == (1, 1)
        assert (end.at - begin.at).total_seconds() == pytest.approx(950, abs=5)
        speed = reports.speed(session, campaign, reports.counts(session, campaign.id))
        assert speed.last_10_seconds in (None, 0.0)
        pass_seconds(session, 5)
        assert reports.speed(session, campaign, reports.counts(session, campaign.id)).last_minute == 0.0

    def test_what_moves_after_a_standstill_is_a_new_sample_and_its_speed_is_not_spread_over_the_wait(
        self, session, campaign
    ):
        ledger.freeze(session, campaign, ["planned"] * 100, batch_size=100)
        for _ in range(20):
            pass_seconds(session, 50)
            sampling.sample(session, campaign.id)
        pass_seconds(session, 5)
        session.execute(text("UPDATE batch SET accepted = 50, planned = 50"))
        session.commit()
        assert sampling.sample(session, campaign.id)
        assert session.scalars(text("SELECT accepted FROM campaign_sample ORDER BY at")).all() == [0, 0, 50]
        assert reports.speed(session, campaign, reports.counts(session, campaign.id)).last_10_seconds == pytest.approx(
            10, rel=0.3
        )

    def test_campaign_of_days_keeps_few_samples_evenly_spread(self, session, campaign):
        now = datetime.now(UTC)
        ledger.freeze(session, campaign, ["accepted"] * 5, batch_size=5)
        session.execute(
            text(
                """INSERT INTO campaign_sample SELECT :id, CAST(:now AS timestamptz) - make_interval(secs => 5 * n),
                   50000 - n, 50000 - n FROM generate_series(1, 50000) n"""
            ),
            {"id": campaign.id, "now": now},
        )
        session.commit()
        assert sampling.sample(session, campaign.id)
        kept = session.scalars(select(CampaignSample).order_by(CampaignSample.at)).all()
        assert len(kept) <= sampling.MAX_SAMPLES
        assert (kept[0].answered, kept[-2].answered) == (0, 49_999), "both ends stay"
        gaps = [(b.at - a.at).total_seconds() for a, b in itertools.pairwise(kept)]
        assert max(gaps) <= 2 * 250_000 / (sampling.MAX_SAMPLES / 2), "no part of the time is left blank"
        recent = [s for s in kept if s.at > now - timedelta(seconds=sampling.LATEST_SAMPLES_SECONDS - 5)]
        assert len(recent) >= 58, "the latest minutes are whole"

    def test_long_campaign_never_has_more_than_its_samples(self, session, campaign, monkeypatch):
        monkeypatch.setattr(sampling, "MAX_SAMPLES", 20)
        monkeypatch.setattr(sampling, "LATEST_SAMPLES_SECONDS", 12)
        ledger.freeze(session, campaign, ["planned"] * 100, batch_size=100)
        for accepted in range(1, 81):
            session.execute(text("UPDATE batch SET accepted = :n, planned = 100 - :n"), {"n": accepted})
            session.commit()
            assert sampling.sample(session, campaign.id)
            assert session.scalar(text("SELECT count(*) FROM campaign_sample")) <= 20
            pass_seconds(session, 3)
        curve = [p.accepted for p in reports.progress(session, campaign.id)]
        assert curve == sorted(curve)
        assert (curve[0], curve[-1]) == (1, 80)

    def test_samples_go_with_their_campaign(self, session, panel, campaign):
        from app.flow import campaigns

        samples(session, campaign, (1, 1), now=datetime.now(UTC))
        campaigns.delete_draft(session, panel.id, campaign.id)
        assert session.get(Campaign, campaign.id) is None
        assert session.scalar(text("SELECT count(*) FROM campaign_sample")) == 0


class TestReactions:
    def test_spans_are_as_short_as_the_time_allows(self, session, campaign):
        ledger.freeze(session, campaign, ["accepted"] * 4)
        at = datetime(2027, 1, 4, 12, 0, tzinfo=UTC)
        for seq, opened in ((1, at), (2, at + timedelta(seconds=30)), (3, at + timedelta(minutes=40))):
            session.execute(
                text(
                    "INSERT INTO engagement (frozen_on, campaign_id, seq, opens, first_open_at) VALUES (:f, :c, :s, 1, :at)"
                ),
                {"f": campaign.frozen_on, "c": campaign.id, "s": seq, "at": opened},
            )
        session.commit()
        seconds, spans = reports.reactions_over_time(session, campaign)
        assert seconds == 60
        assert [(s.begins_at, s.openers) for s in spans] == [(at, 2), (at + timedelta(minutes=40), 1)]

    def test_click_without_open_counts_the_person_as_opener(self, session, campaign):
        """Whoever clicked has seen the mail, with images or without."""
        ledger.freeze(session, campaign, ["accepted"] * 2)
        session.execute(
            text("INSERT INTO engagement (frozen_on, campaign_id, seq, clicks) VALUES (:f, :c, 1, 2)"),
            {"f": campaign.frozen_on, "c": campaign.id},
        )
        events.sum_up(session, campaign.id)
        session.commit()
        assert reports.reactions(session, campaign) == reports.Reactions(openers=1, opens=0, clickers=1, clicks=2)

    def test_small_domains_are_one_row(self, session, campaign):
        ledger.freeze(session, campaign, ["accepted"] * 6)
        session.execute(text("UPDATE delivery SET email = 'a@d' || CASE WHEN seq < 4 THEN 1 ELSE seq END || '.test'"))
        session.commit()
        rows = reports.by_domain(session, campaign, top=2)
        assert [(row.domain, row.recipients) for row in rows] == [("d1.test", 3), ("d4.test", 1), ("", 2)]
