"""Searching by the beginning of a text, so that an index answers."""

from typing import TypeVarTuple

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    CompoundSelect,
    Select,
    String,
    any_,
    literal,
    literal_column,
    select,
    text,
    union,
)
from sqlalchemy.orm import InstrumentedAttribute

from app.flow.sessions import AnySession
from app.models import Contact
from app.models.contact import ACCENTED, NAME_KEY, PLAIN

Row = TypeVarTuple("Row")
MAX_SEARCH_CHARACTERS = 100
MOST_MATCHES = 1000
WITHOUT_ACCENTS = str.maketrans(ACCENTED, PLAIN)
CONTACT_NAME: ColumnElement[str] = literal_column(NAME_KEY.format(name="contact.name"), String)
"""What contacts are sorted by name with."""


def starts_with(column: ColumnElement[str] | InstrumentedAttribute[str], wanted: str) -> ColumnElement[bool]:
    """``column`` begins with ``wanted``, of which ``%`` and ``_`` mean themselves. No text in PostgreSQL holds a NUL."""
    return column.startswith(wanted.replace("\0", "")[:MAX_SEARCH_CHARACTERS], autoescape=True)


def matching(session: AnySession, people: Select[*Row], wanted: str) -> tuple[Select[*Row], bool]:
    """Those of ``people`` (a selection of contacts) whose address or name begins with ``wanted``, whatever its case and,
    in names, its accents: the first :data:`MOST_MATCHES` by address and as many by name. And whether that may leave
    some out.

    They are looked up before anything sorts or pages them. Left to itself the planner expects them spread evenly and
    walks past a million others to the only ones, since files come sorted by name."""
    found = first_matches(session, people, wanted)
    return people.where(Contact.id == any_(literal(found, ARRAY(BigInteger)))), len(found) >= MOST_MATCHES


def first_matches(session: AnySession, people: Select[*Row], wanted: str) -> list[int]:
    """Ids of these contacts: see :func:`matching`."""
    return list(session.scalars(_first_matches(people, wanted)))


def _first_matches(people: Select[*Row], wanted: str) -> CompoundSelect[int]:
    plain = " ".join(wanted.split())
    ids = people.with_only_columns(Contact.id)
    # The order of the index that a prefix is looked up in (varchar_pattern_ops).
    by_email = ids.where(starts_with(Contact.email, plain.lower())).order_by(text("contact.email USING ~<~"))
    by_name = ids.where(starts_with(CONTACT_NAME, plain.translate(WITHOUT_ACCENTS).lower())).order_by(CONTACT_NAME)
    first = [part.limit(MOST_MATCHES).subquery() for part in (by_email, by_name)]
    return union(*(select(part.c.id) for part in first))
