"""For the send path: what each IP was given today, written down with the outcomes of a chunk."""

from collections.abc import Mapping
from datetime import date

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
