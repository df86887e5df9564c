"""Which IPs may send now, for the send path: one query a chunk."""

from dataclasses import dataclass

from sqlalchemy import text

from app.flow.sessions import AnySession
from app.models import EgressState, MailStream


@dataclass(frozen=True, slots=True)
class EgressCandidate:
    """An IP that may send."""

    id: int
    address: str
    weight: int
    rate_per_hour: int | None
    state: EgressState
    """Warming or active."""
    warm_up_day: int | None
    """From 1 (days of UTC, by the database's clock); none where it is warm."""


CANDIDATES = text(
    """
    SELECT EXISTS (SELECT FROM egress_ip WHERE relay_id = :relay) AS has_ips,
        ip.id, ip.address, ip.weight, ip.rate_per_hour, ip.state,
        CASE WHEN ip.state = 'warming'
            THEN greatest(1, CAST(now() AT TIME ZONE 'UTC' AS date)
                - coalesce(ip.warm_up_started_on, CAST(ip.state_since AT TIME ZONE 'UTC' AS date)) + 1)
        END AS warm_up_day
    FROM (SELECT coalesce(
        (SELECT pool_id FROM egress_assignment WHERE relay_id = :relay AND panel_id = :panel AND stream = :stream),
        (SELECT min(pool_id) FROM egress_ip WHERE relay_id = :relay)
    ) AS pool_id) AS chosen
    LEFT JOIN egress_ip AS ip ON ip.pool_id = chosen.pool_id AND ip.state <> 'quarantined'
    ORDER BY ip.id
    """
)
"""Always at least one row, so that an empty pool is told from a relay without IPs."""


def candidates(session: AnySession, relay_id: int, panel_id: int, stream: MailStream) -> list[EgressCandidate] | None:
    """The IPs of the stream's pool that may send, by id.

    ``None``: the relay has no IPs of ours at all, mail goes to it without naming one. ``[]``: it has, but the pool's are
    all in quarantine (or were moved away): mail must wait, or it would leave by an address that nobody chose."""
    found = session.execute(CANDIDATES, {"relay": relay_id, "panel": panel_id, "stream": stream.value}).all()
    if not found[0].has_ips:
        return None
    return [
        EgressCandidate(row.id, row.address, row.weight, row.rate_per_hour, EgressState(row.state), row.warm_up_day)
        for row in found
        if row.id is not None
    ]
