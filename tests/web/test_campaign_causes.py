"""What stands in the ledger as codes is read as sentences, the same everywhere; relays' words stay as they are."""

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete

from app.flow import domains
from app.mail.problems import ENGLISH
from app.models import CampaignStatus, OwnReply, PauseReason, SendingDomain, coded, read_coded
from app.web.campaigns.causes import own_replies, reply_line
from app.web.campaigns.sentences import content_sentences
from tests import factories, ledger
from tests.fixtures.app import log_in
from tests.fixtures.laws import arrange
from tests.web.test_campaigns import BASE, domain, draft, editor, manager, no_csrf, people, viewer

__all__ = ["domain", "draft", "editor", "manager", "no_csrf", "people", "viewer"]


@pytest.fixture
def paused(session, draft):
    def pause(reason):
        arrange(session)
        draft.status, draft.status_reason = CampaignStatus.PAUSED, reason
        session.commit()
        return f"{BASE}/{draft.id}"

    return pause


@pytest.fixture
def administrator(app, admin):
    return log_in(app.test_client(), admin)


# Codes.


@pytest.mark.parametrize("code", list(OwnReply))
def test_every_code_comes_back_with_its_detail_and_has_a_sentence(app, code):
    assert read_coded(OwnReply, coded(code, "127.0.0.1:25: gone")) == (code, "127.0.0.1:25: gone")
    assert code is OwnReply.CANNOT_COMPOSE or code in own_replies()


@pytest.mark.parametrize("words", ["550 5.1.1 no such user", "Not found: relay_closed", "", "relay_closed."])
def test_words_of_a_relay_stay_as_they_are(app, words):
    assert reply_line(None, words) == words


def test_number_is_shown_for_relays_words_only(app):
    assert reply_line(550, "no such user") == "550 no such user"
    assert reply_line(421, "relay_closed") == "El relay cerró la conexión sin responder."


# Why a campaign paused itself.


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        (coded(PauseReason.RELAY_FAILURES, "421 too <busy>"), "Lo último que se supo: «421 too &lt;busy&gt;»"),
        (
            coded(PauseReason.RELAY_FAILURES, coded(OwnReply.NO_CONNECTION, "mail.test:25: refused")),
            "No se pudo conectar con el relay (mail.test:25: refused).",
        ),
        (
            coded(PauseReason.CANNOT_COMPOSE, "no_dkim_key:boletin.example.gob.pe"),
            "El dominio boletin.example.gob.pe no tiene una clave DKIM activa",
        ),
    ],
)
def test_monitor_and_live_page_give_the_same_cause(manager, paused, reason, cause):
    page, monitor = manager.get(paused(reason)).text, manager.get("/p/empleo/monitor").text
    assert cause in page
    assert cause in monitor
    assert reason.partition(":")[0] not in page + monitor


def test_pause_is_called_the_same_on_monitor_list_and_live_page(manager, paused):
    for page in (paused("user"), BASE, "/p/empleo/monitor"):
        text = manager.get(page).text
        assert ">Pausada<" in text, page
        assert ">En pausa<" not in text, page


def test_pause_by_a_person_gives_no_cause(manager, paused):
    for reason in ("user", "command"):
        assert "Se pausó sola" not in manager.get(paused(reason)).text


def test_key_that_is_missing_is_mended_on_its_domains_page(manager, paused, domain):
    page = manager.get(paused("cannot_compose:no_dkim_key:boletin.example.gob.pe")).text
    assert f'id="to-remedy" href="/p/empleo/domains/{domain.id}"' in page


def test_domain_that_is_gone_is_mended_in_the_list_of_domains(session, manager, paused, domain):
    url = paused("cannot_compose:no_sending_domain:boletin.example.gob.pe")
    session.execute(delete(SendingDomain))
    session.commit()
    assert 'id="to-remedy" href="/p/empleo/domains"' in manager.get(url).text


def test_relay_that_failed_is_linked_for_administrators(session, administrator, panel, paused):
    relay = factories.relay(session, panel, 2525)
    assert f'id="to-remedy" href="/relays/{relay.id}"' in administrator.get(paused("relay_failures:421 busy")).text


def test_relay_that_failed_is_left_to_administrators_by_others(session, manager, panel, paused):
    factories.relay(session, panel, 2525)
    page = manager.get(paused("relay_failures:421 busy")).text
    assert "/relays/" not in page
    assert "Los relays los cuida quien administra la instalación." in page


def test_domain_of_another_panel_is_not_linked(session, settings, manager, paused, domain, other_panel):
    theirs = ledger.sending_domain_with_key(session, other_panel.id, settings=settings, domain="otro.example.gob.pe")
    assert domains.named(session, domain.panel_id, theirs.domain) is None
    assert "otro.example.gob.pe</a>" not in manager.get(paused(f"cannot_compose:no_dkim_key:{theirs.domain}")).text


# What the platform noted instead of a reply.


def test_notes_of_the_platform_are_translated_on_page_list_and_file(session, manager, draft):
    ledger.freeze(session, draft, ["deferred"], reply_text="not_found_at_relay", attempts=1)
    sentence = "El relay no lo tiene: se buscó por su Message-ID."
    for path in ("recipients", "recipients/1"):
        page = manager.get(f"{BASE}/{draft.id}/{path}").text
        assert sentence in page
        assert "not_found_at_relay" not in page
    answer = manager.get(f"{BASE}/{draft.id}/recipients.csv")
    rows = list(csv.reader(io.StringIO(answer.data.decode("utf-8-sig")), delimiter=";"))
    assert rows[1][8] == sentence


# Deliveries that no relay can tell about.


@pytest.fixture
def unconfirmed(session, panel, draft):
    """Two of them, a quarter of an hour old, at a relay without memory; and one that its worker may still know."""
    factories.relay(session, panel, 2525)
    ledger.freeze(
        session,
        draft,
        ["accepted", "unknown", "unknown"],
        relay_id=7,
        unknown_at=datetime.now(UTC) - timedelta(minutes=15),
    )
    return f"{BASE}/{draft.id}"


def test_page_and_monitor_ask_a_person_to_decide(manager, unconfirmed):
    page = manager.get(unconfirmed).text
    assert "2 correos quedaron sin confirmar" in page
    assert "recibirán el correo dos veces" in page
    assert "tiene correos sin confirmar" in manager.get("/p/empleo/monitor").text


@pytest.mark.parametrize(("settlement", "counted"), [("sent", (3, 0)), ("again", (1, 2))])
def test_manager_decides_once(session, manager, draft, unconfirmed, settlement, counted):
    answer = manager.post(f"{unconfirmed}/settle", data={"settlement": settlement}, follow_redirects=True)
    assert "quedaron sin confirmar" not in answer.text
    assert "tiene correos sin confirmar" not in manager.get("/p/empleo/monitor").text
    from app.flow import reports

    session.expire_all()
    counts = reports.counts(session, draft.id)
    assert (counts.accepted, counts.deferred) == counted
    assert counts.unknown == 0
    again = manager.post(f"{unconfirmed}/settle", data={"settlement": "again"}, follow_redirects=True)
    assert "No hay nada que decidir" in again.text


def test_decision_that_is_none_changes_nothing(session, manager, unconfirmed):
    assert manager.post(f"{unconfirmed}/settle", data={"settlement": "failed"}).status_code == 400
    assert "2 correos quedaron sin confirmar" in manager.get(unconfirmed).text


@pytest.mark.parametrize("role", ["viewer", "editor"])
def test_only_managers_decide(request, unconfirmed, role):
    browser = request.getfixturevalue(role)
    page = browser.get(unconfirmed).text
    assert "quedaron sin confirmar" in page
    assert "do-settle" not in page
    assert browser.post(f"{unconfirmed}/settle", data={"settlement": "sent"}).status_code == 403


def test_managers_are_offered_both_ways(manager, unconfirmed):
    page = manager.get(unconfirmed).text
    assert "do-settle-sent" in page
    assert "do-settle-again" in page


def test_another_panels_campaign_is_not_there_to_decide_about(app, charlie, unconfirmed, draft):
    neighbour = log_in(app.test_client(), charlie)
    for panel, code in (("fiscalizacion", 404), ("empleo", 404)):
        url = f"/p/{panel}/campaigns/{draft.id}/settle"
        assert neighbour.post(url, data={"settlement": "sent"}).status_code == code


def test_fresh_and_askable_ones_are_left_to_the_platform(session, manager, draft):
    ledger.freeze(session, draft, ["unknown"], relay_id=0, unknown_at=datetime.now(UTC) - timedelta(hours=1))
    assert "sin confirmar." not in manager.get(f"{BASE}/{draft.id}").text
    assert "tiene correos sin confirmar" not in manager.get("/p/empleo/monitor").text


def test_every_problem_of_a_template_has_a_sentence(app):
    with app.test_request_context():
        assert set(ENGLISH) <= set(content_sentences())
