"""A million rows for a file that somebody downloads: read in slices, each in a short transaction of its own, so that a
slow connection keeps no snapshot, no lock and no place in the pool."""

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Executable, Row
from sqlalchemy.orm import Session

from app.flow.sessions import AnySession

SLICE_ROWS = 5000


def in_slices(
    session: AnySession, statement: Executable, *, key: str, values: Mapping[str, Any] | None = None
) -> Iterator[Row[*tuple[Any, ...]]]:
    """The rows of ``statement``, which asks for ``:slice`` rows behind ``:after`` in the order of its column ``key``, a
    number above 0. ``session`` only says which database; its own transaction is left alone."""
    after = 0
    while True:
        with Session(session.get_bind()) as own:
            rows = own.execute(statement, {**(values or {}), "after": after, "slice": SLICE_ROWS}).all()
        yield from rows
        if len(rows) < SLICE_ROWS:
            return
        after = getattr(rows[-1], key)
