"""What a relay's log proves of a message: that the relay took it, or that it never did.

That something does not stand in a log proves nothing by itself: the log may not be read so far, lines may be missing, the
message may still be in the sender's or the network's buffers. So "provably not" takes all of this: the log was complete since
before the attempt began; it was read past the moment at which the answer was given up for lost, by more than any connection
to the relay may be silent (the margin, ``relay_silence_seconds``); and no line shows that the message so much as began to
arrive, or it was looked for in the queue after that margin and had been dropped.
"""

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import text

from app.flow.sessions import AnySession


def remembered(
    session: AnySession, campaign_id: int, relay_id: int, seqs: Collection[int], *, margin: timedelta
) -> Mapping[int, str | None] | None:
    """For each delivery that the relay took its queue id; None for one that can't be told; what is missing, it provably
    has not. None altogether: nobody reads this relay's log."""
    asked = {"campaign": campaign_id, "relay": relay_id, "seqs": list(seqs), "margin": margin}
    rows = session.execute(text(SEEN), asked).all()
    if not rows:
        return None if not _is_followed(session, relay_id) else dict.fromkeys(seqs)
    told = {row.seq: row for row in rows}
    return {
        seq: told[seq].queue_id if seq in told else None
        for seq in seqs
        if seq not in told or told[seq].queue_id is not None or not _provably_absent(told[seq], margin)
    }


def _provably_absent(row: Any, margin: timedelta) -> bool:
    if row.is_named or row.read_until is None or row.unknown_at is None or row.last_attempt_at is None:
        return False
    return bool(row.complete_since <= row.last_attempt_at and row.read_until >= row.unknown_at + margin)


def _is_followed(session: AnySession, relay_id: int) -> bool:
    return bool(session.scalar(text("SELECT 1 FROM relay_log WHERE relay_id = :relay"), {"relay": relay_id}))


SEEN = """
    SELECT d.seq, d.last_attempt_at, d.unknown_at, l.complete_since, l.read_until,
           (SELECT o.queue_id FROM relay_outcome o
            WHERE o.frozen_on = d.frozen_on AND o.campaign_id = d.campaign_id AND o.seq = d.seq
              AND o.status NOT IN ('named', 'dropped')
            ORDER BY o.at DESC LIMIT 1) AS queue_id,
           EXISTS (SELECT FROM relay_outcome o WHERE o.frozen_on = d.frozen_on AND o.campaign_id = d.campaign_id
                   AND o.seq = d.seq AND o.status = 'named' AND NOT EXISTS (
                       SELECT FROM relay_outcome x WHERE x.frozen_on = d.frozen_on AND x.campaign_id = d.campaign_id
                       AND x.seq = d.seq AND x.status = 'dropped' AND x.queue_id = o.queue_id AND x.at >= d.unknown_at + :margin
                   )) AS is_named
    FROM campaign c JOIN delivery d ON d.frozen_on = c.frozen_on AND d.campaign_id = c.id AND d.seq = ANY(:seqs)
    JOIN relay_log l ON l.relay_id = d.relay_id
    WHERE c.id = :campaign AND d.relay_id = :relay
"""
