"""The page of a relay's queue: figures, filters, exact counts before anything is done; and the panel's own figure."""

# ruff: noqa: F401, F811  # the fixtures of the flow's tests, imported and asked for

import re

import pytest
from sqlalchemy import text

from app.flow.relay_queue import commands
from app.models import QueueOutcome
from tests.fixtures.app import log_in
from tests.flow.relay_queue.conftest import campaign, queued, sender_of, tell
from tests.pages import submit
from tests.web.pages import text_of


@pytest.fixture
def person(client, admin):
    return log_in(client, admin)


@pytest.fixture
def home(relay):
    return f"/relays/{relay.id}/queue"


@pytest.fixture
def full(tell, queued, campaign):
    tell(
        queued(campaign, 1, queue="active"),
        queued(campaign, 2),
        queued(campaign, 3, age=7200),
        queued(campaign, 4, queue="hold"),
        queued(campaign, 5, sender="root@example.pe", queue_id="FOREIGN1"),
    )


def read(client, path):
    answer = client.get(path, follow_redirects=True)
    assert answer.status_code == 200, answer.status
    return text_of(answer)


def test_relay_without_agent_says_how_to_start_one(person, home):
    shown = read(person, home)
    assert "Nadie ha contado todavía" in shown and "workers.relay.queue_agent" in shown


def test_empty_queue_is_good_news(person, home, tell):
    tell()
    assert "La cola está vacía" in read(person, home)


def test_page_shows_figures_and_every_mail(person, home, full, campaign):
    shown = read(person, home)
    for words in ("192.0.2.1", "Feria de empleo", "Correo ajeno a las campañas", "persona3@example.pe", "en vivo"):
        assert words in shown, words
    assert "el buzón está lleno" in shown


def test_filter_shows_only_what_it_says(person, home, full):
    shown = read(person, f"{home}?queue=hold")
    assert "QUEUE0004" in shown and "QUEUE0002" not in shown
    assert "FOREIGN1" in read(person, f"{home}?ip=0") and "QUEUE0002" not in read(person, f"{home}?ip=0")
    assert "Ningún correo coincide" in read(person, f"{home}?reason=greylisted")


@pytest.mark.parametrize(
    "query", ["ip=-1", "ip=99999999999999", "queue=%00", "campaign=x", "reason=%F0%9F%98%80", "after=x"]
)
def test_wrong_filters_are_none(person, home, full, query):
    assert person.get(f"{home}?{query}").status_code == 200


def test_silent_agent_shows(person, home, full, session):
    session.execute(text("UPDATE relay_queue SET seen_at = now() - interval '5 minutes'"))
    session.commit()
    shown = read(person, home)
    assert "Estas cifras son viejas" in shown and "hace 5 minutos" in shown


def test_deleting_asks_with_the_exact_count_and_shows_what_came_of_it(person, home, full, session, relay, admin):
    answer = submit(person, f"{home}/propose", {"action": "delete", "all": "1"}, follow_redirects=True)
    assert "Borrar 4 correos" in text_of(answer) and "quedan como fallidos" in text_of(answer)
    assert commands.next_order(session, relay.id) is None, "nothing is ordered before it is confirmed"
    (path,) = re.findall(r'action="([^"]*/confirm)"', answer.text)
    shown = text_of(submit(person, path, {}, follow_redirects=True))
    assert "Orden dada: Borrar 4 correos" in shown and "esperando al relay" in shown and admin.name in shown
    order = commands.next_order(session, relay.id)
    told = {mail.queue_id: QueueOutcome.DONE for mail in order.mails}
    commands.report(session, relay.id, order.command_id, {**told, "QUEUE0004": QueueOutcome.GONE})
    shown = read(person, home)
    assert "hechos: 3" in shown and "ya no estaban: 1" in shown and "terminada" in shown


def test_marked_mails_only(person, home, full):
    answer = submit(
        person, f"{home}/propose", {"action": "hold", "mail": ["QUEUE0002", "QUEUE0001"]},
        follow_redirects=True,
    )  # fmt: skip
    assert "Retener 1 correo" in text_of(answer), "the one that is being delivered is left alone"


@pytest.mark.parametrize(
    "data, words",
    [({"action": "hold"}, "marque antes"), ({"action": "release", "mail": ["QUEUE0002"]}, "ninguno de esos correos")],
)
def test_nothing_to_do_is_said(person, home, full, data, words):
    answer = submit(person, f"{home}/propose", data, follow_redirects=True)
    assert words in text_of(answer)


def test_confirming_twice_orders_once(person, home, full):
    answer = submit(person, f"{home}/propose", {"action": "hold", "all": "1"}, follow_redirects=True)
    (path,) = re.findall(r'action="([^"]*/confirm)"', answer.text)
    submit(person, path, {})
    again = submit(person, path, {}, follow_redirects=True)
    assert "ya se había dado" in text_of(again)


def test_command_of_another_relay_is_404(person, home, full, session, relay):
    command = commands.propose(session, relay.id, commands.QueueAction.HOLD, queue_ids=["QUEUE0002"])
    assert person.get(f"/relays/{relay.id + 1}/queue/commands/{command.id}").status_code == 404


def test_only_administrators_see_the_queue(client, alice, home, full):
    log_in(client, alice)
    for path in (home, f"{home}/live", f"{home}/commands/1"):
        assert client.get(path).status_code == 404


def test_panel_sees_how_many_of_its_campaign_lie_in_the_relay(client, bob, full, campaign, panel):
    log_in(client, bob)
    shown = read(client, f"/p/{panel.slug}/campaigns/{campaign.id}")
    assert "4 están todavía en la cola del relay" in shown


def test_script_in_a_reason_is_text(person, home, tell, queued, campaign):
    bad = "<script>alert(1)</script>"
    tell(queued(campaign, 1, sender=bad, recipients=[{"address": bad, "delay_reason": bad}]))
    assert bad not in person.get(home).text
