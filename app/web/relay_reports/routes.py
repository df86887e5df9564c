"""The page, its live part, and the keys."""

from typing import Any

from flask import Blueprint, Response, abort, flash, make_response, redirect, render_template, url_for
from flask_babel import gettext as _
from flask_login import current_user
from werkzeug.wrappers import Response as AnyResponse

from app.current import current_settings
from app.extensions import db
from app.flow import relay_health, relay_keys
from app.models import Relay
from app.web.relay_reports import sentences
from app.web.relay_reports.forms import KeyForm
from app.web.scope import administrators_only

blueprint = Blueprint("relay_reports", __name__, url_prefix="/relays/<int:relay_id>/reports")
blueprint.context_processor(lambda: {"words": sentences})

Answer = str | AnyResponse | tuple[str, int]


@blueprint.get("")
@administrators_only
def index(relay_id: int) -> str:
    return page(relay_or_404(relay_id), KeyForm())


def page(relay: Relay, form: KeyForm) -> str:
    keys = relay_keys.keys_of(db.session, relay.id)
    commands = sentences.commands(relay, current_settings().public_url)
    return render_template("relay_reports/index.html", form=form, keys=keys, commands=commands, **live_facts(relay))


@blueprint.get("/live")
@administrators_only
def live(relay_id: int) -> str:
    """The part that fetches itself."""
    return render_template("relay_reports/_live.html", **live_facts(relay_or_404(relay_id)))


def live_facts(relay: Relay) -> dict[str, Any]:
    return {
        "relay": relay,
        "log": relay_health.log_reader(db.session, relay.id),
        "queue": relay_health.queue_reader(db.session, relay.id),
    }


@blueprint.post("/keys")
@administrators_only
def make_key(relay_id: int) -> Answer:
    """Shown once; no redirect, since the key must stand nowhere else."""
    relay, form = relay_or_404(relay_id), KeyForm()
    if not form.validate_on_submit():
        return page(relay, form), 400
    key = relay_keys.make_key(db.session, relay_id, name=form.name.data or "", user_id=current_user.id)
    commands = sentences.commands(relay, current_settings().public_url)
    shown = render_template("relay_reports/key.html", relay=relay, name=form.name.data, key=key, commands=commands)
    answer: Response = make_response(shown)
    answer.headers["Cache-Control"] = "no-store"
    return answer


@blueprint.post("/keys/<int:key_id>/revoke")
@administrators_only
def revoke_key(relay_id: int, key_id: int) -> AnyResponse:
    relay_or_404(relay_id)
    if relay_keys.revoke_key(db.session, relay_id, key_id, user_id=current_user.id):
        flash(_("Se anuló la clave. Quien la use recibe desde ahora un rechazo."), "success")
    else:
        flash(_("No se hizo nada: esa clave ya estaba anulada o no es de este relay."), "warning")
    return redirect(url_for("relay_reports.index", relay_id=relay_id))


def relay_or_404(relay_id: int) -> Relay:
    return db.session.get(Relay, relay_id) or abort(404)
