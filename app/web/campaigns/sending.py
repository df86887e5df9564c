"""Preview with a real contact, proofs, review, schedule, pause, resume, cancel."""

from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from babel.dates import get_timezone_location
from flask import abort, flash, g, redirect, render_template, request, url_for
from flask_babel import get_locale
from flask_babel import gettext as _
from flask_login import current_user
from werkzeug.wrappers import Response

from app.current import current_settings
from app.extensions import db
from app.flow import campaigns, previews, reconciling
from app.flow.campaigns import CampaignProblem
from app.flow.composing import CompositionProblem
from app.flow.previews import Preview
from app.flow.reconciling import Settlement
from app.flow.review import CLIPPED_AT_BYTES, takes_long
from app.flow.review import review as make_review
from app.models import Campaign, Contact, Role
from app.web.campaigns import blueprint
from app.web.campaigns.forms import ProofForm, ScheduleForm, next_hour
from app.web.campaigns.sentences import problem_sentence
from app.web.campaigns.writing import mail_response, redirect_to
from app.web.formats import number, when
from app.web.scope import get_or_404, is_htmx, requires

# Looking.


@blueprint.get("/<int:campaign_id>/preview")
def preview(campaign_id: int) -> str:
    campaign = get_or_404(Campaign, campaign_id)
    contact = chosen_contact(campaign)
    form = ProofForm(addresses=current_user.email, contact_id=str(contact.id) if contact else "")
    return preview_page(campaign, contact, form)


def preview_page(campaign: Campaign, contact: Contact | None, form: ProofForm) -> str:
    list_ids = [row.id for row in campaign.lists]
    query = request.args.get("q", "").strip()
    message, problem = rendered(campaign, contact)
    before, after = previews.neighbours(db.session, g.panel.id, list_ids, contact.id) if contact else (None, None)
    return render_template(
        "campaigns/preview.html",
        campaign=campaign,
        contact=contact,
        found=previews.find_contacts(db.session, g.panel.id, list_ids, query) if query else [],
        message=message,
        problem=problem,
        before=before,
        after=after,
        form=form,
        clipped_at=CLIPPED_AT_BYTES,
        **proof_facts(campaign),
    )


@blueprint.get("/<int:campaign_id>/preview/message")
def preview_frame(campaign_id: int) -> Response:
    """The HTML part alone, for the frame."""
    campaign = get_or_404(Campaign, campaign_id)
    message, _problem = rendered(campaign, chosen_contact(campaign))
    if message is None:
        abort(404)
    return mail_response(message.html)


def chosen_contact(campaign: Campaign) -> Contact | None:
    """The one asked for, else the first whom the lists reach; 404 for one who isn't of this panel."""
    return contact_or_404(campaign, request.args.get("contact", type=int))


def contact_or_404(campaign: Campaign, wanted: int | None) -> Contact | None:
    if wanted is not None:
        get_or_404(Contact, wanted)
    return previews.contact_for_preview(db.session, g.panel.id, [row.id for row in campaign.lists], wanted)


def rendered(campaign: Campaign, contact: Contact | None) -> tuple[Preview | None, str]:
    try:
        return previews.preview_message(db.session, current_settings(), campaign, contact), ""
    except CompositionProblem as problem:
        return None, problem_sentence(problem)


@blueprint.post("/<int:campaign_id>/proof")
@requires(Role.EDITOR)
def prove(campaign_id: int) -> str | Response:
    """Queue test sends. The answer comes where the button is: as that part of the page, or as the page at that part."""
    campaign = get_or_404(Campaign, campaign_id)
    form = ProofForm()
    contact = contact_or_404(campaign, form.contact())
    answer = ""
    try:
        queued = previews.request_proofs(
            db.session, g.panel.id, campaign.id, form.wanted(), contact_id=form.contact(), user_id=current_user.id
        )
        answer = _("La prueba está en cola para %(to)s.", to=", ".join(proof.email for proof in queued))
    except CampaignProblem as problem:
        form.addresses.errors = [problem_sentence(problem)]
    if is_htmx():
        return render_template(
            "campaigns/_prove.html", campaign=campaign, form=form, answer=answer, **proof_facts(campaign)
        )
    if not answer:
        return preview_page(campaign, contact, form)
    flash(answer, "success")
    return redirect(url_for("campaigns.preview", campaign_id=campaign_id, contact=form.contact(), _anchor="proofs"))


@blueprint.get("/<int:campaign_id>/proofs")
def proofs(campaign_id: int) -> str:
    """The state of the test sends, fetched again and again by the page."""
    campaign = get_or_404(Campaign, campaign_id)
    return render_template("campaigns/_proofs.html", campaign=campaign, **proof_facts(campaign))


def proof_facts(campaign: Campaign) -> dict[str, object]:
    latest = previews.proofs_of(db.session, campaign.id)
    return {"proofs": latest, "captured": previews.captured_proofs(db.session, current_settings(), campaign, latest)}


# Sending.


@blueprint.get("/<int:campaign_id>/review")
@requires(Role.EDITOR)
def review(campaign_id: int) -> str | Response:
    campaign = get_or_404(Campaign, campaign_id)
    if campaign.status in campaigns.WRITABLE and "whole" not in request.args and takes_long(db.session, campaign):
        return render_template("campaigns/review_later.html", campaign=campaign)
    return review_page(campaign, ScheduleForm(at=next_hour(datetime.now(UTC), g.panel.timezone)))


def review_page(campaign: Campaign, form: ScheduleForm) -> str | Response:
    if campaign.status not in campaigns.WRITABLE:
        return redirect_to("show", campaign.id)
    return render_template(
        "campaigns/review.html",
        campaign=campaign,
        form=form,
        review=make_review(db.session, current_settings(), campaign),
        zone=zone_name(),
    )


@blueprint.post("/<int:campaign_id>/send")
@requires(Role.MANAGER)
def send_now(campaign_id: int) -> str | Response:
    campaign = get_or_404(Campaign, campaign_id)
    try:
        campaigns.schedule_campaign(db.session, current_settings(), g.panel.id, campaign.id)
    except CampaignProblem as problem:
        return refused(campaign_id, problem)
    flash(_("La campaña empieza a enviarse. Puede cerrar esta página: el envío sigue."), "success")
    return redirect_to("show", campaign_id)


@blueprint.post("/<int:campaign_id>/schedule")
@requires(Role.MANAGER)
def schedule(campaign_id: int) -> str | Response:
    campaign = get_or_404(Campaign, campaign_id)
    form = ScheduleForm()
    try:
        if form.at.data is None:
            raise CampaignProblem("time_missing")
        at = campaigns.moment_in_zone(form.at.data, g.panel.timezone)
        campaigns.schedule_campaign(db.session, current_settings(), g.panel.id, campaign.id, at=at)
    except CampaignProblem as problem:
        if problem.code not in ("past", "too_far", "time_skipped", "time_missing"):
            return refused(campaign_id, problem)
        form.at.errors = [problem_sentence(problem)]
        return review_page(get_or_404(Campaign, campaign_id), form)
    flash(_("Programada para el %(at)s (%(zone)s).", at=when(at), zone=zone_name()), "success")
    return redirect_to("show", campaign_id)


def zone_name() -> str:
    """The city whose clock the panel goes by: "Lima", not "America/Lima"."""
    return get_timezone_location(ZoneInfo(g.panel.timezone), locale=get_locale(), return_city=True)


def refused(campaign_id: int, problem: CampaignProblem) -> Response:
    flash(problem_sentence(problem), "danger")
    is_draft = get_or_404(Campaign, campaign_id).status in campaigns.WRITABLE
    return redirect_to("review" if is_draft else "show", campaign_id)


@blueprint.post("/<int:campaign_id>/unschedule")
@requires(Role.MANAGER)
def unschedule(campaign_id: int) -> Response:
    return act(campaign_id, campaigns.unschedule_campaign, _("Volvió a ser un borrador: nada se enviará."), "edit")


@blueprint.post("/<int:campaign_id>/pause")
@requires(Role.MANAGER)
def pause(campaign_id: int) -> Response:
    return act(campaign_id, campaigns.pause_campaign, _("En pausa. Lo que ya salió no se puede detener."))


@blueprint.post("/<int:campaign_id>/resume")
@requires(Role.MANAGER)
def resume(campaign_id: int) -> Response:
    return act(campaign_id, campaigns.resume_campaign, _("El envío continúa donde estaba."))


@blueprint.post("/<int:campaign_id>/cancel")
@requires(Role.MANAGER)
def cancel(campaign_id: int) -> Response:
    campaign = get_or_404(Campaign, campaign_id)
    try:
        skipped = campaigns.cancel_campaign(db.session, g.panel.id, campaign.id)
    except CampaignProblem as problem:
        return refused(campaign_id, problem)
    if skipped:
        flash(_("Campaña cancelada. Personas que no la recibirán: %(number)s.", number=number(skipped)), "success")
    else:
        flash(_("Campaña cancelada."), "success")
    return redirect_to("show", campaign_id)


@blueprint.post("/<int:campaign_id>/settle")
@requires(Role.MANAGER)
def settle(campaign_id: int) -> Response:
    """What became of deliveries that no relay can tell about, as a person decides."""
    campaign = get_or_404(Campaign, campaign_id)
    try:
        settlement = Settlement(request.form.get("settlement", ""))
    except ValueError:
        abort(400)
    settled = reconciling.settle_by_hand(db.session, g.panel.id, campaign.id, settlement)
    if not settled:
        return refused(campaign_id, CampaignProblem("nothing_unconfirmed"))
    done = _("Se dieron por enviados") if settlement is Settlement.AS_SENT else _("Se enviarán otra vez")
    flash(f"{done}: {number(settled)}.", "success")
    return redirect_to("show", campaign_id)


def act(campaign_id: int, verb: Callable[..., None], done: str, then: str = "show") -> Response:
    """One verb of the flow on one campaign, and what came of it."""
    campaign = get_or_404(Campaign, campaign_id)
    try:
        verb(db.session, g.panel.id, campaign.id)
    except CampaignProblem as problem:
        return refused(campaign_id, problem)
    flash(done, "success")
    return redirect_to(then, campaign_id)
