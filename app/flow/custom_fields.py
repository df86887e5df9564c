"""The fields that a panel's operators defined for its contacts."""

import re
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from app.flow.importing.guess import RESERVED_KEYS, folded
from app.flow.sessions import AnySession
from app.models import Contact, CustomField, FieldType

KEY = re.compile(r"[a-z][a-z0-9_]{0,39}$")


class FieldProblem(ValueError):
    """``bad_key``, ``reserved_key``, ``taken_key``, ``taken_label`` (label: the other's), ``in_use`` (usage)."""

    def __init__(self, code: str, **details: Any) -> None:
        super().__init__(code)
        self.code = code
        self.details = details


def of_panel(session: AnySession, panel_id: int) -> list[CustomField]:
    """In the order people see them."""
    statement = select(CustomField).where(CustomField.panel_id == panel_id)
    return list(session.scalars(statement.order_by(CustomField.position, CustomField.id)))


def create(session: AnySession, panel_id: int, *, key: str, label: str, type_: FieldType) -> CustomField:
    """A new field behind the others. Raises :class:`FieldProblem`. Commits."""
    if not KEY.match(key):
        raise FieldProblem("bad_key")
    if key in RESERVED_KEYS:
        raise FieldProblem("reserved_key")
    _check_label(session, panel_id, label)
    last = session.scalar(select(func.max(CustomField.position)).where(CustomField.panel_id == panel_id))
    field = CustomField(panel_id=panel_id, key=key, label=label, type=type_, position=(last or 0) + 1)
    session.add(field)
    try:
        session.commit()
    except IntegrityError:
        session.rollback()
        raise FieldProblem("taken_key") from None
    return field


def _check_label(session: AnySession, panel_id: int, label: str, but: CustomField | None = None) -> None:
    """Two fields that people read as the same would each get half of the values."""
    for other in of_panel(session, panel_id):
        if other is not but and folded(other.label) == folded(label):
            raise FieldProblem("taken_label", label=other.label)


def rename(session: AnySession, field: CustomField, label: str) -> None:
    """The label only: the key stands in templates. Raises ``taken_label``. Commits."""
    _check_label(session, field.panel_id, label, but=field)
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
