"""Review and live page say when it ends, what that hangs on, and who else sends then; no other panel's content."""

from datetime import UTC, datetime, timedelta

import pytest

from app.models import (
    Attempt,
    CampaignStatus,
    EgressState,
    EgressUse,
    HoldKind,
    MailStream,
    ProviderHold,
)
from tests import factories, ledger
from tests.fixtures.laws import arrange
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


def test_warm_up_is_told_with_its_ips_and_what_is_left_of_the_day(session, manager, pool, draft):
    now = datetime.now(UTC)
    for n in (1, 2, 3):
        ip = factories.egress_ip(
            session, pool, f"192.0.2.{n}", state=EgressState.WARMING, warm_up_started_on=now.date()
        )  # fmt: skip
        session.add(EgressUse(egress_ip_id=ip.id, provider="google", day=now.date(), submitted=1))
    draft.rate_per_hour = None
    factories.provider_limits(session, caps=[11, 30])
    session.commit()
    told = manager.text(f"/campaigns/{draft.id}/forecast")
    assert "Gmail: calentamiento de 3 IP, hoy 30 más." in told or "Google: calentamiento de 3 IP, hoy 30 más." in told
    assert "Termina mañana" in told or "Termina pasado" in told or "Termina hoy" in told


def test_hold_urgent_campaign_sharing_and_retries_are_told(session, manager, panel, draft, other_panel):
    relay = factories.relay(session, panel, 2601)
    other_panel.relay_id, other_panel.mode = relay.id, panel.mode
    now = datetime.now(UTC)
    session.add(
        ProviderHold(
            relay_id=relay.id, provider="google", kind=HoldKind.SUSPENDED, factor=0.5, rule="test", started_at=now,
            until=now + timedelta(days=1),
        )
    )  # fmt: skip
    draft.rate_per_hour = None
    session.commit()
    assert "pidió esperar o ir más despacio" in manager.text(f"/campaigns/{draft.id}/forecast")
    ledger.freeze(session, factories.campaign(session, panel), ["planned"])
    theirs = factories.campaign(session, other_panel, stream=MailStream.URGENT)
    ledger.freeze(session, theirs, ["planned"] * 3)
    told = manager.text(f"/campaigns/{draft.id}/forecast")
    assert "Comparte el ritmo con otra campaña de esta plataforma." in told
    assert "Es urgente y pasa delante" in told


def test_retries_are_told_with_their_share_and_end(session, manager, panel, draft):
    before = factories.campaign(session, panel)
    rows = ledger.freeze(session, before, ["accepted"] * 10)
    arrange(session)
    now = datetime.now(UTC)
    rows[0].attempts, rows[0].first_attempt_at, rows[0].last_attempt_at = 2, now, now + timedelta(minutes=30)
    session.add(
        Attempt(
            frozen_on=rows[0].frozen_on,
            campaign_id=before.id,
            seq=1,
            attempt=1,
            at=now,
            outcome="deferred",
            stage="rcpt",
        )
    )
    before.status = CampaignStatus.FINISHED
    session.commit()
    assert "se difirió el 10 %; los reintentos terminan casi todos" in manager.text(f"/campaigns/{draft.id}/forecast")
