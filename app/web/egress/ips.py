"""One IP: added, changed, quarantined, released, removed; what it sent and where it stands."""

from datetime import UTC, datetime

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from app.extensions import db
from app.flow.egress import figures, ips, pools
from app.flow.egress.problems import EgressProblem
from app.models import EGRESS_TRANSITIONS, EgressState
from app.web.egress.entry import Answer, blueprint, ip_or_404, relay_or_404
from app.web.egress.forms import IpForm, NewIpForm, ReasonForm
from app.web.egress.sentences import egress_sentence
from app.web.scope import administrators_only


@blueprint.get("/new")
@administrators_only
def new(relay_id: int) -> str:
    return new_page(relay_id, NewIpForm(pools.pools_of(db.session, relay_id)))


def new_page(relay_id: int, form: NewIpForm) -> str:
    return render_template("egress/new.html", relay=relay_or_404(relay_id), form=form)


@blueprint.post("/new")
@administrators_only
def create(relay_id: int) -> Answer:
    relay_or_404(relay_id)
    form = NewIpForm(pools.pools_of(db.session, relay_id))
    if not form.validate_on_submit():
        return new_page(relay_id, form), 400
    try:
        ip = ips.add_ip(db.session, relay_id, form.details(), now=datetime.now(UTC), state=form.state.data)
    except EgressProblem as problem:
        show_in(form, problem)
        return new_page(relay_id, form), 400
    flash(_("Se agregó %(address)s al grupo «%(pool)s».", address=ip.address, pool=ip.pool.name), "success")
    return redirect(url_for("egress.index", relay_id=relay_id))


@blueprint.get("/<int:ip_id>")
@administrators_only
def show(relay_id: int, ip_id: int) -> str:
    return ip_page(relay_id, ip_id)


def ip_page(relay_id: int, ip_id: int, form: IpForm | None = None, reason: ReasonForm | None = None) -> str:
    ip, today = ip_or_404(relay_id, ip_id), datetime.now(UTC).date()
    use, day = figures.use_by_provider(db.session, ip.id, today=today), ips.warm_up_day(ip, today=today)
    return render_template(
        "egress/show.html",
        relay=relay_or_404(relay_id),
        ip=ip,
        form=form or IpForm(pools.pools_of(db.session, relay_id), formdata=None, obj=ip),
        reason=reason or ReasonForm(formdata=None),
        use=use,
        day=day,
        steps=list(figures.warm_up_steps(day, figures.warm_up_caps(db.session), use)) if day else [],
        share=figures.pool_shares(db.session, relay_id)[ip.id],
        others=figures.others_sending(db.session, ip),
        may_become=EGRESS_TRANSITIONS[ip.state],
        resume_day=ips.day_to_resume(ip),
        has_sent=ips.has_sent(db.session, ip),
        states=EgressState,
    )


@blueprint.post("/<int:ip_id>")
@administrators_only
def update(relay_id: int, ip_id: int) -> Answer:
    ip, form = ip_or_404(relay_id, ip_id), IpForm(pools.pools_of(db.session, relay_id))
    if not form.validate_on_submit():
        return ip_page(relay_id, ip_id, form=form), 400
    try:
        ips.change_ip(db.session, ip, form.details())
    except EgressProblem as problem:
        show_in(form, problem)
        return ip_page(relay_id, ip_id, form=form), 400
    flash(_("Se guardaron los cambios de %(address)s.", address=ip.address), "success")
    return redirect(url_for("egress.show", relay_id=relay_id, ip_id=ip_id))


def show_in(form: IpForm, problem: EgressProblem) -> None:
    """Beside the field that the problem is about."""
    fields = {"helo_invalid": form.helo_name, "weight_invalid": form.weight, "pool_missing": form.pool_id,
              "rate_invalid": form.rate_per_hour}  # fmt: skip
    field = fields.get(problem.code, form.address)
    field.errors = [*field.errors, egress_sentence(problem)]


@blueprint.post("/<int:ip_id>/quarantine")
@administrators_only
def quarantine(relay_id: int, ip_id: int) -> Answer:
    ip, form = ip_or_404(relay_id, ip_id), ReasonForm()
    if not form.validate_on_submit():
        return ip_page(relay_id, ip_id, reason=form), 400
    try:
        ips.quarantine(db.session, ip, form.reason.data or "", now=datetime.now(UTC))
    except EgressProblem as problem:
        flash(egress_sentence(problem), "warning")
    else:
        flash(
            _("%(address)s está en cuarentena y no envía nada. Puede devolverla abajo.", address=ip.address), "success"
        )
    return redirect(url_for("egress.show", relay_id=relay_id, ip_id=ip_id))


@blueprint.post("/<int:ip_id>/release")
@administrators_only
def release(relay_id: int, ip_id: int) -> Response:
    """Out of quarantine, or from active to warming and back: ``to`` says where, ``resume`` to go on at the old day."""
    ip = ip_or_404(relay_id, ip_id)
    asked = request.form.get("to", "")
    resume = asked == "resume"
    state = EgressState.ACTIVE if asked == EgressState.ACTIVE else EgressState.WARMING
    try:
        ips.change_state(db.session, ip, state, request.form.get("reason", ""), now=datetime.now(UTC), resume=resume)
    except EgressProblem as problem:
        flash(egress_sentence(problem), "warning")
    else:
        flash(released_sentence(ip.address, state), "success")
    return redirect(url_for("egress.show", relay_id=relay_id, ip_id=ip_id))


def released_sentence(address: str, state: EgressState) -> str:
    if state is EgressState.ACTIVE:
        return _("%(address)s está activa y envía su parte completa.", address=address)
    return _("%(address)s está en calentamiento: envía poco al principio y más cada día.", address=address)


@blueprint.post("/<int:ip_id>/delete")
@administrators_only
def delete(relay_id: int, ip_id: int) -> Response:
    ip = ip_or_404(relay_id, ip_id)
    address = ip.address
    ips.remove_ip(db.session, ip)
    flash(_("Se quitó %(address)s con sus cifras.", address=address), "success")
    return redirect(url_for("egress.index", relay_id=relay_id))
