"""What the breaker does is shown to administrators, with its reason, and can be taken back by them."""

from datetime import UTC, datetime, timedelta

import pytest

from app.flow import breaker
from app.flow.breaker import Heard
from app.mail.backoff import BackOff, rules
from app.models import ProviderHold
from app.web.holds.sentences import RULES
from tests import factories
from tests.fixtures.app import log_in
from tests.pages import submit
from tests.web.pages import text_of

TSS04 = "4.7.0 [TSS04] Messages for <ana@example.pe> temporarily deferred due to unexpected volume <script>alert(1)</script>"


@pytest.fixture
def person(client, admin):
    return log_in(client, admin)


@pytest.fixture
def home(relay):
    return f"/relays/{relay.id}/holds"


def complain(session, relay, ip, *, times: int = 5, ago: timedelta = timedelta(0)) -> None:
    replies = [Heard(ip.id, 421, TSS04)] * times
    breaker.heard(session, relay_id=relay.id, provider="yahoo", replies=replies, now=datetime.now(UTC) - ago)
    session.commit()


def test_page_says_who_is_held_until_when_and_why(person, session, relay, ip, home):
    complain(session, relay, ip)
    page = person.get(home)
    told = text_of(page)
    for words in ("192.0.2.1", "Yahoo", "Suspendido", "No envía nada hasta el", "volumen inesperado", "[TSS04]"):
        assert words in told
    assert "ana@" not in told and b"<script>alert" not in page.data
    assert "Levantar" in told


def test_recovery_step_is_shown(person, session, relay, ip, home):
    complain(session, relay, ip, ago=timedelta(minutes=66))
    told = text_of(person.get(home))
    assert "Se recupera" in told and "paso 2 de 5" in told and "10" in told


def test_too_few_replies_are_shown_as_watched_and_can_t_be_lifted(person, session, relay, ip, home):
    complain(session, relay, ip, times=2)
    told = text_of(person.get(home))
    assert "En observación" in told and "2 de las 3" in told and "Levantar" not in told


def test_nothing_held_says_so(person, home):
    assert "Nada está frenado" in text_of(person.get(home))


def test_lifting_ends_it_and_history_names_who(person, session, relay, ip, home, admin):
    complain(session, relay, ip)
    hold = session.query(ProviderHold).one()
    answer = submit(person, f"{home}/{hold.id}/lift", {})
    assert answer.status_code == 302
    told = text_of(person.get(home))
    assert "vuelve a su ritmo completo en Yahoo" in told and "Nada está frenado" in told
    assert f"Lo levantó {admin.name}" in told
    session.expire_all()
    assert hold.lifted_by_id == admin.id
    assert breaker.standing(session, relay.id, "yahoo", datetime.now(UTC)).suspended_until(ip.id) is None
    lifted_at = hold.lifted_at
    submit(person, f"{home}/{hold.id}/lift", {})
    session.expire_all()
    assert hold.lifted_at == lifted_at
    assert "ya había terminado" in text_of(person.get(home))


def test_hold_of_another_relay_is_not_found(person, session, panel, relay, ip, home):
    complain(session, relay, ip)
    other = factories.relay(session, panel, 2602)
    hold = session.query(ProviderHold).one()
    answer = submit(person, f"/relays/{other.id}/holds/{hold.id}/lift", {})
    session.expire_all()
    assert answer.status_code == 404 and hold.lifted_at is None


def test_only_administrators_see_and_lift(client, session, relay, ip, home, alice):
    complain(session, relay, ip)
    log_in(client, alice)
    hold = session.query(ProviderHold).one()
    assert client.get(home).status_code in (403, 404)
    assert client.post(f"{home}/{hold.id}/lift").status_code in (400, 403, 404)
    session.expire_all()
    assert hold.lifted_at is None


def test_every_rule_that_holds_has_a_sentence(app):
    assert RULES.keys() == {rule.key for rule in rules() if rule.action is not BackOff.NONE}
    with app.test_request_context():
        assert all(sentence().endswith(".") for sentence in RULES.values())
