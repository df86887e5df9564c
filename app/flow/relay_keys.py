"""Keys with which a follower on a relay's own host reports: each for one relay, shown once, kept as a hash."""

import hashlib
import secrets

from sqlalchemy import delete, text

from app.flow.sessions import AnySession
from app.logs import get_logger
from app.models import RelayApiKey

log = get_logger(__name__)

PREFIX = "chaski_relay_"
"""So that a key that lies about is known for what it is."""
MAX_KEY_CHARACTERS = 100


def make_key(session: AnySession, relay_id: int) -> str:
    """A new key, beside those that the relay has: so one can be changed without a pause."""
    key = PREFIX + secrets.token_urlsafe(32)
    session.add(RelayApiKey(relay_id=relay_id, key_hash=_hash(key)))
    session.commit()
    log.info("relay_key_made", relay_id=relay_id)
    return key


def revoke_keys(session: AnySession, relay_id: int) -> int:
    """All keys of the relay end now. Returns how many."""
    ended = session.execute(delete(RelayApiKey).where(RelayApiKey.relay_id == relay_id))
    session.commit()
    log.info("relay_keys_revoked", relay_id=relay_id)
    return int(ended.rowcount)  # type: ignore[attr-defined]  # a cursor result


def relay_of_key(session: AnySession, key: str) -> int | None:
    """The relay that this key reports for; None for whatever is no key. The hash is looked up, so how long it takes says
    nothing about the key."""
    if not key or len(key) > MAX_KEY_CHARACTERS:
        return None
    relay_id: int | None = session.scalar(
        text("UPDATE relay_api_key SET last_used_at = now() WHERE key_hash = :hash RETURNING relay_id"),
        {"hash": _hash(key)},
    )
    session.commit()
    return relay_id


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "replace")).digest()
