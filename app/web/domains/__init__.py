"""Sending domains of a panel, their keys and what to publish; and the public address where a key can be read."""

from datetime import UTC, datetime

from flask import Blueprint, Response, abort, flash, redirect, render_template, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from app.current import current_settings
from app.extensions import db, limiter
from app.flow import domain_checks, domains
from app.models import Role, SendingDomain
from app.web.domains.forms import AddForm, DomainForm
from app.web.domains.sentences import (
    check_sentence,
    domain_sentence,
    presence_sentence,
    record_purpose,
    record_state,
    signing_state,
)
from app.web.paging import page_by_key
from app.web.scope import current_panel, get_or_404, panel_blueprint, requires

blueprint = panel_blueprint("domains", __name__, prefix="/domains")
blueprint.app_template_global()(check_sentence)
blueprint.app_template_global()(record_purpose)
blueprint.app_template_global()(presence_sentence)
blueprint.app_template_global()(record_state)
blueprint.app_template_global()(signing_state)
public_keys = Blueprint("public_keys", __name__)

CHECKS_PER_PANEL = "12 per minute"
"""Each keeps name servers, and while they are silent a thread of ours, busy for seconds."""

Answer = str | AnyResponse | tuple[str, int]


@blueprint.get("")
def index() -> str:
    return list_page(AddForm())


@blueprint.post("")
@requires(Role.MANAGER)
def create() -> Answer:
    form = AddForm()
    if not form.validate_on_submit():
        return list_page(form), 400
    try:
        row = domains.add_domain(db.session, current_settings(), current_panel.id, form.domain.data or "")
    except domains.DomainProblem as problem:
        form.domain.errors = [*form.domain.errors, domain_sentence(problem)]
        return list_page(form), 400
    flash(_("Se agregó %(domain)s. Publique ahora sus registros en el DNS.", domain=row.domain), "success")
    return redirect(url_for("domains.show", domain_id=row.id))


def list_page(form: AddForm) -> str:
    page = page_by_key(
        domains.domains(current_panel.id),
        sorts={"domain": SendingDomain.domain, "created": SendingDomain.created_at},
        key=SendingDomain.id,
        default="domain",
    )
    return render_template("domains/index.html", page=page, form=form, suffixes=current_settings().suffixes)


@blueprint.get("/<int:domain_id>")
def show(domain_id: int) -> str:
    return domain_page(get_or_404(SendingDomain, domain_id))


@blueprint.post("/<int:domain_id>")
@requires(Role.MANAGER)
def update(domain_id: int) -> Answer:
    row = get_or_404(SendingDomain, domain_id)
    form = DomainForm()
    if not form.validate_on_submit():
        return domain_page(row, form=form), 400
    try:
        domains.update_domain(
            db.session,
            current_settings(),
            row,
            return_path_domain=form.return_path_domain.data or "",
            tracking_url=form.tracking_url.data or "",
        )
    except domains.DomainProblem as problem:
        field = form.tracking_url if problem.code == "tracking_url" else form.return_path_domain
        field.errors = [*field.errors, domain_sentence(problem)]
        return domain_page(row, form=form), 400
    flash(_("Se guardaron los cambios de %(domain)s.", domain=row.domain), "success")
    return redirect(url_for("domains.show", domain_id=row.id))


def panel_in_question() -> str:
    return f"dns:{current_panel.id}"


@blueprint.post("/<int:domain_id>/check")
@requires(Role.EDITOR)
@limiter.limit(CHECKS_PER_PANEL, key_func=panel_in_question)
def check(domain_id: int) -> str:
    """Asks the DNS for the records, now."""
    row = get_or_404(SendingDomain, domain_id)
    resolver = domains.make_resolver(current_settings())
    result = domain_checks.check_domain(db.session, row, resolver, now=datetime.now(UTC))
    return domain_page(row, check=result) if result else abort(404)


@blueprint.post("/<int:domain_id>/delete")
@requires(Role.MANAGER)
def delete(domain_id: int) -> Answer:
    row = get_or_404(SendingDomain, domain_id)
    name = row.domain
    try:
        domains.delete_domain(db.session, row)
    except domains.DomainProblem as problem:
        flash(domain_sentence(problem), "danger")
        return redirect(url_for("domains.show", domain_id=domain_id))
    flash(_("Se quitó %(domain)s con sus claves.", domain=name), "success")
    return redirect(url_for("domains.index"))


def domain_page(row: SendingDomain, **shown: object) -> str:
    return render_template(
        "domains/show.html",
        row=row,
        records=domains.records_to_publish(current_settings(), current_panel, row),
        **{"form": DomainForm(formdata=None, obj=row), **shown},
    )


@public_keys.get("/.well-known/chaski/dkim/<domain>/<selector>")
def public_key(domain: str, selector: str) -> Response:
    """The text of the TXT record, as it should stand in the DNS. Public by nature: no log-in."""
    record = domains.public_key_record(db.session, domain, selector)
    if record is None:
        abort(404)
    return Response(record + "\n", mimetype="text/plain")
