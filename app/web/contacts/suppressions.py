"""Suppressions: ``/p/<panel>/suppressions``. Managers change the panel's, administrators also the installation's."""

from flask import abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_login import current_user
from sqlalchemy.orm import joinedload
from werkzeug.wrappers import Response

from app.extensions import db
from app.flow import suppressions as flow
from app.flow.search import starts_with
from app.models import Role, Suppression, SuppressionReason
from app.web.contacts.forms import SuppressForm
from app.web.contacts.wording import TEMPLATE_WORDS
from app.web.paging import page_by_key
from app.web.scope import current_panel, panel_blueprint, requires

blueprint = panel_blueprint("suppressions", __name__, prefix="/suppressions")
blueprint.context_processor(lambda: TEMPLATE_WORDS)


@blueprint.get("")
def index() -> str:
    statement = flow.visible_from(current_panel.id).options(joinedload(Suppression.created_by))
    wanted, reason, scope = (request.args.get(name, "").strip().lower() for name in ("q", "reason", "scope"))
    if wanted:
        statement = statement.where(starts_with(Suppression.email, wanted))
    if reason in list(SuppressionReason):
        statement = statement.where(Suppression.reason == SuppressionReason(reason))
    if scope in ("panel", "installation"):
        here = Suppression.panel_id == current_panel.id
        statement = statement.where(here if scope == "panel" else Suppression.panel_id.is_(None))
    page = page_by_key(
        statement,
        sorts={"email": Suppression.email, "created": Suppression.created_at},
        key=Suppression.id,
        default="-created",
    )
    return render_template("suppressions/index.html", page=page, reasons=SuppressionReason, reason=reason, scope=scope)


@blueprint.route("/new", methods=["GET", "POST"])
@requires(Role.MANAGER)
def new() -> str | Response:
    form = SuppressForm(data={"addresses": request.args.get("email", "")})
    if not current_user.is_administrator:
        del form.everywhere
    pasted = None
    if form.validate_on_submit():
        everywhere = "everywhere" in form and form.everywhere.data
        try:
            pasted = flow.suppress_pasted(
                db.session,
                None if everywhere else current_panel.id,
                form.addresses.data.splitlines(),
                SuppressionReason(form.reason.data),
                current_user.id,
            )
        except flow.TooManyPasted:
            form.addresses.errors = [_("Son más de 10 000 líneas. Divídalas en partes.")]
    if pasted is not None and not pasted.refused:
        flash(_("Direcciones suprimidas: %(added)s. Ya lo estaban: %(already)s.", **_shown(pasted)), "success")
        return redirect(url_for("suppressions.index"))
    if pasted is not None:
        form.addresses.data = "\n".join(line for _number, line, _problem in pasted.refused)
    return render_template("suppressions/form.html", form=form, pasted=pasted)


def _shown(pasted: flow.Pasted) -> dict[str, int]:
    return {"added": pasted.added, "already": pasted.already}


@blueprint.post("/<int:suppression_id>/delete")
@requires(Role.MANAGER)
def delete(suppression_id: int) -> Response:
    row = db.session.scalar(flow.visible_from(current_panel.id).where(Suppression.id == suppression_id))
    if row is None:
        abort(404)
    if row.panel_id is None and not current_user.is_administrator:
        abort(403)
    email = row.email
    flow.allow_again(db.session, row, current_user.id)
    flash(
        _("%(email)s ya no está suprimida. Las listas de las que se dio de baja siguen igual.", email=email), "success"
    )
    return redirect(url_for("suppressions.index"))
