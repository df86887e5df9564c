"""The blueprint: whose key it is, how much may be told at once, and what a refusal looks like."""

import json
from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import RequestEntityTooLarge

from app.current import current_address
from app.extensions import csrf, db, limiter
from app.flow import relay_keys

blueprint = Blueprint("relay_api", __name__, url_prefix="/api/relay/<int:relay_id>")
csrf.exempt(blueprint)  # A browser never sends the key by itself.

WRONG_KEYS = "30 per minute"

Answer = tuple[Response, int]
Taker = Callable[[int, bytes], Answer]


def told_to(path: str, *, most_bytes: int) -> Callable[[Taker], Callable[..., Answer]]:
    """A route that takes the relay and the body, once the key is known to be that relay's. ValueError and RecursionError
    say that the body is nothing that could be taken."""

    def decorate(take: Taker) -> Callable[..., Answer]:
        @blueprint.post(path, endpoint=take.__name__)
        @limiter.limit(WRONG_KEYS, deduct_when=lambda answer: answer.status_code == 401)
        @wraps(take)
        def checked(relay_id: int) -> Answer:
            key_relay_id = relay_keys.relay_of_key(db.session, _key(), address=current_address())
            if key_relay_id is None:
                return refused(401, "wrong_key")
            if key_relay_id != relay_id:
                return refused(403, "key_of_another_relay")
            try:
                return take(relay_id, _body(most_bytes))
            except RequestEntityTooLarge:
                return refused(413, "too_large")
            except (ValueError, RecursionError):
                db.session.rollback()
                return refused(400, "not_understood")

        return checked

    return decorate


def _key() -> str:
    kind, _blank, key = request.headers.get("Authorization", "").partition(" ")
    return key.strip() if kind.lower() == "bearer" else ""


def _body(most_bytes: int) -> bytes:
    request.max_content_length = most_bytes
    return request.get_data(cache=False)


def told_json(body: bytes) -> Any:
    """Raises ValueError, of which ``UnicodeDecodeError`` is one."""
    return json.loads(body)


def refused(code: int, why: str) -> Answer:
    return jsonify(error=why), code
