"""Panel × stream -> pool, on one page."""

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _

from app.extensions import db
from app.flow import accounts
from app.flow.egress import assignments, pools
from app.flow.egress.assignments import Cell
from app.flow.egress.problems import EgressProblem
from app.models import MailStream
from app.web.egress.entry import Answer, blueprint, relay_or_404
from app.web.egress.sentences import egress_sentence
from app.web.scope import administrators_only


@blueprint.get("/assignments")
@administrators_only
def matrix(relay_id: int) -> str:
    return matrix_page(relay_id, assignments.assignments_of(db.session, relay_id))


def matrix_page(relay_id: int, chosen: dict[Cell, int], error: str = "") -> str:
    return render_template(
        "egress/assignments.html",
        relay=relay_or_404(relay_id),
        panels=accounts.all_panels(db.session),
        streams=MailStream,
        pools=pools.pools_of(db.session, relay_id),
        counts=pools.ip_counts(db.session, relay_id),
        default_pool=assignments.default_pool(db.session, relay_id),
        chosen=chosen,
        error=error,
    )


@blueprint.post("/assignments")
@administrators_only
def assign(relay_id: int) -> Answer:
    relay_or_404(relay_id)
    wanted = read_matrix()
    try:
        assignments.assign(db.session, relay_id, wanted)
    except EgressProblem as problem:
        db.session.rollback()
        chosen = {cell: pool_id for cell, pool_id in wanted.items() if pool_id is not None}
        return matrix_page(relay_id, chosen, egress_sentence(problem)), 400
    flash(_("Se guardaron las asignaciones. Valen para los correos que salgan desde ahora."), "success")
    return redirect(url_for("egress.matrix", relay_id=relay_id))


def read_matrix() -> dict[Cell, int | None]:
    """Fields are called ``<panel>-<stream>``; what the form doesn't hold stays as it is."""
    return {
        (panel.id, stream): request.form.get(name, type=int)
        for panel in accounts.all_panels(db.session)
        for stream in MailStream
        if (name := f"{panel.id}-{stream.value}") in request.form
    }
