"""Relays of the installation, for administrators: the SMTP servers that panels may send through."""

from dataclasses import replace

from flask import Blueprint, abort, flash, redirect, render_template, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from app.current import current_settings
from app.extensions import db
from app.flow import relay_probe, relays
from app.models import Relay
from app.web.paging import page_by_key
from app.web.relays.forms import RelayForm
from app.web.relays.sentences import probe_sentence, relay_sentence
from app.web.scope import administrators_only

blueprint = Blueprint("relays", __name__, url_prefix="/relays")

Answer = str | Response | tuple[str, int]


@blueprint.get("")
@administrators_only
def index() -> str:
    page = page_by_key(
        relays.relays(),
        sorts={"name": Relay.name, "host": Relay.host, "created": Relay.created_at},
        key=Relay.id,
        default="name",
    )
    using = relays.panels_using(db.session, [relay.id for relay in page.rows])
    return render_template("relays/index.html", page=page, using=using)


@blueprint.get("/new")
@administrators_only
def new() -> str:
    return render_template("relays/edit.html", relay=None, form=RelayForm())


@blueprint.post("/new")
@administrators_only
def create() -> Answer:
    return store(None, RelayForm())


@blueprint.get("/<int:relay_id>")
@administrators_only
def edit(relay_id: int) -> str:
    relay = found(relay_id)
    return render_template("relays/edit.html", relay=relay, form=RelayForm(obj=relay))


@blueprint.post("/<int:relay_id>")
@administrators_only
def update(relay_id: int) -> Answer:
    return store(found(relay_id), RelayForm())


def store(relay: Relay | None, form: RelayForm) -> Answer:
    if not form.validate_on_submit():
        return render_template("relays/edit.html", relay=relay, form=form), 400
    try:
        saved = relays.save_relay(db.session, current_settings(), relay, form.details())
    except relays.RelayProblem as problem:
        field = {"name_taken": form.name, "host_invalid": form.host}.get(problem.code, form.password)
        field.errors = [*field.errors, relay_sentence(problem)]
        return render_template("relays/edit.html", relay=relay, form=form), 400
    flash(_("Se guardó el relay «%(name)s». Pruebe ahora la conexión.", name=saved.name), "success")
    return redirect(url_for("relays.edit", relay_id=saved.id))


@blueprint.post("/<int:relay_id>/test")
@administrators_only
def test(relay_id: int) -> Answer:
    """Connects for real, with short time-outs, and says where the conversation ended."""
    relay = found(relay_id)
    endpoint = relays.relay_endpoint(relay, current_settings())
    # The conversation may take seconds: no database connection is held meanwhile.
    db.session.rollback()
    result = relay_probe.probe(replace(endpoint, timeout_seconds=relay_probe.PROBE_SECONDS))
    relay = found(relay_id)
    return render_template(
        "relays/edit.html",
        relay=relay,
        form=RelayForm(formdata=None, obj=relay),
        result=result,
        sentence=probe_sentence(result),
    )


@blueprint.post("/<int:relay_id>/delete")
@administrators_only
def delete(relay_id: int) -> Answer:
    relay = found(relay_id)
    try:
        relays.delete_relay(db.session, relay)
    except relays.RelayProblem as problem:
        flash(relay_sentence(problem), "danger")
        return redirect(url_for("relays.edit", relay_id=relay_id))
    flash(_("Se borró el relay."), "success")
    return redirect(url_for("relays.index"))


def found(relay_id: int) -> Relay:
    return db.session.get(Relay, relay_id) or abort(404)
