"""Who must never be mailed, and people leaving: the only way back against the stream, through the database.

Both are idempotent and honoured at once: the audience is checked against them when it is frozen, and every batch again
when it is claimed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, delete, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from app.flow.sessions import AnySession, rows_changed
from app.logs import get_logger
from app.mail.addresses import Address, AddressProblem, parse_address
from app.models import (
    SUBSCRIPTION_TRANSITIONS,
    Contact,
    Subscription,
    SubscriptionStatus,
    Suppression,
    SuppressionReason,
    sources_of,
)

MAX_PASTED = 10_000
log = get_logger(__name__)


@dataclass
class Pasted:
    """What became of pasted addresses."""

    added: int = 0
    already: int = 0
    refused: list[tuple[int, str, AddressProblem]] = field(default_factory=list)
    """Line (from 1), text, problem."""


class TooManyPasted(ValueError):
    """More lines than :data:`MAX_PASTED`."""


def suppress(
    session: AnySession,
    panel_id: int | None,
    email: str,
    reason: SuppressionReason,
    source: str,
    user_id: int | None = None,
) -> bool:
    """Never mail ``email`` (normalised) from this panel; from any, where ``panel_id`` is None. Whether it is new.
    Whoever suppressed it first stays on record. Commits."""
    added = _suppress_all(session, panel_id, [email], reason, source, user_id)
    session.commit()
    return added == 1


def suppress_pasted(
    session: AnySession, panel_id: int | None, lines: Sequence[str], reason: SuppressionReason, user_id: int | None
) -> Pasted:
    """One address a line; blank lines don't count. What is no address is given back, the rest is suppressed. Commits."""
    if len(lines) > MAX_PASTED:
        raise TooManyPasted(len(lines))
    outcome, wanted = Pasted(), {}
    for number, line in enumerate(lines, start=1):
        parsed = parse_address(line.strip().rstrip(",;"))
        if isinstance(parsed, Address):
            wanted[parsed.address] = number
        elif parsed is not AddressProblem.EMPTY:
            outcome.refused.append((number, line.strip()[:254], parsed))
    source = "command" if user_id is None else f"manual:{user_id}"
    outcome.added = _suppress_all(session, panel_id, sorted(wanted), reason, source, user_id)
    outcome.already = len(wanted) - outcome.added
    session.commit()
    return outcome


def _suppress_all(
    session: AnySession,
    panel_id: int | None,
    emails: Sequence[str],
    reason: SuppressionReason,
    source: str,
    user_id: int | None,
    at: datetime | None = None,
) -> int:
    if not emails:
        return 0
    rows: list[dict[str, Any]] = [
        {"panel_id": panel_id, "email": email, "reason": reason, "source": source[:200], "created_by_id": user_id}
        for email in emails
    ]
    if at is not None:
        rows = [row | {"created_at": at} for row in rows]
    statement = insert(Suppression).values(rows).on_conflict_do_nothing(index_elements=["panel_id", "email"])
    return len(session.scalars(statement.returning(Suppression.id)).all())


def allow_again(session: AnySession, suppression: Suppression, user_id: int) -> None:
    """Take the address off the list of suppressions. Subscriptions that ended stay ended. Commits."""
    log.info("suppression_removed", panel_id=suppression.panel_id, email=suppression.email, user_id=user_id)
    session.execute(delete(Suppression).where(Suppression.id == suppression.id))
    session.commit()


def unsubscribe(
    session: AnySession,
    *,
    contact_id: int,
    list_ids: Iterable[int],
    source: str,
    everything: bool = False,
    at: datetime | None = None,
) -> int:
    """End the person's subscriptions to these lists; with ``everything``, to all lists, and suppress the address in the
    panel. How many subscriptions ended now; repeating it changes nothing. ``at``: the moment that all of it carries,
    now where none is given. Commits."""
    moment = at or datetime.now(UTC)
    leaving = [Subscription.contact_id == contact_id, Subscription.status.in_(_endable())]
    if not everything:
        leaving.append(Subscription.list_id.in_(list(list_ids)))
    ended = rows_changed(
        session,
        update(Subscription)
        .where(*leaving)
        .values(status=SubscriptionStatus.UNSUBSCRIBED, unsubscribed_at=moment, unsubscribe_source=source[:200]),
    )
    contact = session.get(Contact, contact_id) if everything else None
    if contact is not None:
        _suppress_all(session, contact.panel_id, [contact.email], SuppressionReason.UNSUBSCRIBED, source, None, moment)
    session.commit()
    return ended


def _endable() -> list[str]:
    """Statuses that end here. One that has ended keeps the time and the way it ended."""
    ended = SubscriptionStatus.UNSUBSCRIBED
    return [status for status in sources_of(SUBSCRIPTION_TRANSITIONS, ended) if status != ended]


def visible_from(panel_id: int) -> Select[Suppression]:
    """The panel's suppressions, and those of the whole installation."""
    return select(Suppression).where(or_(Suppression.panel_id == panel_id, Suppression.panel_id.is_(None)))


def of_address(session: AnySession, panel_id: int, email: str) -> list[Suppression]:
    """Why this address is not mailed, if so."""
    return list(session.scalars(visible_from(panel_id).where(Suppression.email == email)))
