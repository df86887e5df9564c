"""The fields that a panel's operators defined for its contacts."""

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from app.flow.problem import Problem
from app.flow.sessions import AnySession
from app.mail.merge_language import FIELD_KEY, TAKEN_KEYS
from app.models import Contact, CustomField, FieldType


class FieldProblem(Problem):
    """``bad_key``, ``reserved_key``, ``taken_key``, ``in_use`` (contacts)."""


def of_panel(session: AnySession, panel_id: int) -> list[CustomField]:
    """In the order people see them."""
    statement = select(CustomField).where(CustomField.panel_id == panel_id)
    return list(session.scalars(statement.order_by(CustomField.position, CustomField.id)))


def create(session: AnySession, panel_id: int, *, key: str, label: str, type_: FieldType) -> CustomField:
    """A new field behind the others. Raises :class:`FieldProblem`. Commits."""
    if not FIELD_KEY.match(key):
        raise FieldProblem("bad_key")
    if key in TAKEN_KEYS:
        raise FieldProblem("reserved_key")
    last = session.scalar(select(func.max(CustomField.position)).where(CustomField.panel_id == panel_id))
    field = CustomField(panel_id=panel_id, key=key, label=label, type=type_, position=(last or 0) + 1)
    session.add(field)
    try:
        session.commit()
    except IntegrityError:
        session.rollback()
        raise FieldProblem("taken_key") from None
    return field


def rename(session: AnySession, field: CustomField, label: str) -> None:
    """The label only: the key stands in templates. Commits."""
    field.label = label
    session.commit()


def move(session: AnySession, field: CustomField, *, up: bool) -> None:
    """One place up or down; at the end of the row nothing happens. Commits."""
    fields = of_panel(session, field.panel_id)
    here = fields.index(field)
    there = here - 1 if up else here + 1
    if 0 <= there < len(fields):
        fields[here], fields[there] = fields[there], fields[here]
    for position, one in enumerate(fields, start=1):
        one.position = position
    session.commit()


def contacts_with(session: AnySession, field: CustomField) -> int:
    """How many contacts hold a value."""
    statement = select(func.count()).where(Contact.panel_id == field.panel_id, Contact.fields.has_key(field.key))
    return session.scalar(statement) or 0


def remove(session: AnySession, field: CustomField) -> None:
    """Raises ``in_use`` with the number of contacts that hold a value. Commits."""
    contacts = contacts_with(session, field)
    if contacts:
        raise FieldProblem("in_use", contacts=contacts)
    session.delete(field)
    session.commit()
