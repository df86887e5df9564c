"""Freezing the audience: the members of a campaign's lists become deliveries, once, and batches over them.

Set-based SQL in slices of contacts by id, each slice one transaction that also moves the campaign's cursor: a kill
costs at most one slice, and two workers at once take turns on the campaign's row lock instead of doing work twice.

Each batch has the recipients of one mailbox provider, so that a limit which holds the provider back holds whole batches
back and nothing else. Within a slice the batches of the providers are laid out evenly (position = number of the batch ÷
batches of the provider), and within a provider so are the recipients of each domain: all of them progress alike.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime

from sqlalchemy import text

from app.config import Settings
from app.flow import bell, canary, mail_domains
from app.flow.composing import CompositionProblem, compile_for, store_links
from app.flow.not_reached import condition_for
from app.flow.outcomes import pause_campaign
from app.flow.sessions import AnySession
from app.models import CAMPAIGN_TRANSITIONS, Campaign, CampaignStatus, MailStream, PauseReason, coded, sources_of
from app.models.partitions import ensure_partitions, partition_name

SLICE_CONTACTS = 50_000
URGENT_PREPARE_SECONDS = 1.0
"""Something urgent doesn't wait for name servers: whoever isn't found by then counts among the other providers."""


def start_due(session: AnySession) -> list[int]:
    """Campaigns whose time has come move from scheduled to preparing; returns those that want a worker: these, and
    ones whose preparing worker is gone."""
    session.execute(
        text(
            """
            UPDATE campaign SET status = 'preparing', status_reason = NULL, started_at = coalesce(started_at, now())
            WHERE status = ANY(:sources) AND status = 'scheduled' AND scheduled_at <= now()
            """
        ),
        {"sources": sources_of(CAMPAIGN_TRANSITIONS, CampaignStatus.PREPARING)},
    )
    waiting = session.scalars(
        text(
            """
            SELECT id FROM campaign
            WHERE status = 'preparing' AND (lease_expires_at IS NULL OR lease_expires_at < now()) ORDER BY id
            """
        )
    ).all()
    session.commit()
    return list(waiting)


def claim(session: AnySession, campaign_id: int, *, lease_seconds: int, today: date | None = None) -> bool:
    """Take the campaign for freezing; its partition is fixed at the first claim."""
    row = session.execute(
        text(
            """
            UPDATE campaign SET lease_expires_at = now() + make_interval(secs => :lease),
                   frozen_on = coalesce(frozen_on, :today)
            WHERE id = :id AND status = 'preparing' AND (lease_expires_at IS NULL OR lease_expires_at < now())
            RETURNING frozen_on
            """
        ),
        {"id": campaign_id, "lease": lease_seconds, "today": today or datetime.now(UTC).date()},
    ).one_or_none()
    if row is None:
        session.rollback()
        return False
    ensure_partitions(session.connection(), row.frozen_on)
    expect(session, campaign_id)
    session.commit()
    return True


def prepare(session: AnySession, settings: Settings, campaign_id: int) -> bool:
    """What a worker does with a campaign that is preparing: claim, compile (so that what can't be mailed never gets an
    audience), write its links down, find out who runs the recipients' mail, freeze. False where it wasn't ours to claim,
    or was stopped on the way."""
    if not claim(session, campaign_id, lease_seconds=settings.lease_seconds):
        return False
    campaign = session.get_one(Campaign, campaign_id, populate_existing=True)
    try:
        if campaign.audience_size == 0:
            store_links(session, campaign, compile_for(session, settings, campaign))
            session.commit()
            # Well within the lease, which the first slice renews.
            seconds = min(mail_domains.PREPARE_SECONDS, settings.lease_seconds / 3)
            if campaign.stream is MailStream.URGENT:
                seconds = min(seconds, URGENT_PREPARE_SECONDS)
            mail_domains.prepare(session, settings, campaign_id, seconds=seconds)
    except CompositionProblem as problem:
        pause_campaign(session, campaign_id, coded(PauseReason.CANNOT_COMPOSE, problem))
        return False
    batch_size = canary.batch_size_for(campaign.canary_percent, campaign.audience_expected, settings.batch_size)
    return freeze(session, campaign_id, batch_size=batch_size, lease_seconds=settings.lease_seconds)


def expect(session: AnySession, campaign_id: int) -> None:
    """Count the members once, for the progress bar."""
    session.execute(
        text(
            """
            UPDATE campaign SET audience_expected = (
                SELECT count(DISTINCT s.contact_id) FROM subscription s
                JOIN campaign_list l ON l.list_id = s.list_id WHERE l.campaign_id = :id)
            WHERE id = :id AND audience_expected = 0
            """
        ),
        {"id": campaign_id},
    )


def freeze(
    session: AnySession,
    campaign_id: int,
    *,
    batch_size: int,
    lease_seconds: int,
    slice_contacts: int = SLICE_CONTACTS,
    after_slice: Callable[[], None] = lambda: None,
) -> bool:
    """Freeze slice by slice until every member is in; False where the campaign was paused or cancelled meanwhile."""
    slice_contacts = max(batch_size, slice_contacts // batch_size * batch_size)
    while (left := freeze_slice(session, campaign_id, batch_size, slice_contacts, lease_seconds)) is not None:
        after_slice()
        if not left:
            return True
    return False


def freeze_slice(
    session: AnySession, campaign_id: int, batch_size: int, slice_contacts: int, lease_seconds: int
) -> bool | None:
    """One slice, committed. True: there may be more; False: complete; None: the campaign isn't preparing any more."""
    campaign = session.execute(
        text(
            """
            SELECT id, panel_id, frozen_on, audience_cursor, audience_size, follow_up_of_id FROM campaign
            WHERE id = :id AND status = 'preparing' FOR UPDATE
            """
        ),
        {"id": campaign_id},
    ).one_or_none()
    if campaign is None:
        session.rollback()
        return None
    session.execute(text("SET LOCAL work_mem = '128MB'"))
    facts = {
        "campaign": campaign.id,
        "panel": campaign.panel_id,
        "frozen_on": campaign.frozen_on,
        "cursor": campaign.audience_cursor,
        "base": campaign.audience_size,
        "slice": slice_contacts,
        "batch_size": batch_size,
        "lease": lease_seconds,
        "origin": campaign.follow_up_of_id,
    }
    last = session.scalar(text(SLICE_END), facts)
    if last is None:
        session.execute(text(COMPLETE), facts)
        canary.begin(session, campaign_id)
        # Statistics of the rows just made, before anybody plans over them.
        session.execute(text(f"ANALYZE {partition_name('delivery', campaign.frozen_on)}, batch"))
        bell.ring_dispatcher(session)
        session.commit()
        return False
    facts["last"] = last
    session.execute(text(LAY_OUT.format(only=condition_for(campaign.follow_up_of_id))), facts)
    session.execute(text(ADVANCE), facts)
    session.commit()
    return True


# Where the slice ends: the N-th member behind the cursor over all lists, each read from its own index.
SLICE_END = """
    SELECT max(contact_id) FROM (
        SELECT DISTINCT m.contact_id FROM campaign_list l
        CROSS JOIN LATERAL (
            SELECT s.contact_id FROM subscription s WHERE s.list_id = l.list_id AND s.contact_id > :cursor
            ORDER BY s.contact_id LIMIT :slice
        ) m
        WHERE l.campaign_id = :campaign ORDER BY m.contact_id LIMIT :slice
    ) nearest
"""

LAY_OUT = """
    WITH member AS (
        SELECT c.id, c.email, c.domain, coalesce(p.provider, 'other') AS provider,
               CASE WHEN NOT m.subscribed THEN 'unsubscribed'
                    WHEN EXISTS (SELECT 1 FROM suppression x WHERE x.email = c.email
                                 AND (x.panel_id = :panel OR x.panel_id IS NULL)) THEN 'suppressed' END AS skip
        FROM (
            SELECT s.contact_id, bool_or(s.status = 'subscribed') AS subscribed
            FROM subscription s JOIN campaign_list l ON l.list_id = s.list_id AND l.campaign_id = :campaign
            WHERE s.contact_id > :cursor AND s.contact_id <= :last
            GROUP BY s.contact_id
        ) m
        JOIN contact c ON c.id = m.contact_id AND c.panel_id = :panel
        LEFT JOIN mail_domain p ON p.domain = c.domain
        WHERE {only}
    ), spread AS (
        SELECT *, count(*) OVER (PARTITION BY provider) AS of_provider,
               (row_number() OVER (PARTITION BY provider, domain ORDER BY id) - 0.5)
                    / count(*) OVER (PARTITION BY provider, domain) AS place
        FROM member
    ), batched AS (
        SELECT *, (row_number() OVER (PARTITION BY provider ORDER BY place, id) - 1) / :batch_size AS number
        FROM spread
    ), placed AS MATERIALIZED (
        SELECT id, email, skip, provider, number, :base + row_number() OVER (
                   ORDER BY (number + 0.5) / ceil(of_provider::float8 / :batch_size), provider, place, id) AS seq
        FROM batched
    ), laid AS (
        INSERT INTO delivery (frozen_on, campaign_id, seq, contact_id, panel_id, email, status, skip_reason)
        SELECT :frozen_on, :campaign, seq, id, :panel, email,
               CASE WHEN skip IS NULL THEN 'planned' ELSE 'skipped' END::delivery_status, skip
        FROM placed
    )
    INSERT INTO batch (campaign_id, frozen_on, first_seq, last_seq, provider, status, planned, skipped, skipped_by)
    SELECT :campaign, :frozen_on, min(seq), max(seq), provider,
           CASE WHEN count(*) FILTER (WHERE skip IS NULL) = 0 THEN 'done' ELSE 'ready' END,
           count(*) FILTER (WHERE skip IS NULL), count(*) FILTER (WHERE skip IS NOT NULL),
           jsonb_strip_nulls(jsonb_build_object(
               'unsubscribed', nullif(count(*) FILTER (WHERE skip = 'unsubscribed'), 0),
               'suppressed', nullif(count(*) FILTER (WHERE skip = 'suppressed'), 0)))
    FROM placed GROUP BY provider, number ORDER BY min(seq)
"""

ADVANCE = """
    UPDATE campaign SET audience_cursor = :last, lease_expires_at = now() + make_interval(secs => :lease),
           audience_size = coalesce((SELECT max(last_seq) FROM batch WHERE campaign_id = :campaign), 0)
    WHERE id = :campaign
"""

COMPLETE = """
    UPDATE campaign SET status = 'sending', audience_frozen_at = now(), lease_expires_at = NULL WHERE id = :campaign
"""
