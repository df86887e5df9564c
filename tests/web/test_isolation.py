"""Law 7: nothing of one panel is ever visible from another. Every route of the application is tried; a route with a
parameter that this test doesn't know fails it, so that none is forgotten."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import product

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from werkzeug.routing import Rule

from app.config import Settings
from app.flow import audience
from app.flow.sessions import AnySession
from app.models import (
    CampaignStatus,
    Import,
    ImportRow,
    Panel,
    PracticeMessage,
    RowOutcome,
    Suppression,
    User,
)
from tests import factories
from tests.fixtures.app import log_in

METHODS = ("GET", "POST")


def everything_of(session: AnySession, settings: Settings, panel: Panel) -> dict[str, int]:
    """One row of each kind in ``panel``; URL parameter -> id."""
    mailing_list = factories.mailing_list(session, panel, f"Lista de {panel.slug}")
    contact = factories.contact(session, panel, f"persona@{panel.slug}.test", mailing_list)
    field = factories.custom_field(session, panel, "region")
    domain = factories.signed_domain(session, settings, panel, f"{panel.slug}.example.gob.pe")
    campaign = factories.campaign(
        session, panel, mailing_list, from_email=f"noticias@{domain.domain}", status=CampaignStatus.PREPARING
    )
    assert audience.prepare(session, settings, campaign.id)
    job = Import(
        panel_id=panel.id, list_id=mailing_list.id, filename="personas.csv", stored_path="none.csv", size_bytes=10,
        encoding="utf-8", delimiter=",", header=["Correo"], mapping={"0": "email"}, status="ready",
        counts={"total": 1, "invalid": 1},
    )  # fmt: skip
    message = PracticeMessage(
        panel_id=panel.id, message_id="<x@example.pe>", mail_from="a@example.pe", rcpt_to="b@example.pe", size_bytes=20,
        raw=b"Subject: x\r\nContent-Type: text/html\r\n\r\n<p>hello</p>\r\n", received_at=datetime.now(UTC),
    )  # fmt: skip
    suppression = Suppression(panel_id=panel.id, email=f"nunca@{panel.slug}.test", reason="manual")
    session.add_all([job, message, suppression])
    session.flush()
    session.add(ImportRow(import_id=job.id, line=2, outcome=RowOutcome.INVALID, reason="missing_at", cells=["x"]))
    session.commit()
    return {
        "campaign_id": campaign.id,
        "contact_id": contact.id,
        "domain_id": domain.id,
        "field_id": field.id,
        "import_id": job.id,
        "list_id": mailing_list.id,
        "message_id": message.id,
        "seq": 1,
        "suppression_id": suppression.id,
    }


OTHER_PARAMETERS = {"direction": "up", "provider": "google"}


def panel_rules(app: Flask) -> list[Rule]:
    return [rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/p/<panel>/")]


def urls(app: Flask, rule: Rule, panel: str, ids: dict[str, int]) -> str:
    values = {name: ids.get(name, OTHER_PARAMETERS.get(name)) for name in rule.arguments if name != "panel"}
    unknown = [name for name, value in values.items() if value is None]
    assert not unknown, f"{rule.rule}: teach this test about {unknown}"
    with app.test_request_context():
        return app.url_map.bind("localhost").build(rule.endpoint, {"panel": panel, **values}, force_external=False)


@pytest.fixture
def client_of_alice(app: Flask, client: FlaskClient, alice: User) -> Iterator[FlaskClient]:
    app.config["WTF_CSRF_ENABLED"] = False
    yield log_in(client, alice)


def snapshot(session: AnySession, panel: Panel) -> list[tuple[object, ...]]:
    """All rows of a panel, to see that nothing of it changed."""
    session.expire_all()
    tables = ["campaign", "contact", "custom_field", "import", "mailing_list", "practice_message", "suppression"]
    found: list[tuple[object, ...]] = []
    for table in [*tables, "sending_domain", "delivery", "panel"]:
        column = "id" if table == "panel" else "panel_id"
        rows = session.execute(text(f'SELECT t::text FROM "{table}" t WHERE {column} = :p ORDER BY 1'), {"p": panel.id})
        found += [(table, row[0]) for row in rows]
    rows = session.execute(
        text(
            "SELECT s::text FROM subscription s JOIN mailing_list l ON l.id = s.list_id WHERE l.panel_id = :p ORDER BY 1"
        ),
        {"p": panel.id},
    )
    return found + [("subscription", row[0]) for row in rows]


def test_every_route_refuses_another_panels_ids_and_changes_nothing(
    session: AnySession, settings: Settings, app: Flask, client_of_alice: FlaskClient, panel: Panel, other_panel: Panel
) -> None:
    mine, theirs = everything_of(session, settings, panel), everything_of(session, settings, other_panel)
    # Rows of the two panels never share an id by chance here, so that "mine by the same number" can't hide a leak.
    session.execute(text("SELECT setval(pg_get_serial_sequence('campaign', 'id'), 1000)"))
    session.commit()
    before = snapshot(session, other_panel)
    leaks = []
    for rule, method in product(panel_rules(app), METHODS):
        parameters = rule.arguments - {"panel"} - OTHER_PARAMETERS.keys() - {"seq"}
        if method not in (rule.methods or ()) or not parameters:
            continue
        for foreign in parameters:
            ids = {**mine, foreign: theirs[foreign]}
            answer = client_of_alice.open(urls(app, rule, panel.slug, ids), method=method, data={})
            if answer.status_code != 404:
                leaks.append(f"{method} {rule.rule} with another panel's {foreign}: {answer.status_code}")
    assert leaks == []
    assert snapshot(session, other_panel) == before


def test_every_route_of_a_panel_is_404_for_who_is_no_member(
    session: AnySession, settings: Settings, app: Flask, client_of_alice: FlaskClient, panel: Panel, other_panel: Panel
) -> None:
    theirs = everything_of(session, settings, other_panel)
    before = snapshot(session, other_panel)
    for rule, method in product(panel_rules(app), METHODS):
        if method in (rule.methods or ()):
            answer = client_of_alice.open(urls(app, rule, other_panel.slug, theirs), method=method, data={})
            assert answer.status_code == 404, f"{method} {rule.rule}"
    assert snapshot(session, other_panel) == before


def test_every_get_route_works_with_own_ids(
    session: AnySession, settings: Settings, app: Flask, client_of_alice: FlaskClient, panel: Panel
) -> None:
    """Else the 404 above would prove nothing."""
    mine = everything_of(session, settings, panel)
    for rule in panel_rules(app):
        if "GET" in (rule.methods or ()):
            answer = client_of_alice.get(urls(app, rule, panel.slug, mine))
            assert answer.status_code in (200, 302), f"{rule.rule}: {answer.status_code}"


def test_every_route_but_the_public_ones_asks_for_a_log_in(app: Flask, client: FlaskClient, panel: Panel) -> None:
    public = {
        "health.healthz",
        "accounts.login",
        "accounts.check_login",
        "accounts.language",
        "static",
        "public_keys.public_key",
    }
    app.config["WTF_CSRF_ENABLED"] = False
    ids = dict.fromkeys(
        ["campaign_id", "contact_id", "domain_id", "field_id", "import_id", "list_id", "message_id", "seq"], 1
    ) | dict.fromkeys(
        ["suppression_id", "relay_id", "user_id", "pool_id", "ip_id", "hold_id", "command_id", "key_id"], 1
    )
    for rule, method in product(app.url_map.iter_rules(), METHODS):
        if rule.endpoint in public or method not in (rule.methods or ()):
            continue
        answer = client.open(urls(app, rule, panel.slug, ids), method=method, data={})
        assert answer.status_code in (302, 401), f"{method} {rule.rule}: {answer.status_code}"
        assert answer.status_code == 401 or "/login" in answer.headers["Location"], f"{method} {rule.rule}"


def test_viewers_change_nothing(
    session: AnySession, settings: Settings, app: Flask, client: FlaskClient, panel: Panel, bob: User
) -> None:
    mine = everything_of(session, settings, panel)
    app.config["WTF_CSRF_ENABLED"] = False
    log_in(client, bob)
    before = snapshot(session, panel)
    for rule in panel_rules(app):
        if "POST" in (rule.methods or ()):
            answer = client.post(urls(app, rule, panel.slug, mine), data={})
            assert answer.status_code in (403, 404), f"POST {rule.rule}: {answer.status_code}"
    assert snapshot(session, panel) == before
