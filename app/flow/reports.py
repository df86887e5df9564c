"""What happened, for people: counts, rate, time left; opens, clicks, links, domains.

All counts are sums over a campaign's batches, which change in the same transaction as their deliveries: they are the
truth at every moment. The rate is made of samples (see ``sampling``).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select, text

from app.flow.sampling import SAMPLE_SECONDS
from app.flow.sessions import AnySession
from app.models import Batch, Campaign, CampaignReactions, CampaignStatus

PLOT_POINTS = 120


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Deliveries by status. ``planned`` is all of them (law 4); ``waiting`` those not tried yet or on the wire."""

    planned: int = 0
    waiting: int = 0
    accepted: int = 0
    """By our relay, including those that the remote MX is known to have taken."""
    deferred: int = 0
    bounced: int = 0
    failed: int = 0
    skipped: int = 0
    unknown: int = 0

    @property
    def settled(self) -> int:
        """Those for which nothing more will be done."""
        return self.accepted + self.bounced + self.failed + self.skipped

    @property
    def answered(self) -> int:
        """Those that a relay has answered for, at least once."""
        return self.accepted + self.deferred + self.bounced + self.failed

    @property
    def open(self) -> int:
        """Those that a cancellation would skip, or that are being settled."""
        return self.waiting + self.deferred + self.unknown


STATUS_SUMS = {
    "waiting": Batch.planned + Batch.sending,
    "accepted": Batch.accepted + Batch.delivered,
    "deferred": Batch.deferred,
    "bounced": Batch.bounced,
    "failed": Batch.failed,
    "skipped": Batch.skipped,
    "unknown": Batch.unknown,
}


def counts(session: AnySession, campaign_id: int) -> Counts:
    return counts_of(session, [campaign_id])[campaign_id]


def counts_of(session: AnySession, campaign_ids: Iterable[int]) -> dict[int, Counts]:
    """Counts of several campaigns at once; zeros for those without batches."""
    ids = list(campaign_ids)
    sums = [func.sum(expression).label(name) for name, expression in STATUS_SUMS.items()]
    rows = session.execute(
        select(Batch.campaign_id, *sums).where(Batch.campaign_id.in_(ids)).group_by(Batch.campaign_id)
    )
    found = {}
    for row in rows:
        values = {name: int(getattr(row, name)) for name in STATUS_SUMS}
        found[row.campaign_id] = Counts(planned=sum(values.values()), **values)
    return {campaign_id: found.get(campaign_id, Counts()) for campaign_id in ids}


def skipped_by_reason(session: AnySession, campaign: Campaign) -> dict[str, int]:
    rows = session.execute(
        text(
            """
            SELECT r.key, sum(r.value::int) FROM batch b, jsonb_each_text(b.skipped_by) r
            WHERE b.campaign_id = :id AND b.skipped > 0 GROUP BY r.key ORDER BY 2 DESC, 1
            """
        ),
        {"id": campaign.id},
    )
    return {reason: int(number) for reason, number in rows}


# Over time.


@dataclass(frozen=True)
class Speed:
    """Answers per second; None where there are no samples to tell by."""

    last_10_seconds: float | None
    last_minute: float | None
    seconds_left: float | None
    """Until everything was tried once, at the speed of the last minute."""


def speed(session: AnySession, campaign: Campaign, current: Counts, now: datetime | None = None) -> Speed:
    """How fast it goes now. Nothing is going unless the campaign sends."""
    if campaign.status is not CampaignStatus.SENDING:
        return Speed(None, None, None)
    now = now or datetime.now(UTC)
    short, long = (_rate_since(session, campaign.id, current, now, seconds) for seconds in (10, 60))
    rate = long if long else short
    return Speed(short, long, current.waiting / rate if rate else None)


def _rate_since(session: AnySession, campaign_id: int, current: Counts, now: datetime, seconds: int) -> float | None:
    """From the newest sample that is at least ``seconds`` old, or the oldest since, to this moment."""
    row = session.execute(
        text(
            """
            (SELECT at, answered FROM campaign_sample WHERE campaign_id = :id AND at <= :since AND at > :too_old
             ORDER BY at DESC LIMIT 1)
            UNION ALL
            (SELECT at, answered FROM campaign_sample WHERE campaign_id = :id AND at > :since ORDER BY at LIMIT 1)
            LIMIT 1
            """
        ),
        {
            "id": campaign_id,
            "since": now - timedelta(seconds=seconds),
            "too_old": now - timedelta(seconds=2 * seconds + SAMPLE_SECONDS),
        },
    ).one_or_none()
    if row is None or (now - row.at).total_seconds() < 1:
        return None
    return float(max(0.0, (current.answered - row.answered) / (now - row.at).total_seconds()))


@dataclass(frozen=True)
class Point:
    at: datetime
    accepted: int


def progress(session: AnySession, campaign_id: int, *, points: int = PLOT_POINTS) -> list[Point]:
    """Accepted over time, thinned to about ``points``: the last sample of each of as many equal spans."""
    rows = session.execute(
        text(
            """
            SELECT max(at) AS at, max(accepted) AS accepted FROM (
                SELECT at, accepted, width_bucket(extract(epoch FROM at), first, last + 0.001, :points) AS span
                FROM campaign_sample, (SELECT extract(epoch FROM min(at)) AS first, extract(epoch FROM max(at)) AS last
                                       FROM campaign_sample WHERE campaign_id = :id) ends
                WHERE campaign_id = :id
            ) spans GROUP BY span ORDER BY 1
            """
        ),
        {"id": campaign_id, "points": points},
    )
    return [Point(row.at, row.accepted) for row in rows]


# What recipients did.


@dataclass(frozen=True, kw_only=True)
class Reactions:
    """``openers``, ``clickers`` and ``leavers`` are recipients, each counted once; ``opens`` and ``clicks`` are events."""

    openers: int = 0
    opens: int = 0
    clickers: int = 0
    clicks: int = 0
    leavers: int = 0


def reactions(session: AnySession, campaign: Campaign) -> Reactions:
    row = session.get(CampaignReactions, campaign.id, populate_existing=True)
    if row is None:
        return Reactions()
    return Reactions(
        openers=row.openers, opens=row.opens, clickers=row.clickers, clicks=row.clicks, leavers=row.leavers
    )


@dataclass(frozen=True)
class LinkClicks:
    position: int
    url: str
    clicks: int
    clickers: int


def link_clicks(session: AnySession, campaign: Campaign) -> list[LinkClicks]:
    """Every link of the campaign, the most clicked first."""
    rows = session.execute(
        text(
            """
            SELECT l.position, l.url, coalesce(e.clicks, 0) AS clicks, coalesce(e.clickers, 0) AS clickers
            FROM campaign_link l LEFT JOIN (
                SELECT link, count(*) AS clicks, count(DISTINCT seq) AS clickers FROM event
                WHERE campaign_id = :id AND kind = 'click' AND occurred_at >= :since GROUP BY link
            ) e ON e.link = l.position
            WHERE l.campaign_id = :id ORDER BY clicks DESC, l.position
            """
        ),
        {"id": campaign.id, "since": campaign.started_at or campaign.created_at},
    )
    return [LinkClicks(*row) for row in rows]


@dataclass(frozen=True)
class Span:
    begins_at: datetime
    openers: int
    clickers: int


SPANS_SECONDS = (60, 300, 900, 3600, 6 * 3600, 86400, 7 * 86400)


def reactions_over_time(session: AnySession, campaign: Campaign, *, spans: int = 60) -> tuple[int, list[Span]]:
    """First opens and first clicks per span of time, and the span's length in seconds: the shortest that needs at most
    ``spans`` of them."""
    if campaign.frozen_on is None:
        return SPANS_SECONDS[0], []
    key = {"id": campaign.id, "frozen_on": campaign.frozen_on}
    bounds = session.execute(text(REACTION_BOUNDS), key).one()
    if bounds.first is None:
        return SPANS_SECONDS[0], []
    lasted = (bounds.last - bounds.first).total_seconds()
    seconds = next((s for s in SPANS_SECONDS if lasted / s <= spans), SPANS_SECONDS[-1])
    rows = session.execute(text(REACTION_SPANS), {**key, "seconds": seconds})
    return seconds, [Span(*row) for row in rows]


REACTION_BOUNDS = """
    SELECT least(min(first_open_at), min(first_click_at)) AS first,
           greatest(max(first_open_at), max(first_click_at)) AS last
    FROM engagement WHERE frozen_on = :frozen_on AND campaign_id = :id
"""
REACTION_SPANS = """
    SELECT begins_at, count(*) FILTER (WHERE kind = 'open'), count(*) FILTER (WHERE kind = 'click') FROM (
        SELECT date_bin(make_interval(secs => :seconds), v.at, TIMESTAMPTZ '2020-01-06 05:00Z') AS begins_at, v.kind
        FROM engagement e CROSS JOIN LATERAL (VALUES (e.first_open_at, 'open'), (e.first_click_at, 'click')) v(at, kind)
        WHERE e.frozen_on = :frozen_on AND e.campaign_id = :id AND v.at IS NOT NULL
    ) firsts GROUP BY begins_at ORDER BY begins_at
"""


@dataclass(frozen=True)
class DomainCounts:
    """``domain`` empty: all the others together."""

    domain: str
    recipients: int
    accepted: int
    refused: int
    openers: int
    clickers: int


def by_domain(session: AnySession, campaign: Campaign, *, top: int = 15) -> list[DomainCounts]:
    """The domains with most recipients, then the rest in one row."""
    if campaign.frozen_on is None:
        return []
    rows = session.execute(text(BY_DOMAIN), {"id": campaign.id, "frozen_on": campaign.frozen_on, "top": top})
    return [DomainCounts(*row) for row in rows]


BY_DOMAIN = """
    WITH each AS (
        SELECT split_part(d.email, '@', 2) AS domain, count(*) AS recipients,
               count(*) FILTER (WHERE d.status IN ('accepted', 'delivered')) AS accepted,
               count(*) FILTER (WHERE d.status IN ('bounced', 'failed')) AS refused,
               count(*) FILTER (WHERE e.opens > 0 OR e.clicks > 0) AS openers,
               count(*) FILTER (WHERE e.clicks > 0) AS clickers
        FROM delivery d LEFT JOIN engagement e
             ON e.frozen_on = d.frozen_on AND e.campaign_id = d.campaign_id AND e.seq = d.seq
        WHERE d.frozen_on = :frozen_on AND d.campaign_id = :id GROUP BY 1
    ), ranked AS (
        SELECT *, row_number() OVER (ORDER BY recipients DESC, domain) <= :top AS is_top FROM each
    )
    SELECT CASE WHEN is_top THEN domain ELSE '' END AS shown, sum(recipients)::bigint, sum(accepted)::bigint,
           sum(refused)::bigint, sum(openers)::bigint, sum(clickers)::bigint
    FROM ranked GROUP BY shown, is_top ORDER BY is_top DESC, 2 DESC, shown
"""
