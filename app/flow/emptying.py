"""The values of deleted fields go from the contacts: slice by slice, each in a short transaction of its own, so that no page
waits for a million rows and a kill loses nothing. ``RemovedField`` keeps the place.

An import that is being applied goes first; where it makes a field of the same key, it takes the rest of the values away
in its own transaction, so that none of them comes back as a value of the new field.
"""

import time
from typing import Any

from sqlalchemy import Row, delete, text

from app.flow.sessions import AnySession, rows_changed
from app.models import RemovedField

SLICE_CONTACTS = 5_000

NEXT = """
    SELECT panel_id, key, emptied_to FROM removed_field
    WHERE pg_try_advisory_xact_lock(hashtext('chaski.apply_import'), panel_id)
    ORDER BY panel_id, key LIMIT 1 FOR UPDATE SKIP LOCKED
"""
EMPTY_SLICE = """
    WITH slice AS (
        SELECT id FROM contact WHERE panel_id = :panel_id AND id > :emptied_to ORDER BY id LIMIT :contacts
    ), emptied AS (
        UPDATE contact SET fields = fields - CAST(:key AS text) FROM slice
        WHERE contact.id = slice.id AND contact.fields ? :key
    )
    SELECT max(id) FROM slice
"""
EMPTY_REST = "UPDATE contact SET fields = fields - CAST(:key AS text) WHERE panel_id = :panel_id AND fields ? :key"


def is_going_on(session: AnySession, panel_id: int, key: str) -> bool:
    """Whether contacts may still have values of a deleted field with this key."""
    return session.get(RemovedField, (panel_id, key)) is not None


def empty(session: AnySession, *, budget_seconds: float = 1.0) -> None:
    """Slice after slice until nothing is left or the time is up; at least one. Commits each."""
    give_up_at = time.monotonic() + budget_seconds
    while _empty_some(session) and time.monotonic() < give_up_at:
        pass


def empty_at_once(session: AnySession, panel_id: int, key: str) -> None:
    """All that is left of one key. Does not commit."""
    mine = delete(RemovedField).where(RemovedField.panel_id == panel_id, RemovedField.key == key)
    if rows_changed(session, mine):
        session.execute(text(EMPTY_REST), {"panel_id": panel_id, "key": key})


def _empty_some(session: AnySession) -> bool:
    """Whether there was anything to do."""
    field = session.execute(text(NEXT)).one_or_none()
    if field is None:
        session.rollback()
        return False
    last = session.scalar(text(EMPTY_SLICE), {**field._asdict(), "contacts": SLICE_CONTACTS})
    _keep_place(session, field, last)
    session.commit()
    return True


def _keep_place(session: AnySession, field: Row[Any], last: int | None) -> None:
    ended = "DELETE FROM removed_field WHERE panel_id = :panel_id AND key = :key"
    begun = "UPDATE removed_field SET emptied_to = :last WHERE panel_id = :panel_id AND key = :key"
    values = {"panel_id": field.panel_id, "key": field.key}
    rows_changed(session, text(ended if last is None else begun), values if last is None else {**values, "last": last})
