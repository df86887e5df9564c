"""What each IP was given and what became of it, by day and provider: by the send path with the outcomes of a chunk, and later
by what the relay's log tells.

``submitted`` is use of the IP, which warm-ups count: a message counts once for the IP that the platform chose, when it is
handed over, and once more for another one, where the log shows that it left by that (its queue was moved after a
quarantine). Tries that Postfix repeats by itself count as deferred, not as further use. What went by an IP that is quarantined
since stays counted for it: it may have been tried there before.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Protocol

from sqlalchemy import text

from app.flow.sessions import AnySession


def count_use(session: AnySession, provider: str, *, day: date, uses: Mapping[int, Mapping[str, int]]) -> None:
    """Add to the figures of each IP. ``uses``: by IP the counts of ``submitted``, ``deferred`` and ``bounced``. ``day``: of
    UTC. Commits nothing. In the order of the ids, so that two chunks that share IPs never wait crosswise."""
    if not uses:
        return
    ids = sorted(uses)
    values = {name: [uses[ip_id].get(name, 0) for ip_id in ids] for name in ("submitted", "deferred", "bounced")}
    session.execute(text(COUNT), {"ids": ids, "provider": provider, "day": day, **values})


# An IP that was removed meanwhile has no figures any more.
COUNT = """
    INSERT INTO egress_use (egress_ip_id, provider, day, submitted, deferred, bounced)
    SELECT v.id, :provider, :day, v.submitted, v.deferred, v.bounced
    FROM unnest(CAST(:ids AS int[]), CAST(:submitted AS int[]), CAST(:deferred AS int[]), CAST(:bounced AS int[]))
        AS v(id, submitted, deferred, bounced)
    JOIN egress_ip USING (id) ORDER BY v.id
    ON CONFLICT (egress_ip_id, provider, day) DO UPDATE SET
        submitted = egress_use.submitted + excluded.submitted, deferred = egress_use.deferred + excluded.deferred,
        bounced = egress_use.bounced + excluded.bounced
"""


class Told(Protocol):
    """A line of the relay's log that nobody told before."""

    @property
    def frozen_on(self) -> date: ...
    @property
    def campaign_id(self) -> int: ...
    @property
    def seq(self) -> int: ...
    @property
    def egress_ip_id(self) -> int | None: ...
    @property
    def status(self) -> str: ...
    @property
    def at(self) -> datetime: ...


def count_told_use(session: AnySession, relay_id: int, told: Sequence[Told], *, now: datetime) -> None:
    """Add what the log tells of IPs of this relay. ``told`` stands in ``relay_outcome`` already, each line once. A day that
    is still to come is today: the relay's clock is not ours. Commits nothing."""
    if not told:
        return
    values = {
        "frozen": [one.frozen_on for one in told],
        "campaigns": [one.campaign_id for one in told],
        "seqs": [one.seq for one in told],
        "ips": [one.egress_ip_id for one in told],
        "statuses": [one.status for one in told],
        "days": [min(one.at, now).astimezone(UTC).date() for one in told],
        "ats": [one.at for one in told],
    }
    session.execute(text(COUNT_TOLD), {"relay": relay_id, **values})


# New to an IP: all that is known of the delivery at this IP stands in this very bundle.
COUNT_TOLD = """
    WITH line AS (
        SELECT v.*, row_number() OVER by_ip AS number, count(*) OVER (PARTITION BY frozen_on, campaign_id, seq, ip) AS lines
        FROM unnest(CAST(:frozen AS date[]), CAST(:campaigns AS int[]), CAST(:seqs AS int[]), CAST(:ips AS int[]),
                    CAST(:statuses AS text[]), CAST(:days AS date[]), CAST(:ats AS timestamptz[]))
            AS v(frozen_on, campaign_id, seq, ip, status, day, at)
        WINDOW by_ip AS (PARTITION BY frozen_on, campaign_id, seq, ip ORDER BY at)
    )
    INSERT INTO egress_use (egress_ip_id, provider, day, submitted, deferred, bounced, delivered)
    SELECT i.id, b.provider, l.day,
           count(*) FILTER (WHERE l.number = 1 AND d.egress_ip_id IS DISTINCT FROM i.id AND l.lines = (
               SELECT count(*) FROM relay_outcome o WHERE o.frozen_on = l.frozen_on AND o.campaign_id = l.campaign_id
                   AND o.seq = l.seq AND o.egress_ip_id = i.id)),
           count(*) FILTER (WHERE l.status = 'deferred'), count(*) FILTER (WHERE l.status = 'bounced'),
           count(*) FILTER (WHERE l.status = 'sent')
    FROM line l
    JOIN egress_ip i ON i.id = l.ip AND i.relay_id = :relay
    JOIN delivery d ON d.frozen_on = l.frozen_on AND d.campaign_id = l.campaign_id AND d.seq = l.seq
    CROSS JOIN LATERAL (
        SELECT provider FROM batch WHERE campaign_id = l.campaign_id AND first_seq <= l.seq ORDER BY first_seq DESC LIMIT 1
    ) b
    GROUP BY i.id, b.provider, l.day ORDER BY i.id, b.provider, l.day
    ON CONFLICT (egress_ip_id, provider, day) DO UPDATE SET
        submitted = egress_use.submitted + excluded.submitted, deferred = egress_use.deferred + excluded.deferred,
        bounced = egress_use.bounced + excluded.bounced, delivered = egress_use.delivered + excluded.delivered
"""
