"""Who goes first: urgent campaigns before the others, and within a lane the panels by their weights.

A panel's share is the part that it has of the batches that are out: they are served in the order in which they were rung,
so who has three times as many of them in the queue is served three times as often.
"""

from collections.abc import Mapping
from math import gcd

from sqlalchemy import text

from app.flow.sessions import AnySession
from app.models import MailStream

FREE_THREAD_SECONDS = 0.5
"""A batch that was rung so long ago and that nobody took found no free thread."""
OVERTAKEN_SECONDS = 3.0
"""Once a campaign is under way, its further batches wait so long before they make others yield: they may only stand in the
queue of one busy process."""
RING_LOST_SECONDS = 30.0
"""Older rings got lost; nobody needs to make room for them until they are rung again."""


def share_out(weights: Mapping[int, int], window: int) -> dict[int, int]:
    """How many batches each panel may have out: exactly in proportion to the weights, about ``window`` a panel, and never
    none. Pure."""
    if not weights:
        return {}
    divisor = gcd(*weights.values())
    total = sum(weights.values()) // divisor
    factor = max(1, round(window * len(weights) / total))
    return {panel_id: factor * weight // divisor for panel_id, weight in weights.items()}


def windows(session: AnySession, stream: MailStream, *, window: int) -> dict[int, int]:
    """:func:`share_out` among the panels that are sending something in this lane."""
    rows = session.execute(
        text(
            """
            SELECT DISTINCT p.id, p.weight FROM panel p JOIN campaign c ON c.panel_id = p.id
            WHERE c.status = 'sending' AND c.stream = :stream
            """
        ),
        {"stream": stream.value},
    )
    return share_out({row.id: row.weight for row in rows}, window)


URGENT_WAITS = """
    SELECT FROM campaign uc JOIN batch u ON u.campaign_id = uc.id
    WHERE uc.status = 'sending' AND uc.stream = 'urgent' AND u.status = 'ready'
      AND (u.next_attempt_at IS NULL OR u.next_attempt_at <= now())
      AND u.rung_at BETWEEN now() - make_interval(secs => :ring_lost) AND now() - make_interval(secs => :free_thread)
      AND (u.rung_at <= now() - make_interval(secs => :overtaken)
           OR NOT EXISTS (SELECT FROM batch w WHERE w.campaign_id = uc.id AND w.status = 'claimed'))
"""
"""An urgent batch that no thread was free for. It is not due while a limit holds it back, so nobody yields for that."""
URGENT_WAITS_VALUES = {
    "free_thread": FREE_THREAD_SECONDS,
    "overtaken": OVERTAKEN_SECONDS,
    "ring_lost": RING_LOST_SECONDS,
}
