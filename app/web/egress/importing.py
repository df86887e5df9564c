"""A file or a range of IPs. Nothing is kept between review and import: the sheet travels with the page, is read again, and is
only imported where it still means what was reviewed."""

from datetime import UTC, datetime

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import ngettext

from app.extensions import db
from app.flow.egress import importing, pools
from app.flow.egress.problems import SheetProblem
from app.flow.egress.ranges import sheet_of_range
from app.flow.egress.sheet import MAX_BYTES, decoded
from app.web.egress.entry import Answer, blueprint, relay_or_404
from app.web.egress.forms import RangeForm
from app.web.egress.sentences import sheet_sentence
from app.web.scope import administrators_only


@blueprint.get("/import")
@administrators_only
def upload_page(relay_id: int) -> str:
    return file_page(relay_id)


def file_page(relay_id: int, error: str = "", pasted: str = "") -> str:
    return render_template(
        "egress/import.html", relay=relay_or_404(relay_id), error=error, pasted=pasted, limit=MAX_BYTES
    )


@blueprint.post("/import")
@administrators_only
def upload(relay_id: int) -> Answer:
    relay_or_404(relay_id)
    pasted = request.form.get("rows", "")
    sent = request.files.get("file")
    try:
        text = decoded(sent.stream.read(MAX_BYTES + 1)) if sent and sent.filename else pasted
        return review_page(relay_id, text)
    except SheetProblem as problem:
        return file_page(relay_id, sheet_sentence(problem), pasted), 400


@blueprint.get("/range")
@administrators_only
def range_page(relay_id: int) -> str:
    return range_form(relay_id, RangeForm())


def range_form(relay_id: int, form: RangeForm) -> str:
    names = [pool.name for pool in pools.pools_of(db.session, relay_id)]
    return render_template("egress/range.html", relay=relay_or_404(relay_id), form=form, names=names)


@blueprint.post("/range")
@administrators_only
def add_range(relay_id: int) -> Answer:
    relay_or_404(relay_id)
    form = RangeForm()
    if not form.validate_on_submit():
        return range_form(relay_id, form), 400
    try:
        return review_page(relay_id, sheet_of_range(form.range()))
    except SheetProblem as problem:
        field = form.helo_pattern if problem.code == "pattern_without_number" else form.addresses
        field.errors = [*field.errors, sheet_sentence(problem)]
        return range_form(relay_id, form), 400


def review_page(relay_id: int, text: str) -> str:
    """Raises :class:`SheetProblem`."""
    plan = importing.plan(db.session, relay_id, text)
    return render_template("egress/review.html", relay=relay_or_404(relay_id), plan=plan, text=text)


@blueprint.post("/import/confirm")
@administrators_only
def confirm(relay_id: int) -> Answer:
    relay_or_404(relay_id)
    text, fingerprint = request.form.get("rows", ""), request.form.get("fingerprint", "")
    try:
        plan, done = importing.apply(
            db.session, relay_id, text, reason=_("Importación"), now=datetime.now(UTC), fingerprint=fingerprint
        )
    except SheetProblem as problem:
        return file_page(relay_id, sheet_sentence(problem), text), 400
    if not done:
        flash(_("No se importó nada: las direcciones cambiaron desde la revisión. Revise otra vez."), "warning")
        return review_page(relay_id, text), 409
    flash(done_sentence(len(plan.new), len(plan.changed)), "success")
    return redirect(url_for("egress.index", relay_id=relay_id))


def done_sentence(new: int, changed: int) -> str:
    return " ".join(
        [
            ngettext("Se agregó %(num)s dirección.", "Se agregaron %(num)s direcciones.", new),
            ngettext("Se cambió %(num)s.", "Se cambiaron %(num)s.", changed),
        ]
    )
