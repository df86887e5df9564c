"""Pools with their IPs."""

from collections.abc import Iterator
from datetime import UTC, datetime

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import ngettext
from werkzeug.wrappers import Response

from app.extensions import db
from app.flow.egress import assignments, figures, ips, pools
from app.flow.egress.problems import EgressProblem
from app.flow.egress.sheet import COLUMNS
from app.models import EgressIp, EgressState, Relay
from app.web.contacts.csv_answer import csv_answer
from app.web.egress.entry import Answer, blueprint, pool_or_404, relay_or_404
from app.web.egress.forms import PoolForm
from app.web.egress.sentences import column_name, egress_sentence, state_name
from app.web.paging import page_by_key
from app.web.scope import administrators_only


@blueprint.get("")
@administrators_only
def index(relay_id: int) -> str:
    return list_page(relay_or_404(relay_id), PoolForm())


@blueprint.post("/pools")
@administrators_only
def make_pool(relay_id: int) -> Answer:
    relay, form = relay_or_404(relay_id), PoolForm()
    if not form.validate_on_submit():
        return list_page(relay, form), 400
    try:
        pool = pools.make_pool(db.session, relay_id, form.name.data or "")
    except EgressProblem as problem:
        form.name.errors = [*form.name.errors, egress_sentence(problem)]
        return list_page(relay, form), 400
    flash(_("Se creó el grupo «%(name)s». Agregue ahora sus direcciones.", name=pool.name), "success")
    return redirect(url_for("egress.index", relay_id=relay_id))


def list_page(relay: Relay, form: PoolForm) -> str:
    state, pool_id = asked_state(), request.args.get("pool", type=int)
    page = page_by_key(
        ips.ips_of(relay.id, pool_id=pool_id, state=state),
        sorts={"address": ips.BY_NUMBER, "helo": EgressIp.helo_name, "since": EgressIp.state_since},
        key=EgressIp.id,
        default="address",
    )
    today = datetime.now(UTC).date()
    return render_template(
        "egress/index.html",
        relay=relay,
        form=form,
        page=page,
        pools=pools.pools_of(db.session, relay.id),
        counts=pools.ip_counts(db.session, relay.id),
        default_pool=assignments.default_pool(db.session, relay.id),
        use=figures.use_of_ips(db.session, [ip.id for ip in page.rows], today=today),
        shares=figures.pool_shares(db.session, relay.id),
        day_of=lambda ip: ips.warm_up_day(ip, today=today),
        no_use=figures.NO_USE,
        states=EgressState,
        state=state,
        pool_id=pool_id,
    )


def asked_state() -> EgressState | None:
    asked = request.args.get("state")
    return EgressState(asked) if asked in list(EgressState) else None


@blueprint.get("/pools/<int:pool_id>")
@administrators_only
def pool(relay_id: int, pool_id: int) -> str:
    return pool_page(relay_id, pool_id, PoolForm(obj=pool_or_404(relay_id, pool_id)))


def pool_page(relay_id: int, pool_id: int, form: PoolForm) -> str:
    counts = pools.ip_counts(db.session, relay_id)[pool_id]
    return render_template(
        "egress/pool.html",
        relay=relay_or_404(relay_id),
        pool=pool_or_404(relay_id, pool_id),
        form=form,
        count=sum(counts.values()),
    )


@blueprint.post("/pools/<int:pool_id>")
@administrators_only
def rename_pool(relay_id: int, pool_id: int) -> Answer:
    row, form = pool_or_404(relay_id, pool_id), PoolForm()
    if not form.validate_on_submit():
        return pool_page(relay_id, pool_id, form), 400
    try:
        pools.rename_pool(db.session, row, form.name.data or "")
    except EgressProblem as problem:
        form.name.errors = [*form.name.errors, egress_sentence(problem)]
        return pool_page(relay_id, pool_id, form), 400
    flash(_("El grupo se llama ahora «%(name)s».", name=row.name), "success")
    return redirect(url_for("egress.index", relay_id=relay_id))


@blueprint.post("/pools/<int:pool_id>/delete")
@administrators_only
def delete_pool(relay_id: int, pool_id: int) -> Answer:
    try:
        pools.delete_pool(db.session, pool_or_404(relay_id, pool_id))
    except EgressProblem as problem:
        flash(egress_sentence(problem), "danger")
        return redirect(url_for("egress.pool", relay_id=relay_id, pool_id=pool_id))
    flash(_("Se borró el grupo."), "success")
    return redirect(url_for("egress.index", relay_id=relay_id))


@blueprint.post("/move")
@administrators_only
def move(relay_id: int) -> Response:
    """Several at once, from the list."""
    relay_or_404(relay_id)
    chosen = request.form.getlist("ip", type=int)
    pool_id = request.form.get("pool", type=int) or 0
    if not chosen:
        flash(_("No se movió nada: marque antes las direcciones en la lista."), "warning")
        return redirect(url_for("egress.index", relay_id=relay_id))
    try:
        count = ips.move_ips(db.session, relay_id, chosen, pool_id)
    except EgressProblem as problem:
        flash(egress_sentence(problem), "danger")
        return redirect(url_for("egress.index", relay_id=relay_id))
    flash(moved_sentence(count, pool_or_404(relay_id, pool_id).name), "success")
    return redirect(url_for("egress.index", relay_id=relay_id, pool=pool_id))


def moved_sentence(count: int, name: str) -> str:
    return ngettext(
        "Se movió %(num)s dirección a «%(name)s».", "Se movieron %(num)s direcciones a «%(name)s».", count, name=name
    )


@blueprint.get("/export.csv")
@administrators_only
def export(relay_id: int) -> Response:
    """What an import of the same file leaves unchanged."""
    relay_or_404(relay_id)
    return csv_answer(f"ip-relay-{relay_id}.csv", [column_name(column) for column in COLUMNS], rows_of(relay_id))


def rows_of(relay_id: int) -> Iterator[tuple[str, str, str, str, int, int | None]]:
    for ip in db.session.scalars(ips.ips_of(relay_id).order_by(ips.BY_NUMBER)):
        yield ip.address, ip.helo_name, ip.pool.name, state_name(ip.state), ip.weight, ip.rate_per_hour
