"""Hits become events: raw, one row each, and the engagement of the delivery, counted once.

A bulk is one transaction and may be repeated at will: what stands already (same time, same id) is left out, and only
what was newly inserted is counted.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from sqlalchemy import text
from sqlalchemy.exc import DataError, IntegrityError

from app.flow.hit_stream import Unwritable
from app.flow.hits import Hit, UnreadableHit, decode_hit
from app.flow.sessions import AnySession
from app.models import EventKind
from app.models.partitions import ensure_partitions, month_of, partition_name

CAMPAIGN_UNKNOWN = "campaign_unknown"
REFUSED_BY_DATABASE = "refused_by_database"


@dataclass(frozen=True, slots=True)
class CampaignFacts:
    """What the tracking endpoint has to know of a campaign."""

    panel_id: int
    frozen_on: date | None
    audience_size: int
    complete: bool
    """The audience is frozen: nothing of this changes any more."""
    links: dict[int, str]
    """URL by position."""


def load_campaign_facts(session: AnySession, campaign_id: int) -> CampaignFacts | None:
    row = session.execute(
        text(
            """
            SELECT c.panel_id, c.frozen_on, c.audience_size, c.audience_frozen_at IS NOT NULL AS complete,
                   array_agg(l.position ORDER BY l.position) FILTER (WHERE l.url IS NOT NULL) AS positions,
                   array_agg(l.url ORDER BY l.position) FILTER (WHERE l.url IS NOT NULL) AS urls
            FROM campaign c LEFT JOIN campaign_link l ON l.campaign_id = c.id
            WHERE c.id = :id GROUP BY c.id
            """
        ),
        {"id": campaign_id},
    ).one_or_none()
    session.rollback()
    if row is None:
        return None
    links = dict(zip(row.positions or (), row.urls or (), strict=True))
    return CampaignFacts(row.panel_id, row.frozen_on, row.audience_size, row.complete, links)


def record_lines(session: AnySession, lines: Iterable[bytes], *, now: datetime | None = None) -> list[Unwritable]:
    """Write the hits of these lines, committed; returns what can't be written, with the reason.

    Raises what says that the database is away or not ready (``OperationalError`` and company): try again later.
    """
    moment = now or datetime.now(UTC)
    hits: dict[str, tuple[Hit, bytes]] = {}
    unwritable: list[Unwritable] = []
    for line in lines:
        try:
            hit = decode_hit(line, now=moment)
        except UnreadableHit as problem:
            unwritable.append(Unwritable(line, problem.reason))
        else:
            hits[hit.hit_id] = (hit, line)
    refused = record_hits(session, [hit for hit, _line in hits.values()])
    return unwritable + [Unwritable(hits[hit_id][1], reason) for hit_id, reason in refused.items()]


def record_hits(session: AnySession, hits: Sequence[Hit]) -> dict[str, str]:
    """Write them, committed; the ids of those that can't be, with the reason. A hit that the database refuses is found
    by halving, so that it holds none of the others up."""
    known = _known_campaigns(session, hits)
    refused = {hit.hit_id: CAMPAIGN_UNKNOWN for hit in hits if hit.campaign_id not in known}
    # In one order everywhere: two trackers with the same hits wait for each other instead of locking each other up.
    wanted = sorted((hit for hit in hits if hit.campaign_id in known), key=lambda hit: (hit.occurred_at, hit.hit_id))
    _ensure_months(session, {hit.occurred_at.date() for hit in wanted} | {known[hit.campaign_id][1] for hit in wanted})
    return refused | _insert_or_halve(session, wanted, known)


KnownCampaigns = dict[int, tuple[int, date]]
"""Panel and partition day, by campaign id."""


def _known_campaigns(session: AnySession, hits: Sequence[Hit]) -> KnownCampaigns:
    rows = session.execute(
        text("SELECT id, panel_id, frozen_on FROM campaign WHERE id = ANY(:ids) AND frozen_on IS NOT NULL"),
        {"ids": list({hit.campaign_id for hit in hits})},
    ).all()
    return {row.id: (row.panel_id, row.frozen_on) for row in rows}


def _ensure_months(session: AnySession, days: set[date]) -> None:
    """The partitions of these days' months, committed by themselves: making one locks the whole table."""
    for month in sorted({month_of(day) for day in days}):
        names = [partition_name(table, month) for table in ("event", "engagement")]
        missing = text("SELECT count(*) FROM unnest(CAST(:names AS text[])) AS name WHERE to_regclass(name) IS NULL")
        if session.scalar(missing, {"names": names}):
            ensure_partitions(session.connection(), month)
    session.commit()


def _insert_or_halve(session: AnySession, hits: Sequence[Hit], known: KnownCampaigns) -> dict[str, str]:
    if not hits:
        return {}
    try:
        _insert(session, hits, known)
        session.commit()
        return {}
    except (DataError, IntegrityError, UnicodeError):
        session.rollback()
    if len(hits) == 1:
        return {hits[0].hit_id: REFUSED_BY_DATABASE}
    middle = len(hits) // 2
    return _insert_or_halve(session, hits[:middle], known) | _insert_or_halve(session, hits[middle:], known)


def _insert(session: AnySession, hits: Sequence[Hit], known: KnownCampaigns) -> None:
    session.execute(
        text(INSERT_HITS),
        {
            "campaign_ids": list(known),
            "panel_ids": [panel_id for panel_id, _frozen_on in known.values()],
            "frozen_ons": [frozen_on for _panel_id, frozen_on in known.values()],
            "occurred_ats": [hit.occurred_at for hit in hits],
            "source_ids": [hit.hit_id for hit in hits],
            "campaigns": [hit.campaign_id for hit in hits],
            "seqs": [hit.seq for hit in hits],
            "kinds": [hit.kind.value for hit in hits],
            "links": [hit.link for hit in hits],
            "ips": [hit.ip for hit in hits],
            "user_agents": [hit.user_agent for hit in hits],
        },
    )


INSERT_HITS = """
    WITH known AS (
        SELECT * FROM unnest(CAST(:campaign_ids AS int[]), CAST(:panel_ids AS int[]), CAST(:frozen_ons AS date[]))
            AS known(campaign_id, panel_id, frozen_on)
    ), fresh AS (
        INSERT INTO event (occurred_at, source_id, panel_id, campaign_id, seq, kind, link, ip, user_agent)
        SELECT hit.occurred_at, hit.source_id, known.panel_id, hit.campaign_id, hit.seq, hit.kind, hit.link, hit.ip,
               hit.user_agent
        FROM unnest(CAST(:occurred_ats AS timestamptz[]), CAST(:source_ids AS text[]), CAST(:campaigns AS int[]),
                    CAST(:seqs AS int[]), CAST(:kinds AS text[]), CAST(:links AS smallint[]), CAST(:ips AS inet[]),
                    CAST(:user_agents AS text[]))
            AS hit(occurred_at, source_id, campaign_id, seq, kind, link, ip, user_agent)
        JOIN known USING (campaign_id)
        ORDER BY hit.occurred_at, hit.source_id
        ON CONFLICT DO NOTHING
        RETURNING occurred_at, campaign_id, seq, kind
    ), added AS (
        SELECT known.frozen_on, fresh.campaign_id, fresh.seq,
               count(*) FILTER (WHERE kind = 'open') AS opens, count(*) FILTER (WHERE kind = 'click') AS clicks,
               min(occurred_at) FILTER (WHERE kind = 'open') AS first_open_at,
               min(occurred_at) FILTER (WHERE kind = 'click') AS first_click_at
        FROM fresh JOIN known USING (campaign_id) GROUP BY known.frozen_on, fresh.campaign_id, fresh.seq
    ), now_has AS (
        INSERT INTO engagement (frozen_on, campaign_id, seq, opens, clicks, first_open_at, first_click_at)
        SELECT frozen_on, campaign_id, seq, opens, clicks, first_open_at, first_click_at FROM added
        ORDER BY frozen_on, campaign_id, seq
        ON CONFLICT (frozen_on, campaign_id, seq) DO UPDATE SET
            opens = engagement.opens + excluded.opens,
            clicks = engagement.clicks + excluded.clicks,
            first_open_at = least(engagement.first_open_at, excluded.first_open_at),
            first_click_at = least(engagement.first_click_at, excluded.first_click_at)
        RETURNING campaign_id, seq, opens, clicks
    )
    INSERT INTO campaign_reactions (campaign_id, openers, opens, clickers, clicks)
    -- Whoever has no more than was added just now had none before; the row was locked meanwhile.
    SELECT campaign_id, count(*) FILTER (WHERE now_has.opens + now_has.clicks = added.opens + added.clicks),
           sum(added.opens), count(*) FILTER (WHERE added.clicks > 0 AND now_has.clicks = added.clicks), sum(added.clicks)
    FROM now_has JOIN added USING (campaign_id, seq) GROUP BY campaign_id ORDER BY campaign_id
    ON CONFLICT (campaign_id) DO UPDATE SET
        openers = campaign_reactions.openers + excluded.openers, opens = campaign_reactions.opens + excluded.opens,
        clickers = campaign_reactions.clickers + excluded.clickers, clicks = campaign_reactions.clicks + excluded.clicks
"""


def note_unsubscribe(
    session: AnySession,
    *,
    panel_id: int,
    frozen_on: date,
    campaign_id: int,
    seq: int,
    source_id: str,
    ip: str | None,
    user_agent: str,
    now: datetime,
) -> None:
    """The unsubscribing as an event, once per delivery until it is undone. The caller commits."""
    noted = session.scalar(
        text(
            """
            INSERT INTO engagement (frozen_on, campaign_id, seq, unsubscribed_at)
            VALUES (:frozen_on, :campaign_id, :seq, :now)
            ON CONFLICT (frozen_on, campaign_id, seq) DO UPDATE SET unsubscribed_at = excluded.unsubscribed_at
            WHERE engagement.unsubscribed_at IS NULL
            RETURNING 1
            """
        ),
        {"frozen_on": frozen_on, "campaign_id": campaign_id, "seq": seq, "now": now},
    )
    if noted is None:
        return
    _count_leavers(session, campaign_id, +1)
    session.execute(
        text(
            """
            INSERT INTO event (occurred_at, source_id, panel_id, campaign_id, seq, kind, ip, user_agent)
            VALUES (:now, :source_id, :panel_id, :campaign_id, :seq, :kind, CAST(:ip AS inet), :user_agent)
            """
        ),
        {
            "now": now,
            "source_id": source_id,
            "panel_id": panel_id,
            "campaign_id": campaign_id,
            "seq": seq,
            "kind": EventKind.UNSUBSCRIBE.value,
            "ip": ip,
            "user_agent": user_agent,
        },
    )


def forget_unsubscribe(session: AnySession, *, frozen_on: date, campaign_id: int, seq: int) -> None:
    """The person took it back: the event stays, the engagement doesn't count it any more. The caller commits."""
    forgotten = session.scalar(
        text(
            """
            UPDATE engagement SET unsubscribed_at = NULL
            WHERE frozen_on = :frozen_on AND campaign_id = :campaign_id AND seq = :seq AND unsubscribed_at IS NOT NULL
            RETURNING 1
            """
        ),
        {"frozen_on": frozen_on, "campaign_id": campaign_id, "seq": seq},
    )
    if forgotten is not None:
        _count_leavers(session, campaign_id, -1)


def _count_leavers(session: AnySession, campaign_id: int, change: int) -> None:
    session.execute(
        text(
            """
            INSERT INTO campaign_reactions (campaign_id, leavers) VALUES (:campaign_id, :change)
            ON CONFLICT (campaign_id) DO UPDATE SET leavers = campaign_reactions.leavers + excluded.leavers
            """
        ),
        {"campaign_id": campaign_id, "change": change},
    )


def sum_up(session: AnySession, campaign_id: int) -> None:
    """The sums of a campaign's engagement, from the beginning: for engagement that came another way. Commits nothing."""
    session.execute(text("DELETE FROM campaign_reactions WHERE campaign_id = :id"), {"id": campaign_id})
    session.execute(text(SUMS), {"id": campaign_id})


SUMS = """
    INSERT INTO campaign_reactions (campaign_id, openers, opens, clickers, clicks, leavers)
    SELECT e.campaign_id, count(*) FILTER (WHERE opens > 0 OR clicks > 0), sum(opens),
           count(*) FILTER (WHERE clicks > 0), sum(clicks), count(unsubscribed_at)
    FROM engagement e JOIN campaign c ON c.id = e.campaign_id AND c.frozen_on = e.frozen_on
    WHERE c.id = :id GROUP BY e.campaign_id
"""
