"""The blueprint, and rows found only within the relay of the address."""

from flask import Blueprint, abort
from werkzeug.wrappers import Response

from app.extensions import db
from app.models import EgressIp, EgressPool, Relay
from app.web.egress.sentences import TEMPLATE_WORDS

blueprint = Blueprint("egress", __name__, url_prefix="/relays/<int:relay_id>/egress")
blueprint.context_processor(lambda: TEMPLATE_WORDS)

Answer = str | Response | tuple[str, int]


def relay_or_404(relay_id: int) -> Relay:
    return db.session.get(Relay, relay_id) or abort(404)


def pool_or_404(relay_id: int, pool_id: int) -> EgressPool:
    pool = db.session.get(EgressPool, pool_id)
    return pool if pool is not None and pool.relay_id == relay_id else abort(404)


def ip_or_404(relay_id: int, ip_id: int) -> EgressIp:
    ip = db.session.get(EgressIp, ip_id)
    return ip if ip is not None and ip.relay_id == relay_id else abort(404)
