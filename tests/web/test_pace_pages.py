"""Live page and monitor say what something waits for, and are honest where nobody knows."""

import dataclasses

import pytest

from app.flow.rates import waits
from app.flow.rates.waits import WaitCause
from app.models import CampaignStatus
from app.web.campaigns.pacing import cause_words
from tests import factories, ledger
from tests.web.pages import Person


@pytest.fixture
def running(session, panel):
    campaign = factories.campaign(session, panel)
    ledger.freeze(session, campaign, ["planned", "accepted"])
    assert campaign.status is CampaignStatus.SENDING
    return campaign


@pytest.fixture
def viewer(client, bob):
    return Person(client, bob)


@pytest.mark.parametrize("page", ["/campaigns/{}/live", "/monitor"])
def test_pages_say_which_provider_waits_for_what(viewer, running, redis, page):
    waits.note(redis, campaign_id=running.id, provider="google", cause=WaitCause.IP_RATE, seconds=30)
    waits.note(redis, campaign_id=running.id, provider="yahoo", cause=WaitCause.WARM_UP, seconds=300)
    waits.note(redis, campaign_id=running.id + 1, provider="other", cause=WaitCause.POOL_QUARANTINED, seconds=30)
    told = viewer.text(page.format(running.id))
    assert "Google: cada IP llegó a su ritmo; sigue en " in told
    assert "Yahoo" in told
    # Days of the warm-up are UTC's; the panel's clock is Lima's.
    assert "calentamiento: el cupo de hoy está completo; sigue a las 19:00." in told
    assert "cuarentena" not in told


@pytest.mark.parametrize("page", ["/campaigns/{}/live", "/monitor"])
def test_pages_say_that_nobody_knows_while_redis_is_away(app, viewer, running, page):
    app.extensions["settings"] = dataclasses.replace(app.extensions["settings"], redis_url="redis://127.0.0.1:1/0")
    assert "Redis no responde" in viewer.text(page.format(running.id))


def test_nothing_waits_while_the_campaign_is_paused(session, viewer, running, redis):
    waits.note(redis, campaign_id=running.id, provider="google", cause=WaitCause.IP_RATE, seconds=30)
    running.status = CampaignStatus.PAUSED
    session.commit()
    assert "llegó a su ritmo" not in viewer.text(f"/campaigns/{running.id}/live")


def test_every_cause_has_words(app):
    with app.test_request_context():
        assert all(cause_words(cause) for cause in WaitCause)
