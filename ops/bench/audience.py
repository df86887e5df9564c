"""``script/bench audience``: freezing a campaign's recipients, through the code that the worker runs."""

import time
from typing import Any

from app.extensions import db
from app.flow import audience
from app.models import CampaignStatus, Panel
from ops.bench import stage as stages


def run(recipients: int) -> dict[str, Any]:
    """Freeze ``recipients`` contacts of one list; seconds from claim to complete."""
    with stages.stage() as stage:
        panel: Panel = stages.make_panel(stage.app)
        campaign = stages.make_campaign(panel, stages.make_contacts(panel, recipients))
        campaign.status = CampaignStatus.PREPARING
        db.session.commit()
        started = time.perf_counter()
        if not audience.prepare(db.session, stage.app.extensions["settings"], campaign.id):
            raise RuntimeError(f"the audience was not frozen: {campaign.status_reason}")
        seconds = time.perf_counter() - started
        db.session.refresh(campaign)
        return {
            "recipients": campaign.audience_size,
            "seconds": round(seconds, 2),
            "recipients_per_second": round(campaign.audience_size / seconds),
        }
