"""A page shows fifty people whatever the panel holds: what PostgreSQL reads for it is counted, node by node of its plans.

The panel's people come as files bring them, sorted by name and address, so that whoever is looked for is far from
where a careless plan begins to look.
"""

from typing import Any

import pytest
from sqlalchemy import event, text

from app.extensions import db
from app.flow.search import MOST_MATCHES
from tests import factories
from tests.web.pages import Person

PEOPLE = 30_000
LEFT = 30
MOST_ROWS = 3 * MOST_MATCHES
"""Read by any one node of a plan."""
INSERT_PEOPLE = """
    INSERT INTO contact (panel_id, email, domain, name)
    SELECT :panel, lower(first) || '.' || lpad(CAST(n AS text), 6, '0') || '@example.pe', 'example.pe',
        first || ' ' || left(md5(CAST(n AS text)), 6)
    FROM (
        SELECT n, (CAST('{Ana,Bruno,Carla,Diego,Elsa,Flor,Gil,Hugo,Irma,Óscar}' AS text[]))[1 + n * 10 / (:people + 1)] AS first
        FROM generate_series(1, :people) AS n
    ) AS named
"""
SUBSCRIBE_ALL = """
    INSERT INTO subscription (list_id, contact_id, status, source)
    SELECT :list, id, CASE WHEN id % 1000 = 0 THEN 'unsubscribed' ELSE 'subscribed' END, 'import:1'
    FROM contact WHERE panel_id = :panel
"""


@pytest.fixture
def everybody(session, panel, other_panel):
    """A list with all people of the panel; another panel has as many."""
    row = factories.mailing_list(session, panel, "Todos")
    few = factories.mailing_list(session, panel, "Pocos")
    for one in (panel, other_panel):
        session.execute(text(INSERT_PEOPLE), {"panel": one.id, "people": PEOPLE})
    session.execute(text(SUBSCRIBE_ALL), {"panel": panel.id, "list": row.id})
    session.execute(text(SUBSCRIBE_ALL.replace("WHERE", "WHERE id % 500 = 0 AND")), {"panel": panel.id, "list": few.id})
    session.commit()
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE contact, subscription, mailing_list"))
    return row


@pytest.fixture
def plans(app):
    """Every SELECT that is run, with its plan as it really went."""
    seen: list[tuple[str, dict[str, Any]]] = []

    def explain(_connection, cursor, statement, parameters, _context, _many):
        if statement.lstrip().startswith("SELECT"):
            with cursor.connection.cursor() as explaining:
                explaining.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters)
                (row,) = explaining.fetchall()
                seen.append((statement, next(iter(row.values() if isinstance(row, dict) else row))[0]["Plan"]))

    event.listen(db.engine, "before_cursor_execute", explain)
    yield seen
    event.remove(db.engine, "before_cursor_execute", explain)


def rows_read(node: dict[str, Any]) -> int:
    """The most that one node of the plan read, whether it kept the rows or not."""
    own = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
    return max(own, *map(rows_read, node.get("Plans", [])), 0)


PAGES = [
    "/contacts",
    "/contacts?sort=created",
    "/contacts?sort=email",
    "/contacts?sort=-email",
    "/contacts?sort=name",
    "/contacts?sort=-name",
    "/contacts?q=oscar",
    "/contacts?q=oscar.02999",
    "/contacts?q=ana&sort=-created",
    "/contacts?q=nadie&sort=name",
    "/lists",
    "/lists/1",
    "/lists/1?sort=-email",
    "/lists/1?sort=name",
    "/lists/1?sort=-name",
    "/lists/1?status=subscribed",
    "/lists/1?status=unsubscribed",
    "/lists/1?status=unsubscribed&sort=name",
    "/lists/1?q=oscar&sort=name",
    "/lists/1?q=nadie",
    "/lists/2?sort=name",
]


def test_no_page_reads_more_of_the_panel_than_it_shows(client, alice, everybody, plans):
    person = Person(client, alice)
    read = {}
    for page in PAGES:
        plans.clear()
        first = person.get(page)
        assert first.status_code == 200
        if "after=" in first.text:
            separator = "&" if "?" in page else "?"
            cursor = first.text.split("after=")[1].split('"')[0].split("&")[0]
            assert person.get(f"{page}{separator}after={cursor}").status_code == 200
        assert plans
        read[page] = max((rows_read(plan), statement) for statement, plan in plans)
    assert {page: found for page, found in read.items() if found[0] > MOST_ROWS} == {}


def test_a_large_list_is_counted_after_its_page_is_there(client, alice, everybody):
    person = Person(client, alice)
    for page in ("/lists", f"/lists/{everybody.id}"):
        shown = person.get(page).text
        assert f'hx-get="/p/empleo/lists/{everybody.id}/count?status=subscribed"' in shown
        assert 'status=unsubscribed" hx-trigger' not in shown
        assert "más de 2" in shown
    counted = person.text(f"/lists/{everybody.id}/count?status=subscribed")
    assert "".join(filter(str.isdigit, counted)) == str(PEOPLE - LEFT)
    assert person.text(f"/lists/{everybody.id}/count?status=unsubscribed") == str(LEFT)


def test_people_are_found_without_their_accents_and_told_when_they_are_many(client, session, alice, everybody):
    person = Person(client, alice)
    for wanted in ("oscar", "ÓSCAR", "Óscar"):
        page = person.text(f"/contacts?q={wanted}&sort=name")
        assert "Óscar " in page
        assert "Son muchas coincidencias." in page
    assert "Son muchas coincidencias." not in person.text("/contacts?q=oscar.029999")
