"""Review and live page say when it ends, what that hangs on, and who else sends then; no other panel's content."""

from datetime import UTC, datetime, timedelta

import pytest

from app.models import CampaignStatus
from tests import factories, ledger
from tests.web.pages import Person


@pytest.fixture
def people(session, panel):
    row = factories.mailing_list(session, panel)
    factories.contacts(session, panel, row, 100, "gmail.com")
    return row


@pytest.fixture
def draft(session, panel, people):
    return factories.campaign(session, panel, people, rate_per_hour=10)


@pytest.fixture
def manager(client, alice):
    return Person(client, alice)


def test_review_asks_for_the_forecast_and_gets_end_and_bottleneck(manager, draft):
    page = manager.get(f"/campaigns/{draft.id}/review?whole=1").text
    assert page.count(f'hx-get="/p/empleo/campaigns/{draft.id}/forecast"') >= 1
    told = manager.text(f"/campaigns/{draft.id}/forecast")
    assert "Termina " in told
    assert "Lo que más frena es el límite por hora de la campaña." in told


def test_forecast_follows_the_chosen_time_and_bears_any_other(manager, draft):
    told = manager.text(f"/campaigns/{draft.id}/forecast?at=2027-03-01T08:00")
    assert "Termina el 1 mar 2027 a las 18:00." in told
    for typed in ("", "mañana", "9999-12-31T23:59", "0001-01-01T00:00"):
        assert manager.get(f"/campaigns/{draft.id}/forecast", query_string={"at": typed}).status_code == 200


def test_clash_is_named_by_panel_and_time_only(session, manager, draft, other_panel):
    row = factories.mailing_list(session, other_panel, name="Lista ajena")
    factories.contacts(session, other_panel, row, 100, "example.pe")
    at = datetime.now(UTC) + timedelta(minutes=5)
    factories.campaign(
        session, other_panel, row, name="Asunto ajeno", status=CampaignStatus.SCHEDULED, scheduled_at=at
    )  # fmt: skip
    told = manager.text(f"/campaigns/{draft.id}/forecast")
    assert "La plataforma «Fiscalizacion» envía por el mismo relay" in told
    assert "ajen" not in told


def test_without_anything_to_reckon_with_the_page_says_so(session, manager, draft):
    draft.rate_per_hour = None
    session.commit()
    assert "Todavía no se puede calcular" in manager.text(f"/campaigns/{draft.id}/forecast")


def test_nothing_is_forecast_for_what_is_paused(session, manager, draft):
    ledger.freeze(session, draft, ["planned"])
    assert "Termina " in manager.text(f"/campaigns/{draft.id}/forecast")
    draft.status = CampaignStatus.PAUSED
    session.commit()
    assert manager.get(f"/campaigns/{draft.id}/forecast").text == ""


def test_another_panels_forecast_is_not_found(app, charlie, draft):
    assert Person(app.test_client(), charlie, "fiscalizacion").get(f"/campaigns/{draft.id}/forecast").status_code == 404
