"""The panel's people: one row per address. Editing, what happened to a person's mails, erasing."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from app.flow import practice, suppressions
from app.flow.importing.claims import ENDED
from app.flow.importing.retention import forget_person
from app.flow.problem import Problem
from app.flow.sessions import AnySession, rows_changed
from app.mail.addresses import Address, AddressProblem, parse_address
from app.models import (
    Campaign,
    Contact,
    Delivery,
    Event,
    Import,
    MailingList,
    Subscription,
    SuppressionReason,
)

LATEST_EVENTS = 50


class ContactProblem(Problem):
    """``taken``, or a code of ``AddressProblem``."""


@dataclass(frozen=True)
class Erasing:
    """What erasing a contact will do, for the question before it."""

    subscriptions: int
    deliveries: int
    imports: list[Import]
    """Not ended: their files stay as they were uploaded, and may name the person."""


def of_panel(panel_id: int) -> Select[Contact]:
    return select(Contact).where(Contact.panel_id == panel_id)


def address_of(raw: str) -> Address:
    """Raises :class:`ContactProblem`."""
    parsed = parse_address(raw)
    if isinstance(parsed, AddressProblem):
        raise ContactProblem(parsed.value)
    return parsed


def find_or_make(session: AnySession, panel_id: int, *, email: str, name: str = "") -> Contact:
    """The contact with this address; made where there is none. A name that is there stays. Doesn't commit."""
    address = address_of(email)
    session.execute(
        insert(Contact)
        .values(panel_id=panel_id, email=address.address, domain=address.domain, name=name.strip())
        .on_conflict_do_nothing(index_elements=["panel_id", "email"])
    )
    contact = session.scalars(of_panel(panel_id).where(Contact.email == address.address)).one()
    contact.name = contact.name or name.strip()
    return contact


def create(session: AnySession, panel_id: int, *, email: str, name: str, fields: Mapping[str, Any]) -> Contact:
    """Raises :class:`ContactProblem`, ``taken`` where the address is there already. Commits."""
    address = address_of(email)
    contact = Contact(panel_id=panel_id, email=address.address, domain=address.domain, name=name, fields=dict(fields))
    session.add(contact)
    _commit_address(session)
    return contact


def edit(session: AnySession, contact: Contact, *, email: str, name: str, fields: Mapping[str, Any]) -> None:
    """``fields`` by key; None clears one, keys that are not named stay. Raises :class:`ContactProblem`. Commits."""
    address = address_of(email)
    kept = {**contact.fields, **fields}
    contact.email, contact.domain, contact.name = address.address, address.domain, name
    contact.fields = {key: value for key, value in kept.items() if value is not None}
    contact.updated_at = datetime.now(UTC)
    _commit_address(session)


def _commit_address(session: AnySession) -> None:
    try:
        session.commit()
    except IntegrityError:
        session.rollback()
        raise ContactProblem("taken") from None


def subscriptions_of(session: AnySession, contact: Contact) -> list[Subscription]:
    """With their lists, by name."""
    statement = select(Subscription).join(MailingList).where(Subscription.contact_id == contact.id)
    return list(session.scalars(statement.order_by(MailingList.name)))


def deliveries_of(contact: Contact) -> Select[Delivery, Campaign]:
    """What was sent to the person, for paging."""
    return (
        select(Delivery, Campaign)
        .join(Campaign, Campaign.id == Delivery.campaign_id)
        .where(Delivery.contact_id == contact.id, Delivery.panel_id == contact.panel_id)
    )


def events_of(session: AnySession, contact: Contact) -> list[tuple[Event, Campaign]]:
    """The latest opens, clicks and unsubscribes."""
    statement = (
        select(Event, Campaign)
        .join(Delivery, (Delivery.campaign_id == Event.campaign_id) & (Delivery.seq == Event.seq))
        .join(Campaign, Campaign.id == Event.campaign_id)
        .where(Delivery.contact_id == contact.id, Delivery.panel_id == contact.panel_id)
        .order_by(Event.occurred_at.desc())
        .limit(LATEST_EVENTS)
    )
    return [(event, campaign) for event, campaign in session.execute(statement)]


def what_erasing_does(session: AnySession, contact: Contact) -> Erasing:
    subscriptions = select(func.count()).where(Subscription.contact_id == contact.id)
    deliveries = select(func.count()).where(Delivery.contact_id == contact.id)
    imports = select(Import).where(Import.panel_id == contact.panel_id, Import.status.not_in(ENDED)).order_by(Import.id)
    return Erasing(session.scalar(subscriptions) or 0, session.scalar(deliveries) or 0, list(session.scalars(imports)))


def erase(session: AnySession, contact: Contact, *, user_id: int, keep_suppressed: bool) -> None:
    """The person's data and subscriptions go, also out of imports and of the practice mailbox; the ledger keeps what was
    sent. With ``keep_suppressed`` the bare address stays as a suppression, so that no later import mails it again.
    Raises ``practice.MailboxInUse``, and nothing is erased then. Commits."""
    panel_id, email = contact.panel_id, contact.email
    practice.forget_person(session, contact)
    forget_person(session, panel_id, email)
    rows_changed(session, delete(Contact).where(Contact.id == contact.id))
    if keep_suppressed:
        suppressions.suppress(session, panel_id, email, SuppressionReason.MANUAL, f"erased:{user_id}", user_id)
    session.commit()
