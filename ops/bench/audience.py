"""``script/bench audience``: freezing a campaign's recipients, through the code that the worker runs."""

from typing import Any

from app.extensions import db
from app.models import Panel
from ops.bench import stage as stages


def run(recipients: int) -> dict[str, Any]:
    """Freeze ``recipients`` contacts of one list; seconds from claim to complete."""
    with stages.stage() as stage:
        panel: Panel = stages.make_panel(stage.app)
        campaign = stages.make_campaign(panel, stages.make_contacts(panel, recipients))
        seconds = stages.freeze(stage.app, campaign)
        db.session.refresh(campaign)
        return {
            "recipients": campaign.audience_size,
            "seconds": round(seconds, 2),
            "recipients_per_second": round(campaign.audience_size / seconds),
        }
