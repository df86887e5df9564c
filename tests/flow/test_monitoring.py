"""Today's figures, alarms and first steps of a panel, counted from batches, samples and attempts."""

from datetime import UTC, date, datetime, timedelta

import pytest

from app.flow import monitoring, panels, seeding
from app.flow.monitoring import AlarmKind
from app.models import (
    Attempt,
    Batch,
    BatchStatus,
    Campaign,
    CampaignSample,
    CampaignStatus,
    Import,
    ImportStatus,
    Panel,
    PanelMode,
    Proof,
    ProofStatus,
    Relay,
    RelaySecurity,
)
from app.models.partitions import ensure_partitions
from tests import factories
from tests.fixtures.laws import arrange

NOW = datetime(2026, 11, 21, 15, 0, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 21, 5, 0, tzinfo=UTC)
"""In Lima, where panels are unless told otherwise."""
FROZEN_ON = date(2026, 11, 20)


def sent(session, panel, *, started_at, status=CampaignStatus.FINISHED, finished_at=None, name="Feria", **counts):
    campaign = factories.campaign(
        session,
        panel,
        name=name,
        status=status,
        started_at=started_at,
        finished_at=finished_at,
        frozen_on=FROZEN_ON,
        audience_frozen_at=started_at,
    )
    done = BatchStatus.DONE if status is CampaignStatus.FINISHED else BatchStatus.READY
    session.add(Batch(campaign_id=campaign.id, frozen_on=FROZEN_ON, first_seq=1, last_seq=1000, status=done, **counts))
    session.commit()
    return campaign


def day(session, panel):
    return monitoring.days(session, [panel.id], NOW)[panel.id]


def test_a_panel_without_campaigns_has_an_empty_day(session, panel):
    assert day(session, panel) == monitoring.Day()


def test_todays_campaigns_are_summed_and_yesterdays_are_not(session, panel, other_panel):
    hour = timedelta(hours=1)
    sent(session, panel, started_at=MIDNIGHT + hour, finished_at=NOW, accepted=300, delivered=20, bounced=7)
    sent(session, panel, started_at=MIDNIGHT - 3 * hour, finished_at=MIDNIGHT - hour, accepted=5000, bounced=90)
    sent(session, other_panel, started_at=MIDNIGHT + hour, finished_at=NOW, accepted=11, bounced=1)
    assert (day(session, panel).accepted, day(session, panel).bounced) == (320, 7)
    assert (day(session, other_panel).accepted, day(session, other_panel).bounced) == (11, 1)


def test_a_campaign_over_midnight_is_split_there(app, session, panel):
    ensure_partitions(session.connection(), FROZEN_ON)
    campaign = sent(session, panel, started_at=MIDNIGHT - timedelta(hours=2), finished_at=NOW, accepted=900, bounced=3)
    for minutes, accepted in ((-100, 100), (-1, 640), (5, 700)):
        at = MIDNIGHT + timedelta(minutes=minutes)
        session.add(CampaignSample(campaign_id=campaign.id, at=at, answered=accepted, accepted=accepted))
    for seq, minutes, outcome in ((1, -30, "bounced"), (2, 10, "bounced"), (3, 20, "deferred"), (4, 30, "bounced")):
        session.add(
            Attempt(
                frozen_on=FROZEN_ON,
                campaign_id=campaign.id,
                seq=seq,
                attempt=1,
                at=MIDNIGHT + timedelta(minutes=minutes),
                outcome=outcome,
                stage="rcpt",
            )
        )
    session.commit()
    assert (day(session, panel).accepted, day(session, panel).bounced) == (260, 2)


def test_the_day_begins_at_the_panels_own_midnight(session, panel):
    sent(session, panel, started_at=NOW - timedelta(hours=12), finished_at=NOW - timedelta(hours=11), accepted=50)
    assert day(session, panel).accepted == 0
    panels.update_panel(session, panel, name="Empleo", colour="teal", timezone="Europe/Madrid")
    assert day(session, panel).accepted == 50


def test_the_queue_is_what_open_batches_of_running_campaigns_hold(session, panel):
    started = NOW - timedelta(hours=1)
    sent(session, panel, started_at=started, status=CampaignStatus.SENDING, planned=400, deferred=10, accepted=5)
    sent(session, panel, started_at=started, status=CampaignStatus.PAUSED, planned=90, unknown=1)
    sent(session, panel, started_at=started, status=CampaignStatus.CANCELLED, finished_at=NOW, planned=1000)
    assert (day(session, panel).queued_deliveries, day(session, panel).queued_batches) == (501, 2)


def test_the_next_schedule_is_the_earliest(session, panel):
    for hours in (5, 2, 9):
        factories.campaign(session, panel, status=CampaignStatus.SCHEDULED, scheduled_at=NOW + timedelta(hours=hours))
    assert day(session, panel).next_scheduled_at == NOW + timedelta(hours=2)
    assert [row.scheduled_at.hour for row in monitoring.upcoming(session, panel.id)] == [17, 20, 0]


# Alarms.


def kinds(session, panel):
    return [alarm.kind for alarm in monitoring.alarms(session, [panel.id], NOW)]


def test_only_campaigns_that_paused_by_themselves_alarm(session, panel):
    factories.campaign(session, panel, status=CampaignStatus.PAUSED, status_reason="user")
    assert kinds(session, panel) == []
    factories.campaign(session, panel, status=CampaignStatus.PAUSED, status_reason="relay_failures:421 busy")
    assert kinds(session, panel) == [AlarmKind.PAUSED_BY_ITSELF]


def test_a_schedule_that_nobody_takes_up_alarms(session, panel):
    factories.campaign(
        session,
        panel,
        status=CampaignStatus.SCHEDULED,
        scheduled_at=NOW - timedelta(seconds=monitoring.OVERDUE_SECONDS),
    )
    assert kinds(session, panel) == []
    factories.campaign(session, panel, status=CampaignStatus.SCHEDULED, scheduled_at=NOW - timedelta(minutes=5))
    assert kinds(session, panel) == [AlarmKind.OVERDUE]


@pytest.mark.parametrize(
    ("accepted", "bounced", "alarmed"), [(95, 5, False), (94, 6, True), (40, 40, False), (950, 50, False)]
)
def test_many_bounces_alarm_from_a_share_and_a_number(session, panel, accepted, bounced, alarmed):
    sent(session, panel, started_at=NOW, status=CampaignStatus.SENDING, accepted=accepted, bounced=bounced)
    assert kinds(session, panel) == ([AlarmKind.MANY_BOUNCES] if alarmed else [])


def test_a_failed_import_alarms_for_a_day(session, panel):
    for hours in (30, 2):
        row = upload(panel, ImportStatus.FAILED)
        row.created_at = NOW - timedelta(hours=hours)
        session.add(row)
    session.commit()
    assert kinds(session, panel) == [AlarmKind.IMPORT_FAILED]


def upload(panel, status):
    return Import(
        panel_id=panel.id,
        filename="contactos.csv",
        stored_path="1.csv",
        size_bytes=10,
        encoding="utf-8",
        delimiter=";",
        header=["correo"],
        status=status,
    )


# The monitor and the first steps.


def test_the_monitor_shows_running_campaigns_with_their_progress(session, panel):
    sent(session, panel, started_at=NOW, status=CampaignStatus.SENDING, planned=600, accepted=390, bounced=10)
    row = monitoring.monitor(session, panel, NOW).running[0]
    assert (row.done, row.total, row.counts.accepted) == (400, 1000, 390)


def test_while_preparing_the_progress_is_that_of_the_freezing(session, panel):
    factories.campaign(
        session, panel, status=CampaignStatus.PREPARING, audience_size=2500, audience_expected=10_000, started_at=NOW
    )
    row = monitoring.running(session, panel.id)[0]
    assert (row.done, row.total) == (2500, 10_000)


def test_first_steps_are_ticked_as_they_are_done(session, panel, other_panel):
    def steps():
        found = monitoring.first_steps(session, panel.id)
        return found.imported, found.written, found.proved, found.sent

    assert steps() == (False, False, False, False)
    factories.contact(session, other_panel, "uno@example.pe")
    assert steps() == (False, False, False, False)
    factories.contact(session, panel, "uno@example.pe")
    assert steps() == (False, False, False, False)
    session.add(upload(panel, ImportStatus.DONE))
    session.commit()
    assert steps() == (True, False, False, False)
    campaign = factories.campaign(session, panel)
    assert steps() == (True, True, False, False)
    session.add(Proof(panel_id=panel.id, campaign_id=campaign.id, email="a@example.pe", status=ProofStatus.ACCEPTED))
    session.commit()
    assert steps() == (True, True, True, False)
    campaign.started_at = NOW
    session.commit()
    assert steps() == (True, True, True, True)


def test_sample_data_tick_no_first_step_until_a_person_rewrites_the_sample(session, settings):
    seeding.seed(session, settings)
    panel = session.query(Panel).filter_by(slug="empleo").one()
    found = monitoring.first_steps(session, panel.id)
    assert (found.imported, found.written, found.proved, found.sent) == (False, False, False, False)
    session.query(Campaign).one().subject = "Le esperamos el sábado"
    session.commit()
    assert monitoring.first_steps(session, panel.id).written


# Where a panel's mail goes.


@pytest.fixture
def relay(session):
    row = Relay(name="Relay", host="relay.test", port=587, security=RelaySecurity.STARTTLS)
    session.add(row)
    session.commit()
    return row


@pytest.mark.parametrize("status", [CampaignStatus.PREPARING, CampaignStatus.SENDING, CampaignStatus.PAUSED])
def test_the_mode_stays_while_a_campaign_is_under_way(session, panel, relay, status):
    campaign = factories.campaign(session, panel, status=status)
    with pytest.raises(panels.PanelProblem) as refused:
        panels.use_relay(session, panel, relay.id, understood=True)
    assert (refused.value.code, refused.value.details["names"]) == ("campaigns_under_way", (campaign.name,))
    session.refresh(panel)
    assert panel.mode is PanelMode.PRACTICE
    arrange(session)
    campaign.status = CampaignStatus.FINISHED
    session.commit()
    panels.use_relay(session, panel, relay.id, understood=True)
    assert panel.mode is PanelMode.REAL


def test_real_sending_wants_an_existing_relay_and_a_yes(session, panel, relay):
    for relay_id, understood, code in ((None, True, "relay_missing"), (99, True, "relay_missing"), (1, False, "not_")):
        with pytest.raises(panels.PanelProblem, match=code):
            panels.use_relay(session, panel, relay_id, understood=understood)
    assert panel.mode is PanelMode.PRACTICE
