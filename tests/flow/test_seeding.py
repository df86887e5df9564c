"""The first data: made once, never over what a person changed."""

import json

import pytest
from sqlalchemy import func, select

from app.flow import accounts, domains, seeding
from app.flow.campaign_content import check_content, content_of
from app.mail.dkim import KeyKind, generate_key
from app.models import Campaign, Contact, CustomField, DkimKey, MailingList, Panel, SendingDomain, User
from app.secrets import unseal

PAIR = generate_key(KeyKind.RSA)


def same_key(_kind):
    """One key for all: making five takes seconds, and how keys are made is tested elsewhere."""
    return PAIR


def seed(session, settings):
    return seeding.seed(session, settings, make_key=same_key)


def count(session, model):
    return session.scalar(select(func.count()).select_from(model))


def test_the_first_seed_makes_a_whole_installation(session, settings):
    report = seed(session, settings)
    assert [panel.slug for panel in session.scalars(select(Panel).order_by(Panel.id))] == [
        "empleo",
        "fiscalizacion",
        "capacitacion",
        "inclusion",
        "prensa",
    ]
    assert len(set(session.scalars(select(Panel.colour)))) == 5
    assert report.login == "admin@example.pe"
    administrator = accounts.authenticate(session, report.login, report.password)
    assert administrator.is_administrator
    assert administrator.password_is_generated
    assert count(session, User) == 3
    assert 20 <= count(session, Contact) <= 30


def test_the_second_seed_makes_nothing(session, settings):
    seed(session, settings)
    numbers = [count(session, model) for model in (Panel, User, SendingDomain, Contact, Campaign, MailingList)]
    report = seed(session, settings)
    assert (report.login, report.password) == (None, None)
    assert not any(report.created.values())
    assert [count(session, model) for model in (Panel, User, SendingDomain, Contact, Campaign, MailingList)] == numbers


def test_what_a_person_changed_or_deleted_stays_so(session, settings):
    first = seed(session, settings)
    panel = session.scalar(select(Panel).where(Panel.slug == "empleo"))
    panel.name, panel.colour = "Nombre propio", "green"
    session.delete(session.scalar(select(Campaign)))
    domains.delete_domain(session, session.scalar(select(SendingDomain).where(SendingDomain.panel_id == panel.id)))
    session.delete(session.scalar(select(User).where(User.email == "lectura@example.pe")))
    session.commit()
    seed(session, settings)
    session.expire_all()
    assert (panel.name, panel.colour) == ("Nombre propio", "green")
    assert count(session, Campaign) == 0
    assert count(session, SendingDomain) == 4
    assert count(session, User) == 2
    assert accounts.authenticate(session, "admin@example.pe", first.password) is not None


def test_an_administrator_of_another_name_is_enough(session, settings, admin):
    admin.email = "otra@example.pe"
    session.commit()
    assert seed(session, settings).login is None


def test_each_panel_signs_with_a_key_of_its_own_selector(session, settings):
    seed(session, settings)
    selectors = list(session.scalars(select(DkimKey.selector)))
    assert len(set(selectors)) == 5
    key = session.scalar(select(DkimKey))
    assert unseal(settings, key.private_key_encrypted).encode() == PAIR.private_pem
    assert PAIR.private_pem not in key.private_key_encrypted


def test_the_sample_campaign_is_one_that_could_be_sent(session, settings):
    seed(session, settings)
    campaign = session.scalar(select(Campaign))
    assert check_content(session, settings, campaign.panel_id, content_of(campaign)) == []
    assert [row.name for row in campaign.lists] == ["Ejemplo"]
    keys = set(session.scalars(select(CustomField.key)))
    for contact in session.scalars(select(Contact)):
        assert set(contact.fields) == keys
        assert contact.domain in ("example.pe", "example.com")


def test_where_the_sample_domain_may_not_send_it_is_left_out(session, settings):
    from dataclasses import replace

    seed(session, replace(settings, allowed_domain_suffixes="otro.pe"))
    assert count(session, Panel) == 5
    assert count(session, SendingDomain) == 0


# The commands.


def test_flask_seed_prints_the_first_log_in_once(app, session, monkeypatch):
    monkeypatch.setattr(seeding.seed, "__kwdefaults__", {"make_key": same_key})
    runner = app.test_cli_runner()
    first = runner.invoke(args=["seed", "--json"])
    told = json.loads(first.output)
    assert set(told) == {"login", "password", "administrator", "created"}
    assert accounts.authenticate(session, told["login"], told["password"]) is not None
    again = json.loads(runner.invoke(args=["seed", "--json"]).output)
    assert (again["login"], again["password"], again["administrator"]) == (None, None, told["login"])


def test_users_can_be_made_and_reset_from_the_command_line(app, session, panel):
    runner = app.test_cli_runner()
    made = runner.invoke(
        args=["users", "create", "dora@example.pe", "--name", "Dora", "--role", "empleo:editor", "--json"]
    )
    assert made.exit_code == 0, made.output
    user = accounts.authenticate(session, "dora@example.pe", json.loads(made.output)["password"])
    assert user.memberships[0].role == "editor"
    again = runner.invoke(args=["users", "create", "dora@example.pe", "--name", "Dora"])
    assert (again.exit_code, "Ya existe una cuenta" in again.stderr) == (1, True)
    reset = json.loads(runner.invoke(args=["users", "password", "dora@example.pe", "--json"]).output)
    assert accounts.authenticate(session, "dora@example.pe", json.loads(made.output)["password"]) is None
    assert accounts.authenticate(session, "dora@example.pe", reset["password"]) is not None


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [("corta\ncorta\n", "al menos 12"), ("contraseña2026\ncontraseña2026\n", "de las primeras que se prueban")],
)
def test_a_typed_password_is_checked_too(app, session, alice, typed, sentence):
    answer = app.test_cli_runner().invoke(args=["users", "password", "alice@example.pe", "--ask"], input=typed)
    assert answer.exit_code == 1
    assert sentence in answer.output


@pytest.mark.parametrize("role", ["nowhere:viewer", "empleo:owner", "empleo"])
def test_a_wrong_role_is_named(app, panel, role):
    answer = app.test_cli_runner().invoke(args=["users", "create", "x@example.pe", "--name", "X", "--role", role])
    assert answer.exit_code == 2
    assert "--role" in answer.output
