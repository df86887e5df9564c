"""Who may make a campaign urgent, and where it is seen."""

import pytest

from app.models import Campaign, MailStream
from tests import factories, ledger
from tests.web.pages import Person

FORM = {"name": "Aviso", "subject": "Hola", "html": "<p>Hola</p>"}


@pytest.fixture
def manager(client, alice):
    return Person(client, alice)


@pytest.fixture
def editor(app, session, panel):
    return Person(app.test_client(), factories.user(session, "elena@example.pe", panel, "editor"))


def newest(session):
    session.expire_all()
    return session.query(Campaign).order_by(Campaign.id.desc()).first()


def test_manager_writes_an_urgent_campaign_and_list_and_live_page_show_it(session, manager):
    manager.post("/campaigns/new", {**FORM, "stream": "urgent"})
    campaign = newest(session)
    assert campaign.stream is MailStream.URGENT
    assert "Urgente" in manager.text("/campaigns")
    assert 'selected value="urgent"' in manager.get(f"/campaigns/{campaign.id}/edit").text
    ledger.freeze(session, campaign, ["planned"])
    assert "Urgente" in manager.text(f"/campaigns/{campaign.id}/live")
    manager.post(f"/campaigns/{campaign.id}/duplicate")
    assert newest(session).stream is MailStream.BULK


def test_editor_cannot_make_a_campaign_urgent(session, editor, panel):
    answer = editor.post("/campaigns/new", {**FORM, "stream": "urgent"})
    assert "Solo una persona con rol de gestión" in answer.text
    assert newest(session) is None
    draft = factories.campaign(session, panel)
    editor.post(f"/campaigns/{draft.id}/edit", {**FORM, "stream": "urgent", "read_at": draft.updated_at.isoformat()})
    assert newest(session).stream is MailStream.BULK
    assert 'name="stream"' not in editor.get("/campaigns/new").text


def test_what_an_editor_writes_leaves_an_urgent_campaign_urgent(session, editor, panel):
    draft = factories.campaign(session, panel, stream=MailStream.URGENT, from_email="", html="<p>x</p>", subject="x")
    editor.post(f"/campaigns/{draft.id}/edit", {**FORM, "read_at": draft.updated_at.isoformat()})
    saved = newest(session)
    assert (saved.name, saved.stream) == ("Aviso", MailStream.URGENT)


def test_a_priority_that_does_not_exist_is_refused(session, manager):
    manager.post("/campaigns/new", {**FORM, "stream": "now"})
    assert newest(session) is None
