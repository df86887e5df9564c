"""Send only to those whom a campaign provably did not reach: the count with its reasons, then a draft."""

from flask import flash, g, redirect, render_template, url_for
from flask_babel import gettext as _
from flask_login import current_user
from werkzeug.wrappers import Response

from app.extensions import db
from app.flow import following_up
from app.flow.campaigns import CampaignProblem
from app.models import Campaign, Role
from app.web.campaigns import blueprint
from app.web.campaigns.sentences import problem_sentence
from app.web.campaigns.writing import redirect_to
from app.web.scope import get_or_404, requires


@blueprint.get("/<int:campaign_id>/follow-up")
def follow_up_page(campaign_id: int) -> str | Response:
    """The dry run."""
    campaign = get_or_404(Campaign, campaign_id)
    if campaign.frozen_on is None or campaign.status not in following_up.OVER:
        return redirect_to("show", campaign_id)
    missed = following_up.missed(db.session, campaign)
    return render_template("campaigns/follow_up.html", campaign=campaign, missed=missed)


@blueprint.post("/<int:campaign_id>/follow-up")
@requires(Role.EDITOR)
def follow_up(campaign_id: int) -> Response:
    source = get_or_404(Campaign, campaign_id)
    name = _("%(name)s: a quienes no les llegó", name=source.name)
    try:
        draft = following_up.follow_up(db.session, g.panel.id, source.id, name=name, user_id=current_user.id)
    except CampaignProblem as problem:
        flash(problem_sentence(problem), "danger")
        return redirect(url_for("campaigns.report", campaign_id=campaign_id))
    flash(_("Este es el borrador. Solo lo recibirán las personas a quienes no les llegó."), "success")
    return redirect_to("edit", draft.id)
