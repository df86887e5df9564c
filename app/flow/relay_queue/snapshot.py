"""The agent's listing becomes the table that pages read: what is gone is deleted, what is new or changed is written, the
rest is left alone. One transaction: no page sees half a queue."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import text

from app.config import Settings
from app.flow.composing import token_key
from app.flow.sessions import AnySession
from app.mail.postfix_queue import Listing, QueuedMail, reason_kind
from app.mail.tokens import DeliveryRef, TokenReader, token_of_return_path

MOST_MAILS = 200_000
"""Kept of one relay's queue; the others are only counted."""
SLICE = 5000


def store(session: AnySession, settings: Settings, relay_id: int, listing: Listing) -> int:
    """Replace the snapshot; returns how many mails were written. Commits. An older listing that arrives late is the truth
    until the next one: agents of a relay take turns on its row."""
    session.execute(text(NOTE), {"relay": relay_id, "total": listing.total, "unreadable": listing.unreadable})
    session.execute(text(STAGE))
    for some in _slices(listing.mails[:MOST_MAILS]):
        session.execute(text(FILL), _columns(some))
    session.execute(text(FORGET), {"relay": relay_id})
    changed = session.execute(text(CHANGED), {"relay": relay_id}).all()
    reader = TokenReader(token_key(settings))
    for rows in _slices(changed):
        session.execute(text(WRITE), {"relay": relay_id, **_resolved(rows, reader)})
    session.commit()
    return len(changed)


def _slices(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for first in range(0, len(rows), SLICE):
        yield rows[first : first + SLICE]


def _columns(mails: Sequence[QueuedMail]) -> dict[str, list[Any]]:
    return {
        "ids": [mail.queue_id for mail in mails],
        "queues": [mail.queue for mail in mails],
        "arrivals": [datetime.fromtimestamp(mail.arrived_at, UTC) for mail in mails],
        "sizes": [mail.size_bytes for mail in mails],
        "senders": [mail.sender for mail in mails],
        "recipients": [mail.recipient for mail in mails],
        "numbers": [mail.recipients for mail in mails],
        "reasons": [mail.reason for mail in mails],
    }


def _resolved(rows: Sequence[Any], reader: TokenReader) -> dict[str, list[Any]]:
    refs = [delivery_of(row.sender, reader) for row in rows]
    return {
        "ids": [row.queue_id for row in rows],
        "kinds": [reason_kind(row.reason) for row in rows],
        "campaigns": [ref.campaign_id if ref else None for ref in refs],
        "seqs": [ref.seq if ref else None for ref in refs],
    }


MAX_INTEGER = 2**31 - 1


def delivery_of(sender: str, reader: TokenReader) -> DeliveryRef | None:
    """The delivery whose return path this is; None for everybody else's mail, also where it only looks like one."""
    token = token_of_return_path(sender)
    ref = reader.read(token) if token else None
    return ref if ref and ref.campaign_id <= MAX_INTEGER and ref.seq <= MAX_INTEGER else None


NOTE = """
    INSERT INTO relay_queue (relay_id, seen_at, total, unreadable) VALUES (:relay, now(), :total, :unreadable)
    ON CONFLICT (relay_id) DO UPDATE
    SET seen_at = excluded.seen_at, heard_at = excluded.seen_at, total = excluded.total, unreadable = excluded.unreadable,
        problem = '', problem_detail = ''
"""

STAGE = """
    CREATE TEMPORARY TABLE told (
        queue_id varchar PRIMARY KEY, queue varchar, arrived_at timestamptz, size_bytes bigint, sender varchar,
        recipient varchar, recipients integer, reason varchar
    ) ON COMMIT DROP
"""

# A mail that moved while Postfix was listing it may be told twice.
FILL = """
    INSERT INTO told SELECT * FROM unnest(CAST(:ids AS text[]), CAST(:queues AS text[]), CAST(:arrivals AS timestamptz[]),
        CAST(:sizes AS bigint[]), CAST(:senders AS text[]), CAST(:recipients AS text[]), CAST(:numbers AS int[]),
        CAST(:reasons AS text[]))
    ON CONFLICT DO NOTHING
"""

FORGET = """
    DELETE FROM relay_queue_mail m WHERE relay_id = :relay
      AND NOT EXISTS (SELECT FROM told t WHERE t.queue_id = m.queue_id AND t.arrived_at = m.arrived_at)
"""

CHANGED = """
    SELECT t.queue_id, t.sender, t.reason FROM told t
    LEFT JOIN relay_queue_mail m ON m.relay_id = :relay AND m.queue_id = t.queue_id
    WHERE m.queue_id IS NULL
       OR (m.queue, m.reason, m.recipient, m.recipients) IS DISTINCT FROM (t.queue, t.reason, t.recipient, t.recipients)
"""

# A mail is a campaign's where its sender is the delivery's own and it goes to the delivery's own address: a bounce or a
# forward that carries the same sender is somebody else's.
WRITE = """
    INSERT INTO relay_queue_mail (relay_id, queue_id, queue, arrived_at, size_bytes, sender, recipient, recipients, reason,
                                  reason_kind, provider, panel_id, campaign_id, seq, egress_ip_id)
    SELECT :relay, t.queue_id, t.queue, t.arrived_at, t.size_bytes, t.sender, t.recipient, t.recipients, t.reason, v.kind,
           coalesce(p.provider, 'other'), d.panel_id, d.campaign_id, d.seq, d.egress_ip_id
    FROM unnest(CAST(:ids AS text[]), CAST(:kinds AS text[]), CAST(:campaigns AS int[]), CAST(:seqs AS int[]))
         AS v(queue_id, kind, campaign, seq)
    JOIN told t ON t.queue_id = v.queue_id
    LEFT JOIN mail_domain p ON p.domain = lower(split_part(t.recipient, '@', 2))
    LEFT JOIN campaign c ON c.id = v.campaign
    LEFT JOIN delivery d ON d.frozen_on = c.frozen_on AND d.campaign_id = c.id AND d.seq = v.seq
         AND lower(d.email) = lower(t.recipient)
    ON CONFLICT (relay_id, queue_id) DO UPDATE
    SET queue = excluded.queue, recipient = excluded.recipient, recipients = excluded.recipients,
        reason = excluded.reason, reason_kind = excluded.reason_kind, provider = excluded.provider,
        egress_ip_id = excluded.egress_ip_id
"""
