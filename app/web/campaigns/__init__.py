"""Campaigns: list, editor, preview, review, live page, report.

writing      list, editor, live preview, duplicate, delete
sending      preview with a real contact, proofs, review, schedule, pause, resume, cancel
watching     live page, report, recipients, download
following    only to those who were not reached
finishing    when it will end, what that hangs on, who else sends then
pacing       why something waits, progress by mailbox provider
forms        what people fill in;  sentences: what they read instead of codes
statuses     what statuses are called;  causes: why a campaign paused itself, what the platform noted
"""

from typing import Any

from flask import g

from app.web.scope import panel_blueprint

blueprint = panel_blueprint("campaigns", __name__, prefix="/campaigns")

from app.web.campaigns import (  # noqa: E402  # they hang their routes on it
    causes,
    finishing,
    following,
    plots,
    sending,
    sentences,
    statuses,
    watching,
    writing,
)

blueprint.add_app_template_filter(plots.plot_points)
blueprint.add_app_template_filter(plots.plot_moment)
blueprint.add_app_template_filter(plots.rate)


@blueprint.context_processor
def words() -> dict[str, Any]:
    """For all templates of this area."""
    return {"words": sentences, "statuses": statuses, "causes": causes, "panel": g.get("panel")}


__all__ = ["blueprint", "finishing", "following", "sending", "watching", "writing"]
