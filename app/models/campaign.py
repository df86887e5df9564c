"""Campaign: one mailing, with its lists, links, proofs (test sends) and samples of its progress."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, Column, Date, Float, ForeignKey, Index, Integer, String, Table, func, text
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.extensions import Base, Model
from app.models.contact import MailingList
from app.models.egress import MailStream
from app.models.panel import CANARY_LIMITS
from app.models.types import Timestamp, enum_text


class CampaignStatus(StrEnum):
    DRAFT = "draft"
    IN_REVIEW = "in_review"
    SCHEDULED = "scheduled"
    PREPARING = "preparing"  # The audience is being frozen.
    SENDING = "sending"
    PAUSED = "paused"
    FINISHED = "finished"
    CANCELLED = "cancelled"


CAMPAIGN_TRANSITIONS: dict[CampaignStatus, frozenset[CampaignStatus]] = {
    CampaignStatus.DRAFT: frozenset({CampaignStatus.IN_REVIEW, CampaignStatus.SCHEDULED, CampaignStatus.CANCELLED}),
    CampaignStatus.IN_REVIEW: frozenset({CampaignStatus.DRAFT, CampaignStatus.SCHEDULED, CampaignStatus.CANCELLED}),
    # Back to draft: the schedule is taken back before its time.
    CampaignStatus.SCHEDULED: frozenset({CampaignStatus.DRAFT, CampaignStatus.PREPARING, CampaignStatus.CANCELLED}),
    CampaignStatus.PREPARING: frozenset({CampaignStatus.SENDING, CampaignStatus.PAUSED, CampaignStatus.CANCELLED}),
    CampaignStatus.SENDING: frozenset({CampaignStatus.PAUSED, CampaignStatus.FINISHED, CampaignStatus.CANCELLED}),
    # Resumed: to preparing where the audience was not completely frozen yet, else to sending, which may find that the last
    # outcome has arrived after the pause.
    CampaignStatus.PAUSED: frozenset({CampaignStatus.PREPARING, CampaignStatus.SENDING, CampaignStatus.CANCELLED}),
    CampaignStatus.FINISHED: frozenset(),
    CampaignStatus.CANCELLED: frozenset(),
}


class CanaryStage(StrEnum):
    """Where the first part of a campaign stands that goes out before the rest."""

    SENDING = "sending"  # Only its batches go out.
    WATCHING = "watching"  # All of them were tried; the rest waits until `canary_until`.
    PASSED = "passed"  # Everything may go.
    HELD = "held"  # Too many refusals: the campaign paused itself and told its people.


CANARY_TRANSITIONS: dict[CanaryStage, frozenset[CanaryStage]] = {
    CanaryStage.SENDING: frozenset({CanaryStage.WATCHING, CanaryStage.HELD, CanaryStage.PASSED}),
    CanaryStage.WATCHING: frozenset({CanaryStage.PASSED, CanaryStage.HELD}),
    # A person looked at it and resumed the campaign.
    CanaryStage.HELD: frozenset({CanaryStage.PASSED}),
    CanaryStage.PASSED: frozenset(),
}


campaign_list = Table(
    "campaign_list",
    Base.metadata,
    Column("campaign_id", Integer, ForeignKey("campaign.id", ondelete="CASCADE"), primary_key=True),
    Column("list_id", Integer, ForeignKey("mailing_list.id"), primary_key=True, index=True),
)


class Campaign(Model):
    __tablename__ = "campaign"

    id: Mapped[int] = mapped_column(primary_key=True)
    panel_id: Mapped[int] = mapped_column(ForeignKey("panel.id"))
    name: Mapped[str] = mapped_column(String(150))
    subject: Mapped[str] = mapped_column(default="", server_default="")
    preheader: Mapped[str] = mapped_column(default="", server_default="")
    from_name: Mapped[str] = mapped_column(default="", server_default="")
    from_email: Mapped[str] = mapped_column(String(254), default="", server_default="")
    reply_to: Mapped[str] = mapped_column(String(254), default="", server_default="")
    html: Mapped[str] = mapped_column(default="", server_default="")
    text: Mapped[str] = mapped_column(default="", server_default="")
    """The author's own text part; empty: made from the HTML."""
    status: Mapped[CampaignStatus] = mapped_column(enum_text(CampaignStatus), default=CampaignStatus.DRAFT)
    status_reason: Mapped[str | None]
    """Why it stands where it stands: a `PauseReason`, details after a colon."""
    scheduled_at: Mapped[datetime | None] = mapped_column(Timestamp)
    stream: Mapped[MailStream] = mapped_column(
        enum_text(MailStream), default=MailStream.BULK, server_default=MailStream.BULK.value
    )
    rate_per_hour: Mapped[int | None]
    """Upper limit of this campaign; none when empty."""
    follow_up_of_id: Mapped[int | None] = mapped_column(ForeignKey("campaign.id"))
    """Its audience is nobody but those whom that campaign provably did not reach (see ``app.flow.following_up``)."""
    canary_percent: Mapped[int | None]
    """So much of the audience goes out first, of each mailbox provider at least a batch; empty: all at once."""
    canary_minutes: Mapped[int | None]
    """How long the rest waits after it. Empty here and in the three below: as its panel says."""
    canary_bounced_percent: Mapped[float | None] = mapped_column(Float)
    canary_deferred_percent: Mapped[float | None] = mapped_column(Float)
    canary_complained_percent: Mapped[float | None] = mapped_column(Float)
    canary_stage: Mapped[CanaryStage | None] = mapped_column(enum_text(CanaryStage))
    canary_until: Mapped[datetime | None] = mapped_column(Timestamp)
    relay_failures: Mapped[int] = mapped_column(default=0, server_default="0")
    """Consecutive relay failures; any answer of the relay sets it back to 0."""
    relay_failing_since: Mapped[datetime | None] = mapped_column(Timestamp)
    """When the first of them was."""

    frozen_on: Mapped[date | None] = mapped_column(Date)
    """The day the freezing of the audience began: the partition of all its deliveries. Never changes."""
    audience_cursor: Mapped[int] = mapped_column(default=0, server_default="0")
    """Highest contact id frozen so far: the freezing is resumed behind it."""
    audience_size: Mapped[int] = mapped_column(default=0, server_default="0")
    """Deliveries made so far; the last sequence number given."""
    audience_expected: Mapped[int] = mapped_column(default=0, server_default="0")
    """Members of the lists when the freezing began, for the progress bar."""
    audience_frozen_at: Mapped[datetime | None] = mapped_column(Timestamp)
    lease_expires_at: Mapped[datetime | None] = mapped_column(Timestamp)
    """Of the worker that freezes the audience."""

    started_at: Mapped[datetime | None] = mapped_column(Timestamp)
    finished_at: Mapped[datetime | None] = mapped_column(Timestamp)
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id", ondelete="SET NULL"))
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now(), onupdate=func.now())

    lists: Mapped[list[MailingList]] = relationship(secondary=campaign_list, order_by="MailingList.name")
    links: Mapped[list["CampaignLink"]] = relationship(order_by="CampaignLink.position", cascade="all, delete-orphan")

    __table_args__ = (
        Index("ix_campaign_panel_id_id", "panel_id", "id"),
        Index("ix_campaign_status_scheduled_at", "status", "scheduled_at"),
        # Two follow-ups of one campaign at once would reach the same people.
        Index(
            "ix_campaign_follow_up_of_id",
            "follow_up_of_id",
            unique=True,
            postgresql_where=sql("status <> 'cancelled'"),
        ),
        CheckConstraint("rate_per_hour > 0", name="rate_per_hour"),
        CheckConstraint("canary_percent BETWEEN 1 AND 50 AND canary_minutes BETWEEN 1 AND 1440", name="canary"),
        CheckConstraint(CANARY_LIMITS, name="canary_limits"),
    )


class CampaignLink(Model):
    """A distinct URL of a campaign; tracked links redirect to nothing else."""

    __tablename__ = "campaign_link"

    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaign.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    """0-based; the number in the tracked URL."""
    url: Mapped[str]


class CampaignDetails(Model):
    """The parts of a campaign's report that take reading its whole ledger, as last made."""

    __tablename__ = "campaign_details"

    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaign.id", ondelete="CASCADE"), primary_key=True)
    content: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    """As ``app.flow.report_details`` writes and reads it; empty: never made."""
    fingerprint: Mapped[str] = mapped_column(default="", server_default="")
    """What had happened by then."""
    made_at: Mapped[datetime | None] = mapped_column(Timestamp)
    took_ms: Mapped[int] = mapped_column(default=0, server_default="0")
    wanted_at: Mapped[datetime | None] = mapped_column(Timestamp)
    """Since when a worker should make it anew."""

    __table_args__ = (
        Index("ix_campaign_details_wanted_at", "wanted_at", postgresql_where=text("wanted_at IS NOT NULL")),
    )


class CampaignSample(Model):
    """How far a campaign was at one moment: what rate, time left and the plot over time are made of.

    Written every few seconds while the campaign sends, by whoever sweeps; a missed one costs precision, nothing else.
    """

    __tablename__ = "campaign_sample"

    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaign.id", ondelete="CASCADE"), primary_key=True)
    at: Mapped[datetime] = mapped_column(Timestamp, primary_key=True)
    answered: Mapped[int]
    """Deliveries that the relay has given an answer for: accepted, delivered, deferred, bounced, failed."""
    accepted: Mapped[int]
    """Accepted or delivered."""


class ProofStatus(StrEnum):
    QUEUED = "queued"
    SENDING = "sending"
    ACCEPTED = "accepted"
    FAILED = "failed"
    UNKNOWN = "unknown"  # A crash hid the answer; the person simply sends another proof.


PROOF_TRANSITIONS: dict[ProofStatus, frozenset[ProofStatus]] = {
    ProofStatus.QUEUED: frozenset({ProofStatus.SENDING, ProofStatus.FAILED}),
    ProofStatus.SENDING: frozenset({ProofStatus.ACCEPTED, ProofStatus.FAILED, ProofStatus.UNKNOWN}),
    ProofStatus.ACCEPTED: frozenset(),
    ProofStatus.FAILED: frozenset(),
    ProofStatus.UNKNOWN: frozenset({ProofStatus.ACCEPTED, ProofStatus.FAILED}),
}


class Proof(Model):
    """A test send: the campaign as one contact would get it, to the author's own address."""

    __tablename__ = "proof"

    id: Mapped[int] = mapped_column(primary_key=True)
    panel_id: Mapped[int] = mapped_column(ForeignKey("panel.id"))
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaign.id", ondelete="CASCADE"), index=True)
    contact_id: Mapped[int | None] = mapped_column(ForeignKey("contact.id", ondelete="SET NULL"))
    """Whose merge data is used; none: empty fields."""
    email: Mapped[str] = mapped_column(String(254))
    status: Mapped[ProofStatus] = mapped_column(enum_text(ProofStatus), default=ProofStatus.QUEUED)
    reply: Mapped[str | None]
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id", ondelete="SET NULL"))
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    lease_expires_at: Mapped[datetime | None] = mapped_column(Timestamp)
