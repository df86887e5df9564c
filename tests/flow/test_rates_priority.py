"""While something urgent waits for a full limit, nothing else takes what comes back."""

import time

import pytest

from app.flow.rates import waits
from app.flow.rates.reserving import Rates
from app.flow.rates.waits import WaitCause
from app.models import MailStream
from tests import factories


@pytest.fixture
def relay(session, panel):
    """Ten a second; its bucket holds a hundred."""
    return factories.relay(session, panel, 2601, rate_per_hour=36_000)


@pytest.fixture
def ask(session, redis, relay):
    rates = Rates(redis)

    def asked(campaign, wanted=1000):
        grant = rates.reserve(session, campaign_id=campaign.id, relay_id=relay.id, provider="google", wanted=wanted)
        session.commit()
        return grant

    return asked


@pytest.fixture
def bulk(session, panel, relay):
    return factories.campaign(session, panel)


@pytest.fixture
def urgent(session, panel, relay):
    return factories.campaign(session, panel, stream=MailStream.URGENT)


def test_urgent_campaign_gets_the_next_tokens_of_a_relay_that_others_empty(redis, ask, bulk, urgent):
    assert ask(bulk).count == 100
    assert ask(urgent).count == 0
    time.sleep(0.3)
    assert ask(bulk).count == 0, "three tokens came back, and they are kept"
    assert {(wait.campaign_id, wait.cause) for wait in waits.current(redis)} >= {(bulk.id, WaitCause.URGENT_FIRST)}
    assert ask(urgent).count >= 3


def test_without_urgent_work_the_others_take_what_there_is(ask, bulk):
    assert ask(bulk).count == 100
    time.sleep(0.3)
    assert ask(bulk).count >= 3


def test_room_is_not_kept_for_long_after_the_last_refusal(monkeypatch, ask, bulk, urgent):
    monkeypatch.setattr("app.flow.rates.priority.ASK_AGAIN_SECONDS", 0.0)
    ask(bulk)
    wait = ask(urgent).wait_seconds
    time.sleep(wait + 0.1)
    assert ask(bulk).count >= 1


def test_a_limit_of_the_urgent_campaign_itself_keeps_nobody_waiting(session, ask, bulk, urgent):
    urgent.rate_per_hour = 60
    session.commit()
    assert ask(urgent).count == 1
    assert ask(urgent).count == 0
    assert ask(bulk).count >= 90


def test_another_panels_full_limit_is_its_own(session, ask, bulk, other_panel, relay):
    other_panel.relay_id, other_panel.mode, other_panel.rate_per_hour = relay.id, "real", 60
    session.commit()
    theirs = factories.campaign(session, other_panel, stream=MailStream.URGENT)
    ask(theirs)
    assert ask(theirs).count == 0
    assert ask(bulk).count >= 90


def test_ips_at_their_rate_are_kept_for_what_is_urgent(session, panel, ask, bulk, urgent, relay):
    relay.rate_per_hour = None
    factories.egress_ip(session, factories.egress_pool(session, relay), "192.0.2.1")
    assert ask(bulk).count == 50  # Google takes 300 a minute from an IP.
    assert ask(urgent).count == 0
    time.sleep(0.5)
    assert ask(bulk).count == 0
    assert ask(urgent).count >= 2
