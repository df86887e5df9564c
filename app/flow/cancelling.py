"""What a cancelled campaign leaves in the ledger: whoever was not tried, or waited for another try, is skipped.

Batches that a worker holds are left to their worker, who begins no chunk of a cancelled campaign and lets the batch go;
the dispatcher's sweep calls :func:`skip_remaining` again until none is left. So the ledger is whole again (law 4) soon
after, whatever is killed in between, and nobody waits for somebody else's lock.
"""

import time

from sqlalchemy import text

from app.flow import batches
from app.flow.sessions import AnySession, rows_changed

BATCHES_AT_ONCE = 50


def skip_remaining(session: AnySession, *, campaign_id: int | None = None, budget_seconds: float = 2.0) -> int:
    """Skip what remains of one cancelled campaign, or of all. Commits every :data:`BATCHES_AT_ONCE` batches and stops
    when the time is up. Returns the number of deliveries skipped."""
    give_up_at = time.monotonic() + budget_seconds
    skipped = 0
    while (done := _skip_some(session, campaign_id)) is not None:
        skipped += done
        if time.monotonic() > give_up_at:
            break
    return skipped


def _skip_some(session: AnySession, campaign_id: int | None) -> int | None:
    """Deliveries skipped; None where no batch had any. The batches are locked by a statement of their own, so that the
    next ones see everything that was committed before the lock."""
    batch_ids = list(session.scalars(text(LOCK_BATCHES), {"campaign": campaign_id, "limit": BATCHES_AT_ONCE}))
    if not batch_ids:
        session.rollback()
        return None
    skipped = rows_changed(session, text(SKIP_DELIVERIES), {"ids": batch_ids})
    batches.recount(session, batch_ids)
    batches.close_finished(session, batch_ids)
    session.commit()
    return skipped


LOCK_BATCHES = """
    SELECT b.id FROM batch b JOIN campaign c ON c.id = b.campaign_id
    WHERE c.status = 'cancelled' AND b.status = 'ready' AND b.planned + b.deferred > 0
      AND (CAST(:campaign AS integer) IS NULL OR c.id = :campaign)
    ORDER BY b.id LIMIT :limit FOR UPDATE OF b SKIP LOCKED
"""

SKIP_DELIVERIES = """
    UPDATE delivery d SET status = 'skipped', skip_reason = 'cancelled', next_attempt_at = NULL
    FROM batch b
    WHERE b.id = ANY(:ids) AND d.frozen_on = b.frozen_on AND d.campaign_id = b.campaign_id
      AND d.seq BETWEEN b.first_seq AND b.last_seq AND d.status IN ('planned', 'deferred')
"""
