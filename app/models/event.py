"""Event: open, click, unsubscribe, complaint; raw, as it came. Engagement: what one delivery led to, once per recipient."""

from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import Date, Index, Integer, PrimaryKeyConstraint, SmallInteger, String, text
from sqlalchemy.dialects.postgresql import INET
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import Model
from app.models.types import Timestamp, enum_text


class EventKind(StrEnum):
    OPEN = "open"
    CLICK = "click"
    UNSUBSCRIBE = "unsubscribe"
    COMPLAINT = "complaint"  # The recipient called it spam: a feedback loop, or a letter that a person noted, says so.


class Event(Model):
    """Partitioned by month of ``occurred_at``. ``source_id`` is the hit's own id, made where it happened:
    written twice, kept once."""

    __tablename__ = "event"

    occurred_at: Mapped[datetime] = mapped_column(Timestamp)
    source_id: Mapped[str] = mapped_column(String(40))
    panel_id: Mapped[int] = mapped_column(Integer)
    campaign_id: Mapped[int] = mapped_column(Integer)
    seq: Mapped[int] = mapped_column(Integer)
    kind: Mapped[EventKind] = mapped_column(enum_text(EventKind))
    link: Mapped[int | None] = mapped_column(SmallInteger)
    """Position of the campaign's link that was clicked."""
    ip: Mapped[str | None] = mapped_column(INET)
    user_agent: Mapped[str] = mapped_column(String(300), default="", server_default="")
    verdict: Mapped[str | None] = mapped_column(String(10))
    """``human`` or ``machine``; empty until judged."""
    rule: Mapped[str | None] = mapped_column(String(60))
    """The rule that gave the verdict."""

    __table_args__ = (
        PrimaryKeyConstraint("occurred_at", "source_id"),
        Index("ix_event_campaign_id_seq", "campaign_id", "seq"),
        # A handful among millions, asked for every few seconds while a part of a campaign goes first.
        Index("ix_event_complaint", "campaign_id", "seq", postgresql_where=text("kind = 'complaint'")),
        {"postgresql_partition_by": "RANGE (occurred_at)"},
    )


class Engagement(Model):
    """First and counted opens and clicks of one delivery. Partitioned like the ledger."""

    __tablename__ = "engagement"

    frozen_on: Mapped[date] = mapped_column(Date)
    campaign_id: Mapped[int] = mapped_column(Integer)
    seq: Mapped[int] = mapped_column(Integer)
    opens: Mapped[int] = mapped_column(default=0, server_default="0")
    clicks: Mapped[int] = mapped_column(default=0, server_default="0")
    first_open_at: Mapped[datetime | None] = mapped_column(Timestamp)
    first_click_at: Mapped[datetime | None] = mapped_column(Timestamp)
    unsubscribed_at: Mapped[datetime | None] = mapped_column(Timestamp)

    __table_args__ = (
        PrimaryKeyConstraint("frozen_on", "campaign_id", "seq"),
        {"postgresql_partition_by": "RANGE (frozen_on)"},
    )


class CampaignReactions(Model):
    """Sums over a campaign's engagement, kept in the transactions that change it: a report asks for them at every look, and
    a campaign may have a hundred thousand rows to add up."""

    __tablename__ = "campaign_reactions"

    campaign_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    openers: Mapped[int] = mapped_column(default=0, server_default="0")
    """Recipients who opened or clicked, each once."""
    opens: Mapped[int] = mapped_column(default=0, server_default="0")
    clickers: Mapped[int] = mapped_column(default=0, server_default="0")
    clicks: Mapped[int] = mapped_column(default=0, server_default="0")
    leavers: Mapped[int] = mapped_column(default=0, server_default="0")
