"""The facts of a forecast, read from the database: audience by provider, limits in force, measured speed, clashes."""

from datetime import UTC, datetime, timedelta

import pytest

from app.flow.finish_conditions import measured_speed, steps_of
from app.flow.finish_time import finish_time
from app.flow.forecast_terms import Limiting
from app.mail.backoff import recovery
from app.mail.mailbox_providers import providers
from app.models import (
    Attempt,
    CampaignSample,
    CampaignStatus,
    CanaryStage,
    EgressState,
    EgressUse,
    HoldKind,
    MailDomain,
    MailStream,
    ProviderHold,
    Suppression,
    SuppressionReason,
)
from tests import factories, ledger
from tests.fixtures.laws import arrange

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


# Holds of the breaker.


def hold(session, relay, provider, kind, *, ip=None, minutes=60, factor=0.25):
    session.add(
        ProviderHold(
            relay_id=relay.id, egress_ip_id=ip.id if ip else None, provider=provider, kind=kind, factor=factor,
            rule="test", started_at=NOW - timedelta(minutes=5), until=NOW + timedelta(minutes=minutes),
        )
    )  # fmt: skip
    session.commit()


def test_a_suspended_provider_ends_after_its_suspension_and_recovery(session, panel, draft, pool):
    ip = factories.egress_ip(session, pool, "192.0.2.1")
    relay = panel.relay
    usual = finish_time(session, draft, now=NOW).forecast
    hold(session, relay, "google", HoldKind.SUSPENDED, ip=ip, minutes=120)
    found = finish_time(session, draft, now=NOW).forecast
    assert usual.ends_at < NOW + timedelta(minutes=30)
    assert found.ends_at > NOW + timedelta(minutes=120)
    assert (found.limiting, found.provider, found.ips) == (Limiting.HELD, "google", 1)
    assert found.held_until == NOW + timedelta(minutes=120) + recovery().steps_from(0.25) * recovery().step


def test_a_hold_of_one_ip_leaves_the_other_its_pace(session, panel, draft, pool):
    ips = [factories.egress_ip(session, pool, f"192.0.2.{n}") for n in (1, 2)]
    factories.provider_limits(session, per_minute=2)
    hold(session, panel.relay, "google", HoldKind.SUSPENDED, ip=ips[0], minutes=24 * 60)
    found = finish_time(session, draft, now=NOW).forecast
    # 60 people at two a minute by one IP.
    assert abs(found.ends_at - (NOW + timedelta(minutes=30))) < timedelta(seconds=2)


def test_lifted_and_ended_holds_and_watches_count_for_nothing(session, panel, draft, pool):
    ip = factories.egress_ip(session, pool, "192.0.2.1")
    usual = finish_time(session, draft, now=NOW).forecast.ends_at
    hold(session, panel.relay, "google", HoldKind.SUSPENDED, ip=ip)
    session.query(ProviderHold).update({"lifted_at": NOW})
    hold(session, panel.relay, "google", HoldKind.SLOW, factor=1.0)
    hold(session, panel.relay, "google", HoldKind.SUSPENDED, minutes=-600)
    assert finish_time(session, draft, now=NOW).forecast.ends_at == usual


def test_a_relay_without_ips_is_held_too(session, panel, draft):
    relay = factories.relay(session, panel, 2601, rate_per_hour=360_000)
    hold(session, relay, "google", HoldKind.SUSPENDED, minutes=90)
    found = finish_time(session, draft, now=NOW).forecast
    assert found.ends_at > NOW + timedelta(minutes=90)
    assert (found.limiting, found.provider) == (Limiting.HELD, "google")


def test_steps_of_two_holds_are_the_lower_of_both_at_every_moment(session, panel, pool):
    ip = factories.egress_ip(session, pool, "192.0.2.1")
    hold(session, panel.relay, "google", HoldKind.SUSPENDED, ip=ip, minutes=30, factor=0.5)
    hold(session, panel.relay, "google", HoldKind.SLOW, minutes=45, factor=0.5)
    steps = steps_of(session.query(ProviderHold).all(), NOW)
    minutes = [(round((one.until - NOW).total_seconds() / 60), one.factor) for one in steps]
    step = round(recovery().step.total_seconds() / 60)
    assert minutes[0] == (30, 0.0)
    assert dict(minutes)[45] == 0.5
    assert minutes[-1] == (max(30, 45) + step, 0.5)


# Who goes first, and who shares.


def test_an_urgent_campaign_of_another_panel_is_waited_for_and_named(session, draft, other_panel, theirs, one_relay):
    scheduled(session, other_panel, theirs, NOW, stream=MailStream.URGENT)
    found = finish_time(session, draft, now=NOW)
    # 100 of theirs at 100 an hour, then 100 of ours.
    assert abs(found.forecast.ends_at - (NOW + timedelta(hours=2))) < timedelta(seconds=5)
    (clash,) = found.clashes
    assert (clash.goes_first, clash.ends_at) == (True, None)


def test_an_urgent_campaign_waits_for_no_other(session, draft, other_panel, theirs, one_relay):
    draft.stream = MailStream.URGENT
    session.commit()
    scheduled(session, other_panel, theirs, NOW)
    found = finish_time(session, draft, now=NOW)
    assert found.clashes == []
    assert abs(found.forecast.ends_at - (NOW + timedelta(hours=1))) < timedelta(seconds=5)


def test_another_campaign_of_the_panel_shares_its_pace(session, panel, draft, people):
    panel.rate_per_hour = 100
    session.commit()
    ledger.freeze(session, factories.campaign(session, panel, people), ["planned"] * 50)
    found = finish_time(session, draft, now=NOW)
    assert found.beside == 1
    # Both at 50 an hour; after an hour the other is through, the 50 left of ours go in half an hour.
    assert abs(found.forecast.ends_at - (NOW + timedelta(hours=1.5))) < timedelta(seconds=5)


# Retries.


def test_deferrals_as_measured_are_sent_again_and_end_later(session, panel, draft):
    """Of 10 tried 2 were deferred, once each, and through after half an hour."""
    draft.rate_per_hour = 120
    before = factories.campaign(session, panel)
    rows = ledger.freeze(session, before, ["accepted"] * 10)
    arrange(session)
    for row in rows[:2]:
        row.attempts, row.first_attempt_at, row.last_attempt_at = 2, NOW, NOW + timedelta(minutes=30)
        session.add(
            Attempt(frozen_on=row.frozen_on, campaign_id=before.id, seq=row.seq, attempt=1, at=NOW, outcome="deferred",
                    stage="rcpt", reply_code=451)
        )  # fmt: skip
    before.status = CampaignStatus.FINISHED
    session.commit()
    found = finish_time(session, draft, now=NOW)
    assert (found.retries.share, found.retries.extra, found.retries.wait_seconds) == (0.2, 0.2, 1800)
    # 120 messages for 100 people at 120 an hour; half an hour more for the last retries.
    assert abs(found.forecast.ends_at - (NOW + timedelta(hours=1))) < timedelta(seconds=5)
    assert abs(found.retries_until - (NOW + timedelta(hours=1.5))) < timedelta(seconds=5)


def test_those_deferred_now_are_mails_still_to_be_sent(session, draft):
    ledger.freeze(session, draft, ["planned"] * 30 + ["deferred"] * 30)
    draft.rate_per_hour = 60
    session.commit()
    found = finish_time(session, draft, now=NOW)
    assert found.people == 30
    assert abs(found.forecast.ends_at - (NOW + timedelta(hours=1))) < timedelta(seconds=5)


# A part that goes first.


def test_the_rest_follows_the_part_after_its_time(session, panel, draft):
    """100 people, 60 an hour: a tenth in ten minutes, 20 minutes of waiting, the rest in an hour and a half."""
    draft.rate_per_hour, draft.canary_percent, draft.canary_minutes = 60, 10, 20
    session.commit()
    found = finish_time(session, draft, now=NOW)
    assert abs(found.rest_at - (NOW + timedelta(minutes=30))) < timedelta(seconds=2)
    assert abs(found.forecast.ends_at - (NOW + timedelta(minutes=120))) < timedelta(seconds=2)
    draft.canary_minutes, panel.canary_minutes = None, 50
    session.commit()
    assert abs(finish_time(session, draft, now=NOW).rest_at - (NOW + timedelta(minutes=60))) < timedelta(seconds=2)


def test_the_rest_of_what_is_watched_follows_when_its_time_is_over(session, draft):
    ledger.freeze(session, draft, ["accepted"] * 4 + ["planned"] * 60)
    draft.rate_per_hour, draft.canary_percent = 60, 5
    draft.canary_stage, draft.canary_until = CanaryStage.WATCHING, NOW + timedelta(minutes=15)
    session.commit()
    found = finish_time(session, draft, now=NOW)
    assert abs(found.forecast.ends_at - (NOW + timedelta(minutes=75))) < timedelta(seconds=2)
    draft.canary_stage = CanaryStage.PASSED
    session.commit()
    assert abs(finish_time(session, draft, now=NOW).forecast.ends_at - (NOW + timedelta(hours=1))) < timedelta(
        seconds=2
    )


def test_what_holds_the_part_is_what_the_whole_hangs_on(session, panel, draft, relay):
    relay.rate_per_hour, draft.canary_percent = 360_000, 10
    hold(session, relay, "google", HoldKind.SUSPENDED, minutes=90)
    found = finish_time(session, draft, now=NOW)
    assert found.rest_at >= NOW + timedelta(minutes=90 + 30)
    assert (found.forecast.limiting, found.forecast.provider) == (Limiting.HELD, "google")
    assert found.forecast.ends_at >= found.rest_at
