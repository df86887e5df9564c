"""How the follower and the agent of a relay fare, and when somebody has to come because one of them is missed."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from app.flow import monitoring, relay_health, relay_outcomes
from app.flow.monitoring import AlarmKind
from app.flow.relay_health import Health
from app.mail.relay_report import Bundle, Reading, ReadingProblem
from app.models import CampaignSample, CampaignStatus, PanelMode
from tests import factories

NOW = datetime.now(UTC)

pytestmark = pytest.mark.usefixtures("fresh_now")


@pytest.fixture
def relay(session, panel):
    return factories.relay(session, panel, 25870)


@pytest.fixture
def campaign(session, panel, relay):
    started = NOW - timedelta(hours=2)
    return factories.campaign(session, panel, status=CampaignStatus.SENDING, started_at=started)


def report(session, relay, reading=None, *, ago=timedelta(0)):
    relay_outcomes.store(session, relay.id, Bundle(reading=reading or Reading()), token_key=b"a key for tests only")
    session.execute(text("UPDATE relay_log SET heard_at = now() - :ago"), {"ago": ago})
    session.commit()


def sample(session, campaign, minutes_ago, accepted):
    at = NOW - timedelta(minutes=minutes_ago)
    session.add(CampaignSample(campaign_id=campaign.id, at=at, answered=accepted, accepted=accepted))
    session.commit()


def silences(session, panel):
    return [one for one in monitoring.alarms(session, [panel.id], NOW) if one.kind is AlarmKind.RELAY_LOG_SILENT]


def test_relay_that_nobody_reads_is_told_from_one_whose_reader_is_silent(session, relay):
    assert relay_health.log_reader(session, relay.id).health is Health.NEVER
    report(session, relay)
    assert relay_health.log_reader(session, relay.id).health is Health.FINE
    report(session, relay, ago=timedelta(minutes=2))
    assert relay_health.log_reader(session, relay.id).health is Health.SILENT


def test_what_a_follower_tells_of_its_reading_is_summed_and_its_last_word_counts(session, relay):
    report(session, relay, Reading(100, 2, 50_000_000))
    assert relay_health.log_reader(session, relay.id).health is Health.BEHIND
    report(session, relay, Reading(20, 1, 0, ReadingProblem.LOG_UNREADABLE, "Permission denied"))
    reader = relay_health.log_reader(session, relay.id)
    assert reader.health is Health.TROUBLED
    told = reader.told
    assert (told.lines_count, told.lost_count, told.behind_bytes) == (120, 3, 0)
    assert told.problem_detail == "Permission denied"
    report(session, relay)
    session.expire_all()
    assert relay_health.log_reader(session, relay.id).health is Health.FINE, "the trouble is over"


def test_silent_follower_is_an_alarm_once_the_relay_took_mail_meanwhile(session, panel, relay, campaign):
    sample(session, campaign, 30, 100)
    report(session, relay, ago=timedelta(minutes=20))
    assert silences(session, panel) == [], "nothing went out since: nothing is missed"
    sample(session, campaign, 15, 100)
    assert silences(session, panel) == [], "nor was anything accepted"
    sample(session, campaign, 5, 101)
    (alarm,) = silences(session, panel)
    assert 1000 < int(alarm.detail) < 1400, "seconds"
    assert (alarm.subject_id, alarm.name) == (relay.id, relay.name)
    report(session, relay)
    assert silences(session, panel) == [], "it is back"


def test_short_silence_and_relay_without_follower_ring_nobody(session, panel, relay, campaign):
    sample(session, campaign, 1, 100)
    assert silences(session, panel) == [], "nobody ever reported"
    report(session, relay, ago=timedelta(minutes=9))
    assert silences(session, panel) == []


def test_mail_of_another_panel_or_of_practice_is_no_reason_to_ring(session, panel, other_panel, relay, campaign):
    report(session, relay, ago=timedelta(minutes=20))
    sample(session, campaign, 5, 100)
    assert monitoring.alarms(session, [other_panel.id], NOW) == []
    panel.mode = PanelMode.PRACTICE
    session.commit()
    assert silences(session, panel) == []
