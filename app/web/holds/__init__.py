"""What providers made the platform slow down or stop, for administrators: ``/relays/<relay>/holds``.

The pages of the breaker (``app.flow.breaker``): what is held now and why, what was, and lifting one.
"""

from datetime import UTC, datetime

from flask import Blueprint, abort, flash, redirect, render_template, url_for
from flask_babel import gettext as _
from flask_login import current_user
from werkzeug.wrappers import Response

from app.extensions import db
from app.flow.breaker import holds
from app.models import ProviderHold, Relay
from app.web.holds.sentences import TEMPLATE_WORDS, hold_sentence, whose
from app.web.paging import page_by_key
from app.web.providers.sentences import provider_label
from app.web.scope import administrators_only

blueprint = Blueprint("holds", __name__, url_prefix="/relays/<int:relay_id>/holds")
blueprint.context_processor(lambda: TEMPLATE_WORDS)


@blueprint.get("")
@administrators_only
def index(relay_id: int) -> str:
    relay, now = db.session.get(Relay, relay_id) or abort(404), datetime.now(UTC)
    page = page_by_key(
        holds.history(relay_id),
        sorts={"started": ProviderHold.started_at},
        key=ProviderHold.id,
        default="-started",
        size=25,
    )
    return render_template(
        "holds/index.html",
        relay=relay,
        now=now,
        current=holds.current(db.session, relay_id, now),
        page=page,
        addresses=holds.addresses(db.session, relay_id),
        lifters=holds.lifters(db.session, page.rows),
    )


@blueprint.post("/<int:hold_id>/lift")
@administrators_only
def lift(relay_id: int, hold_id: int) -> Response:
    hold = db.session.get(ProviderHold, hold_id)
    if hold is None or hold.relay_id != relay_id:
        abort(404)
    try:
        holds.lift(db.session, hold, current_user, now=datetime.now(UTC))
    except holds.HoldProblem as problem:
        flash(hold_sentence(problem), "warning")
    else:
        flash(lifted_sentence(hold), "success")
    return redirect(url_for("holds.index", relay_id=relay_id))


def lifted_sentence(hold: ProviderHold) -> str:
    who, provider = whose(hold, holds.addresses(db.session, hold.relay_id)), provider_label(hold.provider)
    return _("Se levantó el freno: %(who)s vuelve a su ritmo completo en %(provider)s.", who=who, provider=provider)
