"""The parts of a report that take reading a whole ledger: made when they are looked at, and kept until they are out of date.

A campaign of fifty thousand is read at once. A larger one is read by a worker, and meanwhile people see what was made the
last time, with its hour; a finished campaign that nobody opens any more is read once.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from app.flow import bell, recipients, reports
from app.flow.recipients import Refusal
from app.flow.reports import DomainCounts, LinkClicks, Span
from app.flow.sessions import AnySession
from app.models import Campaign, CampaignDetails

READ_AT_ONCE = 50_000
"""Recipients; up to some hundredths of a second."""
REST_FACTOR = 20
"""A reading that took a second is repeated after twenty, at the earliest."""
LEAST_REST_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class Details:
    made_at: datetime
    is_current: bool
    """False where something has happened since; then they are being made anew."""
    span_seconds: int
    spans: list[Span]
    domains: list[DomainCounts]
    refusals: list[Refusal]
    links: list[LinkClicks]
    skipped: Mapping[str, int]
    """By reason."""


def details(session: AnySession, campaign: Campaign, *, now: datetime | None = None) -> Details | None:
    """None where they were never made and a worker is at it. Commits."""
    now = now or datetime.now(UTC)
    state = fingerprint(session, campaign)
    kept = session.get(CampaignDetails, campaign.id, populate_existing=True)
    content = kept.content if kept else None
    if kept is None or content is None or kept.made_at is None or kept.fingerprint != state:
        if campaign.audience_size <= READ_AT_ONCE:
            return make(session, campaign)
        if kept is None or kept.made_at is None or now - kept.made_at > rest(kept.took_ms):
            _want(session, campaign.id, now)
    if kept is None or content is None or kept.made_at is None:
        return None
    return _read(content, kept.made_at, is_current=kept.fingerprint == state)


def rest(took_ms: int) -> timedelta:
    return timedelta(seconds=max(LEAST_REST_SECONDS, REST_FACTOR * took_ms / 1000))


def fingerprint(session: AnySession, campaign: Campaign) -> str:
    """Changes whenever something happens to a delivery or comes back from a person."""
    happened = asdict(reports.counts(session, campaign.id)) | asdict(reports.reactions(session, campaign))
    return json.dumps(happened, sort_keys=True)


def make(session: AnySession, campaign: Campaign) -> Details:
    """Read the ledger and keep what it says. Commits."""
    began, made_at, state = time.monotonic(), datetime.now(UTC), fingerprint(session, campaign)
    span_seconds, spans = reports.reactions_over_time(session, campaign)
    content = {
        "span_seconds": span_seconds,
        "spans": [{**asdict(span), "begins_at": span.begins_at.isoformat()} for span in spans],
        "domains": [asdict(row) for row in reports.by_domain(session, campaign)],
        "refusals": [asdict(row) for row in recipients.top_refusals(session, campaign)],
        "links": [asdict(row) for row in reports.link_clicks(session, campaign)],
        "skipped": dict(reports.skipped_by_reason(session, campaign)),
    }
    took_ms = round(1000 * (time.monotonic() - began))
    values = {"content": content, "fingerprint": state, "made_at": made_at, "took_ms": took_ms, "wanted_at": None}
    saved = insert(CampaignDetails).values(campaign_id=campaign.id, **values)
    session.execute(saved.on_conflict_do_update(index_elements=[CampaignDetails.campaign_id], set_=values))
    session.commit()
    return _read(content, made_at, is_current=True)


def wanted(session: AnySession) -> list[int]:
    """Campaigns whose details a worker should make."""
    ids = session.scalars(
        select(CampaignDetails.campaign_id).where(CampaignDetails.wanted_at.is_not(None)).order_by("wanted_at")
    ).all()
    session.rollback()
    return list(ids)


def make_wanted(session: AnySession, campaign_id: int) -> bool:
    """What a worker does; False where they aren't wanted any more."""
    kept = session.get(CampaignDetails, campaign_id, populate_existing=True)
    campaign = session.get(Campaign, campaign_id)
    if campaign is None or kept is None or kept.wanted_at is None:
        session.rollback()
        return False
    make(session, campaign)
    return True


def _want(session: AnySession, campaign_id: int, now: datetime) -> None:
    wanted = insert(CampaignDetails).values(campaign_id=campaign_id, wanted_at=now)
    session.execute(wanted.on_conflict_do_update(index_elements=[CampaignDetails.campaign_id], set_={"wanted_at": now}))
    bell.ring_dispatcher(session)
    session.commit()


def _read(content: Mapping[str, Any], made_at: datetime, *, is_current: bool) -> Details:
    return Details(
        made_at=made_at,
        is_current=is_current,
        span_seconds=content["span_seconds"],
        spans=[Span(**{**row, "begins_at": datetime.fromisoformat(row["begins_at"])}) for row in content["spans"]],
        domains=[DomainCounts(**row) for row in content["domains"]],
        refusals=[Refusal(**row) for row in content["refusals"]],
        links=[LinkClicks(**row) for row in content["links"]],
        skipped=content["skipped"],
    )
