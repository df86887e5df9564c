"""Who must never be mailed; unsubscribing. The only way back against the stream, through the database."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import text

from app.flow.sessions import AnySession
from app.models import SuppressionReason


@dataclass(frozen=True)
class Unsubscribed:
    """What an unsubscribing changed, so that exactly this can be undone."""

    list_ids: list[int] = field(default_factory=list)
    """Lists that the person was on until now."""
    suppression_id: int | None = None
    """The suppression made now; none where there was one already, or none was asked for."""


def unsubscribe(
    session: AnySession, *, contact_id: int, list_ids: Sequence[int], source: str, everything: bool = False
) -> Unsubscribed:
    """Take the person off these lists of its panel, at once; ``everything``: off every list, and suppress the address in
    the panel. Doing it again changes nothing. Commits. ``source``: ``one-click:<campaign>``, ``page:<campaign>`` …"""
    left = session.scalars(
        text(
            """
            UPDATE subscription SET status = 'unsubscribed', unsubscribed_at = now(), unsubscribe_source = :source
            WHERE contact_id = :contact_id AND (:everything OR list_id = ANY(CAST(:list_ids AS int[])))
              AND status = 'subscribed'
            RETURNING list_id
            """
        ),
        {
            "contact_id": contact_id,
            "list_ids": list(list_ids),
            "everything": everything,
            "source": source,
        },
    ).all()
    suppression_id = _suppress(session, contact_id, source) if everything else None
    session.commit()
    return Unsubscribed(sorted(left), suppression_id)


def _suppress(session: AnySession, contact_id: int, source: str) -> int | None:
    """Suppress the contact's address in its panel; None where it already is."""
    suppression_id: int | None = session.scalar(
        text(
            """
            INSERT INTO suppression (panel_id, email, reason, source)
            SELECT panel_id, email, :reason, :source FROM contact WHERE id = :contact_id
            ON CONFLICT DO NOTHING RETURNING id
            """
        ),
        {"contact_id": contact_id, "reason": SuppressionReason.UNSUBSCRIBED.value, "source": source},
    )
    return suppression_id


def undo_unsubscribe(session: AnySession, *, contact_id: int, undo: Unsubscribed) -> None:
    """Back to before ``undo``, on the person's own word; the proof of the old consent stands again. Commits. Leaves alone
    what has changed meanwhile."""
    session.execute(
        text(
            """
            UPDATE subscription SET status = 'subscribed', unsubscribed_at = NULL, unsubscribe_source = NULL
            WHERE contact_id = :contact_id AND list_id = ANY(CAST(:list_ids AS int[])) AND status = 'unsubscribed'
            """
        ),
        {"contact_id": contact_id, "list_ids": undo.list_ids},
    )
    session.execute(
        text(
            """
            DELETE FROM suppression USING contact
            WHERE suppression.id = :id AND contact.id = :contact_id AND suppression.email = contact.email
              AND suppression.panel_id = contact.panel_id AND suppression.reason = 'unsubscribed'
            """
        ),
        {"id": undo.suppression_id, "contact_id": contact_id},
    )
    session.commit()
