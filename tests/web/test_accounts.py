"""Log-in and what attackers do to it; the person's own profile."""

import dataclasses
import time

import pytest

from app import create_app
from app.config import load_settings
from app.extensions import db
from app.flow import accounts
from app.models import User
from ops.catalogues import compile_catalogues
from tests.factories import PASSWORD
from tests.fixtures.app import log_in
from tests.pages import FreshClient, submit, token

pytestmark = pytest.mark.usefixtures("fresh")
ANOTHER = "lluvia sobre tejado rojo"


@pytest.fixture
def fresh(app):
    app.test_client_class = FreshClient


@pytest.fixture
def client(fresh, app):
    return app.test_client()


def enter(client, email="alice@example.pe", password=PASSWORD, url="/login"):
    return submit(client, url, {"email": email, "password": password})


def test_the_right_password_opens_the_first_page(client, alice):
    answer = enter(client)
    assert answer.status_code == 302
    assert answer.location == "/"
    assert client.get("/").status_code == 200
    db.session.expire_all()
    assert db.session.get(User, alice.id).last_login_at is not None


def test_capitals_and_blanks_around_the_address_do_not_matter(client, alice):
    assert enter(client, email="  Alice@Example.PE ").status_code == 302


@pytest.mark.parametrize("email", ["alice@example.pe", "nobody@example.pe", "no address", "a\x00b@example.pe"])
def test_a_wrong_log_in_says_the_same_for_known_and_unknown_accounts(client, alice, email):
    answer = enter(client, email=email, password="something else entirely")
    assert answer.status_code == 401
    assert "El correo o la contraseña no son correctos" in answer.text
    assert client.get("/").status_code == 302


def test_unknown_accounts_cost_the_same_work(app, session, alice):
    accounts.reset_password(session, alice)  # a hash with the real parameters
    accounts.authenticate(session, "nobody@example.pe", "warming up the dummy hash")

    def seconds(email):
        best = 1e9
        for _ in range(3):
            start = time.perf_counter()
            assert accounts.authenticate(session, email, "wrong password here") is None
            best = min(best, time.perf_counter() - start)
        return best

    known, unknown = seconds("alice@example.pe"), seconds("nobody@example.pe")
    assert 0.5 < known / unknown < 2


def test_a_deactivated_account_cannot_enter_and_loses_its_sessions(client, session, alice):
    enter(client)
    accounts.set_active(session, session.get(User, alice.id), active=False)
    assert client.get("/").status_code == 302
    assert enter(client).status_code == 401


def test_attempts_from_one_address_are_limited(client, alice):
    for number in range(10):
        assert enter(client, email=f"someone{number}@example.pe", password="wrong password").status_code == 401
    answer = enter(client)
    assert answer.status_code == 429
    assert "Demasiados intentos" in answer.text


def test_attempts_on_one_account_are_limited_over_many_addresses(client, alice):
    codes = [
        submit(
            client,
            "/login",
            {"email": "ALICE@example.pe" if number % 2 else "alice@example.pe ", "password": "wrong password"},
            environ_overrides={"REMOTE_ADDR": f"192.0.2.{number + 1}"},
        ).status_code
        for number in range(11)
    ]
    assert codes == [401] * 10 + [429]


def test_entering_often_does_not_use_up_the_accounts_attempts(client, alice):
    for number in range(12):
        client.delete_cookie("chaski_session")
        answer = submit(
            client,
            "/login",
            {"email": "alice@example.pe", "password": PASSWORD},
            environ_overrides={"REMOTE_ADDR": f"192.0.2.{number + 1}"},
        )
        assert answer.status_code == 302


def test_behind_a_proxy_one_client_shuts_out_only_itself(client, app, settings, alice, monkeypatch):
    monkeypatch.setitem(app.extensions, "settings", dataclasses.replace(settings, trusted_proxies=1))

    def attempt(number, forwarded, **form):
        form = {"email": f"someone{number}@example.pe", "password": "wrong password"} | form
        return submit(client, "/login", form, headers={"X-Forwarded-For": forwarded}).status_code

    codes = [attempt(number, f"203.0.113.{number}, 198.51.100.1") for number in range(11)]
    assert codes == [401] * 10 + [429], "a made-up X-Forwarded-For is no other client"
    assert attempt(0, "198.51.100.2", email="alice@example.pe", password=PASSWORD) == 302


def test_without_trusted_proxies_forwarded_addresses_do_not_count(client, alice):
    codes = [
        submit(
            client,
            "/login",
            {"email": f"someone{number}@example.pe", "password": "wrong password"},
            headers={"X-Forwarded-For": f"203.0.113.{number}"},
        ).status_code
        for number in range(11)
    ]
    assert codes == [401] * 10 + [429]


def test_another_account_can_enter_meanwhile(client, alice, bob):
    for number in range(11):
        submit(
            client,
            "/login",
            {"email": "alice@example.pe", "password": "wrong password"},
            environ_overrides={"REMOTE_ADDR": f"192.0.2.{number + 1}"},
        )
    assert enter(client, email="bob@example.pe").status_code == 302


def test_the_session_is_renewed_at_log_in(client, alice):
    """Fixation: what an attacker planted in the session before does not survive."""
    with client.session_transaction() as planted:
        planted["planted"] = "by an attacker"
    before = token(client)
    enter(client)
    with client.session_transaction() as session:
        assert "planted" not in session
        assert session["_user_id"] == f"{alice.id}.0"
    assert token(client, "/profile") != before
    client.post("/profile/end-sessions", data={"csrf_token": before})
    with client.session_transaction() as session:
        assert session["_user_id"] == f"{alice.id}.0"


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example.com/",
        "//evil.example.com/",
        "/\\evil.example.com",
        "\\\\evil.example.com",
        "/\t/evil.example.com",
        "/\n/evil.example.com",
        "javascript:alert(1)",
        "evil.example.com",
        "http:evil.example.com",
        "///evil.example.com",
    ],
)
def test_next_leads_nowhere_else(client, alice, target):
    page = client.get("/login", query_string={"next": target})
    assert page.status_code == 200
    answer = submit(
        client, "/login", {"email": "alice@example.pe", "password": PASSWORD}, query_string={"next": target}
    )
    assert answer.location == "/"


def test_next_leads_to_the_page_that_was_asked_for(client, alice):
    asked = client.get("/p/empleo/settings")
    assert asked.status_code == 302
    assert asked.location.startswith("/login?next=")
    answer = enter(client, url=asked.location)
    assert answer.location == "/p/empleo/settings"


@pytest.mark.parametrize("path", ["/login", "/logout", "/language", "/profile", "/profile/password"])
def test_posts_without_token_are_refused(client, alice, path):
    log_in(client, alice)
    assert client.post(path, data={"email": "alice@example.pe", "password": PASSWORD}).status_code == 400


def test_log_out_needs_a_post_and_ends_the_session(client, alice):
    enter(client)
    assert client.get("/logout").status_code == 405
    assert client.get("/").status_code == 200
    assert submit(client, "/logout").status_code == 302
    assert client.get("/").status_code == 302


def test_the_cookie_is_http_only_and_same_site(client, alice):
    cookie = enter(client).headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Secure" not in cookie


def test_over_https_the_cookie_is_secure(settings):
    values = {"database_url": settings.database_url, "broker_url": settings.broker_url, "secret_key": "x" * 20}
    secure = create_app(load_settings({"CHASKI_VAR": "/nowhere", "PUBLIC_URL": "https://correo.example.pe"}, **values))
    answer = secure.test_client().get("/login")
    assert "Secure" in answer.headers["Set-Cookie"]
    assert "max-age" in answer.headers["Strict-Transport-Security"]


def test_changing_the_password_ends_every_other_session(app, client, session, alice):
    elsewhere = app.test_client()
    enter(client)
    enter(elsewhere)
    answer = submit(
        client,
        "/profile/password",
        {"password-current": PASSWORD, "password-wanted": ANOTHER, "password-again": ANOTHER},
    )
    assert answer.status_code == 302
    assert client.get("/").status_code == 200
    assert elsewhere.get("/").status_code == 302
    assert enter(app.test_client()).status_code == 401
    assert enter(app.test_client(), password=ANOTHER).status_code == 302


@pytest.mark.parametrize(
    ("current", "wanted", "again", "sentence"),
    [
        ("wrong password", ANOTHER, ANOTHER, "La contraseña actual no es correcta"),
        (PASSWORD, "corta", "corta", "al menos 12"),
        (PASSWORD, "contraseña2026", "contraseña2026", "primeras que se prueban"),
        (PASSWORD, "alice alice 2026", "alice alice 2026", "se parece demasiado"),
        (PASSWORD, ANOTHER, ANOTHER + "x", "no son iguales"),
    ],
)
def test_a_refused_password_changes_nothing(client, session, alice, current, wanted, again, sentence):
    enter(client)
    answer = submit(
        client,
        "/profile/password",
        {"password-current": current, "password-wanted": wanted, "password-again": again},
    )
    assert answer.status_code == 400
    assert sentence in answer.text
    assert f'value="{wanted}"' not in answer.text
    assert accounts.authenticate(session, "alice@example.pe", PASSWORD) is not None


def test_log_out_everywhere_keeps_this_session_only(app, client, alice):
    elsewhere = app.test_client()
    enter(client)
    enter(elsewhere)
    assert submit(client, "/profile/end-sessions").status_code == 302
    assert client.get("/").status_code == 200
    assert elsewhere.get("/").status_code == 302


def test_a_generated_password_is_pointed_out_until_it_is_changed(client, session, alice):
    made = accounts.reset_password(session, alice)
    enter(client, password=made.password)
    assert "contraseña que generó el sistema" in client.get("/").text
    submit(
        client,
        "/profile/password",
        {"password-current": made.password, "password-wanted": ANOTHER, "password-again": ANOTHER},
    )
    assert "contraseña que generó el sistema" not in client.get("/").text


@pytest.mark.parametrize("session_id", ["", "1", "1.", ".0", "1.x", "x.0", "99999999999999999999.0", "1.0.0", "١.0"])
def test_no_forged_session_id_finds_a_person(session, alice, session_id):
    assert accounts.load_session_user(session, session_id) is None


def test_the_language_can_be_chosen_before_logging_in(client, alice):
    compile_catalogues()
    submit(client, "/language", {"locale": "en", "next": "/login"})
    english = client.get("/login").text
    assert '<html lang="en">' in english
    assert "Password" in english
    assert "Contraseña" not in english
    submit(client, "/language", {"locale": "xx", "next": "//evil.example.com"})
    assert '<html lang="en">' in client.get("/login").text


def test_the_language_of_the_profile_is_kept(client, session, alice):
    enter(client)
    submit(client, "/profile", {"profile-name": "Alicia", "profile-locale": "en"})
    assert '<html lang="en">' in client.get("/profile").text
    session.expire_all()
    assert session.get(User, alice.id).name == "Alicia"


def test_values_that_cannot_be_stored_are_no_server_error(client, alice):
    enter(client)
    assert submit(client, "/profile", {"profile-name": "a\x00b", "profile-locale": "es"}).status_code == 400
