"""A part goes first: how it is asked for, what is refused, what the live page says of it."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from app.models import Campaign, CampaignStatus, CanaryStage
from tests import factories, ledger
from tests.web.pages import Person
from tests.web.test_priority import FORM

BASE = "/campaigns"


@pytest.fixture
def manager(client, alice):
    return Person(client, alice)


def newest(session) -> Campaign:
    return session.scalars(select(Campaign).order_by(Campaign.id.desc())).first()


def test_part_and_wait_are_kept_shown_again_and_copied(manager, session):
    manager.post(f"{BASE}/new", {**FORM, "canary_percent": "5", "canary_minutes": "45"})
    draft = newest(session)
    assert (draft.canary_percent, draft.canary_minutes, draft.canary_stage) == (5, 45, None)
    page = manager.get(f"{BASE}/{draft.id}/edit").text
    assert 'name="canary_percent" type="number" value="5"' in page or 'value="5"' in page
    manager.post(f"{BASE}/{draft.id}/duplicate")
    assert (newest(session).canary_percent, newest(session).canary_minutes) == (5, 45)


def test_without_a_part_everything_goes_at_once(manager, session):
    manager.post(f"{BASE}/new", {**FORM, "canary_percent": "", "canary_minutes": ""})
    assert (newest(session).canary_percent, newest(session).canary_minutes) == (None, 30)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"canary_percent": "51"}, "Escriba un número de 1 a 50, o deje el campo vacío"),
        ({"canary_percent": "-1"}, "Escriba un número de 1 a 50, o deje el campo vacío"),
        ({"canary_percent": "5", "canary_minutes": "1441"}, "Escriba un número de 1 a 1440."),
    ],
)
def test_what_makes_no_sense_is_refused_where_it_stands(manager, session, values, said):
    answer = manager.post(f"{BASE}/new", {**FORM, **values})
    assert said in answer.text
    assert newest(session) is None


def test_live_page_tells_what_the_rest_waits_for(manager, session, panel):
    campaign = factories.campaign(session, panel, canary_percent=10)
    ledger.freeze(session, campaign, ["accepted", "planned"], status=CampaignStatus.SENDING)
    campaign.started_at = datetime.now(UTC)
    campaign.canary_stage = CanaryStage.SENDING
    session.commit()
    assert "Sale primero el 10 por ciento de cada proveedor" in manager.get(f"{BASE}/{campaign.id}").text
    campaign.canary_stage, campaign.canary_until = CanaryStage.WATCHING, datetime.now(UTC) + timedelta(minutes=20)
    session.commit()
    assert "La primera parte ya salió" in manager.get(f"{BASE}/{campaign.id}/live").text


def test_held_campaign_says_what_was_refused_and_what_to_do(manager, session, panel):
    campaign = factories.campaign(session, panel, canary_percent=10)
    ledger.freeze(session, campaign, ["bounced", "planned"], status=CampaignStatus.PAUSED)
    campaign.started_at = datetime.now(UTC)
    campaign.status_reason, campaign.canary_stage = "canary:bounced 7.3 5", CanaryStage.HELD
    session.commit()
    page = manager.get(f"{BASE}/{campaign.id}").text
    assert "de la parte que salió primero rebotó el 7,3 % (el límite es 5 %)." in page
    assert "si quiere enviar el resto de todos modos, pulse «Reanudar»" in page
