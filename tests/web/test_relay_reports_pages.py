"""Who tells what a relay does: the page of the follower, the agent and the keys, and who may use it."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from app.flow import relay_keys, relay_outcomes
from app.mail.relay_report import Bundle, Reading, ReadingProblem
from app.models import CampaignSample, CampaignStatus
from tests import factories
from tests.fixtures.app import log_in
from tests.pages import FreshClient, submit
from tests.web.pages import text_of


@pytest.fixture
def relay(session, panel):
    return factories.relay(session, panel, 25870)


@pytest.fixture
def home(relay):
    return f"/relays/{relay.id}/reports"


@pytest.fixture
def person(client, admin):
    return log_in(client, admin)


def read(client, path):
    answer = client.get(path, follow_redirects=True)
    assert answer.status_code == 200, answer.status
    return text_of(answer)


def made_key(person, home, name="Máquina de salida"):
    answer = submit(person, f"{home}/keys", {"name": name})
    assert answer.status_code == 200, answer.status
    found = re.search(r"chaski_relay_[\w-]{43}", answer.text)
    assert found is not None
    return found[0], answer


def test_relay_that_nobody_reads_is_told_how_to_begin(person, home, relay):
    shown = read(person, home)
    assert "Nadie ha leído todavía" in shown and "Nadie ha contado todavía" in shown
    assert f"workers.relay.follow --platform http://correo.example.pe --relay {relay.id}" in shown
    assert "workers.relay.queue_agent --platform" in shown


def test_follower_is_shown_with_its_figures_and_its_trouble_in_words(person, home, relay, session):
    reading = Reading(1234, 7, 3 * 1024 * 1024, ReadingProblem.LOG_MISSING, "No such file: '/var/log/mail.log'")
    relay_outcomes.store(session, relay.id, Bundle(reading=reading), token_key=b"a key for tests only")
    shown = read(person, home)
    for words in ("1,234", "3 MB", "No encuentra el registro", "/var/log/mail.log", "no se entendieron"):
        assert words in shown or words.replace(",", ".") in shown, words
    session.execute(text("UPDATE relay_log SET heard_at = now() - interval '3 hours'"))
    session.commit()
    assert "Calla desde hace 3 horas" in read(person, home)
    assert "Calla desde hace 3 horas" in read(person, f"{home}/live")


def test_key_is_shown_once_and_opens_its_relay(person, home, relay, client, session):
    key, answer = made_key(person, home)
    assert answer.headers["Cache-Control"] == "no-store"
    assert key not in person.get(home).text, "never again"
    headers = {"Authorization": f"Bearer {key}"}
    path = f"/api/relay/{relay.id}/log-outcomes"
    assert client.post(path, json={"seen": []}, headers=headers).status_code == 200
    shown = read(person, home)
    assert "Máquina de salida" in shown and "127.0.0.1" in shown and "por Admin" in shown


def test_revoked_key_opens_nothing_and_the_others_go_on(person, home, relay, client, session):
    first, _answer = made_key(person, home, "primera")
    second, _answer = made_key(person, home, "segunda")
    key_id = session.scalar(text("SELECT id FROM relay_api_key WHERE name = 'primera'"))
    shown = submit(person, f"{home}/keys/{key_id}/revoke").text
    assert "Se anuló la clave" in read(person, home) or "Se anuló la clave" in shown
    path = f"/api/relay/{relay.id}/log-outcomes"
    codes = [
        client.post(path, json={"seen": []}, headers={"Authorization": f"Bearer {key}"}).status_code
        for key in (first, second)
    ]
    assert codes == [401, 200]
    submit(person, f"{home}/keys/{key_id}/revoke")
    assert "ya estaba anulada" in read(person, home)


def test_key_of_another_relay_is_not_revoked_through_this_one(person, home, session, other_panel):
    other = factories.relay(session, other_panel, 25871)
    key = relay_keys.make_key(session, other.id, name="ajena")
    key_id = session.scalar(text("SELECT id FROM relay_api_key"))
    submit(person, f"{home}/keys/{key_id}/revoke")
    assert relay_keys.relay_of_key(session, key) == other.id


@pytest.mark.parametrize("name", ["", "   ", "x" * 101])
def test_key_without_a_usable_name_is_not_made(person, home, session, name):
    assert submit(person, f"{home}/keys", {"name": name}).status_code == 400
    assert session.scalar(text("SELECT count(*) FROM relay_api_key")) == 0


def test_hostile_names_and_details_are_only_text(person, home, relay, session):
    made_key(person, home, "<script>alert(1)</script>")
    reading = Reading(0, 0, 0, ReadingProblem.LOG_UNREADABLE, "<img src=x onerror=alert(1)>")
    relay_outcomes.store(session, relay.id, Bundle(reading=reading), token_key=b"a key for tests only")
    source = person.get(home).text
    assert "<script>alert" not in source and "<img src=x" not in source


def test_only_administrators_see_or_touch_it(client, alice, home, relay, session):
    relay_keys.make_key(session, relay.id)
    manager = log_in(client, alice)
    for path in (home, f"{home}/live"):
        assert manager.get(path).status_code in (403, 404)
    for path in (f"{home}/keys", f"{home}/keys/1/revoke"):
        assert submit(manager, path, {"name": "mía"}).status_code in (403, 404)
    count = session.scalar(text("SELECT count(*) FROM relay_api_key WHERE revoked_at IS NULL AND name = ''"))
    assert count == 1


def test_relay_that_is_not_there_is_404(person):
    assert [person.get(f"/relays/999/reports{end}").status_code for end in ("", "/live")] == [404, 404]


def test_missed_follower_stands_among_the_alarms_and_leads_administrators_to_its_page(
    app, admin, bob, session, panel, relay, home
):
    app.test_client_class = FreshClient
    row = factories.campaign(session, panel, status=CampaignStatus.SENDING, started_at=datetime.now(UTC))
    session.add(CampaignSample(campaign_id=row.id, at=datetime.now(UTC), answered=9, accepted=9))
    relay_outcomes.store(session, relay.id, Bundle(), token_key=b"a key for tests only")
    session.execute(text("UPDATE relay_log SET heard_at = :at"), {"at": datetime.now(UTC) - timedelta(hours=1)})
    session.commit()
    monitor = log_in(app.test_client(), bob).get("/p/empleo/").text
    assert "nadie cuenta qué fue de ellos" in monitor and home not in monitor
    assert home in log_in(app.test_client(), admin).get("/p/empleo/").text
