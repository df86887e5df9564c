"""What the practice relay caught, for people and for reconciling.

The relay stores through ``reserve_ids``, ``store`` and ``prune`` on a connection of its own (it is no Flask process and
writes a thousand messages a second); pages and reconciling read through a session.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from psycopg import AsyncConnection
from sqlalchemy import Select, delete, exists, func, or_, select
from sqlalchemy.orm import undefer

from app.flow.sessions import AnySession, rows_changed
from app.mail.captured import Identity
from app.models import Batch, Campaign, CampaignStatus, Contact, Delivery, DeliveryStatus, PracticeMessage

QUEUE_ID_PREFIX = "P"
PRUNE_STEP = 5_000
"""Messages deleted per statement: short transactions, so that storing never waits."""


def queue_id(message_id: int) -> str:
    """What the relay calls a message in its reply: ``250 2.0.0 Ok: queued as P17``."""
    return f"{QUEUE_ID_PREFIX}{message_id}"


# The relay's side.


@dataclass(frozen=True, slots=True)
class CapturedMessage:
    """A message and one of its recipients, as it came over the wire."""

    id: int
    panel_id: int
    mail_from: str
    rcpt_to: str
    identity: Identity
    raw: bytes


_RESERVE = """
SELECT nextval(pg_get_serial_sequence('practice_message', 'id')) FROM generate_series(1, %s)
"""

_STORE = """
INSERT INTO practice_message (id, panel_id, message_id, mail_from, rcpt_to, subject, size_bytes, raw)
SELECT * FROM unnest(%b::bigint[], %b::int[], %b::text[], %b::text[], %b::text[], %b::text[], %b::int[], %b::bytea[])
ON CONFLICT (id) DO NOTHING
RETURNING id
"""

_PRUNE = """
DELETE FROM practice_message WHERE id IN (
    SELECT id FROM practice_message
    WHERE id <= (SELECT id FROM practice_message ORDER BY id DESC OFFSET %s LIMIT 1)
      AND received_at < now() - interval '15 minutes' -- reconciling may still ask for them
    ORDER BY id LIMIT %s
)
"""


async def reserve_ids(connection: AsyncConnection, count: int) -> list[int]:
    """Ids for the next ``count`` messages. Known before storing, a batch can be written again after a broken connection
    without being stored twice."""
    rows = await (await connection.execute(_RESERVE, (count,))).fetchall()
    return [row[0] for row in rows]


async def store(connection: AsyncConnection, messages: Sequence[CapturedMessage]) -> set[int]:
    """All of ``messages`` whose id is still free, in one transaction (the connection is in autocommit); their ids."""
    columns = zip(
        *(
            (m.id, m.panel_id, m.identity.message_id, m.mail_from, m.rcpt_to, m.identity.subject, len(m.raw), m.raw)
            for m in messages
        ),
        strict=True,
    )
    stored = await connection.execute(_STORE, [list(column) for column in columns], prepare=True)
    return {row[0] for row in await stored.fetchall()}


async def panel_id_of(connection: AsyncConnection, slug: str) -> int | None:
    row = await (await connection.execute("SELECT id FROM panel WHERE slug = %s", (slug,))).fetchone()
    return row[0] if row else None


async def prune(connection: AsyncConnection, keep: int) -> int:
    """Delete the oldest messages beyond ``keep``, one step; how many went."""
    return (await connection.execute(_PRUNE, (keep, PRUNE_STEP))).rowcount


# People's side.


def search(panel_id: int, text: str = "") -> Select[PracticeMessage]:
    """The panel's messages whose recipient or subject contains ``text``, unordered: lists page it by key."""
    statement = select(PracticeMessage).where(PracticeMessage.panel_id == panel_id)
    if text:
        statement = statement.where(
            or_(
                PracticeMessage.rcpt_to.icontains(text, autoescape=True),
                PracticeMessage.subject.icontains(text, autoescape=True),
            )
        )
    return statement


def get(session: AnySession, panel_id: int, message_id: int) -> PracticeMessage | None:
    """The panel's message with its bytes; none where it is another panel's or gone."""
    return session.scalar(
        search(panel_id).where(PracticeMessage.id == message_id).options(undefer(PracticeMessage.raw))
    )


def count(session: AnySession, panel_id: int) -> int:
    return session.scalar(select(func.count()).where(PracticeMessage.panel_id == panel_id)) or 0


def known_message_ids(session: AnySession, panel_id: int, message_ids: Collection[str]) -> dict[str, str]:
    """Which of ``message_ids`` (with angle brackets) the relay stored for this panel, with the queue id it gave."""
    return {name: queue_id(row_id) for name, row_id in rows_of(session, panel_id, message_ids).items()}


def rows_of(session: AnySession, panel_id: int, message_ids: Collection[str]) -> dict[str, int]:
    """The same with the ids of the stored messages, the first one of each."""
    if not message_ids:
        return {}
    rows = session.execute(
        select(PracticeMessage.message_id, func.min(PracticeMessage.id))
        .where(PracticeMessage.panel_id == panel_id, PracticeMessage.message_id.in_(message_ids))
        .group_by(PracticeMessage.message_id)
    )
    return dict(rows.tuples().all())


class MailboxInUse(Exception):
    """The mailbox can't be emptied: it is what reconciling asks while a campaign is being sent."""

    def __init__(self, campaign_name: str) -> None:
        super().__init__(campaign_name)
        self.campaign_name = campaign_name


def forget_person(session: AnySession, contact: Contact) -> int:
    """What the panel's mailbox caught for the contact's address; how many. Raises :class:`MailboxInUse` while reconciling may ask
    for one of these messages: gone, it would count as never sent. Does not commit."""
    unanswered = (DeliveryStatus.SENDING, DeliveryStatus.UNKNOWN)
    sending = session.scalar(
        select(Campaign.name)
        .join(Delivery, (Delivery.campaign_id == Campaign.id) & (Delivery.frozen_on == Campaign.frozen_on))
        .where(Delivery.contact_id == contact.id, Delivery.status.in_(unanswered))
        .limit(1)
    )
    if sending is not None:
        raise MailboxInUse(sending)
    own = delete(PracticeMessage).where(PracticeMessage.panel_id == contact.panel_id)
    return rows_changed(session, own.where(func.lower(PracticeMessage.rcpt_to) == contact.email))


def clear(session: AnySession, panel_id: int) -> int:
    """Empty the panel's mailbox; how many messages went. Raises :class:`MailboxInUse`."""
    unanswered = exists().where(Batch.campaign_id == Campaign.id, Batch.sending + Batch.unknown > 0)
    sending = session.scalar(
        select(Campaign.name)
        .where(Campaign.panel_id == panel_id, or_(Campaign.status == CampaignStatus.SENDING, unanswered))
        .limit(1)
    )
    if sending is not None:
        raise MailboxInUse(sending)
    gone = rows_changed(session, delete(PracticeMessage).where(PracticeMessage.panel_id == panel_id))
    session.commit()
    return gone
