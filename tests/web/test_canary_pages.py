"""A part goes first: how it is asked for, what is refused, what the live page says of it."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text

from app.flow import complaining
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
    assert (newest(session).canary_percent, newest(session).canary_minutes) == (None, None)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"canary_percent": "51"}, "Escriba un número de 1 a 50, o deje el campo vacío"),
        ({"canary_percent": "-1"}, "Escriba un número de 1 a 50, o deje el campo vacío"),
        ({"canary_percent": "5", "canary_minutes": "1441"}, "Escriba un número de 1 a 1440, o deje el campo vacío"),
        ({"canary_bounced_percent": "101"}, "Escriba un número de 0 a 100, o deje el campo vacío"),
        ({"canary_deferred_percent": "-0,1"}, "Escriba un número de 0 a 100, o deje el campo vacío"),
        ({"canary_complained_percent": "inf"}, "Escriba un número."),
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
    campaign.status_reason, campaign.canary_stage = "canary:bounced 73 1000 5; complained 4 900 0.3", CanaryStage.HELD
    session.commit()
    page = manager.get(f"{BASE}/{campaign.id}").text
    assert "rebotaron 73 de 1,000 (7.3 %; el límite es 5 %)" in page
    assert "reclamaron por correo no deseado 4 de 900 (0.4 %; el límite es 0.3 %)" in page
    assert "pulse «Reanudar» para enviar el resto de todos modos, o «Cancelar la campaña»" in page
    assert f"/campaigns/{campaign.id}/recipients?status=bounced" in page


def test_owner_finds_the_hold_among_the_alarms_with_its_numbers(manager, session, panel):
    campaign = factories.campaign(session, panel, canary_percent=10)
    ledger.freeze(session, campaign, ["bounced", "planned"], status=CampaignStatus.PAUSED)
    campaign.status_reason, campaign.canary_stage = "canary:deferred 21 100 20", CanaryStage.HELD
    session.commit()
    for page in ("/monitor", "/"):
        assert "quedaron diferidos 21 de 100 (21 %; el límite es 20 %)" in manager.get(page).text


def test_limits_of_a_campaign_are_kept_and_those_left_empty_are_the_panels(manager, session, panel):
    limits = {"canary_bounced_percent": "2,5", "canary_deferred_percent": "", "canary_complained_percent": "0.1"}
    manager.post(f"{BASE}/new", {**FORM, "canary_percent": "5", **limits})
    draft = newest(session)
    kept = (draft.canary_bounced_percent, draft.canary_deferred_percent, draft.canary_complained_percent)
    assert kept == (2.5, None, 0.1)
    page = manager.get(f"{BASE}/{draft.id}/edit").text
    assert 'value="2.5"' in page
    assert 'placeholder="20"' in page


def test_manager_sets_what_holds_campaigns_of_the_panel(manager, session, panel):
    form = {"canary-canary_minutes": "45", "canary-canary_bounced_percent": "3,5",
            "canary-canary_deferred_percent": "15", "canary-canary_complained_percent": "0,2"}  # fmt: skip
    manager.post("/settings/canary", form)
    session.refresh(panel)
    limits = (panel.canary_bounced_percent, panel.canary_deferred_percent, panel.canary_complained_percent)
    assert (panel.canary_minutes, *limits) == (45, 3.5, 15, 0.2)
    assert manager.post("/settings/canary", {**form, "canary-canary_minutes": "0"}).status_code == 400
    assert 'placeholder="3.5"' in manager.get(f"{BASE}/new").text


def test_live_page_shows_the_part_against_its_limits(manager, session, panel):
    campaign = factories.campaign(session, panel, canary_percent=10)
    ledger.freeze(session, campaign, ["accepted", "accepted", "bounced", "deferred", "planned"])
    session.execute(text("UPDATE batch SET is_canary = first_seq = 1"))
    campaign.canary_stage = CanaryStage.SENDING
    session.commit()
    complaining.note_complaint(session, campaign, 1, source="letter:1")
    words = " ".join(manager.text(f"{BASE}/{campaign.id}/live").split())
    told = (
        "De 4 probados: rebotados 1 (25 %), límite 5 %; fallidos 0 (0 %), límite 5 %; diferidos 1 (25 %), límite 20 %; "
        "reclamos 1 (50 %)"
    )
    assert told in words
    assert "marcó como correo no deseado" in manager.text(f"{BASE}/{campaign.id}/recipients/1")


def test_complaint_stands_in_the_contacts_history_and_among_the_suppressions(manager, session, panel):
    contact = factories.contact(session, panel, "ana@example.pe")
    campaign = factories.campaign(session, panel)
    ledger.freeze(session, campaign, ["accepted"])
    session.execute(text("UPDATE delivery SET contact_id = :id, email = 'ana@example.pe'"), {"id": contact.id})
    session.commit()
    assert complaining.note_complaint(session, campaign, 1, source="letter:1")
    assert "Reclamó: lo marcó como correo no deseado" in manager.text(f"/contacts/{contact.id}")
    listed = manager.text("/suppressions")
    assert "ana@example.pe" in listed
    assert "Reclamo de correo no deseado" in listed
    assert f"Reclamo, campaña {campaign.id}" in listed
