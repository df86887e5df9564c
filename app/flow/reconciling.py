"""Deliveries whose answer a crash or a lost connection hid are settled with the relay, by Message-ID.

Derived from the delivery, the Message-ID is the same for every attempt. Where the relay has it, the delivery was
accepted; where it provably hasn't, it may be tried again. Where the relay can't be asked, it stays unknown: never sent
again blindly.
"""

from collections.abc import Callable, Collection, Mapping
from enum import StrEnum
from typing import Any

from sqlalchemy import text

from app.flow import batches, bell
from app.flow.outcomes import RECORD_PATIENCE_SECONDS
from app.flow.sessions import AnySession
from app.logs import get_logger
from app.models import DeliveryStatus, OwnReply

log = get_logger(__name__)

SLICE = 1000
FIRST_WAIT_SECONDS = 60.0
LONGEST_WAIT_SECONDS = 4 * 3600.0
PRACTICE_RELAY_ID = 0
"""As deliveries carry it. The practice relay remembers everything that it took."""

ASKABLE_RELAY_IDS = (PRACTICE_RELAY_ID,)
BY_HAND_AFTER_SECONDS = int(RECORD_PATIENCE_SECONDS) + 120
"""People are asked only when no worker can be about to record the answer after all: a decision to send again must not meet
an acceptance that was heard."""

AskRelay = Callable[[AnySession, int, int, Collection[str]], Mapping[str, str | None] | None]
"""``(session, campaign_id, relay_id, message_ids) -> {message_id: queue id}`` of those that this relay has; a queue id of None
where it can't tell yet; what is missing, it provably has not. None altogether where it can't be asked. The relay is the one that
the deliveries were handed to, whatever the panel uses by now."""


def campaigns_with_unknown(
    session: AnySession, *, grace_seconds: int, relay_ids: Collection[int] = ASKABLE_RELAY_IDS
) -> list[int]:
    """Campaigns with deliveries whose answer is unknown for longer than the grace, at relays that can be asked:
    these, and those whose log is followed."""
    found = session.scalars(
        text(
            """
            SELECT DISTINCT b.campaign_id FROM batch b
            WHERE b.status <> 'done' AND b.unknown > 0 AND EXISTS (
                SELECT 1 FROM delivery d WHERE d.frozen_on = b.frozen_on AND d.campaign_id = b.campaign_id
                AND d.seq BETWEEN b.first_seq AND b.last_seq AND d.status = 'unknown'
                AND d.unknown_at < now() - make_interval(secs => :grace)
                AND (coalesce(d.relay_id, 0) = ANY(:relays)
                     OR EXISTS (SELECT FROM relay_log l WHERE l.relay_id = d.relay_id)))
            """
        ),
        {"grace": grace_seconds, "relays": list(relay_ids)},
    ).all()
    session.commit()
    return list(found)


def settle(
    session: AnySession,
    campaign_id: int,
    *,
    message_id_of: Callable[[int], str],
    ask: AskRelay,
    grace_seconds: int,
) -> dict[str, int]:
    """Settle all unknown deliveries of a campaign. Returns how many were found, not found, and left."""
    total = {"found": 0, "not_found": 0, "left": 0}
    silent: list[int] = []
    left: dict[int, int] = {}
    """For each relay the last delivery that it could not tell of: what follows is asked next."""
    while rows := _unknown(session, campaign_id, grace_seconds, silent, left):
        relay_id = rows[0].relay_id
        by_message_id = {message_id_of(row.seq): row for row in rows}
        known = ask(session, campaign_id, relay_id, by_message_id.keys())
        if known is None:
            session.rollback()
            silent.append(relay_id)
            continue
        told = {row.seq: known[mid] for mid, row in by_message_id.items() if mid in known}
        decided = [row for row in rows if told.get(row.seq, "") is not None]
        found = {seq: queue_id for seq, queue_id in told.items() if queue_id is not None}
        if len(decided) < len(rows):
            left[relay_id] = rows[-1].seq
        _settle_slice(session, campaign_id, decided, found)
        total["found"] += len(found)
        total["not_found"] += len(decided) - len(found)
        total["left"] += len(rows) - len(decided)
        log.info("unknown_settled", campaign_id=campaign_id, found=len(found), not_found=len(decided) - len(found))
    bell.ring_dispatcher(session)
    session.commit()
    return total


class Settlement(StrEnum):
    """What a person decides about deliveries that no relay can tell about."""

    AS_SENT = "sent"  # Nobody is mailed again; who did not get it never will.
    TO_SEND_AGAIN = "again"  # Nobody is missed; who did get it gets it twice.


def waiting_for_a_person(
    session: AnySession, campaign_ids: Collection[int], *, grace_seconds: int = BY_HAND_AFTER_SECONDS
) -> dict[int, int]:
    """For each of these campaigns that has some: deliveries whose answer is lost and whose relay can't be asked."""
    rows = session.execute(
        text(
            f"""
            SELECT b.campaign_id, count(*) AS deliveries FROM batch b JOIN delivery d ON {BY_HAND}
            WHERE b.campaign_id = ANY(:campaigns) GROUP BY b.campaign_id
            """  # noqa: S608  # ``BY_HAND`` is the condition below
        ),
        {"campaigns": list(campaign_ids), "grace": grace_seconds, "askable": list(ASKABLE_RELAY_IDS)},
    )
    return {row.campaign_id: row.deliveries for row in rows}


def settle_by_hand(
    session: AnySession,
    panel_id: int,
    campaign_id: int,
    settlement: Settlement,
    *,
    grace_seconds: int = BY_HAND_AFTER_SECONDS,
) -> int:
    """What a relay without memory left unknown is settled by a person who looked at the relay. To be sent again means
    deferred and due at once, the way of every retry. Returns how many deliveries were settled."""
    session.execute(
        text(
            """
            SELECT b.id FROM batch b JOIN campaign c ON c.id = b.campaign_id
            WHERE c.id = :campaign AND c.panel_id = :panel AND b.status <> 'done' AND b.unknown > 0 ORDER BY b.id FOR UPDATE OF b
            """
        ),
        {"campaign": campaign_id, "panel": panel_id},
    )
    is_sent = settlement is Settlement.AS_SENT
    rows = session.execute(
        text(
            f"""
            UPDATE delivery d SET status = CAST(:status AS delivery_status), reply_code = NULL, reply_text = :note,
                next_attempt_at = CASE WHEN :again THEN now() END
            FROM batch b WHERE b.campaign_id = :campaign AND d.panel_id = :panel AND {BY_HAND}
            RETURNING b.id
            """  # noqa: S608  # ``BY_HAND`` is the condition below
        ),
        {
            "status": DeliveryStatus.ACCEPTED if is_sent else DeliveryStatus.DEFERRED,
            "note": OwnReply.SETTLED_AS_SENT if is_sent else OwnReply.SETTLED_TO_SEND_AGAIN,
            "again": not is_sent,
            "campaign": campaign_id,
            "panel": panel_id,
            "grace": grace_seconds,
            "askable": list(ASKABLE_RELAY_IDS),
        },
    ).all()
    batch_ids = sorted({row.id for row in rows})
    batches.recount(session, batch_ids)
    batches.close_finished(session, batch_ids)
    bell.ring_dispatcher(session)
    session.commit()
    log.info("unknown_settled_by_hand", campaign_id=campaign_id, settlement=settlement.value, deliveries=len(rows))
    return len(rows)


BY_HAND = """
    b.status = 'ready' AND b.unknown > 0 AND d.frozen_on = b.frozen_on AND d.campaign_id = b.campaign_id
    AND d.seq BETWEEN b.first_seq AND b.last_seq AND d.status = 'unknown'
    AND d.unknown_at < now() - make_interval(secs => :grace) AND coalesce(d.relay_id, 0) <> ALL(:askable)
"""
"""Batches that nobody holds (their worker may still know the answer), at relays that can't be asked or, since their log has a
gap, say, could not tell in all that time."""


def _unknown(
    session: AnySession, campaign_id: int, grace_seconds: int, silent: list[int], left: Mapping[int, int]
) -> list[Any]:
    """Up to a slice of them, all of one relay that may answer; their batches are locked against another reconciler and
    against a late worker that knows better."""
    session.execute(
        text(
            """
            SELECT id FROM batch WHERE campaign_id = :campaign AND status <> 'done' AND unknown > 0 ORDER BY id FOR UPDATE
            """
        ),
        {"campaign": campaign_id},
    )
    return list(
        session.execute(
            text(
                f"""
                SELECT d.frozen_on, d.seq, coalesce(d.relay_id, 0) AS relay_id, b.id AS batch_id FROM batch b
                JOIN delivery d ON d.frozen_on = b.frozen_on AND d.campaign_id = b.campaign_id
                     AND d.seq BETWEEN b.first_seq AND b.last_seq
                WHERE b.campaign_id = :campaign AND b.status <> 'done' AND b.unknown > 0 AND d.status = 'unknown'
                  AND d.unknown_at < now() - make_interval(secs => :grace)
                  AND {NOT_LEFT.format("d")} AND coalesce(d.relay_id, 0) = (
                      SELECT min(coalesce(u.relay_id, 0)) FROM delivery u JOIN batch c ON u.frozen_on = c.frozen_on
                           AND u.campaign_id = c.campaign_id AND u.seq BETWEEN c.first_seq AND c.last_seq
                      WHERE c.campaign_id = :campaign AND c.status <> 'done' AND c.unknown > 0 AND u.status = 'unknown'
                        AND u.unknown_at < now() - make_interval(secs => :grace)
                        AND coalesce(u.relay_id, 0) <> ALL(:silent) AND {NOT_LEFT.format("u")})
                ORDER BY d.seq LIMIT :slice
                """  # noqa: S608  # ``NOT_LEFT`` is the condition below
            ),
            {
                "campaign": campaign_id,
                "grace": grace_seconds,
                "slice": SLICE,
                "silent": silent,
                "left_relays": list(left.keys()),
                "left_seqs": list(left.values()),
            },
        )
    )


NOT_LEFT = """
    {0}.seq > coalesce((SELECT l.seq FROM unnest(CAST(:left_relays AS int[]), CAST(:left_seqs AS int[])) AS l(relay, seq)
                        WHERE l.relay = coalesce({0}.relay_id, 0)), 0)
"""
"""Behind what its relay was asked about in this run and could not tell."""


def _settle_slice(session: AnySession, campaign_id: int, rows: list[Any], found: Mapping[int, str]) -> None:
    """Found: accepted. Not found: deferred and due at once, so that it goes the way of every retry."""
    if not rows:
        session.rollback()
        return
    session.execute(
        text(
            """
            UPDATE delivery d SET
                status = CASE WHEN v.queue_id IS NULL THEN 'deferred' ELSE 'accepted' END::delivery_status,
                -- At once after a first attempt (a crash); then with growing waits, like every retry.
                next_attempt_at = CASE WHEN v.queue_id IS NULL THEN now() + CASE WHEN d.attempts <= 1 THEN interval '0'
                    ELSE make_interval(secs => least(:longest, :first_wait * power(2, least(d.attempts, 30) - 2))) END END,
                reply_code = CASE WHEN v.queue_id IS NULL THEN NULL ELSE 250 END,
                reply_text = coalesce(:found || ':' || v.queue_id, :not_found)
            FROM unnest(CAST(:seqs AS int[]), CAST(:queue_ids AS text[])) AS v(seq, queue_id)
            WHERE d.frozen_on = :frozen_on AND d.campaign_id = :campaign AND d.seq BETWEEN :first AND :last
              AND d.seq = v.seq AND d.status = 'unknown'
            """
        ),
        {
            "found": OwnReply.FOUND_AT_RELAY,
            "not_found": OwnReply.NOT_FOUND_AT_RELAY,
            "first_wait": FIRST_WAIT_SECONDS,
            "longest": LONGEST_WAIT_SECONDS,
            "seqs": [row.seq for row in rows],
            "queue_ids": [found.get(row.seq) for row in rows],
            "first": rows[0].seq,
            "last": rows[-1].seq,
            "frozen_on": rows[0].frozen_on,
            "campaign": campaign_id,
        },
    )
    batch_ids = sorted({row.batch_id for row in rows})
    batches.recount(session, batch_ids)
    batches.close_finished(session, batch_ids)
    session.commit()
