"""List, editor, live preview, duplicate, delete."""

from contextlib import suppress
from pathlib import Path

from flask import flash, g, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_login import current_user
from werkzeug.wrappers import Response

from app.current import current_settings
from app.extensions import db
from app.flow import campaigns, canary, custom_fields, domains, lists, previews, reports
from app.flow.campaign_content import CampaignContent, check_content, known_fields, normalised
from app.flow.campaigns import CampaignProblem, ContentRefused
from app.flow.composing import CompositionProblem
from app.flow.review import CLIPPED_AT_BYTES
from app.mail.html import check_links
from app.mail.merge_language import EMAIL_FIELD, UNSUBSCRIBE_FIELD
from app.models import Campaign, CampaignStatus, MailStream, Role, SendingDomain
from app.web.campaigns import blueprint
from app.web.campaigns.forms import CampaignForm, form_values
from app.web.campaigns.sentences import content_sentence, problem_sentence
from app.web.paging import page_by_key
from app.web.scope import get_or_404, is_htmx, may, requires
from app.web.security import MAIL_PREVIEW_POLICY

STARTER = Path(__file__).with_name("starter.html")
RUNNING = (CampaignStatus.PREPARING, CampaignStatus.SENDING)


@blueprint.get("")
def index() -> str:
    status, query = request.args.get("status", ""), request.args.get("q", "")
    page = page_by_key(
        campaigns.listing(g.panel.id, status=status, query=query),
        sorts=campaigns.LISTING_SORTS,
        key=Campaign.id,
        default="-created",
    )
    return render_template(
        "campaigns/_table.html" if is_htmx() else "campaigns/index.html",
        page=page,
        counts=reports.counts_of(db.session, [row.id for row in page.rows]),
        choices=list(CampaignStatus),
        is_filtered=bool(status or query),
        is_running=any(row.status in RUNNING for row in page.rows),
    )


@blueprint.route("/new", methods=["GET", "POST"])
@requires(Role.EDITOR)
def new() -> str | Response:
    form = CampaignForm(html=STARTER.read_text(encoding="utf-8")) if request.method == "GET" else CampaignForm()
    return edit_form(form, None)


@blueprint.route("/<int:campaign_id>/edit", methods=["GET", "POST"])
@requires(Role.EDITOR)
def edit(campaign_id: int) -> str | Response:
    campaign = get_or_404(Campaign, campaign_id)
    if request.method == "GET" and campaign.status not in campaigns.WRITABLE:
        return redirect_to("show", campaign_id)
    form = CampaignForm(data=form_values(campaign)) if request.method == "GET" else CampaignForm()
    return edit_form(form, campaign)


def edit_form(form: CampaignForm, campaign: Campaign | None) -> str | Response:
    """Show the form, or save what it holds and go on; what is refused is shown with the author's text."""
    keep_priority(form, campaign)
    content = form.content()
    form.offer(sending_domains(), lists.choices(db.session, g.panel.id, chosen=content.list_ids))
    if (
        request.method == "POST"
        and may_have(form, campaign)
        and form.validate()
        and (saved := save(form, campaign, content)) is not None
    ):
        flash(_("Guardado."), "success")
        return redirect_to(next_step(), saved.id)
    return render_editor(form, campaign)


def keep_priority(form: CampaignForm, campaign: Campaign | None) -> None:
    """A form without the field leaves it as it is."""
    if request.method == "POST" and form.stream.name not in request.form and campaign is not None:
        form.stream.data = campaign.stream


def may_have(form: CampaignForm, campaign: Campaign | None) -> bool:
    """Only managers make a campaign urgent; an editor may write on in one that is."""
    is_urgent = campaign is not None and campaign.stream is MailStream.URGENT
    if form.stream.data is MailStream.URGENT and not is_urgent and not may(Role.MANAGER):
        form.form_errors.append(_("Solo una persona con rol de gestión puede marcar una campaña como urgente."))
        return False
    return True


def next_step() -> str:
    wanted = request.form.get("next", "")
    return wanted if wanted in ("preview", "review") else "edit"


def save(form: CampaignForm, campaign: Campaign | None, content: CampaignContent) -> Campaign | None:
    settings = current_settings()
    try:
        if campaign is None:
            return campaigns.create_campaign(db.session, settings, g.panel.id, content, user_id=current_user.id)
        return campaigns.save_campaign(
            db.session, settings, g.panel.id, campaign.id, content, read_at=form.read_moment()
        )
    except ContentRefused as refused:
        form.show(refused.problems)
    except CampaignProblem as problem:
        form.form_errors.append(problem_sentence(problem))
    return None


def render_editor(form: CampaignForm, campaign: Campaign | None) -> str:
    chosen = tuple(form.list_ids.data or ())
    source = form.html.data or ""
    return render_template(
        "campaigns/edit.html",
        form=form,
        campaign=campaign,
        lists=lists.choices(db.session, g.panel.id, chosen=chosen),
        domains=sending_domains(),
        fields=merge_fields(),
        notices=[] if form.errors else check_links(source),
        clipped_at=CLIPPED_AT_BYTES,
        fewest=canary.FEWEST,
    )


@blueprint.get("/list-sizes")
@requires(Role.EDITOR)
def list_sizes() -> str:
    """How many people each list reaches: counted after the editor stands, since that reads every subscription."""
    rows = lists.choices(db.session, g.panel.id)
    return render_template(
        "campaigns/_list_sizes.html", lists=rows, counts=lists.counts(db.session, [row.id for row in rows])
    )


def sending_domains() -> list[SendingDomain]:
    return list(db.session.scalars(domains.domains(g.panel.id).order_by(SendingDomain.domain)))


def merge_fields() -> list[tuple[str, str]]:
    """Key and label of everything the toolbar can insert, in a useful order."""
    labels = {field.key: field.label for field in custom_fields.of_panel(db.session, g.panel.id)}
    names, *custom = known_fields(db.session, g.panel.id)
    ends = [(UNSUBSCRIBE_FIELD, _("Enlace de baja"))]
    return [(names, _("Nombre")), (EMAIL_FIELD, _("Correo")), *((key, labels[key]) for key in custom), *ends]


@blueprint.post("/live-preview")
@requires(Role.EDITOR)
def live_preview() -> Response:
    """The HTML being written, with a real contact's values, for the frame beside the editor; problems in its place."""
    content = normalised(CampaignContent(name="x", html=request.form.get("html", "")))
    problems = check_content(db.session, current_settings(), g.panel.id, content)
    if problems:
        page = render_template("campaigns/_preview_problems.html", sentences=[content_sentence(p) for p in problems])
        return mail_response(page)
    contact = previews.contact_for_preview(db.session, g.panel.id, request.form.getlist("list_ids", int), None)
    try:
        return mail_response(previews.preview_html(db.session, g.panel.id, content.html, contact))
    except CompositionProblem as problem:
        return mail_response(render_template("campaigns/_preview_problems.html", sentences=[problem_sentence(problem)]))


@blueprint.post("/live-subject")
@requires(Role.EDITOR)
def live_subject() -> Response:
    """The subject being written, with the values of the same contact; as it is written while it has a problem."""
    content = normalised(CampaignContent(name="x", subject=request.form.get("subject", "")))
    shown = content.subject
    if not check_content(db.session, current_settings(), g.panel.id, content):
        contact = previews.contact_for_preview(db.session, g.panel.id, request.form.getlist("list_ids", int), None)
        with suppress(CompositionProblem):
            shown = previews.preview_subject(db.session, g.panel.id, content.subject, contact)
    return Response(shown, mimetype="text/plain")


def mail_response(html: str) -> Response:
    """A mail for a frame: no script, no form, an origin of its own."""
    response = Response(html, mimetype="text/html")
    response.headers["Content-Security-Policy"] = MAIL_PREVIEW_POLICY
    return response


@blueprint.post("/text-part")
@requires(Role.EDITOR)
def text_part() -> Response:
    """The text part that this HTML would get."""
    content = normalised(CampaignContent(name="x", html=request.form.get("html", "")))
    if check_content(db.session, current_settings(), g.panel.id, content):
        return Response(_("Corrija primero el HTML."), mimetype="text/plain")
    return Response(previews.text_of(content.html), mimetype="text/plain")


@blueprint.post("/<int:campaign_id>/duplicate")
@requires(Role.EDITOR)
def duplicate(campaign_id: int) -> Response:
    source = get_or_404(Campaign, campaign_id)
    name = _("Copia de %(name)s", name=source.name)
    copy = campaigns.duplicate_campaign(db.session, g.panel.id, source.id, name=name, user_id=current_user.id)
    flash(_("Esta es la copia. Cambie lo que necesite y guárdela."), "success")
    return redirect_to("edit", copy.id)


@blueprint.post("/<int:campaign_id>/delete")
@requires(Role.EDITOR)
def delete(campaign_id: int) -> Response:
    campaign = get_or_404(Campaign, campaign_id)
    name = campaign.name
    try:
        campaigns.delete_draft(db.session, g.panel.id, campaign.id)
    except CampaignProblem as problem:
        flash(problem_sentence(problem), "danger")
        return redirect_to("show", campaign_id)
    flash(_("Se eliminó el borrador «%(name)s».", name=name), "success")
    return redirect(url_for("campaigns.index"))


def redirect_to(step: str, campaign_id: int) -> Response:
    return redirect(url_for(f"campaigns.{step}", campaign_id=campaign_id))
