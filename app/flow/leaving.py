"""Unsubscribing by the link or the header of a mail: the delivery names the person and the campaign's lists."""

import os
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

from sqlalchemy import text

from app.flow import events, suppressions
from app.flow.sessions import AnySession, rows_changed
from app.mail.tokens import DeliveryRef
from app.models import SuppressionReason


@dataclass(frozen=True)
class ListMembership:
    list_id: int
    name: str
    subscribed: bool


@dataclass(frozen=True)
class Recipient:
    """Who got the mail, as things stand now."""

    ref: DeliveryRef
    frozen_on: date
    panel_id: int
    panel_name: str
    email: str
    contact_id: int | None
    """None: the contact was deleted; nobody is mailed then."""
    lists: tuple[ListMembership, ...]
    """Lists of the campaign that the person is or was on."""
    suppressed: bool
    """In the panel or in the whole installation."""

    @property
    def receives(self) -> bool:
        return not self.suppressed and any(one.subscribed for one in self.lists)


@dataclass(frozen=True)
class Left:
    """What an unsubscribing changed, so that exactly this can be undone."""

    list_ids: tuple[int, ...] = ()
    """Lists that the person was on until now."""
    suppressed: bool = False
    """The address was not suppressed in the panel before."""
    at: datetime | None = None
    """What ended carries this moment, and nothing that ended later does."""


@dataclass(frozen=True)
class Visitor:
    """Whose hand it was, for the proof."""

    ip: str | None
    user_agent: str


RECIPIENT = """
    SELECT c.frozen_on, d.panel_id, p.name AS panel_name, d.email, contact.id AS contact_id,
           EXISTS (SELECT FROM suppression s
                   WHERE s.email = coalesce(contact.email, d.email)
                     AND (s.panel_id = d.panel_id OR s.panel_id IS NULL)) AS suppressed
    FROM campaign c
    JOIN delivery d ON d.frozen_on = c.frozen_on AND d.campaign_id = c.id AND d.seq = :seq
    JOIN panel p ON p.id = d.panel_id
    LEFT JOIN LATERAL (
        -- Deleted and imported again, the person has a new id; the address is what was asked to be left alone.
        SELECT id, email FROM contact WHERE panel_id = d.panel_id AND (id = d.contact_id OR email = d.email)
        ORDER BY id = d.contact_id DESC LIMIT 1
    ) contact ON true
    WHERE c.id = :campaign_id
"""

MEMBERSHIPS = """
    SELECT l.id AS list_id, l.name, s.status = 'subscribed' AS subscribed
    FROM campaign_list cl
    JOIN mailing_list l ON l.id = cl.list_id
    JOIN subscription s ON s.list_id = l.id AND s.contact_id = :contact_id
    WHERE cl.campaign_id = :campaign_id
    ORDER BY l.name
"""

CHANGES = """
    SELECT ARRAY(SELECT s.list_id FROM subscription s
                 WHERE s.contact_id = contact.id AND s.status = 'subscribed'
                   AND (:everything OR s.list_id = ANY(CAST(:list_ids AS int[])))
                 ORDER BY s.list_id) AS list_ids,
           :everything AND NOT EXISTS (SELECT FROM suppression p
                                       WHERE p.panel_id = contact.panel_id AND p.email = contact.email) AS suppresses
    FROM contact WHERE contact.id = :contact_id FOR UPDATE
"""

SUBSCRIBE_AGAIN = """
    UPDATE subscription SET status = 'subscribed', unsubscribed_at = NULL, unsubscribe_source = NULL
    WHERE contact_id = :contact_id AND list_id = ANY(CAST(:list_ids AS int[])) AND status = 'unsubscribed'
      AND unsubscribed_at = CAST(:at AS timestamptz)
"""

ALLOW_AGAIN = """
    DELETE FROM suppression USING contact
    WHERE contact.id = :contact_id AND suppression.email = contact.email
      AND suppression.panel_id = contact.panel_id AND suppression.reason = 'unsubscribed'
      AND suppression.created_at = CAST(:at AS timestamptz)
"""


def find_recipient(session: AnySession, ref: DeliveryRef) -> Recipient | None:
    """None where the campaign or the delivery is gone."""
    row = session.execute(text(RECIPIENT), {"campaign_id": ref.campaign_id, "seq": ref.seq}).one_or_none()
    if row is None:
        return None
    memberships = session.execute(
        text(MEMBERSHIPS), {"campaign_id": ref.campaign_id, "contact_id": row.contact_id}
    ).all()
    lists = tuple(ListMembership(one.list_id, one.name, one.subscribed) for one in memberships)
    return Recipient(
        ref, row.frozen_on, row.panel_id, row.panel_name, row.email, row.contact_id, lists, bool(row.suppressed)
    )


def panel_name_of_proof(session: AnySession, ref: DeliveryRef) -> str | None:
    """The panel of a test send (``ref.seq`` is the proof's id); None where it is gone."""
    name: str | None = session.scalar(
        text(
            """
            SELECT p.name FROM proof JOIN panel p ON p.id = proof.panel_id
            WHERE proof.id = :id AND proof.campaign_id = :campaign_id
            """
        ),
        {"id": ref.seq, "campaign_id": ref.campaign_id},
    )
    return name


def leave(session: AnySession, recipient: Recipient, *, how: str, visitor: Visitor, everything: bool = False) -> Left:
    """Take the recipient off the campaign's lists (``everything``: off all lists, and suppress it in the panel),
    committed; returns what changed. ``how``: ``one-click`` or ``page``."""
    if recipient.contact_id is None:
        return _leave_erased(session, recipient, how=how, visitor=visitor)
    moment = datetime.now(UTC)
    before = _what_would_change(session, recipient, everything=everything)
    suppressions.unsubscribe(
        session,
        contact_id=recipient.contact_id,
        list_ids=[one.list_id for one in recipient.lists],
        source=f"{how}:{recipient.ref.campaign_id}",
        everything=everything,
        at=moment,
    )
    if before == Left():
        return before
    _note(session, recipient, visitor)
    return replace(before, at=moment)


def _leave_erased(session: AnySession, recipient: Recipient, *, how: str, visitor: Visitor) -> Left:
    """Somebody whose contact was erased leaves: their address is suppressed, so that no later import mails them."""
    source = f"{how}:{recipient.ref.campaign_id}"
    is_new = suppressions.suppress(session, recipient.panel_id, recipient.email, SuppressionReason.UNSUBSCRIBED, source)
    session.commit()
    if is_new:
        _note(session, recipient, visitor)
    return Left()  # Undoing it would need the contact that is gone.


def _what_would_change(session: AnySession, recipient: Recipient, *, everything: bool) -> Left:
    values = {
        "contact_id": recipient.contact_id,
        "list_ids": [one.list_id for one in recipient.lists],
        "everything": everything,
    }
    row = session.execute(text(CHANGES), values).one()
    return Left(tuple(row.list_ids), bool(row.suppresses))


def _note(session: AnySession, recipient: Recipient, visitor: Visitor) -> None:
    events.note_unsubscribe(
        session,
        panel_id=recipient.panel_id,
        frozen_on=recipient.frozen_on,
        campaign_id=recipient.ref.campaign_id,
        seq=recipient.ref.seq,
        source_id=os.urandom(12).hex(),
        ip=visitor.ip,
        user_agent=visitor.user_agent,
        now=datetime.now(UTC),
    )
    session.commit()


def come_back(session: AnySession, recipient: Recipient, undo: Left) -> bool:
    """Back to before, on the person's own word; the proof of the old consent stands again. Committed. Leaves alone what
    has changed meanwhile, a newer unsubscribing first of all. Whether anything came back."""
    values = {"contact_id": recipient.contact_id, "list_ids": list(undo.list_ids), "at": undo.at}
    came_back = bool(rows_changed(session, text(SUBSCRIBE_AGAIN), values))
    if undo.suppressed:
        came_back |= bool(rows_changed(session, text(ALLOW_AGAIN), values))
    if came_back:
        campaign_id, seq = recipient.ref
        events.forget_unsubscribe(session, frozen_on=recipient.frozen_on, campaign_id=campaign_id, seq=seq)
    session.commit()
    return came_back
