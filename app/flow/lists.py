"""Mailing lists and the people on them."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, bindparam, func, literal, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from app.flow import contacts, suppressions
from app.flow.problem import Problem
from app.flow.sessions import AnySession
from app.flow.slices import in_slices
from app.models import Contact, MailingList, Subscription, SubscriptionStatus

MANY = 2000
"""Up to so many people a list is counted while its page is made."""
COUNT_ALL = """
    SELECT l.id, (SELECT count(*) FROM subscription WHERE list_id = l.id),
        (SELECT count(*) FROM subscription WHERE list_id = l.id AND status = 'unsubscribed')
    FROM unnest(CAST(:ids AS integer[])) AS l(id)
"""
# Ordered as the index is, so that the planner never looks for a small list in the whole table.
COUNT_FEW = """
    SELECT l.id,
        (SELECT count(*) FROM (
            SELECT FROM subscription WHERE list_id = l.id AND status = 'subscribed' ORDER BY contact_id LIMIT :limit
        ) AS few),
        (SELECT count(*) FROM (
            SELECT FROM subscription WHERE list_id = l.id AND status = 'unsubscribed' ORDER BY contact_id LIMIT :limit
        ) AS few)
    FROM unnest(CAST(:ids AS integer[])) AS l(id)
"""


class ListProblem(Problem):
    """``name_taken``: another list of the panel has this name (it may be archived)."""


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
    """People by status, for each of these lists. A list of a million takes some tenths of a second."""
    return {
        list_id: {"subscribed": people - left, "unsubscribed": left}
        for list_id, people, left in session.execute(text(COUNT_ALL), {"ids": list_ids})
    }


def quick_counts(session: AnySession, list_ids: list[int]) -> dict[int, dict[str, int | None]]:
    """As :func:`counts`, at once whatever the size: None stands for more than :data:`MANY`."""
    found = session.execute(text(COUNT_FEW), {"ids": list_ids, "limit": MANY + 1})
    return {
        list_id: {
            "subscribed": subscribed if subscribed <= MANY else None,
            "unsubscribed": left if left <= MANY else None,
        }
        for list_id, subscribed, left in found
    }


def people_on(row: MailingList, status: SubscriptionStatus | None = None) -> Select[Contact, Subscription]:
    """The list's people with their subscription, for paging."""
    statement = (
        select(Contact, Subscription)
        .join(Subscription, Subscription.contact_id == Contact.id)
        .where(Subscription.list_id == row.id, Contact.panel_id == row.panel_id)
    )
    if status is None:
        return statement
    # Written out, since the index of those who left is found only by a condition that is known when planning.
    return statement.where(Subscription.status == literal(status, Subscription.status.type, literal_execute=True))


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
    """``email, name, fields, status, source, subscribed_at, unsubscribed_at`` of the list's people by contact id."""
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
    behind = exported.where(Contact.id > bindparam("after")).order_by(Contact.id).limit(bindparam("slice"))
    return in_slices(session, behind, key="id")
