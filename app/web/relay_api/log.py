"""What the follower read of the relay's log."""

from flask import jsonify
from sqlalchemy import text

from app.current import current_settings
from app.extensions import db
from app.flow import composing, relay_outcomes
from app.mail.relay_report import MAX_BUNDLE_BYTES, from_json
from app.web.relay_api.entry import Answer, told_json, told_to


@told_to("/log-outcomes", most_bytes=MAX_BUNDLE_BYTES)
def log_outcomes(relay_id: int, body: bytes) -> Answer:
    """Take a bundle of sightings; the same one again changes nothing. Answers with the platform's clock as it was before."""
    bundle, malformed = from_json(told_json(body))
    now = db.session.scalar(text("SELECT clock_timestamp()"))
    stored = relay_outcomes.store(
        db.session, relay_id, bundle, token_key=composing.token_key(current_settings()), malformed=malformed
    )
    facts = {"known": stored.known, "foreign": stored.foreign, "malformed": malformed}
    return jsonify(now=now.isoformat() if now else None, **facts), 200
