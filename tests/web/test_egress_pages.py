"""Pools and IPs of a relay on the pages: only for administrators, nothing before its review, nothing half-imported."""

import csv
import html
import io
import re
from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from app.flow.egress import assignments, ips
from app.models import EgressIp, EgressPool, EgressState, EgressUse, MailStream, Panel, Relay
from tests import factories
from tests.fixtures.app import log_in
from tests.pages import submit
from tests.web.pages import text_of

SHEET = "dirección;helo;grupo;estado;peso\n192.0.2.1;mail-1.example.gob.pe;Masivo;;\n192.0.2.2;mail-2.example.gob.pe;Masivo;;2\n"


@pytest.fixture
def twelve(session, pool):
    return [factories.egress_ip(session, pool, f"192.0.2.{number}") for number in range(1, 13)]


@pytest.fixture
def person(client, admin):
    return log_in(client, admin)


@pytest.fixture
def home(relay):
    return f"/relays/{relay.id}/egress"


def hidden(page, name):
    return html.unescape(re.search(rf'<input type="hidden" name="{name}" value="([^"]*)"', page.text).group(1))


def addresses(session, relay):
    session.expire_all()
    return [one.address for one in session.scalars(ips.ips_of(relay.id).order_by(ips.BY_NUMBER))]


def read(client, path):
    answer = client.get(path)
    assert answer.status_code == 200, answer.status
    return text_of(answer)


def test_managers_of_a_panel_see_none_of_it(app, session, client, alice, home, twelve):
    app.config["WTF_CSRF_ENABLED"] = False
    log_in(client, alice)
    for rule in app.url_map.iter_rules():
        if not rule.endpoint.startswith("egress."):
            continue
        path = app.url_map.bind("").build(
            rule.endpoint, dict.fromkeys(rule.arguments, 1), method=next(iter(rule.methods & {"GET", "POST"}))
        )
        for method in rule.methods & {"GET", "POST"}:
            assert client.open(path, method=method, data={}).status_code == 404, f"{method} {path}"
    assert client.post("/p/empleo/settings/limits", data={"limits-weight": "9"}).status_code == 404


def test_every_post_wants_the_token(app, session, person, home, twelve):
    posts = [
        rule for rule in app.url_map.iter_rules() if rule.endpoint.startswith("egress.") and "POST" in rule.methods
    ]
    assert len(posts) >= 11
    for rule in posts:
        path = app.url_map.bind("").build(rule.endpoint, dict.fromkeys(rule.arguments, 1), method="POST")
        assert person.post(path, data={"name": "x", "reason": "x", "to": "active"}).status_code == 400, path


def test_rows_of_another_relay_are_not_found(app, session, person, other_panel, twelve, home):
    other = factories.relay(session, other_panel, 2602)
    for path in (f"/relays/{other.id}/egress/{twelve[0].id}", f"/relays/{other.id}/egress/pools/{twelve[0].pool_id}"):
        assert person.get(path).status_code == 404
        assert submit(person, path, {"name": "x"}).status_code == 404
        assert submit(person, f"{path}/delete").status_code == 404
    for action in ("quarantine", "release"):
        path = f"/relays/{other.id}/egress/{twelve[0].id}/{action}"
        assert submit(person, path, {"reason": "x", "to": "warming"}).status_code == 404
    assert len(addresses(session, session.get(Relay, twelve[0].relay_id))) == 12


def test_empty_relay_says_what_to_do_next(person, home):
    shown = read(person, home)
    assert "Este relay todavía no tiene direcciones propias" in shown
    assert "Cree antes el primero" in read(person, f"{home}/new")
    assert "Todavía no hay nada que asignar" in read(person, f"{home}/assignments")


def test_range_is_reviewed_then_all_of_it_added(session, relay, person, home):
    review = submit(
        person,
        f"{home}/range",
        {"addresses": "192.0.2.1–192.0.2.48", "helo_pattern": "mail-{n}.example.gob.pe", "first_number": "1",
         "pool": "Masivo", "weight": "1", "state": "warming", "rate_per_hour": "3600"},
    )  # fmt: skip
    assert review.status_code == 200
    assert "48 direcciones nuevas" in text_of(review)
    assert "Se creará el grupo Masivo" in text_of(review)
    assert addresses(session, relay) == []
    answer = submit(person, f"{home}/import/confirm", {name: hidden(review, name) for name in ("rows", "fingerprint")})
    assert answer.status_code == 302
    assert len(addresses(session, relay)) == 48
    assert set(session.scalars(select(EgressIp.rate_per_hour))) == {3600}
    assert "Se agregaron 48 direcciones." in read(person, home)


def test_range_without_an_hourly_limit_has_none(session, relay, person, home):
    form = {"addresses": "192.0.2.1-3", "helo_pattern": "mail-{n}.example.gob.pe", "first_number": "1", "pool": "Masivo",
            "weight": "1", "state": "warming", "rate_per_hour": ""}  # fmt: skip
    review = submit(person, f"{home}/range", form)
    submit(person, f"{home}/import/confirm", {name: hidden(review, name) for name in ("rows", "fingerprint")})
    assert list(session.scalars(select(EgressIp.rate_per_hour))) == [None] * 3


@pytest.mark.parametrize(
    ("field", "value"),
    [("addresses", "192.0.2.9-192.0.2.1"), ("helo_pattern", "mail.example.gob.pe"), ("pool", ""), ("weight", "0"),
     ("rate_per_hour", "0"), ("rate_per_hour", "muchos"), ("rate_per_hour", "100000001")],
)  # fmt: skip
def test_range_that_is_wrong_is_told_beside_its_field(person, home, field, value):
    form = {"addresses": "192.0.2.1-3", "helo_pattern": "mail-{n}.example.gob.pe", "first_number": "1", "pool": "Masivo",
            "weight": "1", "state": "warming", field: value}  # fmt: skip
    answer = submit(person, f"{home}/range", form)
    assert answer.status_code == 400
    assert 'id="' + field + '-error"' in answer.text


def test_file_with_a_wrong_row_imports_nothing_and_says_where(session, relay, pool, person, home):
    sheet = SHEET + "192.0.2.300;mail-3.example.gob.pe;Masivo;;\n"
    review = submit(
        person,
        f"{home}/import",
        {"file": (io.BytesIO(sheet.encode("cp1252")), "ip.csv")},
        content_type="multipart/form-data",
    )
    told = text_of(review)
    assert "1 fila está mal" in told
    assert "4 Dirección 192.0.2.300 Eso no es una dirección IP" in told
    assert "fingerprint" not in review.text
    assert "192.0.2.300;mail-3.example.gob.pe" in review.text, "it can be mended where it is"
    answer = submit(person, f"{home}/import/confirm", {"rows": sheet, "fingerprint": ""})
    assert answer.status_code == 409
    assert addresses(session, relay) == []


def test_review_shows_old_and_new(session, relay, twelve, person, home):
    review = submit(person, f"{home}/import", {"rows": "ip,peso,estado\n192.0.2.1,5,cuarentena\n192.0.2.2,,\n"})
    assert "Peso: 1 → 5" in text_of(review)
    assert "Estado: Activa → En cuarentena" in text_of(review)
    assert "1 dirección queda como está" in text_of(review)
    session.expire_all()
    assert twelve[0].weight == 1


def test_what_changed_since_the_review_is_reviewed_again(session, relay, twelve, person, home):
    rows = "ip,peso\n192.0.2.1,5\n"
    review = submit(person, f"{home}/import", {"rows": rows})
    twelve[0].weight = 3
    session.commit()
    answer = submit(person, f"{home}/import/confirm", {"rows": rows, "fingerprint": hidden(review, "fingerprint")})
    assert answer.status_code == 409
    assert "Revise otra vez" in text_of(answer)
    assert "Peso: 3 → 5" in text_of(answer)
    session.expire_all()
    assert twelve[0].weight == 3


def test_bad_files_are_told(person, home):
    answer = submit(person, f"{home}/import", {"rows": "ip;clave\n192.0.2.1;x\n"})
    assert answer.status_code == 400
    assert "La columna «clave» no se conoce" in text_of(answer)
    assert "192.0.2.1;x" in answer.text, "what was pasted is not lost"
    assert submit(person, f"{home}/import").status_code == 400


@pytest.mark.parametrize("locale", ["es", "en"])
def test_exported_file_comes_back_unchanged(session, admin, relay, pool, twelve, person, home, locale):
    """Its words are those of the reader's language."""
    admin.locale = locale
    twelve[1].state = EgressState.WARMING
    pool.name = "=Grupo; «raro»"
    ips.quarantine(session, twelve[0], "prueba", now=datetime.now(UTC))
    content = person.get(f"{home}/export.csv").data
    assert len(list(csv.reader(io.StringIO(content.decode("utf-8-sig")), delimiter=";"))) == 13
    review = submit(
        person, f"{home}/import", {"file": (io.BytesIO(content), "ip.csv")}, content_type="multipart/form-data"
    )
    told = text_of(review)
    assert "todo está ya como dice el archivo" in told or "everything is already as the file says" in told
    assert ("In quarantine" in content.decode()) == (locale == "en")
    assert review.status_code == 200


def test_quarantine_says_before_what_will_happen_and_can_be_undone(session, relay, twelve, person, home):
    path = f"{home}/{twelve[0].id}"
    assert "las otras 11 de su grupo tomarán su parte" in read(person, path)
    refused = submit(person, f"{path}/quarantine", {"reason": ""})
    assert refused.status_code == 400
    assert "Escriba el motivo" in text_of(refused)
    submit(person, f"{path}/quarantine", {"reason": "En una lista negra"})
    shown = read(person, path)
    assert "Motivo: En una lista negra" in shown
    assert "Las otras 11 de su grupo «Masivo» toman su parte." in shown
    submit(person, f"{path}/release", {"to": "active"})
    session.expire_all()
    assert twelve[0].state is EgressState.ACTIVE
    again = submit(person, f"{path}/release", {"to": "active"}, follow_redirects=True)
    assert "ya está en el estado «Activa»" in text_of(again)


def test_last_one_that_sends_is_told_that_mail_will_wait(session, pool, person, home):
    ip = factories.egress_ip(session, pool, "192.0.2.1")
    assert "Es la única de su grupo que envía: el correo del grupo esperará" in read(person, f"{home}/{ip.id}")
    submit(person, f"{home}/{ip.id}/quarantine", {"reason": "x"})
    assert "Todas en cuarentena: el correo de este grupo espera." in read(person, home)


def test_warm_up_goes_on_at_its_day(session, pool, person, home):
    today = datetime.now(UTC).date()
    ip = factories.egress_ip(session, pool, "192.0.2.1", state=EgressState.WARMING, warm_up_started_on=today)
    assert "día 1 de su calentamiento" in read(person, f"{home}/{ip.id}")
    submit(person, f"{home}/{ip.id}/quarantine", {"reason": "x"})
    assert "Seguir su calentamiento en el día 1" in read(person, f"{home}/{ip.id}")
    submit(person, f"{home}/{ip.id}/release", {"to": "resume"})
    session.expire_all()
    assert (ip.state, ip.warm_up_started_on) == (EgressState.WARMING, today)


def test_page_of_an_ip_shows_what_it_sent(session, twelve, person, home):
    day = datetime.now(UTC).date()
    session.add(
        EgressUse(
            egress_ip_id=twelve[0].id, provider="google", day=day, submitted=77, deferred=5, bounced=3, delivered=61
        )
    )
    session.commit()
    assert "Google 77 77 61 5 3" in read(person, f"{home}/{twelve[0].id}")
    assert "8.3 % del correo de su grupo" in read(person, f"{home}/{twelve[0].id}")


def test_list_filters_sorts_and_pages(session, pool, person, home):
    second = factories.egress_pool(session, session.get(Relay, pool.relay_id), "Urgente")
    for number in range(1, 61):
        factories.egress_ip(session, pool, f"192.0.2.{number}")
    factories.egress_ip(session, second, "198.51.100.7", state=EgressState.QUARANTINED)
    page = person.get(home)
    listed = re.findall(r">(\d+\.\d+\.\d+\.\d+)</a>", page.text)
    assert listed == [f"192.0.2.{number}" for number in range(1, 51)]
    following = html.unescape(re.search(r'href="([^"]+)" rel="next"', page.text).group(1))
    assert len(re.findall(r">(\d+\.\d+\.\d+\.\d+)</a>", person.get(following).text)) == 11
    for question in (f"pool={second.id}", "state=quarantined", "sort=-address"):
        assert re.findall(r">(\d+\.\d+\.\d+\.\d+)</a>", person.get(f"{home}?{question}").text)[0] == "198.51.100.7"
    assert "Ninguna dirección coincide" in read(person, f"{home}?state=warming")
    for question in ("state=x", "pool=x", "sort=x", "after=%00"):
        assert person.get(f"{home}?{question}").status_code == 200


def test_several_are_moved_at_once(session, relay, twelve, person, home):
    second = factories.egress_pool(session, relay, "Urgente")
    answer = submit(
        person, f"{home}/move", {"ip": [twelve[0].id, twelve[1].id], "pool": second.id}, follow_redirects=True
    )
    assert "Se movieron 2 direcciones a «Urgente»." in text_of(answer)
    session.expire_all()
    assert [len(one.ips) for one in session.scalars(select(EgressPool).order_by(EgressPool.id))] == [10, 2]
    assert "marque antes" in text_of(submit(person, f"{home}/move", {"pool": second.id}, follow_redirects=True))
    assert "no existe" in text_of(submit(person, f"{home}/move", {"ip": [1], "pool": 999}, follow_redirects=True))


def test_adding_changing_and_removing_one(session, relay, pool, person, home):
    form = {
        "address": "192.0.2.9",
        "helo_name": "mail-9.example.gob.pe",
        "pool_id": pool.id,
        "weight": "1",
        "state": "active",
    }
    assert submit(person, f"{home}/new", form).status_code == 302
    again = submit(person, f"{home}/new", form)
    assert again.status_code == 400
    assert "Este relay ya tiene esa dirección" in text_of(again)
    ip = session.scalar(select(EgressIp))
    refused = submit(person, f"{home}/{ip.id}", {**form, "helo_name": "x"})
    assert 'id="helo_name-error"' in refused.text
    submit(person, f"{home}/{ip.id}", {**form, "weight": "7"})
    session.expire_all()
    assert ip.weight == 7
    submit(person, f"{home}/{ip.id}/delete")
    assert addresses(session, relay) == []


def test_pools_are_made_renamed_and_deleted_when_empty(session, relay, pool, person, home):
    assert submit(person, f"{home}/pools", {"name": "Urgente"}).status_code == 302
    assert "ya tiene un grupo" in text_of(submit(person, f"{home}/pools", {"name": "Urgente"}))
    factories.egress_ip(session, pool, "192.0.2.1")
    refused = submit(person, f"{home}/pools/{pool.id}/delete", follow_redirects=True)
    assert "el grupo tiene 1 dirección" in text_of(refused)
    assert "ya tiene un grupo" in text_of(submit(person, f"{home}/pools/{pool.id}", {"name": "Urgente"}))
    submit(person, f"{home}/pools/{pool.id}", {"name": "Boletines"})
    submit(person, f"{home}/pools/{pool.id + 1}/delete")
    session.expire_all()
    assert [one.name for one in session.scalars(select(EgressPool))] == ["Boletines"]


def test_assignments_on_one_page(session, relay, panel, other_panel, pool, twelve, person, home):
    urgent = factories.egress_pool(session, relay, "Urgente")
    cell = (panel.id, MailStream.URGENT)
    refused = submit(person, f"{home}/assignments", {f"{panel.id}-urgent": urgent.id})
    assert refused.status_code == 400
    assert "El grupo «Urgente» no tiene direcciones" in text_of(refused)
    ips.move_ips(session, relay.id, [twelve[0].id], urgent.id)
    submit(person, f"{home}/assignments", {f"{panel.id}-urgent": urgent.id, f"{panel.id}-bulk": ""})
    assert assignments.assignments_of(session, relay.id) == {cell: urgent.id}
    assert f'<option value="{urgent.id}" selected>Urgente' in person.get(f"{home}/assignments").text
    submit(person, f"{home}/assignments", {f"{panel.id}-urgent": ""})
    assert assignments.assignments_of(session, relay.id) == {}


def test_relay_has_a_limit_per_hour(session, relay, person):
    form = {"name": "r", "host": "127.0.0.1", "port": "25", "security": "none", "connections": "1",
            "messages_per_connection": "1"}  # fmt: skip
    submit(person, f"/relays/{relay.id}", {**form, "rate_per_hour": "5000"})
    session.expire_all()
    assert relay.rate_per_hour == 5000
    assert submit(person, f"/relays/{relay.id}", {**form, "rate_per_hour": "0"}).status_code == 400
    submit(person, f"/relays/{relay.id}", {**form, "rate_per_hour": ""})
    session.expire_all()
    assert relay.rate_per_hour is None


def test_panel_has_weight_and_limit_for_administrators(session, panel, person):
    path = "/p/empleo/settings/limits"
    submit(person, path, {"limits-weight": "3", "limits-rate_per_hour": "20000"})
    session.expire_all()
    assert (panel.weight, panel.rate_per_hour) == (3, 20000)
    for wrong in ({"limits-weight": "101"}, {"limits-weight": "1", "limits-rate_per_hour": "0"}, {"limits-weight": ""}):
        assert submit(person, path, wrong).status_code == 400
    submit(person, path, {"limits-weight": "1", "limits-rate_per_hour": ""})
    session.expire_all()
    assert session.get(Panel, panel.id).rate_per_hour is None


def test_hourly_limit_of_an_ip_in_form_list_and_file(session, pool, twelve, person, home):
    ip = twelve[0]
    page = f"{home}/{ip.id}"
    form = {"address": ip.address, "helo_name": ip.helo_name, "pool_id": str(pool.id), "weight": "1"}
    assert submit(person, page, {**form, "rate_per_hour": "0"}).status_code == 400
    submit(person, page, {**form, "rate_per_hour": "4500"})
    session.refresh(ip)
    assert ip.rate_per_hour == 4500
    assert "hasta 4,500 por hora" in read(person, home)
    rows = list(csv.reader(io.StringIO(person.get(f"{home}/export.csv").data.decode("utf-8-sig")), delimiter=";"))
    assert [row[5] for row in rows[:3]] == ["Límite por hora", "4500", ""]
    submit(person, page, {**form, "rate_per_hour": ""})
    assert not any(session.scalars(select(EgressIp.rate_per_hour)))


def test_pages_of_ips_are_marked_as_relays_in_the_navigation(twelve, person, home):
    assert re.search(r'href="/relays" aria-current="true"', person.get(home).text)


def test_warm_up_page_shows_each_ip_and_what_it_has_left(session, twelve, person, home):
    today = datetime.now(UTC).date()
    assert "Ninguna dirección está en calentamiento" in read(person, f"{home}/warm-up")
    twelve[0].state, twelve[0].warm_up_started_on = EgressState.WARMING, today
    session.add(EgressUse(egress_ip_id=twelve[0].id, provider="google", day=today, submitted=30))
    session.commit()
    told = read(person, f"{home}/warm-up")
    assert "Google: hoy se entregaron 30 correos ; queda cupo para 70 más." in told
    assert "192.0.2.1 1 de 16 30/100 30 de 100 70" in told
    assert "Outlook.com (Hotmail, Live): hoy se entregaron 0 correos" in read(
        person, f"{home}/warm-up?provider=outlook"
    )


def test_warm_up_page_is_for_administrators(client, alice, relay):
    assert log_in(client, alice).get(f"/relays/{relay.id}/egress/warm-up").status_code == 404
