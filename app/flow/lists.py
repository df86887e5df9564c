"""Mailing lists and the people on them."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from app.flow import contacts, suppressions
from app.flow.sessions import AnySession
from app.models import Contact, MailingList, Subscription, SubscriptionStatus

ROWS_PER_READ = 5000


class ListProblem(ValueError):
    """``name_taken``: another list of the panel has this name (it may be archived)."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def of_panel(panel_id: int, *, archived: bool = False) -> Select[MailingList]:
    shown = MailingList.archived_at.is_not(None) if archived else MailingList.archived_at.is_(None)
    return select(MailingList).where(MailingList.panel_id == panel_id, shown)


def choices(session: AnySession, panel_id: int, *, chosen: tuple[int, ...] = ()) -> list[MailingList]:
    """Lists that can be chosen, and those that are, by name."""
    offered = or_(MailingList.archived_at.is_(None), MailingList.id.in_(chosen))
    statement = select(MailingList).where(MailingList.panel_id == panel_id, offered)
    return list(session.scalars(statement.order_by(func.lower(MailingList.name), MailingList.id)))


def named(session: AnySession, panel_id: int, name: str) -> MailingList | None:
    return session.scalar(select(MailingList).where(MailingList.panel_id == panel_id, MailingList.name == name))


def create(session: AnySession, panel_id: int, *, name: str, description: str = "") -> MailingList:
    """Raises ``name_taken``. Commits."""
    row = MailingList(panel_id=panel_id, name=" ".join(name.split()), description=description.strip())
    session.add(row)
    _commit_name(session)
    return row


def edit(session: AnySession, row: MailingList, *, name: str, description: str) -> None:
    """Raises ``name_taken``. Commits."""
    row.name, row.description = " ".join(name.split()), description.strip()
    _commit_name(session)


def _commit_name(session: AnySession) -> None:
    try:
        session.commit()
    except IntegrityError:
        session.rollback()
        raise ListProblem("name_taken") from None


def archive(session: AnySession, row: MailingList) -> None:
    """It can't be chosen any more; its people and its history stay. Commits."""
    row.archived_at = row.archived_at or datetime.now(UTC)
    session.commit()


def restore(session: AnySession, row: MailingList) -> None:
    row.archived_at = None
    session.commit()


def counts(session: AnySession, list_ids: list[int]) -> dict[int, dict[str, int]]:
    """People by status, for each of these lists."""
    statement = (
        select(Subscription.list_id, Subscription.status, func.count())
        .where(Subscription.list_id.in_(list_ids))
        .group_by(Subscription.list_id, Subscription.status)
    )
    found: dict[int, dict[str, int]] = {list_id: dict.fromkeys(SubscriptionStatus, 0) for list_id in list_ids}
    for list_id, status, people in session.execute(statement):
        found[list_id][status] = people
    return found


def people_on(row: MailingList, status: SubscriptionStatus | None = None) -> Select[Contact, Subscription]:
    """The list's people with their subscription, for paging."""
    statement = (
        select(Contact, Subscription)
        .join(Subscription, Subscription.contact_id == Contact.id)
        .where(Subscription.list_id == row.id, Contact.panel_id == row.panel_id)
    )
    return statement if status is None else statement.where(Subscription.status == status)


def add_person(session: AnySession, row: MailingList, *, email: str, name: str, user_id: int) -> tuple[Contact, str]:
    """Put one person on the list by hand. What happened: ``added``, ``already``, or ``unsubscribed``: the person left
    this list before, and only a consent of their own leads back. Raises ``ContactProblem``. Commits."""
    contact = contacts.find_or_make(session, row.panel_id, email=email, name=name)
    statement = (
        insert(Subscription)
        .values(list_id=row.id, contact_id=contact.id, status=SubscriptionStatus.SUBSCRIBED, source=f"manual:{user_id}")
        .on_conflict_do_nothing(index_elements=["list_id", "contact_id"])
    )
    added = session.scalar(statement.returning(Subscription.contact_id)) is not None
    session.commit()
    if added:
        return contact, "added"
    left = session.get_one(Subscription, (row.id, contact.id)).status is SubscriptionStatus.UNSUBSCRIBED
    return contact, "unsubscribed" if left else "already"


def subscribe_again(session: AnySession, row: MailingList, contact: Contact, *, source: str) -> None:
    """The person asked to be on the list again; ``source`` says who says so. Commits."""
    session.execute(
        update(Subscription)
        .where(Subscription.list_id == row.id, Subscription.contact_id == contact.id)
        .where(Subscription.status == SubscriptionStatus.UNSUBSCRIBED)
        .values(
            status=SubscriptionStatus.SUBSCRIBED,
            source=source,
            subscribed_at=func.now(),
            unsubscribed_at=None,
            unsubscribe_source=None,
        )
        .execution_options(synchronize_session=False)
    )
    session.commit()


def unsubscribe_person(session: AnySession, row: MailingList, contact: Contact, *, user_id: int) -> None:
    suppressions.unsubscribe(session, contact_id=contact.id, list_ids=[row.id], source=f"manual:{user_id}")


def export_people(session: AnySession, row: MailingList, status: SubscriptionStatus | None) -> Iterator[Any]:
    """``email, name, fields, status, source, subscribed_at, unsubscribed_at`` of the list's people by contact id, some
    thousands in memory at a time."""
    last = 0
    exported = people_on(row, status).with_only_columns(
        Contact.id,
        Contact.email,
        Contact.name,
        Contact.fields,
        Subscription.status,
        Subscription.source,
        Subscription.subscribed_at,
        Subscription.unsubscribed_at,
    )
    while True:
        rows = session.execute(exported.where(Contact.id > last).order_by(Contact.id).limit(ROWS_PER_READ)).all()
        if not rows:
            return
        yield from rows
        last = rows[-1].id
