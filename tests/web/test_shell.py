"""Who sees what: choosing a platform, the monitor, settings, domains, relays, users."""

import pytest
from sqlalchemy import select

from app.flow import accounts, domains, panels
from app.flow.panels import PanelProblem
from app.flow.relay_probe import ProbeResult, ProbeStatus
from app.mail.dkim import KeyKind, generate_key
from app.models import (
    CampaignStatus,
    Import,
    ImportStatus,
    Membership,
    Panel,
    PanelMode,
    Relay,
    RelaySecurity,
    Role,
    SendingDomain,
    User,
)
from app.secrets import unseal
from app.web.relays.sentences import probe_sentence
from app.web.settings.sentences import panel_sentence
from dns_tools.dkim import KeyCheck, KeyStatus
from dns_tools.presence import Presence, PresenceCheck
from tests import factories
from tests.fixtures.app import log_in
from tests.fixtures.laws import arrange
from tests.pages import FreshClient, submit
from tests.unit.test_dkim_records import server as name_server  # noqa: F401

PAIR = generate_key(KeyKind.RSA)


@pytest.fixture
def client(app):
    app.test_client_class = FreshClient
    return app.test_client()


@pytest.fixture(autouse=True)
def quick_keys(monkeypatch):
    """Keys of 2048 bits take a second each; that real ones are made is tested below."""
    for function in (domains.add_domain, domains.new_domain):
        monkeypatch.setitem(function.__kwdefaults__, "make_key", lambda _kind: PAIR)


@pytest.fixture
def relay(session):
    row = Relay(name="Relay de prueba", host="127.0.0.1", port=1, security=RelaySecurity.NONE)
    session.add(row)
    session.commit()
    return row


@pytest.fixture
def foreign(session, settings, other_panel):
    """A sending domain of another panel."""
    return domains.add_domain(session, settings, other_panel.id, "otro.example.gob.pe")


# Elegir plataforma.


def test_members_see_their_own_panels_only(client, alice, charlie):
    text = log_in(client, alice).get("/").text
    assert "Empleo" in text
    assert "Fiscalizacion" not in text
    assert "PostgreSQL" not in text


def test_administrators_see_every_panel_and_the_installation(client, panel, other_panel, admin):
    text = log_in(client, admin).get("/").text
    assert "Empleo" in text
    assert "Fiscalizacion" in text
    assert "PostgreSQL 18" in text
    assert "Responde" in text
    assert "Detenido" in text


def test_whoever_is_in_no_panel_is_told_what_to_do(client, session):
    text = log_in(client, factories.user(session, "dora@example.pe")).get("/").text
    assert "Todavía no tiene acceso a ninguna plataforma" in text


def test_cards_tell_the_day_and_the_mode(client, session, alice, panel):
    factories.campaign(session, panel, status=CampaignStatus.PAUSED, status_reason="relay_failures:421 busy")
    text = log_in(client, alice).get("/overview").text
    assert "1 alarma" in text
    assert "Práctica" in text
    assert "<html" not in text


# Whose panel it is.


PANEL_PATHS = [
    ("get", ""),
    ("get", "/monitor"),
    ("get", "/settings"),
    ("post", "/settings"),
    ("post", "/settings/practice"),
    ("post", "/settings/real"),
    ("get", "/domains"),
    ("post", "/domains"),
    ("get", "/domains/{domain}"),
    ("post", "/domains/{domain}"),
    ("post", "/domains/{domain}/check"),
    ("post", "/domains/{domain}/delete"),
]


@pytest.mark.parametrize(("method", "path"), PANEL_PATHS)
def test_another_panel_is_not_found(client, alice, foreign, method, path):
    log_in(client, alice)
    url = "/p/fiscalizacion" + (path.format(domain=foreign.id) or "/")
    answer = submit(client, url) if method == "post" else client.get(url)
    assert answer.status_code == 404
    assert "Fiscalizacion" not in answer.text


@pytest.mark.parametrize(("method", "path"), [pair for pair in PANEL_PATHS if "{domain}" in pair[1]])
def test_another_panels_rows_are_not_found_in_ones_own(client, session, alice, foreign, method, path):
    log_in(client, alice)
    for number in (foreign.id, 999_999, 2**40):
        url = "/p/empleo" + path.format(domain=number)
        answer = submit(client, url) if method == "post" else client.get(url)
        assert answer.status_code == 404
    session.expire_all()
    assert session.get(SendingDomain, foreign.id).return_path_domain == "rebotes.otro.example.gob.pe"


def test_every_panel_page_asks_for_a_log_in(client, panel, foreign):
    for method, path in PANEL_PATHS:
        url = "/p/empleo" + (path.format(domain=foreign.id) or "/")
        answer = submit(client, url) if method == "post" else client.get(url)
        assert (answer.status_code, answer.location.startswith("/login")) == (302, True), url


def test_viewers_can_look_but_not_touch(client, bob, session, settings, panel):
    row = domains.add_domain(session, settings, panel.id, "boletin.example.gob.pe")
    log_in(client, bob)
    assert client.get("/p/empleo/").status_code == 200
    assert client.get("/p/empleo/domains").status_code == 200
    assert client.get(f"/p/empleo/domains/{row.id}").status_code == 200
    assert client.get("/p/empleo/settings").status_code == 403
    for path in ("settings", "settings/real", "settings/practice", "domains", f"domains/{row.id}"):
        assert submit(client, f"/p/empleo/{path}").status_code == 403
    assert submit(client, f"/p/empleo/domains/{row.id}/delete").status_code == 403


@pytest.mark.parametrize("path", ["/relays", "/relays/new", "/relays/1", "/users", "/users/new", "/users/1"])
def test_the_installation_is_not_found_by_managers(client, alice, relay, path):
    log_in(client, alice)
    assert client.get(path).status_code == 404
    assert submit(client, path).status_code in (404, 405)


@pytest.mark.parametrize(
    "path",
    [
        "/relays/1/test",
        "/relays/1/delete",
        "/users/1/activate",
        "/users/1/deactivate",
        "/users/1/password",
        "/users/new",
        "/relays/new",
    ],
)
def test_the_acts_of_administrators_are_not_found_by_managers(client, alice, relay, path):
    log_in(client, alice)
    assert submit(client, path).status_code == 404


# Inicio.


def test_the_monitor_leads_a_newcomer(client, alice):
    text = log_in(client, alice).get("/p/empleo/").text
    assert "Primeros pasos" in text
    assert 'hx-get="/p/empleo/monitor"' in text
    assert "No hay ningún envío en curso" in text


def test_the_monitor_shows_campaigns_imports_and_alarms(client, session, alice, panel):
    factories.campaign(session, panel, name="Una & otra", status=CampaignStatus.SENDING)
    factories.campaign(session, panel, name="Rota", status=CampaignStatus.PAUSED, status_reason="relay_failures:421")
    upload = {"stored_path": "1", "size_bytes": 1, "encoding": "utf-8", "delimiter": ";", "header": ["correo"]}
    for status in ImportStatus:
        session.add(Import(panel_id=panel.id, filename=f"{status}.csv", status=status, **upload))
    session.commit()
    text = log_in(client, alice).get("/p/empleo/monitor").text
    assert "Una &amp; otra" in text
    assert "«Rota» se pausó sola" in text
    assert "falló. No se importó nada" in text
    assert "<html" not in text


# Settings.


def panel_form(**values):
    form = {"name": "Empleo", "colour": "teal", "timezone": "America/Lima", **values}
    return {f"panel-{name}": value for name, value in form.items()}


def test_managers_change_name_colour_and_zone(client, session, alice, panel):
    log_in(client, alice)
    assert submit(client, "/p/empleo/settings", panel_form(name="Ferias", colour="orange")).status_code == 302
    session.expire_all()
    assert (panel.name, panel.colour) == ("Ferias", "orange")


@pytest.mark.parametrize("wrong", [{"colour": "ultraviolet"}, {"timezone": "Mars/Olympus"}, {"name": ""}])
def test_wrong_settings_change_nothing(client, session, alice, panel, wrong):
    log_in(client, alice)
    assert submit(client, "/p/empleo/settings", panel_form(**wrong)).status_code == 400
    session.expire_all()
    assert (panel.name, panel.colour) == ("Empleo", "blue")


def test_going_real_says_what_it_means_and_wants_a_yes(client, session, alice, panel, relay):
    factories.campaign(session, panel, name="Programada", status=CampaignStatus.SCHEDULED)
    log_in(client, alice)
    text = client.get("/p/empleo/settings").text
    assert "Un correo enviado no se puede recuperar" in text
    assert "1 campaña programada que saldrá de verdad" in text
    assert "Programada" in text
    assert submit(client, "/p/empleo/settings/real", {"real-relay_id": relay.id}).status_code == 400
    session.expire_all()
    assert panel.mode is PanelMode.PRACTICE
    form = {"real-relay_id": relay.id, "real-understood": "y"}
    assert submit(client, "/p/empleo/settings/real", form).status_code == 302
    session.expire_all()
    assert panel.mode is PanelMode.REAL
    assert "Envío real" in client.get("/p/empleo/").text
    assert "Modo práctica: nada" not in client.get("/p/empleo/").text
    assert submit(client, "/p/empleo/settings/practice").status_code == 302
    session.expire_all()
    assert panel.mode is PanelMode.PRACTICE


def test_a_running_campaign_keeps_the_mode_and_is_named(client, session, alice, panel, relay):
    factories.campaign(session, panel, name="Feria del sur", status=CampaignStatus.SENDING)
    log_in(client, alice)
    text = client.get("/p/empleo/settings").text
    assert "El modo no se puede cambiar" in text
    assert "Activar el envío real" not in text
    answer = submit(client, "/p/empleo/settings/real", {"real-relay_id": relay.id, "real-understood": "y"})
    assert answer.status_code == 409
    assert "Feria del sur" in answer.text
    session.expire_all()
    assert panel.mode is PanelMode.PRACTICE


def test_a_relay_that_is_no_choice_is_refused(client, session, alice, panel, relay):
    log_in(client, alice)
    for relay_id in ("999", "x", ""):
        form = {"real-relay_id": relay_id, "real-understood": "y"}
        assert submit(client, "/p/empleo/settings/real", form).status_code == 400


@pytest.mark.parametrize(
    "code", ["campaigns_under_way", "relay_missing", "not_understood", "colour_unknown", "timezone_unknown"]
)
def test_every_problem_with_settings_has_a_sentence(app, code):
    with app.test_request_context():
        assert panel_sentence(PanelProblem(code, names=("Una",)))


# Sending domains.


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("Boletin.Example.GOB.PE", "boletin.example.gob.pe"),
        (" boletin.example.gob.pe. ", "boletin.example.gob.pe"),
        ("ñandú.example.gob.pe", "xn--and-6ma2c.example.gob.pe"),
    ],
)
def test_a_domain_is_stored_in_lower_case_a_labels(client, session, alice, typed, stored):
    log_in(client, alice)
    assert submit(client, "/p/empleo/domains", {"domain": typed}).status_code == 302
    row = session.scalar(select(SendingDomain))
    assert (row.domain, row.return_path_domain) == (stored, f"rebotes.{stored}")
    assert row.dkim_keys[0].selector.startswith("chaski20")


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("example.com", "dominios que terminan en gob.pe"),
        ("gob.pe", "dominios que terminan en gob.pe"),
        ("example.gob.pe.example.com", "dominios que terminan en gob.pe"),
        ("malgob.pe", "dominios que terminan en gob.pe"),
        ("http://example.gob.pe", "Eso no es un dominio"),
        ("a@example.gob.pe", "Eso no es un dominio"),
        ("-x.gob.pe", "Eso no es un dominio"),
        ("a..gob.pe", "Eso no es un dominio"),
        ("x" * 64 + ".gob.pe", "Eso no es un dominio"),
        ("a\r\nb.gob.pe", "Eso no es un dominio"),
        (".".join(["x" * 60] * 4) + ".gob.pe", "Eso no es un dominio"),
    ],
)
def test_other_domains_are_refused_with_a_sentence(client, session, alice, typed, sentence):
    log_in(client, alice)
    answer = submit(client, "/p/empleo/domains", {"domain": typed})
    assert answer.status_code == 400
    assert sentence in answer.text
    assert session.scalar(select(SendingDomain)) is None


def test_a_domain_stands_once_in_a_panel(client, session, settings, alice, panel):
    domains.add_domain(session, settings, panel.id, "boletin.example.gob.pe")
    log_in(client, alice)
    answer = submit(client, "/p/empleo/domains", {"domain": "BOLETIN.example.gob.pe"})
    assert answer.status_code == 400
    assert "ya está en esta plataforma" in answer.text


def test_two_panels_on_one_domain_get_selectors_of_their_own(session, settings, panel, other_panel):
    first = domains.add_domain(session, settings, panel.id, "boletin.example.gob.pe")
    second = domains.add_domain(session, settings, other_panel.id, "boletin.example.gob.pe")
    assert second.dkim_keys[0].selector == first.dkim_keys[0].selector + "-2"


def test_the_key_is_rsa_2048_and_sealed(session, settings, panel):
    row = domains.add_domain(session, settings, panel.id, "boletin.example.gob.pe", make_key=generate_key)
    key = row.dkim_keys[0]
    private = unseal(settings, key.private_key_encrypted)
    assert "BEGIN PRIVATE KEY" in private
    assert b"PRIVATE KEY" not in key.private_key_encrypted
    assert len(key.public_record) > 380
    assert key.public_record != PAIR.public_record


def test_anybody_can_read_the_public_key(client, session, settings, panel):
    row = domains.add_domain(session, settings, panel.id, "boletin.example.gob.pe")
    path = f"/.well-known/chaski/dkim/boletin.example.gob.pe/{row.dkim_keys[0].selector}"
    answer = client.get(path)
    assert (answer.status_code, answer.mimetype) == (200, "text/plain")
    assert answer.text == PAIR.public_record + "\n"
    assert client.get(path + "x").status_code == 404
    assert client.get(path.replace("boletin", "otro")).status_code == 404


def test_the_page_shows_what_to_publish(client, session, settings, alice, panel):
    row = domains.add_domain(session, settings, panel.id, "boletin.example.gob.pe")
    text = log_in(client, alice).get(f"/p/empleo/domains/{row.id}").text
    for part in (
        PAIR.public_record,
        f"{row.dkim_keys[0].selector}._domainkey.boletin.example.gob.pe",
        "10 correo.example.pe.",
        "v=spf1 mx ~all",
        "_dmarc.boletin.example.gob.pe",
    ):
        assert part.replace("+", "+") in text
    assert "PRIVATE" not in text


def test_return_path_and_links_are_checked(client, session, settings, alice, panel):
    row = domains.add_domain(session, settings, panel.id, "boletin.example.gob.pe")
    log_in(client, alice)
    url = f"/p/empleo/domains/{row.id}"
    good = {"return_path_domain": "vuelta.example.gob.pe", "tracking_url": "https://enlaces.example.gob.pe/"}
    assert submit(client, url, good).status_code == 302
    session.expire_all()
    assert (row.return_path_domain, row.tracking_url) == ("vuelta.example.gob.pe", "https://enlaces.example.gob.pe")
    for wrong in (
        {"return_path_domain": "example.com"},
        {"return_path_domain": "no es"},
        {"tracking_url": "javascript:alert(1)"},
        {"tracking_url": "https://user:secret@example.gob.pe"},
        {"tracking_url": "https://example.gob.pe/?q=1"},
        {"tracking_url": "https://example.gob.pe/#x"},
        {"tracking_url": "https://exa mple.gob.pe"},
        {"tracking_url": "https://example.gob.pe:99999"},
        {"tracking_url": "https://"},
        {"tracking_url": 'https://example.gob.pe/"><script>'},
        {"tracking_url": "https://example.gob.pe/a\r\nX: y"},
    ):
        assert submit(client, url, {**good, **wrong}).status_code == 400, wrong
    session.expire_all()
    assert row.tracking_url == "https://enlaces.example.gob.pe"


def test_a_domain_that_is_needed_is_not_removed(client, session, settings, alice, panel):
    row = domains.add_domain(session, settings, panel.id, "boletin.example.gob.pe")
    campaign = factories.campaign(session, panel, name="Mañana", status=CampaignStatus.SCHEDULED)
    log_in(client, alice)
    answer = submit(client, f"/p/empleo/domains/{row.id}/delete", follow_redirects=True)
    assert "lo necesitan campañas programadas" in answer.text
    assert "Mañana" in answer.text
    arrange(session)
    campaign.status = CampaignStatus.DRAFT
    session.commit()
    submit(client, f"/p/empleo/domains/{row.id}/delete")
    session.expire_all()
    assert session.scalar(select(SendingDomain)) is None


def test_checking_asks_the_dns(client, app, session, settings, alice, panel, name_server):  # noqa: F811
    from dataclasses import replace

    port = name_server.server_address[1]
    app.extensions["settings"] = replace(settings, dns_servers=f"127.0.0.1:{port}")
    row = domains.add_domain(session, settings, panel.id, "boletin.example.gob.pe")
    log_in(client, alice)
    assert "Todavía no está en el DNS" in submit(client, f"/p/empleo/domains/{row.id}/check").text
    name_server.zone = {f"{row.dkim_keys[0].selector}._domainkey.{row.domain}": [PAIR.public_record]}
    assert "Publicada y correcta" in submit(client, f"/p/empleo/domains/{row.id}/check").text
    session.expire_all()
    assert row.dkim_keys[0].is_published
    checked_at = row.dkim_keys[0].checked_at
    app.extensions["settings"] = replace(settings, dns_servers="127.0.0.1:1")
    assert "no respondieron" in submit(client, f"/p/empleo/domains/{row.id}/check").text
    session.expire_all()
    assert row.dkim_keys[0].is_published, "silent name servers say nothing about a record"
    assert row.dkim_keys[0].checked_at == checked_at
    name_server.zone = {}
    app.extensions["settings"] = replace(settings, dns_servers=f"127.0.0.1:{port}")
    submit(client, f"/p/empleo/domains/{row.id}/check")
    session.expire_all()
    assert not row.dkim_keys[0].is_published


def test_list_of_domains_shows_what_the_last_check_found(client, app, session, settings, alice, panel, name_server):  # noqa: F811
    from dataclasses import replace

    port = name_server.server_address[1]
    app.extensions["settings"] = replace(settings, dns_servers=f"127.0.0.1:{port}")
    row = domains.add_domain(session, settings, panel.id, "boletin.example.gob.pe")
    log_in(client, alice)
    assert "DKIM: sin comprobar" in client.get("/p/empleo/domains").text
    name_server.zone = {
        f"{row.dkim_keys[0].selector}._domainkey.{row.domain}": ["v=DKIM1; p="],
        row.return_path_domain: ["v=spf1 mx", "v=spf1 a"],
        f"_dmarc.{row.domain}": ["v=DMARC1; p=none"],
    }
    page = submit(client, f"/p/empleo/domains/{row.id}/check").text
    assert "v=DMARC1; p=none" in page and "Hay más de uno" in page
    text = client.get("/p/empleo/domains").text
    for state in ("DKIM: sin publicar", "MX: falta", "SPF: con problemas", "DMARC: publicado", "Comprobado hace"):
        assert state in text
    assert "DMARC: publicado" in client.get(f"/p/empleo/domains/{row.id}").text
    submit(client, f"/p/empleo/domains/{row.id}", {"return_path_domain": "vuelta.example.gob.pe"})
    text = client.get("/p/empleo/domains").text
    assert "DKIM: sin publicar" in text and "DMARC: publicado" in text, "these are about names that stayed"
    assert "MX:" not in text and "SPF:" not in text


def test_checks_of_one_panel_are_limited(client, app, session, settings, alice, panel, name_server):  # noqa: F811
    from dataclasses import replace

    port = name_server.server_address[1]
    app.extensions["settings"] = replace(settings, dns_servers=f"127.0.0.1:{port}")
    row = domains.add_domain(session, settings, panel.id, "boletin.example.gob.pe")
    log_in(client, alice)
    codes = [submit(client, f"/p/empleo/domains/{row.id}/check").status_code for _ in range(13)]
    assert codes == [200] * 12 + [429]


@pytest.mark.parametrize("state", list(Presence))
@pytest.mark.parametrize("code", ["return_path_mx", "return_path_spf", "dmarc"])
def test_every_state_of_a_record_has_a_word(app, code, state):
    from app.web.domains.sentences import presence_sentence, record_state

    with app.test_request_context():
        name, word, colour, icon = record_state(code, state)
        assert name and word and colour and icon
        assert presence_sentence(PresenceCheck(status=state, name="x"))


@pytest.mark.parametrize("status", list(KeyStatus))
def test_every_result_of_a_check_has_a_sentence(app, status):
    from app.web.domains.sentences import check_sentence

    with app.test_request_context():
        assert check_sentence(KeyCheck(status=status, name="x"))


# Relays.


def relay_form(**values):
    return {
        "name": "Salida",
        "host": "127.0.0.1",
        "port": "2525",
        "security": "starttls",
        "verify_certificate": "y",
        "username": "chaski",
        "password": "un secreto",
        "connections": "4",
        "messages_per_connection": "1000",
        **values,
    }


def test_a_relays_password_is_sealed_and_never_shown(client, session, settings, admin):
    log_in(client, admin)
    assert submit(client, "/relays/new", relay_form()).status_code == 302
    row = session.scalar(select(Relay))
    assert unseal(settings, row.password_encrypted) == "un secreto"
    assert "un secreto" not in client.get(f"/relays/{row.id}").text
    assert submit(client, f"/relays/{row.id}", relay_form(password="", port="2526")).status_code == 302
    session.expire_all()
    assert unseal(settings, row.password_encrypted) == "un secreto"
    assert row.port == 2526


def test_a_relay_that_moves_wants_its_password_again(client, session, settings, admin):
    log_in(client, admin)
    submit(client, "/relays/new", relay_form())
    row = session.scalar(select(Relay))
    answer = submit(client, f"/relays/{row.id}", relay_form(password="", host="relay.test"))
    assert answer.status_code == 400
    assert "escriba la contraseña otra vez" in answer.text
    session.expire_all()
    assert row.host == "127.0.0.1"
    assert submit(client, f"/relays/{row.id}", relay_form(host="relay.test")).status_code == 302
    submit(client, f"/relays/{row.id}", relay_form(host="relay.test", username="", password=""))
    session.expire_all()
    assert row.password_encrypted is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"host": "relay.test:25"},
        {"host": "http://relay.test"},
        {"host": "a b"},
        {"port": "0"},
        {"port": "70000"},
        {"port": "x"},
        {"security": "ssl3"},
        {"connections": "0"},
        {"connections": "65"},
        {"messages_per_connection": "0"},
    ],
)
def test_wrong_relays_are_refused(client, session, admin, wrong):
    log_in(client, admin)
    answer = submit(client, "/relays/new", relay_form(**wrong))
    assert answer.status_code == 400
    assert "is-invalid" in answer.text
    assert session.scalar(select(Relay)) is None


def test_two_relays_of_one_name_are_refused(client, session, admin, relay):
    log_in(client, admin)
    answer = submit(client, "/relays/new", relay_form(name=relay.name))
    assert answer.status_code == 400
    assert "Ya existe un relay" in answer.text


def test_a_relay_in_use_is_not_deleted(client, session, admin, panel, relay):
    panels.use_relay(session, panel, relay.id, understood=True)
    log_in(client, admin)
    answer = submit(client, f"/relays/{relay.id}/delete", follow_redirects=True)
    assert "lo usan Empleo" in answer.text
    panels.use_practice(session, session.get(Panel, panel.id))
    assert submit(client, f"/relays/{relay.id}/delete").status_code == 302
    session.expire_all()
    assert session.scalar(select(Relay)) is None
    assert session.get(Panel, panel.id).relay_id is None


def test_the_probe_connects_for_real_and_says_what_happened(client, admin, relay):
    log_in(client, admin)
    answer = submit(client, f"/relays/{relay.id}/test")
    assert answer.status_code == 200
    assert "Nadie atiende en ese puerto" in answer.text


@pytest.mark.parametrize("status", list(ProbeStatus))
def test_every_answer_of_a_probe_has_a_sentence(app, status):
    with app.test_request_context():
        assert probe_sentence(ProbeResult(status=status, tls_version="TLSv1.3", logged_in=True))


def test_relays_that_do_not_exist_are_not_found(client, admin):
    log_in(client, admin)
    assert client.get("/relays/999").status_code == 404
    assert submit(client, "/relays/999/test").status_code == 404
    assert submit(client, "/relays/999/delete").status_code == 404


# Users.


def test_a_new_user_gets_a_password_that_is_shown_once(client, session, admin, panel):
    log_in(client, admin)
    form = {"email": "Dora@Example.pe", "name": "Dora", "locale": "es", f"role-{panel.id}": "editor"}
    answer = submit(client, "/users/new", form)
    assert answer.status_code == 200
    password = answer.text.partition('data-copy="')[2].partition('"')[0]
    user = accounts.authenticate(session, "dora@example.pe", password)
    assert [(m.panel_id, m.role) for m in user.memberships] == [(panel.id, Role.EDITOR)]
    assert password not in client.get(f"/users/{user.id}").text


def test_roles_are_given_and_taken(client, session, admin, alice, panel, other_panel):
    log_in(client, admin)
    form = {"name": "Alicia", "locale": "en", f"role-{panel.id}": "", f"role-{other_panel.id}": "viewer"}
    assert submit(client, f"/users/{alice.id}", form).status_code == 302
    session.expire_all()
    assert [(m.panel_id, m.role) for m in alice.memberships] == [(other_panel.id, Role.VIEWER)]
    assert log_in(client, alice).get("/p/empleo/").status_code == 404


def test_a_role_that_is_none_counts_as_none(client, session, admin, alice, panel):
    log_in(client, admin)
    submit(client, f"/users/{alice.id}", {"name": "Alicia", "locale": "es", f"role-{panel.id}": "owner"})
    session.expire_all()
    assert session.scalar(select(Membership).where(Membership.user_id == alice.id)) is None


@pytest.mark.parametrize("email", ["alice@example.pe", "ALICE@EXAMPLE.PE", "no address", "a@b", "x" * 260])
def test_taken_and_broken_addresses_are_refused(client, session, admin, alice, email):
    log_in(client, admin)
    answer = submit(client, "/users/new", {"email": email, "name": "Otra", "locale": "es"})
    assert answer.status_code == 400
    assert "is-invalid" in answer.text


def test_the_last_administrator_can_neither_leave_nor_be_demoted(client, session, admin, panel):
    log_in(client, admin)
    answer = submit(client, f"/users/{admin.id}/deactivate", follow_redirects=True)
    assert "Es la única persona que administra" in answer.text
    answer = submit(client, f"/users/{admin.id}", {"name": "Admin", "locale": "es"})
    assert answer.status_code == 409
    assert "Es la única persona que administra" in answer.text
    session.expire_all()
    assert session.get(User, admin.id).is_administrator
    assert session.get(User, admin.id).is_active


def test_a_deactivated_administrator_is_no_second_one(client, session, admin):
    other = factories.user(session, "otro@example.pe", is_administrator=True)
    log_in(client, admin)
    assert submit(client, f"/users/{other.id}/deactivate").status_code == 302
    answer = submit(client, f"/users/{admin.id}/deactivate", follow_redirects=True)
    assert "Es la única persona que administra" in answer.text


def test_two_administrators_cannot_demote_each_other_at_once(app, session, admin):
    """Whichever comes second waits for the first and then finds itself the last."""
    import threading

    other = factories.user(session, "otro@example.pe", is_administrator=True)
    ids, outcomes = [admin.id, other.id], []
    barrier = threading.Barrier(2)

    def demote(user_id):
        from app.extensions import db

        with app.app_context():
            user = db.session.get(User, user_id)
            barrier.wait()
            try:
                accounts.set_active(db.session, user, active=False)
                outcomes.append("done")
            except accounts.AccountProblem as problem:
                outcomes.append(problem.code)

    session.commit()
    threads = [threading.Thread(target=demote, args=(user_id,)) for user_id in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(outcomes) == ["done", "last_administrator"]


def test_resetting_a_password_ends_the_sessions(app, client, session, admin, alice):
    other = log_in(app.test_client(), alice)
    assert other.get("/").status_code == 200
    log_in(client, admin)
    answer = submit(client, f"/users/{alice.id}/password")
    assert answer.status_code == 200
    assert "No se volverá a mostrar" in answer.text
    assert other.get("/").status_code == 302


def test_deactivating_ends_the_sessions_and_can_be_undone(app, client, session, admin, alice):
    other = log_in(app.test_client(), alice)
    log_in(client, admin)
    submit(client, f"/users/{alice.id}/deactivate")
    assert other.get("/").status_code == 302
    submit(client, f"/users/{alice.id}/activate")
    session.expire_all()
    assert alice.is_active


def test_account_without_any_panel_is_warned_of_until_it_has_one(client, session, admin, alice, panel):
    log_in(client, admin)
    warning = "no tiene acceso a ninguna plataforma"
    url = f"/users/{alice.id}"
    assert warning not in client.get(url).text
    assert warning in submit(client, url, {"name": "Alicia", "locale": "es"}, follow_redirects=True).text
    assert warning in client.get(url).text
    form = {"name": "Alicia", "locale": "es", f"role-{panel.id}": "viewer"}
    assert warning not in submit(client, url, form, follow_redirects=True).text
    assert warning not in client.get(url).text
    form = {"email": "sola@example.pe", "name": "Sola", "locale": "es"}
    assert warning in submit(client, "/users/new", form).text
