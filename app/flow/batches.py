"""Batches: which are due, claiming one with a lease, letting it go, and what becomes of a lease that expired.

A claim is a compare-and-set that raises the batch's claim number. The number fences: deliveries are marked with it, and
only its holder may record their outcome as the one who was `sending` them. The lease is renewed while the work goes on;
a worker that lost it stops before its next byte.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import text

from app.flow import lanes
from app.flow.sessions import AnySession
from app.models import MailStream


@dataclass(frozen=True)
class ClaimedBatch:
    id: int
    campaign_id: int
    frozen_on: date
    first_seq: int
    last_seq: int
    provider: str
    claim: int


def ring_due(
    session: AnySession,
    *,
    window: int,
    ring_again_seconds: int,
    held: Collection[tuple[int, str]] = (),
    stream: MailStream = MailStream.BULK,
) -> list[int]:
    """Ids of batches of a lane to put on the broker now, in this order, marked as rung. About ``window`` per panel are out
    at a time, by the panels' weights and evenly among the campaigns of each, so that they share the workers and a pause
    has nothing to take back. ``held``: campaigns and mailbox providers whose batches would find nothing that may go."""
    windows = lanes.windows(session, stream, window=window)
    rows = session.execute(
        text(RING_DUE),
        {
            "stream": stream.value,
            "panels": list(windows),
            "sizes": list(windows.values()),
            "again": ring_again_seconds,
            "campaigns": [campaign_id for campaign_id, _ in held],
            "providers": [provider for _, provider in held],
        },
    ).all()
    session.commit()
    return [row.id for row in sorted(rows, key=lambda row: (row.turn, row.id))]


RING_DUE = """
    WITH open AS (
        SELECT b.id, b.campaign_id, c.panel_id, b.next_attempt_at, w.size,
               coalesce(b.rung_at >= now() - make_interval(secs => :again), false) AS is_out
        FROM campaign c JOIN batch b ON b.campaign_id = c.id
        JOIN unnest(CAST(:panels AS int[]), CAST(:sizes AS int[])) AS w(panel, size) ON w.panel = c.panel_id
        WHERE b.status = 'ready' AND c.status = 'sending' AND c.stream = :stream
          AND (b.next_attempt_at IS NULL OR b.next_attempt_at <= now())
          AND (b.is_canary OR coalesce(c.canary_stage, 'passed') = 'passed')
          AND NOT EXISTS (
              SELECT FROM unnest(CAST(:campaigns AS int[]), CAST(:providers AS text[])) AS held(campaign, provider)
              WHERE held.campaign = b.campaign_id AND held.provider = b.provider)
    ), of_campaign AS (
        SELECT *, count(*) FILTER (WHERE is_out) OVER (PARTITION BY campaign_id) + row_number()
               OVER (PARTITION BY campaign_id, is_out ORDER BY next_attempt_at NULLS FIRST, id) AS turn
        FROM open
    ), due AS (
        SELECT *, count(*) FILTER (WHERE is_out) OVER (PARTITION BY panel_id) + row_number()
               OVER (PARTITION BY panel_id, is_out ORDER BY turn, campaign_id) AS place
        FROM of_campaign
    )
    UPDATE batch SET rung_at = now() FROM due
    WHERE batch.id = due.id AND NOT due.is_out AND due.place <= due.size AND batch.status = 'ready'
    RETURNING batch.id, (due.place - 0.5) / due.size AS turn
"""


def claim(session: AnySession, batch_id: int, *, worker: str, lease_seconds: int) -> ClaimedBatch | None:
    """The batch, ours until the lease ends; None where someone else has it, it is done, or its campaign doesn't send."""
    row = session.execute(
        text(
            """
            UPDATE batch b SET status = 'claimed', claim = b.claim + 1, claimed_by = :worker,
                   lease_expires_at = now() + make_interval(secs => :lease)
            FROM campaign c
            WHERE b.id = :id AND b.status = 'ready' AND c.id = b.campaign_id AND c.status = 'sending'
              AND (b.next_attempt_at IS NULL OR b.next_attempt_at <= now())
              AND (b.is_canary OR coalesce(c.canary_stage, 'passed') = 'passed')
            RETURNING b.id, b.campaign_id, b.frozen_on, b.first_seq, b.last_seq, b.provider, b.claim
            """
        ),
        {"id": batch_id, "worker": worker, "lease": lease_seconds},
    ).one_or_none()
    session.commit()
    return ClaimedBatch(*row) if row else None


def renew(session: AnySession, batch: ClaimedBatch, *, lease_seconds: int) -> bool:
    """Push the lease's end out; False where the claim is no longer ours."""
    result = session.execute(
        text(
            """
            UPDATE batch SET lease_expires_at = now() + make_interval(secs => :lease)
            WHERE id = :id AND claim = :claim AND status = 'claimed' RETURNING id
            """
        ),
        {"id": batch.id, "claim": batch.claim, "lease": lease_seconds},
    ).one_or_none()
    session.commit()
    return result is not None


@dataclass(frozen=True)
class Standing:
    """How a claimed batch stands at this moment."""

    is_ours: bool
    campaign_sends: bool
    urgent_waits: bool = False
    """Something urgent found no free thread, and this batch isn't urgent."""


def standing(session: AnySession, batch: ClaimedBatch) -> Standing:
    """Whether the claim is still ours (nobody declared the lease expired, whatever the clocks say), the campaign is
    still to be sent, and nothing goes before it."""
    row = session.execute(text(STANDING), {"id": batch.id, "claim": batch.claim, **lanes.URGENT_WAITS_VALUES}).one()
    session.commit()
    return Standing(row.is_ours, row.campaign_sends, row.urgent_waits)


STANDING = f"""
    SELECT b.claim = :claim AND b.status = 'claimed' AS is_ours, c.status = 'sending' AS campaign_sends,
           c.stream <> 'urgent' AND EXISTS ({lanes.URGENT_WAITS}) AS urgent_waits
    FROM batch b JOIN campaign c ON c.id = b.campaign_id WHERE b.id = :id
"""  # noqa: S608  # made of constants


def release(session: AnySession, batch: ClaimedBatch, *, not_before: datetime | None = None) -> None:
    """Let the batch go: done where every delivery is final, else ready again for its earliest retry (and not before
    ``not_before``). Rings nobody: deliveries that are `unknown` keep it open until they are settled."""
    lock(session, [batch.id])
    session.execute(
        text(
            """
            UPDATE batch b SET lease_expires_at = NULL, rung_at = NULL,
                   status = CASE WHEN b.planned + b.sending + b.deferred + b.unknown = 0 THEN 'done' ELSE 'ready' END,
                   next_attempt_at = CASE
                       WHEN b.planned > 0 THEN CAST(:not_before AS timestamptz)
                       ELSE greatest(CAST(:not_before AS timestamptz), coalesce(
                            (SELECT min(d.next_attempt_at) FROM delivery d
                             WHERE d.frozen_on = b.frozen_on AND d.campaign_id = b.campaign_id
                               AND d.seq BETWEEN b.first_seq AND b.last_seq AND d.status = 'deferred'),
                            '9000-01-01 00:00+00')) END
            WHERE b.id = :id AND b.claim = :claim AND b.status = 'claimed'
            """
        ),
        {"id": batch.id, "claim": batch.claim, "not_before": not_before},
    )
    session.commit()


@dataclass(frozen=True)
class ExpiredBatch:
    id: int
    campaign_id: int
    unknown: int


def expire_leases(session: AnySession) -> list[ExpiredBatch]:
    """Batches whose worker is gone: what it left in `sending` becomes `unknown` (never sent again before the relay was
    asked); the rest may be claimed by another."""
    expired = session.execute(
        text(
            """
            SELECT id, campaign_id, frozen_on, first_seq, last_seq, provider, claim FROM batch
            WHERE status = 'claimed' AND lease_expires_at < now() FOR UPDATE SKIP LOCKED
            """
        )
    ).all()
    results = []
    for row in expired:
        batch = ClaimedBatch(*row)
        unknown = session.execute(
            text(
                """
                UPDATE delivery SET status = 'unknown', unknown_at = now()
                WHERE frozen_on = :frozen_on AND campaign_id = :campaign_id AND seq BETWEEN :first AND :last
                  AND status = 'sending'
                """
            ),
            {
                "frozen_on": batch.frozen_on,
                "campaign_id": batch.campaign_id,
                "first": batch.first_seq,
                "last": batch.last_seq,
            },
        )
        recount(session, [batch.id])
        # The claim number is raised here already: from now on the old worker's renewals fail.
        session.execute(
            text("UPDATE batch SET status = 'ready', claim = claim + 1, lease_expires_at = NULL WHERE id = :id"),
            {"id": batch.id},
        )
        close_finished(session, [batch.id])
        results.append(ExpiredBatch(batch.id, batch.campaign_id, unknown.rowcount))  # type: ignore[attr-defined]  # a cursor result
    session.commit()
    return results


def lock(session: AnySession, batch_ids: list[int]) -> None:
    """Lock the batches before any of their deliveries, in order: whoever changes deliveries does it first, so that nobody
    waits crosswise, and a recount sees everything that was committed before the lock. Commits nothing."""
    session.execute(text("SELECT id FROM batch WHERE id = ANY(:ids) ORDER BY id FOR UPDATE"), {"ids": batch_ids})


def due_count(session: AnySession, batch: ClaimedBatch) -> int:
    """How many deliveries of the batch could be sent now."""
    return int(
        session.scalar(
            text(
                """
                SELECT count(*) FROM delivery
                WHERE frozen_on = :frozen_on AND campaign_id = :campaign AND seq BETWEEN :first AND :last
                  AND (status = 'planned' OR (status = 'deferred' AND next_attempt_at <= now()))
                """
            ),
            {
                "frozen_on": batch.frozen_on,
                "campaign": batch.campaign_id,
                "first": batch.first_seq,
                "last": batch.last_seq,
            },
        )
        or 0
    )


def recount(session: AnySession, batch_ids: list[int]) -> None:
    """Set the batches' counts from their deliveries. Called in every transaction that changes deliveries, after
    :func:`lock`; commits nothing."""
    session.execute(
        text(
            """
            UPDATE batch SET planned = n.planned, sending = n.sending, accepted = n.accepted, delivered = n.delivered,
                   deferred = n.deferred, bounced = n.bounced, failed = n.failed, skipped = n.skipped,
                   skipped_by = CASE WHEN n.skipped = batch.skipped THEN batch.skipped_by ELSE (
                       SELECT coalesce(jsonb_object_agg(r.skip_reason, r.number), '{}') FROM (
                           SELECT d.skip_reason, count(*) AS number FROM delivery d
                           WHERE d.frozen_on = batch.frozen_on AND d.campaign_id = batch.campaign_id
                             AND d.seq BETWEEN batch.first_seq AND batch.last_seq
                             AND d.status = 'skipped' AND d.skip_reason IS NOT NULL GROUP BY d.skip_reason) r) END,
                   unknown = n.unknown
            FROM (
                SELECT b.id,
                       count(*) FILTER (WHERE d.status = 'planned') AS planned,
                       count(*) FILTER (WHERE d.status = 'sending') AS sending,
                       count(*) FILTER (WHERE d.status = 'accepted') AS accepted,
                       count(*) FILTER (WHERE d.status = 'delivered') AS delivered,
                       count(*) FILTER (WHERE d.status = 'deferred') AS deferred,
                       count(*) FILTER (WHERE d.status = 'bounced') AS bounced,
                       count(*) FILTER (WHERE d.status = 'failed') AS failed,
                       count(*) FILTER (WHERE d.status = 'skipped') AS skipped,
                       count(*) FILTER (WHERE d.status = 'unknown') AS unknown
                FROM batch b JOIN delivery d ON d.frozen_on = b.frozen_on AND d.campaign_id = b.campaign_id
                     AND d.seq BETWEEN b.first_seq AND b.last_seq
                WHERE b.id = ANY(:ids) GROUP BY b.id
            ) n WHERE batch.id = n.id
            """
        ),
        {"ids": batch_ids},
    )


def close_finished(session: AnySession, batch_ids: list[int]) -> None:
    """Mark ready batches done whose deliveries are all final, and give the others their earliest retry. Commits
    nothing. For those who settle deliveries of batches that nobody holds (reconciling, cancelling)."""
    session.execute(
        text(
            """
            UPDATE batch b SET
                status = CASE WHEN b.planned + b.sending + b.deferred + b.unknown = 0 THEN 'done' ELSE 'ready' END,
                rung_at = NULL,
                next_attempt_at = CASE WHEN b.planned > 0 THEN NULL ELSE
                    (SELECT coalesce(min(d.next_attempt_at), '9000-01-01 00:00+00') FROM delivery d
                     WHERE d.frozen_on = b.frozen_on AND d.campaign_id = b.campaign_id
                       AND d.seq BETWEEN b.first_seq AND b.last_seq AND d.status = 'deferred') END
            WHERE b.id = ANY(:ids) AND b.status = 'ready'
            """
        ),
        {"ids": batch_ids},
    )
