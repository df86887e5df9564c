"""Keys with which a follower or agent on a relay's own host reports: each for one relay, shown once, kept as a hash."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select, text, update
from sqlalchemy.orm import aliased

from app.flow.sessions import AnySession, rows_changed
from app.logs import get_logger
from app.models import RelayApiKey, User

log = get_logger(__name__)

PREFIX = "chaski_relay_"
"""So that a key that lies about is known for what it is."""
MAX_KEY_CHARACTERS = 100
MOST_SHOWN = 50


def make_key(session: AnySession, relay_id: int, *, name: str = "", user_id: int | None = None) -> str:
    """A new key, beside those that the relay has: so one can be changed without a pause."""
    key = PREFIX + secrets.token_urlsafe(32)
    session.add(RelayApiKey(relay_id=relay_id, key_hash=_hash(key), name=name, created_by_id=user_id))
    session.commit()
    log.info("relay_key_made", relay_id=relay_id, user_id=user_id)
    return key


def revoke_key(session: AnySession, relay_id: int, key_id: int, *, user_id: int | None = None) -> bool:
    """It opens nothing any more. False: it was over already, or is none of this relay's."""
    ended = _revoke(session, (RelayApiKey.relay_id == relay_id) & (RelayApiKey.id == key_id), user_id)
    log.info("relay_key_revoked", relay_id=relay_id, key_id=key_id, user_id=user_id)
    return bool(ended)


def revoke_keys(session: AnySession, relay_id: int) -> int:
    """All keys of the relay end now. Returns how many."""
    ended = _revoke(session, RelayApiKey.relay_id == relay_id, None)
    log.info("relay_keys_revoked", relay_id=relay_id)
    return ended


def _revoke(session: AnySession, which: object, user_id: int | None) -> int:
    ended = rows_changed(
        session,
        update(RelayApiKey)
        .where(which, RelayApiKey.revoked_at.is_(None))  # type: ignore[arg-type]  # a condition
        .values(revoked_at=func.now(), revoked_by_id=user_id),
    )
    session.commit()
    return ended


def relay_of_key(session: AnySession, key: str, *, address: str = "") -> int | None:
    """The relay that this key reports for; None for whatever is no key. The hash is looked up, so how long it takes says
    nothing about the key. ``address``: of whoever uses it."""
    if not key or len(key) > MAX_KEY_CHARACTERS:
        return None
    relay_id: int | None = session.scalar(
        text(
            """
            UPDATE relay_api_key SET last_used_at = now(), last_used_from = :address
            WHERE key_hash = :hash AND revoked_at IS NULL RETURNING relay_id
            """
        ),
        {"hash": _hash(key), "address": address[:45]},
    )
    session.commit()
    return relay_id


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "replace")).digest()


# For pages.


@dataclass(frozen=True)
class KeyView:
    key: RelayApiKey
    made_by: str
    """Empty: by command."""
    revoked_by: str


def keys_of(session: AnySession, relay_id: int) -> Sequence[KeyView]:
    """Those in force first, the newest first."""
    maker, revoker = aliased(User), aliased(User)
    rows = session.execute(
        select(RelayApiKey, maker.name, revoker.name)
        .outerjoin(maker, maker.id == RelayApiKey.created_by_id)
        .outerjoin(revoker, revoker.id == RelayApiKey.revoked_by_id)
        .where(RelayApiKey.relay_id == relay_id)
        .order_by(RelayApiKey.revoked_at.is_not(None), RelayApiKey.id.desc())
        .limit(MOST_SHOWN)
    )
    return [KeyView(key, made_by or "", revoked_by or "") for key, made_by, revoked_by in rows]
