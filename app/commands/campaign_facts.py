"""A campaign as ``flask campaign … --json`` tells it."""

from datetime import datetime
from typing import Any

from app.extensions import db
from app.flow import reports
from app.models import Campaign


def summary(campaign: Campaign) -> dict[str, Any]:
    return {
        "campaign_id": campaign.id,
        "name": campaign.name,
        "status": campaign.status.value,
        "status_reason": campaign.status_reason,
        "scheduled_at": iso(campaign.scheduled_at),
        "started_at": iso(campaign.started_at),
        "finished_at": iso(campaign.finished_at),
        "priority": campaign.stream.value,
        "rate_per_hour": campaign.rate_per_hour,
        "canary": canary_facts(campaign),
    }


def canary_facts(campaign: Campaign) -> dict[str, Any] | None:
    """What was asked for (null: as the panel says) and where it stands; None where all goes at once."""
    if campaign.canary_percent is None:
        return None
    return {
        "percent": campaign.canary_percent,
        "minutes": campaign.canary_minutes,
        "bounced_percent": campaign.canary_bounced_percent,
        "deferred_percent": campaign.canary_deferred_percent,
        "complained_percent": campaign.canary_complained_percent,
        "stage": campaign.canary_stage.value if campaign.canary_stage else None,
        "until": iso(campaign.canary_until),
    }


def counts(campaign: Campaign) -> dict[str, Any]:
    current = reports.counts(db.session, campaign.id)
    speed = reports.speed(db.session, campaign, current)
    return {**vars(current), "per_second": speed.last_minute, "seconds_left": speed.seconds_left}


def iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
