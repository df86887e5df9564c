"""Searching by the beginning of a text, so that an index answers."""

from sqlalchemy import ColumnElement, func, or_
from sqlalchemy.orm import InstrumentedAttribute

from app.models import Contact

MAX_SEARCH_CHARACTERS = 100


def starts_with(column: ColumnElement[str] | InstrumentedAttribute[str], wanted: str) -> ColumnElement[bool]:
    """``column`` begins with ``wanted``, of which ``%`` and ``_`` mean themselves. No text in PostgreSQL holds a NUL."""
    return column.startswith(wanted.replace("\0", "")[:MAX_SEARCH_CHARACTERS], autoescape=True)


def people_matching(wanted: str) -> ColumnElement[bool]:
    """Contacts whose address or name begins with ``wanted``, whatever its case."""
    lowered = " ".join(wanted.split()).lower()
    return or_(starts_with(Contact.email, lowered), starts_with(func.lower(Contact.name), lowered))
