"""Every list is paged by key: a cursor holds the sort value and the id of the last row seen, so that page 10,000
costs what page 1 does and rows that arrive meanwhile shift nothing.

    page = page_by_key(select(Contact).where(…), sorts={"email": Contact.email, "created": Contact.created_at},
                       key=Contact.id, default="-created")
    render_template("…", page=page)      # {% from "macros/table.html" import data_table, pager, sort_header %}
"""

import base64
import binascii
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from flask import request
from sqlalchemy import BigInteger, Select, tuple_
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.types import NullType

from app.extensions import db

PAGE_SIZE = 50
CURSOR_CHARACTERS = 3000
"""Room for the longest text that lists are sorted by (a subject: 500 characters of up to four bytes, in base64)."""


@dataclass(frozen=True)
class KeysetPage:
    rows: Sequence[Any]
    sort: str
    """Name of the sort in force, with ``-`` in front when descending."""
    next_cursor: str | None
    previous_cursor: str | None


def page_by_key(
    statement: Select[*tuple[Any, ...]],
    *,
    sorts: Mapping[str, InstrumentedAttribute[Any] | ColumnElement[Any]],
    key: InstrumentedAttribute[Any] | ColumnElement[Any],
    default: str,
    size: int = PAGE_SIZE,
    scalars: bool = True,
) -> KeysetPage:
    """One page of ``statement`` as the request's ``sort``, ``after`` and ``before`` ask. Sort columns must be NOT NULL
    (coalesce others). A wrong cursor or sort counts as none."""
    sort = request.args.get("sort", default)
    if sort.lstrip("-") not in sorts:
        sort = default
    descending = sort.startswith("-")
    column = sorts[sort.lstrip("-")]
    backwards = "before" in request.args
    cursor = _read_cursor(request.args.get("before") or request.args.get("after"))
    if cursor is not None and not all(map(_fits, cursor, (column, key))):
        cursor = None  # Made for another sort, or by hand.
    reverse = descending != backwards
    if cursor is not None:
        position = tuple_(column, key)
        here = tuple_(*cursor)
        statement = statement.where(position < here if reverse else position > here)
    order = [c.desc() if reverse else c.asc() for c in (column, key)]
    result = db.session.execute(
        statement.add_columns(column, key).order_by(None).order_by(*order).limit(size + 1)
    ).all()
    more, result = len(result) > size, result[:size]
    if backwards:
        result = result[::-1]
    first, last = (_make_cursor(result[0][-2:]), _make_cursor(result[-1][-2:])) if result else (None, None)
    return KeysetPage(
        rows=[row[0] if scalars else row[:-2] for row in result],
        sort=sort,
        next_cursor=last if (more or backwards) else None,
        previous_cursor=first if (more if backwards else cursor is not None) else None,
    )


def _make_cursor(values: Sequence[Any]) -> str:
    plain = [{"t": v.isoformat()} if isinstance(v, datetime | date) else v for v in values]
    return base64.urlsafe_b64encode(json.dumps(plain, default=str, ensure_ascii=False).encode()).decode().rstrip("=")


def _read_cursor(cursor: str | None) -> list[Any] | None:
    if not cursor or len(cursor) > CURSOR_CHARACTERS:
        return None
    try:
        plain = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        values = [datetime.fromisoformat(v["t"]) if isinstance(v, dict) else v for v in plain]
    except (ValueError, binascii.Error, KeyError, TypeError, RecursionError):
        return None
    return values if len(values) == 2 and not any(isinstance(v, list | dict) for v in values) else None


def _fits(value: Any, column: InstrumentedAttribute[Any] | ColumnElement[Any]) -> bool:
    """Whether the database can compare ``value`` with ``column``."""
    if isinstance(value, bool) or not isinstance(value, _python_type(column)):
        return False
    match value:
        case int():
            return bool(abs(value) < 2 ** (63 if isinstance(column.type, BigInteger) else 31))
        case float():
            return math.isfinite(value)
        case str():
            return "\0" not in value and not any("\ud800" <= one <= "\udfff" for one in value)
        case _:
            return True


def _python_type(column: InstrumentedAttribute[Any] | ColumnElement[Any]) -> type[Any]:
    """SQLAlchemy gives ``func.lower(…)`` no type; it is text, as whatever else we sort by without a type."""
    return str if isinstance(column.type, NullType) else column.type.python_type
