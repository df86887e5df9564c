"""Pages of mailbox providers: what administrators see and change there."""

from dataclasses import replace

import pytest
from sqlalchemy import select

from app.flow.providers import limits_of
from app.mail.mailbox_providers import providers as shipped
from app.models import MailDomain, ProviderLimits
from tests import factories
from tests.dns_tools import conftest as dns_fixtures
from tests.fixtures.app import log_in
from tests.pages import FreshClient, submit
from tests.web.pages import text_of

running_nameserver, nameserver = dns_fixtures.running_nameserver, dns_fixtures.nameserver


@pytest.fixture
def client(app):
    app.test_client_class = FreshClient
    return app.test_client()


@pytest.fixture
def asking(app, settings, nameserver):
    app.extensions["settings"] = replace(settings, dns_servers=f"127.0.0.1:{nameserver.port}")
    return nameserver


def form(**values):
    return {
        "messages_per_minute": "70", "connections": "2", "messages_per_connection": "30", "warm_up_caps": "10 20 40", **values
    }  # fmt: skip


@pytest.mark.parametrize("path", ["/providers", "/providers/google"])
def test_providers_are_not_found_by_managers(client, alice, path):
    assert log_in(client, alice).get(path).status_code == 404


@pytest.mark.parametrize("path", ["/providers/google", "/providers/google/reset", "/providers/lookup"])
def test_acts_on_providers_are_not_found_by_managers(client, session, alice, path):
    log_in(client, alice)
    assert submit(client, path, form(domain="a.example.pe")).status_code == 404
    assert session.scalars(select(ProviderLimits)).all() == []


@pytest.mark.parametrize("path", ["/providers/google", "/providers/google/reset", "/providers/lookup"])
def test_acts_without_the_pages_token_do_nothing(client, session, admin, path):
    log_in(client, admin)
    assert client.post(path, data=form(domain="a.example.pe")).status_code == 400
    assert session.scalars(select(ProviderLimits)).all() == []
    assert session.scalars(select(MailDomain)).all() == []


def test_list_shows_every_provider_with_its_limits_and_where_the_contacts_are(client, session, admin, panel):
    for number, domain in enumerate(["gmail.com", "gmail.com", "gmail.com", "hotmail.com"]):
        factories.contact(session, panel, f"p{number}@{domain}")
    text = text_of(log_in(client, admin).get("/providers"))
    assert "Google 75 % — 300 5 50 16 días" in text
    assert "Outlook.com (Hotmail, Live) 25 %" in text
    assert all(provider.name in text for provider in shipped().values() if provider.key != "other")
    assert "Otros proveedores" in text
    assert "cambiado" not in text
    assert text.index("Google 75") < text.index("Outlook.com") < text.index("Yahoo")


def test_limits_are_changed_shown_against_the_shipped_ones_and_reset(client, session, admin):
    log_in(client, admin)
    assert submit(client, "/providers/google", form()).status_code == 302
    assert limits_of(session)["google"].messages_per_minute == 70
    assert limits_of(session)["google"].warm_up_caps == (10, 20, 40)
    text = text_of(client.get("/providers"))
    assert "Google cambiado" in text
    assert "70 de fábrica 300" in text
    page = client.get("/providers/google").text
    assert "10 20 40" in page
    assert "De fábrica: 300." in page
    assert "por Admin" in page
    assert submit(client, "/providers/google/reset").status_code == 302
    assert limits_of(session)["google"] == shipped()["google"].limits
    assert "cambiado" not in text_of(client.get("/providers"))


@pytest.mark.parametrize(
    "wrong, told",
    [
        ({"messages_per_minute": "0"}, "messages_per_minute-error"),
        ({"messages_per_minute": ""}, "messages_per_minute-error"),
        ({"messages_per_minute": "1" * 40}, "messages_per_minute-error"),
        ({"connections": "1001"}, "connections-error"),
        ({"messages_per_connection": "x"}, "messages_per_connection-error"),
        ({"warm_up_caps": "10 veinte"}, "«veinte» no es un número entero"),
        ({"warm_up_caps": "10 -20"}, "«-20» no es un número entero"),
        ({"warm_up_caps": "1.000"}, "«1.000» no es un número entero"),
        ({"warm_up_caps": "٣"}, "no es un número entero"),
        ({"warm_up_caps": "10 20 5"}, "Día 3: el tope es menor que el del día anterior"),
        ({"warm_up_caps": "0"}, "Día 1: escriba un número entre 1 y"),
        ({"warm_up_caps": "1 " * 61}, "Son más de 60 días"),
        ({"warm_up_caps": "1" * 2001}, "warm_up_caps-error"),
    ],
)
def test_limits_that_cannot_be_are_refused_with_the_reason_and_what_was_written(client, session, admin, wrong, told):
    log_in(client, admin)
    answer = submit(client, "/providers/google", form(**wrong))
    assert answer.status_code == 400
    assert told in answer.text
    assert all(value.strip() in answer.text for value in wrong.values())
    assert session.scalars(select(ProviderLimits)).all() == []


def test_separators_of_the_caps_are_as_people_write_them(client, session, admin):
    log_in(client, admin)
    assert submit(client, "/providers/google", form(warm_up_caps=" 10, 20;\r\n40\t80 ")).status_code == 302
    assert limits_of(session)["google"].warm_up_caps == (10, 20, 40, 80)


@pytest.mark.parametrize("path", ["/providers/nadie", "/providers/nadie/reset"])
def test_unknown_provider_is_not_found(client, admin, path):
    log_in(client, admin)
    assert submit(client, path, form()).status_code == 404


def test_a_domain_is_searched_and_looked_up_now(client, admin, asking):
    asking.load("empresa.example.pe. MX 10 aspmx.l.google.com.")
    log_in(client, admin)
    assert "todavía no se averiguó" in client.get("/providers?q=empresa.example.pe").text
    answer = submit(client, "/providers/lookup", {"domain": "empresa.example.pe"}, follow_redirects=True)
    text = text_of(answer)
    assert "Se acaba de preguntar al DNS por empresa.example.pe" in text
    assert "empresa.example.pe : Google" in text
    assert "MX: aspmx.l.google.com" in text
    assert "empresa.example.pe : Google" in text_of(client.get("/providers?q=Ana@Empresa.example.pe"))


def test_silent_name_servers_are_told_and_forget_nothing(client, session, admin, asking):
    asking.servfail.add("empresa.example.pe")
    log_in(client, admin)
    answer = submit(client, "/providers/lookup", {"domain": "empresa.example.pe"}, follow_redirects=True)
    assert "El DNS no respondió por empresa.example.pe" in answer.text
    assert "todavía no se averiguó" in answer.text


@pytest.mark.parametrize(
    "domain", ["", "sin-punto", "<script>alert(1)</script>", "a..b", "x" * 5000, "\0", "a b.example.pe"]
)
def test_what_is_no_domain_is_never_asked(client, session, admin, asking, domain):
    log_in(client, admin)
    answer = submit(client, "/providers/lookup", {"domain": domain}, follow_redirects=True)
    assert answer.status_code == 200
    assert "<script>alert" not in answer.text
    assert asking.asked == []
    assert session.scalars(select(MailDomain)).all() == []
