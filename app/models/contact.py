"""Contact, MailingList, Subscription, CustomField, Suppression."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    String,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.extensions import Model
from app.models.types import Timestamp, enum_text
from app.models.user import User


class FieldType(StrEnum):
    TEXT = "text"
    NUMBER = "number"
    DATE = "date"
    BOOLEAN = "boolean"


class CustomField(Model):
    """A field that the operator defined (*campo personalizado*); its key is what templates write: ``{{ region }}``."""

    __tablename__ = "custom_field"

    id: Mapped[int] = mapped_column(primary_key=True)
    panel_id: Mapped[int] = mapped_column(ForeignKey("panel.id"))
    key: Mapped[str] = mapped_column(String(40))
    label: Mapped[str] = mapped_column(String(100))
    type: Mapped[FieldType] = mapped_column(enum_text(FieldType), default=FieldType.TEXT)
    position: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())

    __table_args__ = (
        UniqueConstraint("panel_id", "key"),
        CheckConstraint(r"key ~ '^[a-z][a-z0-9_]{0,39}$'", name="key"),
    )


class RemovedField(Model):
    """A deleted custom field whose values contacts may still have, until the last one is gone."""

    __tablename__ = "removed_field"

    panel_id: Mapped[int] = mapped_column(ForeignKey("panel.id"), primary_key=True)
    key: Mapped[str] = mapped_column(String(40), primary_key=True)
    emptied_to: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    """Contacts up to this id have no value left."""


ACCENTED = "ÁÉÍÓÚÜÑÀÈÌÒÙÂÊÎÔÛÄËÏÖÃÕÇáéíóúüñàèìòùâêîôûäëïöãõç"
PLAIN = "AEIOUUNAEIOUAEIOUAEIOAOCaeiouunaeiouaeiouaeioaoc"
NAME_KEY = f"lower(translate({{name}}, '{ACCENTED}', '{PLAIN}')) COLLATE \"C\""
"""What names are sorted and searched by: without case or accents, and in an order that no database's collation changes,
so that one index serves both. Written out rather than bound: an index is found by its text."""


class Contact(Model):
    """A person: one row per address and panel."""

    __tablename__ = "contact"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    panel_id: Mapped[int] = mapped_column(ForeignKey("panel.id"))
    email: Mapped[str] = mapped_column(String(254))
    """Normalised: lower case, domain as A-labels."""
    domain: Mapped[str] = mapped_column(String(253))
    name: Mapped[str] = mapped_column(String(200), default="", server_default="")
    fields: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict, server_default=text("'{}'"))
    """Custom fields by key: text, number, boolean, or an ISO date as text."""
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())

    subscriptions: Mapped[list["Subscription"]] = relationship(back_populates="contact")

    __table_args__ = (
        UniqueConstraint("panel_id", "email"),
        Index("ix_contact_panel_id_id", "panel_id", "id"),
        Index("ix_contact_panel_id_email_prefix", "panel_id", text("email varchar_pattern_ops")),
        Index("ix_contact_panel_id_name_key", "panel_id", text(f"({NAME_KEY.format(name='name')})"), "id"),
    )


class MailingList(Model):
    __tablename__ = "mailing_list"

    id: Mapped[int] = mapped_column(primary_key=True)
    panel_id: Mapped[int] = mapped_column(ForeignKey("panel.id"))
    name: Mapped[str] = mapped_column(String(100))
    description: Mapped[str] = mapped_column(default="", server_default="")
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    archived_at: Mapped[datetime | None] = mapped_column(Timestamp)
    """Archived lists keep their people and history but can't be chosen; undo is clearing this."""

    __table_args__ = (UniqueConstraint("panel_id", "name"),)


class SubscriptionStatus(StrEnum):
    SUBSCRIBED = "subscribed"
    UNSUBSCRIBED = "unsubscribed"  # Only the person's own new consent leads back; an import never does.


SUBSCRIPTION_TRANSITIONS: dict[SubscriptionStatus, frozenset[SubscriptionStatus]] = {
    SubscriptionStatus.SUBSCRIBED: frozenset({SubscriptionStatus.UNSUBSCRIBED}),
    SubscriptionStatus.UNSUBSCRIBED: frozenset({SubscriptionStatus.SUBSCRIBED, SubscriptionStatus.UNSUBSCRIBED}),
}


class Subscription(Model):
    """The person on the list, with status and proof of consent."""

    __tablename__ = "subscription"

    list_id: Mapped[int] = mapped_column(ForeignKey("mailing_list.id"), primary_key=True)
    contact_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("contact.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    status: Mapped[SubscriptionStatus] = mapped_column(enum_text(SubscriptionStatus))
    source: Mapped[str] = mapped_column(String(200), default="", server_default="")
    """Where the consent came from: ``import:<id>``, ``manual:<user id>``, ``form:<id>``."""
    subscribed_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    unsubscribed_at: Mapped[datetime | None] = mapped_column(Timestamp)
    unsubscribe_source: Mapped[str | None] = mapped_column(String(200))
    """How the person left: ``one-click:<campaign>``, ``page:<campaign>``, ``manual:<user id>``."""

    contact: Mapped[Contact] = relationship(back_populates="subscriptions")
    mailing_list: Mapped[MailingList] = relationship()

    __table_args__ = (
        # They are few among many, and their list is asked for them and for how many they are.
        Index(
            "ix_subscription_unsubscribed", "list_id", "contact_id", postgresql_where=text("status = 'unsubscribed'")
        ),
    )


class SuppressionReason(StrEnum):
    UNSUBSCRIBED = "unsubscribed"
    COMPLAINT = "complaint"
    HARD_BOUNCE = "hard_bounce"
    MANUAL = "manual"


class Suppression(Model):
    """Never mail this address. ``panel_id`` empty: in the whole installation."""

    __tablename__ = "suppression"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    panel_id: Mapped[int | None] = mapped_column(ForeignKey("panel.id"))
    email: Mapped[str] = mapped_column(String(254), index=True)
    reason: Mapped[SuppressionReason] = mapped_column(enum_text(SuppressionReason))
    source: Mapped[str] = mapped_column(String(200), default="", server_default="")
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id", ondelete="SET NULL"))
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())

    created_by: Mapped[User | None] = relationship()

    __table_args__ = (UniqueConstraint("panel_id", "email", postgresql_nulls_not_distinct=True),)
