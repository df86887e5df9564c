"""Mailbox providers, for administrators: what may go to each of them, and whose a domain's mailboxes are."""

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_login import current_user
from sqlalchemy import select
from werkzeug.wrappers import Response

from app.current import current_settings
from app.extensions import db, limiter
from app.flow import mail_domains, providers
from app.mail.addresses import MAX_ADDRESS, domain_of, domain_to_ascii
from app.mail.mailbox_providers import Provider
from app.mail.mailbox_providers import providers as shipped
from app.models import User
from app.web.providers.forms import LimitsForm
from app.web.providers.sentences import answer_sentence, provider_label, provider_sentence
from app.web.scope import administrators_only

blueprint = Blueprint("providers", __name__, url_prefix="/providers")
blueprint.app_template_global()(provider_label)

LOOKUPS = "30 per minute"
"""Each keeps a thread of ours busy for seconds while name servers are silent."""

Answer = str | Response | tuple[str, int]


@blueprint.get("")
@administrators_only
def index() -> str:
    asked, domain = read_domain(request.args.get("q", ""))
    where = providers.whereabouts(db.session)
    return render_template(
        "providers/index.html",
        rows=sorted(
            shipped().values(), key=lambda one: (-where.sampled.get(one.key, 0), -where.domains.get(one.key, 0))
        ),
        limits=providers.limits_of(db.session),
        changed=providers.changed_limits(db.session),
        where=where,
        asked=asked,
        domain=domain,
        found=mail_domains.known(db.session, domain) if domain else None,
    )


@blueprint.post("/lookup")
@administrators_only
@limiter.limit(LOOKUPS)
def lookup() -> Response:
    """Asks the DNS for a domain's MX, now."""
    asked, domain = read_domain(request.form.get("domain", ""))
    if domain is not None:
        answer = mail_domains.look_up(db.session, current_settings(), domain)
        flash(answer_sentence(answer), "info" if answer.provider else "warning")
    return redirect(url_for("providers.index", q=asked), 303)


@blueprint.get("/<provider>")
@administrators_only
def edit(provider: str) -> str:
    row = found(provider)
    return edit_page(row, LimitsForm.of(providers.limits_of(db.session)[row.key]))


@blueprint.post("/<provider>")
@administrators_only
def update(provider: str) -> Answer:
    row, form = found(provider), LimitsForm()
    if not form.validate_on_submit():
        return edit_page(row, form), 400
    try:
        providers.save_limits(db.session, row.key, form.limits(), current_user)
    except providers.ProviderProblem as problem:
        form.warm_up_caps.errors = [*form.warm_up_caps.errors, provider_sentence(problem)]
        return edit_page(row, form), 400
    flash(_("Se guardaron los límites de %(name)s.", name=provider_label(row.key)), "success")
    return redirect(url_for("providers.edit", provider=row.key))


@blueprint.post("/<provider>/reset")
@administrators_only
def reset(provider: str) -> Response:
    row = found(provider)
    providers.reset_limits(db.session, row.key)
    flash(_("%(name)s tiene otra vez los límites de fábrica.", name=provider_label(row.key)), "success")
    return redirect(url_for("providers.edit", provider=row.key))


def edit_page(row: Provider, form: LimitsForm) -> str:
    change = providers.changed_limits(db.session).get(row.key)
    author = db.session.scalar(select(User.name).where(User.id == change.updated_by_id)) if change else None
    return render_template("providers/edit.html", row=row, form=form, change=change, author=author)


def read_domain(text: str) -> tuple[str, str | None]:
    """What was written, not longer than an address, and the domain in it."""
    asked = text.strip()[:MAX_ADDRESS]
    return asked, domain_to_ascii(domain_of(asked))


def found(key: str) -> Provider:
    return shipped().get(key) or abort(404)
