"""The facts of a forecast, read from the database: audience by provider, limits in force, measured speed, clashes."""

from datetime import UTC, datetime, timedelta

import pytest

from app.flow.finish_time import finish_time, measured_speed
from app.flow.forecasting import Limiting
from app.mail.mailbox_providers import providers
from app.models import (
    CampaignSample,
    CampaignStatus,
    EgressState,
    EgressUse,
    MailDomain,
    Suppression,
    SuppressionReason,
)
from tests import factories, ledger

NOW = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
"""Today, since the day of a warm-up is the database's."""


@pytest.fixture
def people(session, panel):
    """60 at Gmail, known by name; 30 at a domain whose MX are Microsoft's; 10 of whom nobody knows."""
    row = factories.mailing_list(session, panel)
    session.add(MailDomain(domain="empresa.example.pe", provider="microsoft365", expires_at=NOW + timedelta(days=9)))
    for domain, count in (("gmail.com", 60), ("empresa.example.pe", 30), ("example.pe", 10)):
        factories.contacts(session, panel, row, count, domain)
    return row


@pytest.fixture
def draft(session, panel, people):
    return factories.campaign(session, panel, people)


def samples(session, campaign, per_second, *, count=10):
    session.add_all(
        CampaignSample(
            campaign_id=campaign.id, at=NOW + timedelta(seconds=2 * n), answered=2 * n * per_second, accepted=0
        )
        for n in range(count)
    )
    session.commit()


def test_nothing_known_gives_no_forecast(session, draft):
    found = finish_time(session, draft, now=NOW)
    assert (found.people, found.forecast, found.clashes) == (100, None, [])


def test_speed_is_measured_at_the_same_relay_only(session, panel, other_panel, draft):
    samples(session, factories.campaign(session, other_panel), 7)
    assert measured_speed(session, panel) == pytest.approx(7)
    factories.relay(session, other_panel, 2601)
    assert measured_speed(session, panel) is None


def test_the_lowest_of_relay_panel_and_campaign_decides(session, panel, draft):
    factories.relay(session, panel, 2601, rate_per_hour=3600)
    panel.rate_per_hour, draft.rate_per_hour = 100, 1000
    session.commit()
    found = finish_time(session, draft, now=NOW).forecast
    assert found.limiting is Limiting.PANEL_RATE
    assert abs(found.ends_at - (NOW + timedelta(hours=1))) < timedelta(seconds=2)


def test_suppressed_people_are_left_out(session, panel, draft):
    session.add(Suppression(panel_id=panel.id, email="p1@gmail.com", reason=SuppressionReason.MANUAL))
    session.commit()
    assert finish_time(session, draft, now=NOW).people == 99


def test_cold_ips_with_a_used_up_day_make_the_provider_wait_for_tomorrow(session, panel, draft):
    relay = factories.relay(session, panel, 2601)
    pool = factories.egress_pool(session, relay)
    today = datetime.now(UTC).date()
    ip = factories.egress_ip(session, pool, "192.0.2.1", state=EgressState.WARMING, warm_up_started_on=today)
    cap = providers()["google"].limits.warm_up_caps[0]
    session.add(EgressUse(egress_ip_id=ip.id, provider="google", day=today, submitted=cap - 10))
    session.commit()
    found = finish_time(session, draft, now=NOW).forecast
    assert (found.limiting, found.provider, found.ips) == (Limiting.WARM_UP, "google", 1)
    assert found.ends_at.date() == today + timedelta(days=1)
    assert [round(day.get("google", 0)) for day in found.by_day] == [10, 50]
    tomorrow = finish_time(session, draft, now=NOW, at=NOW + timedelta(days=1)).forecast
    assert round(tomorrow.by_day[0]["google"]) == 60


def test_a_pool_in_quarantine_sends_nothing(session, panel, draft):
    relay = factories.relay(session, panel, 2601)
    factories.egress_ip(session, factories.egress_pool(session, relay), "192.0.2.1", state=EgressState.QUARANTINED)
    found = finish_time(session, draft, now=NOW).forecast
    assert (found.ends_at, found.limiting) == (None, Limiting.NO_IP)


def test_a_running_campaign_counts_only_who_was_not_tried(session, panel, draft):
    ledger.freeze(session, draft, ["planned", "planned", "accepted", "bounced"])
    draft.rate_per_hour = 3600
    session.commit()
    assert finish_time(session, draft, now=NOW).people == 2


# Clashes.


@pytest.fixture
def theirs(session, other_panel):
    row = factories.mailing_list(session, other_panel, name="Secreta")
    factories.contacts(session, other_panel, row, 100, "example.pe")
    return row


@pytest.fixture
def one_relay(session, panel, other_panel):
    relay = factories.relay(session, panel, 2601, rate_per_hour=100)
    other_panel.relay_id, other_panel.mode = relay.id, panel.mode
    session.commit()
    return relay


def scheduled(session, panel, lists, at, **values):
    return factories.campaign(session, panel, lists, status=CampaignStatus.SCHEDULED, scheduled_at=at, **values)


def test_campaign_of_another_panel_at_the_same_time_costs_its_share(session, draft, other_panel, theirs, one_relay):
    at = NOW + timedelta(minutes=10)
    scheduled(session, other_panel, theirs, at, name="No se dice")
    found = finish_time(session, draft, now=NOW)
    (clash,) = found.clashes
    assert (clash.panel_name, clash.begins_at, clash.is_running) == (other_panel.name, at, False)
    # 100 an hour alone; with as many of theirs and the same weight, two hours.
    assert abs(found.forecast.ends_at - (NOW + timedelta(hours=1))) < timedelta(seconds=5)
    assert abs(clash.ends_at - (NOW + timedelta(hours=2))) < timedelta(seconds=5)
    assert "No se dice" not in repr(clash)


def test_a_heavier_panel_is_held_up_less(session, panel, draft, other_panel, theirs, one_relay):
    panel.weight = 4
    scheduled(session, other_panel, theirs, NOW)
    (clash,) = finish_time(session, draft, now=NOW).clashes
    assert abs(clash.ends_at - (NOW + timedelta(hours=1.25))) < timedelta(seconds=5)


@pytest.mark.parametrize("hours", [-3, 2])
def test_what_is_over_before_or_begins_afterwards_is_no_clash(session, draft, other_panel, theirs, one_relay, hours):
    begins = NOW + timedelta(hours=4)
    scheduled(session, other_panel, theirs, begins + timedelta(hours=hours))
    assert finish_time(session, draft, now=NOW, at=begins).clashes == []


def test_another_relay_and_the_own_panel_are_no_clash(session, panel, draft, people, other_panel, theirs, one_relay):
    scheduled(session, panel, people, NOW)
    factories.relay(session, other_panel, 2602)
    scheduled(session, other_panel, theirs, NOW)
    assert finish_time(session, draft, now=NOW).clashes == []
