"""Settings of a panel: name, colour, time zone; and where its mail goes, practice or real."""

from flask import flash, redirect, render_template, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from app.extensions import db
from app.flow import panels, relays
from app.models import Relay, Role
from app.web.scope import administrators_only, current_panel, panel_blueprint, requires
from app.web.settings.forms import CanaryForm, LimitsForm, PanelForm, PracticeForm, RealForm
from app.web.settings.sentences import panel_sentence

blueprint = panel_blueprint("settings", __name__, prefix="/settings")

Answer = str | Response | tuple[str, int]


@blueprint.get("")
@requires(Role.MANAGER)
def index() -> str:
    return page()


@blueprint.post("")
@requires(Role.MANAGER)
def save() -> Answer:
    form = PanelForm(prefix="panel")
    if not form.validate_on_submit():
        return page(panel_form=form), 400
    panels.update_panel(
        db.session,
        current_panel,
        name=form.name.data or "",
        colour=form.colour.data or "",
        timezone=form.timezone.data or "",
    )
    flash(_("Se guardaron los ajustes de la plataforma."), "success")
    return redirect(url_for("settings.index"))


@blueprint.post("/limits")
@administrators_only
def limits() -> Answer:
    """Not for managers: a panel's share is what the others lack."""
    form = LimitsForm(prefix="limits")
    if not form.validate_on_submit():
        return page(limits_form=form), 400
    panels.limit_panel(db.session, current_panel, weight=form.weight.data or 0, rate_per_hour=form.rate_per_hour.data)
    flash(_("Se guardaron el peso y el límite de la plataforma."), "success")
    return redirect(url_for("settings.index"))


@blueprint.post("/canary")
@requires(Role.MANAGER)
def canary() -> Answer:
    form = CanaryForm(prefix="canary")
    if not form.validate_on_submit():
        return page(canary_form=form), 400
    values = {name: value for name, value in form.data.items() if name in panels.CANARY_FIELDS}
    panels.set_canary(db.session, current_panel, **values)
    flash(_("Se guardó cuándo se detiene una campaña que sale primero a una parte."), "success")
    return redirect(url_for("settings.index"))


@blueprint.post("/practice")
@requires(Role.MANAGER)
def practice() -> Answer:
    if not PracticeForm(prefix="practice").validate_on_submit():
        return page(), 400
    try:
        panels.use_practice(db.session, current_panel)
    except panels.PanelProblem as problem:
        flash(panel_sentence(problem), "danger")
        return page(), 409
    flash(_("La plataforma está en modo práctica: nada llega a personas reales."), "success")
    return redirect(url_for("settings.index"))


@blueprint.post("/real")
@requires(Role.MANAGER)
def real() -> Answer:
    form = real_form()
    if not form.validate_on_submit():
        return page(real=form), 400
    try:
        panels.use_relay(db.session, current_panel, form.relay_id.data, understood=form.understood.data)
    except panels.PanelProblem as problem:
        flash(panel_sentence(problem), "danger")
        return page(real=form), 409
    flash(_("Envío real activado: lo que envíe esta plataforma llega a personas reales."), "warning")
    return redirect(url_for("settings.index"))


def real_form() -> RealForm:
    form = RealForm(prefix="real", data={"relay_id": current_panel.relay_id})
    form.relay_id.choices = [(relay.id, f"{relay.name} ({relay.host})") for relay in usable_relays()]
    return form


def usable_relays() -> list[Relay]:
    return list(db.session.scalars(relays.relays().order_by(Relay.name)))


def page(
    panel_form: PanelForm | None = None,
    real: RealForm | None = None,
    limits_form: LimitsForm | None = None,
    canary_form: CanaryForm | None = None,
) -> str:
    return render_template(
        "settings/index.html",
        panel_form=panel_form or PanelForm(obj=current_panel, prefix="panel"),
        real=real or real_form(),
        limits_form=limits_form or LimitsForm(formdata=None, obj=current_panel, prefix="limits"),
        canary_form=canary_form or CanaryForm(formdata=None, obj=current_panel, prefix="canary"),
        under_way=panels.campaigns_under_way(db.session, current_panel.id),
        scheduled=panels.scheduled_campaigns(db.session, current_panel.id),
    )
