"""When a campaign will end, what that hangs on and who else sends then, for the terminal and for scripts."""

from datetime import UTC, datetime
from typing import Any

from flask import g
from flask_babel import refresh

from app.commands.campaign_facts import iso
from app.extensions import db
from app.flow.finish_time import Clash, FinishTime, finish_time
from app.models import Campaign, Panel
from app.web.campaigns.finishing import sentences_of


def forecast_of(campaign: Campaign, at: datetime | None = None) -> tuple[dict[str, Any], str]:
    """Facts, and the lines that people read, in the panel's time."""
    now = datetime.now(UTC)
    g.panel_of_command = db.session.get_one(Panel, campaign.panel_id)
    refresh()
    found = finish_time(db.session, campaign, now=now, at=at or campaign.scheduled_at)
    told = sentences_of(found, now)
    lines = [" ".join(filter(None, (told["ends"], told["hangs_on"]))), *told["also"], *told["clashes"]]
    return facts_of(found), "\n".join(lines)


def facts_of(found: FinishTime) -> dict[str, Any]:
    forecast = found.forecast
    return {
        "people": found.people,
        "begins_at": found.begins_at.isoformat(),
        "ends_at": iso(forecast.ends_at) if forecast else None,
        "limiting": forecast.limiting.value if forecast else None,
        "provider": forecast.provider or None if forecast else None,
        "ips": forecast.ips if forecast else 0,
        "left_on_first_day": forecast.first_day if forecast else 0,
        "held_until": iso(forecast.held_until) if forecast else None,
        "deferred_share": round(found.retries.share, 4),
        "retries_until": iso(found.retries_until),
        "rest_at": iso(found.rest_at),
        "sharing_campaigns": found.beside,
        "clashes": [_clash(clash) for clash in found.clashes],
    }


def _clash(clash: Clash) -> dict[str, Any]:
    return {
        "panel": clash.panel_name,
        "begins_at": clash.begins_at.isoformat(),
        "is_running": clash.is_running,
        "goes_first": clash.goes_first,
        "ends_at": iso(clash.ends_at),
    }
