"""What a relay's own host reports, for machines: JSON in, JSON out, a key instead of a person."""

import json
from typing import Any

from flask import Blueprint, Response, jsonify, request
from sqlalchemy import text
from werkzeug.exceptions import RequestEntityTooLarge

from app.current import current_address, current_settings
from app.extensions import csrf, db, limiter
from app.flow import composing, relay_keys, relay_outcomes
from app.mail.relay_report import MAX_BUNDLE_BYTES, MalformedSighting, from_json

blueprint = Blueprint("relay_api", __name__, url_prefix="/api/relay")
csrf.exempt(blueprint)  # A browser never sends the key by itself.

WRONG_KEYS = "30 per minute"

Answer = tuple[Response, int]


@blueprint.post("/<int:relay_id>/log-outcomes")
@limiter.limit(WRONG_KEYS, deduct_when=lambda answer: answer.status_code == 401)
def log_outcomes(relay_id: int) -> Answer:
    """Take a bundle of sightings; the same one again changes nothing. Answers with the platform's clock as it was before."""
    key_relay_id = relay_keys.relay_of_key(db.session, _key(), address=current_address())
    if key_relay_id is None:
        return _refused(401, "wrong_key")
    if key_relay_id != relay_id:
        return _refused(403, "key_of_another_relay")
    try:
        bundle, malformed = from_json(_told())
    except RequestEntityTooLarge:
        return _refused(413, "too_large")
    except (ValueError, RecursionError):
        return _refused(400, "no_bundle")
    now = db.session.scalar(text("SELECT clock_timestamp()"))
    stored = relay_outcomes.store(
        db.session, relay_id, bundle, token_key=composing.token_key(current_settings()), malformed=malformed
    )
    facts = {"known": stored.known, "foreign": stored.foreign, "malformed": malformed}
    return jsonify(now=now.isoformat() if now else None, **facts), 200


def _key() -> str:
    kind, _blank, key = request.headers.get("Authorization", "").partition(" ")
    return key.strip() if kind.lower() == "bearer" else ""


def _told() -> Any:
    request.max_content_length = MAX_BUNDLE_BYTES
    raw = request.get_data(cache=False)
    try:
        return json.loads(raw)
    except UnicodeDecodeError as error:
        raise MalformedSighting("not UTF-8") from error


def _refused(code: int, why: str) -> Answer:
    return jsonify(error=why), code
