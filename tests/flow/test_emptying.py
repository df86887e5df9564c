"""What contacts have of a deleted field goes in slices; nothing of it comes back, whatever happens in between."""

import pytest
from sqlalchemy import delete, event, func, select, text

from app.extensions import db
from app.flow import custom_fields, emptying, imports
from app.flow.custom_fields import FieldProblem
from app.models import Contact, CustomField, FieldType, RemovedField
from tests import factories
from tests.flow.test_imports import analysed

PEOPLE = 7


@pytest.fixture(autouse=True)
def small_slices(monkeypatch):
    monkeypatch.setattr(emptying, "SLICE_CONTACTS", 2)


@pytest.fixture
def field(session, panel, other_panel):
    for one in (panel, other_panel):
        for number in range(PEOPLE):
            factories.contact(session, one, f"p{number}@example.pe", fields={"edad": 30, "region": "Áncash"})
    return factories.custom_field(session, panel, "edad", type="number")


@pytest.fixture
def begun(session, panel, field):
    """The field is gone, and one slice of its values."""
    session.add(RemovedField(panel_id=panel.id, key=field.key))
    session.delete(field)
    session.commit()
    emptying.empty(session, budget_seconds=0)
    return panel


def with_value(session, panel, key="edad"):
    return session.scalar(select(func.count()).where(Contact.panel_id == panel.id, Contact.fields.has_key(key)))


def test_few_values_are_gone_when_the_page_answers_and_the_other_panels_stay(session, panel, other_panel, field):
    assert custom_fields.remove(session, field)
    assert with_value(session, panel) == 0
    assert with_value(session, panel, "region") == with_value(session, other_panel) == PEOPLE
    assert session.scalars(select(RemovedField)).all() == []


def test_no_transaction_takes_more_than_a_slice(session, panel, field):
    rows = []

    def count(_connection, cursor, statement, *_):
        if "UPDATE contact" in statement:
            rows.append("commit pending")

    def commits(_connection):
        rows.append("commit")

    event.listen(db.engine, "after_cursor_execute", count)
    event.listen(db.engine, "commit", commits)
    try:
        custom_fields.remove(session, field)
    finally:
        event.remove(db.engine, "after_cursor_execute", count)
        event.remove(db.engine, "commit", commits)
    assert rows[0] == "commit", "the definition goes first"
    slices = "".join("c" if one == "commit" else "u" for one in rows)
    assert slices.count("u") > PEOPLE // 2
    assert "uu" not in slices


def test_what_the_page_had_no_time_for_the_next_sweeps_do(session, panel, begun):
    assert with_value(session, panel) == PEOPLE - 2
    emptying.empty(session, budget_seconds=0)
    assert with_value(session, panel) == PEOPLE - 4
    emptying.empty(session)
    assert with_value(session, panel) == 0
    assert session.scalars(select(RemovedField)).all() == []


def test_no_field_gets_the_values_of_a_deleted_one_with_its_key(session, panel, other_panel, begun):
    with pytest.raises(FieldProblem, match="emptying_key"):
        custom_fields.create(session, panel.id, key="edad", label="Edad", type_=FieldType.TEXT)
    custom_fields.create(session, other_panel.id, key="edad", label="Edad", type_=FieldType.NUMBER)
    emptying.empty(session)
    assert custom_fields.create(session, panel.id, key="edad", label="Edad", type_=FieldType.TEXT)


def test_an_import_that_makes_a_field_of_that_key_takes_the_old_values_away(session, settings, panel, begun):
    job = analysed(session, settings, panel, "Correo;Edad\np6@example.pe;cuarenta\n")
    imports.confirm(session, job)
    imports.apply(session, settings, job.id)
    emptying.empty(session)
    held = {c.email: c.fields.get("edad") for c in session.scalars(select(Contact).where(Contact.panel_id == panel.id))}
    assert {email: value for email, value in held.items() if value} == {"p6@example.pe": "cuarenta"}
    assert session.scalars(select(CustomField.type)).one() is FieldType.TEXT


def test_emptying_lets_an_import_that_is_being_applied_go_first(session, panel, begun):
    with db.engine.begin() as importing:
        importing.execute(text("SELECT pg_advisory_xact_lock(hashtext('chaski.apply_import'), :id)"), {"id": panel.id})
        emptying.empty(session)
        assert with_value(session, panel) == PEOPLE - 2
    emptying.empty(session)
    assert with_value(session, panel) == 0


def test_contacts_that_went_meanwhile_stop_nothing(session, panel, begun):
    session.execute(delete(Contact).where(Contact.panel_id == panel.id, Contact.email > "p3"))
    session.commit()
    emptying.empty(session)
    assert with_value(session, panel) == 0
    assert session.scalars(select(RemovedField)).all() == []
