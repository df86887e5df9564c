"""Delivery: one campaign × one contact, the ledger; Batch: a contiguous range of them; Attempt: a try that was not accepted.

The ledger is partitioned by month of ``frozen_on``, a value that all deliveries of a campaign share and that never
changes: uniqueness per campaign and contact holds within the partition, every query of a campaign names it and touches
one partition, and an old month is detached at once. A delivery's identity is ``(campaign_id, seq)``.

No column that the send path changes is indexed, so that marking is a heap-only update.
"""

from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Date,
    Enum,
    ForeignKey,
    Identity,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Text,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import Model
from app.models.types import Timestamp, enum_text


class DeliveryStatus(StrEnum):
    PLANNED = "planned"  # In the frozen audience, not tried yet.
    SENDING = "sending"  # Recorded and committed before its bytes may leave.
    ACCEPTED = "accepted"  # Taken by our relay.
    DELIVERED = "delivered"  # Taken by the remote MX (the relay's log says so).
    DEFERRED = "deferred"  # Refused for now; `next_attempt_at` says when it is tried again.
    BOUNCED = "bounced"  # Refused for good.
    FAILED = "failed"  # Our own fault: could not be rendered, too old, relay refused us.
    SKIPPED = "skipped"  # Not sent on purpose; `skip_reason` says why.
    UNKNOWN = "unknown"  # A crash or lost connection hid the answer; never sent again before the relay was asked.


FINAL_STATUSES = frozenset(
    {
        DeliveryStatus.ACCEPTED,
        DeliveryStatus.DELIVERED,
        DeliveryStatus.BOUNCED,
        DeliveryStatus.FAILED,
        DeliveryStatus.SKIPPED,
    }
)
"""Nothing more will be sent for these."""

DELIVERY_TRANSITIONS: dict[DeliveryStatus, frozenset[DeliveryStatus]] = {
    DeliveryStatus.PLANNED: frozenset({DeliveryStatus.SENDING, DeliveryStatus.SKIPPED, DeliveryStatus.FAILED}),
    # Back to planned: the attempt provably put nothing on the wire (pause, lost connection before the message).
    DeliveryStatus.SENDING: frozenset(
        {
            DeliveryStatus.PLANNED,
            DeliveryStatus.ACCEPTED,
            DeliveryStatus.DEFERRED,
            DeliveryStatus.BOUNCED,
            DeliveryStatus.FAILED,
            DeliveryStatus.UNKNOWN,
        }
    ),
    DeliveryStatus.DEFERRED: frozenset({DeliveryStatus.SENDING, DeliveryStatus.SKIPPED, DeliveryStatus.FAILED}),
    # The relay was asked (or the slow worker that knows the answer recorded it after all): it has it, or provably not.
    DeliveryStatus.UNKNOWN: frozenset(
        {DeliveryStatus.ACCEPTED, DeliveryStatus.DEFERRED, DeliveryStatus.BOUNCED, DeliveryStatus.FAILED}
    ),
    # Failed: an administrator deleted it from the relay's queue, or the provider refuses our IP or domain. Nobody refused
    # the recipient.
    DeliveryStatus.ACCEPTED: frozenset({DeliveryStatus.DELIVERED, DeliveryStatus.BOUNCED, DeliveryStatus.FAILED}),
    # As from accepted: the lines of a relay's log may come in any order.
    DeliveryStatus.DELIVERED: frozenset({DeliveryStatus.BOUNCED, DeliveryStatus.FAILED}),
    DeliveryStatus.BOUNCED: frozenset(),
    DeliveryStatus.FAILED: frozenset(),
    DeliveryStatus.SKIPPED: frozenset(),
}


class SkipReason(StrEnum):
    UNSUBSCRIBED = "unsubscribed"  # From every list of the campaign.
    SUPPRESSED = "suppressed"
    ERASED = "erased"  # The contact was deleted after the audience was frozen.
    CANCELLED = "cancelled"


class Delivery(Model):
    __tablename__ = "delivery"

    frozen_on: Mapped[date] = mapped_column(Date)
    campaign_id: Mapped[int] = mapped_column(Integer)
    seq: Mapped[int] = mapped_column(Integer)
    """1 … audience size, without gaps; recipients of one domain are spread over it."""
    contact_id: Mapped[int] = mapped_column(BigInteger)
    """No foreign key: the ledger outlives the contact, and bulk inserts stay fast."""
    panel_id: Mapped[int] = mapped_column(Integer)
    email: Mapped[str] = mapped_column(String(254))
    status: Mapped[DeliveryStatus] = mapped_column(
        Enum(DeliveryStatus, name="delivery_status", values_callable=lambda k: [m.value for m in k])
    )
    skip_reason: Mapped[SkipReason | None] = mapped_column(enum_text(SkipReason))
    attempts: Mapped[int] = mapped_column(SmallInteger, default=0, server_default="0")
    claim: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    """Number of the batch's claim under which it was last marked `sending`: the fence against a worker that lost its lease."""
    relay_id: Mapped[int | None] = mapped_column(Integer)
    """The relay it was last handed to, 0 for the practice relay: the one to ask where the answer got lost."""
    egress_ip_id: Mapped[int | None] = mapped_column(Integer)
    """The IP that the platform chose for it; a retry keeps it where it may. Empty at relays without IPs of ours."""
    unknown_at: Mapped[datetime | None] = mapped_column(Timestamp)
    """When its answer was last given up for lost: the relay is asked a grace after this."""
    first_attempt_at: Mapped[datetime | None] = mapped_column(Timestamp)
    last_attempt_at: Mapped[datetime | None] = mapped_column(Timestamp)
    next_attempt_at: Mapped[datetime | None] = mapped_column(Timestamp)
    reply_code: Mapped[int | None] = mapped_column(SmallInteger)
    reply_text: Mapped[str | None] = mapped_column(Text)
    """The relay's last answer, at most 500 characters (holds the queue id where the relay gives one)."""

    __table_args__ = (
        PrimaryKeyConstraint("frozen_on", "campaign_id", "seq"),
        UniqueConstraint("frozen_on", "campaign_id", "contact_id"),
        Index("ix_delivery_contact_id", "contact_id"),
        {"postgresql_partition_by": "RANGE (frozen_on)"},
    )


class Attempt(Model):
    """One SMTP try that did not end in acceptance. (The accepted one stands in the delivery itself.)"""

    __tablename__ = "attempt"

    frozen_on: Mapped[date] = mapped_column(Date)
    campaign_id: Mapped[int] = mapped_column(Integer)
    seq: Mapped[int] = mapped_column(Integer)
    attempt: Mapped[int] = mapped_column(SmallInteger)
    at: Mapped[datetime] = mapped_column(Timestamp)
    outcome: Mapped[str] = mapped_column(String(20))
    stage: Mapped[str] = mapped_column(String(20))
    reply_code: Mapped[int | None] = mapped_column(SmallInteger)
    reply_text: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        PrimaryKeyConstraint("frozen_on", "campaign_id", "seq", "attempt", "at"),
        {"postgresql_partition_by": "RANGE (frozen_on)"},
    )


class BatchStatus(StrEnum):
    READY = "ready"  # Has deliveries to send, now or at `next_attempt_at`.
    CLAIMED = "claimed"  # A worker holds it until `lease_expires_at`.
    DONE = "done"  # Every delivery of it is final.


BATCH_TRANSITIONS: dict[BatchStatus, frozenset[BatchStatus]] = {
    BatchStatus.READY: frozenset({BatchStatus.CLAIMED, BatchStatus.DONE}),
    # Claimed again: the lease expired; the new claim's number fences the old worker off.
    BatchStatus.CLAIMED: frozenset({BatchStatus.CLAIMED, BatchStatus.READY, BatchStatus.DONE}),
    BatchStatus.DONE: frozenset(),
}


class Batch(Model):
    """A contiguous range of a campaign's deliveries: the unit of claiming, with its own counts.

    The counts are recomputed from the deliveries in every transaction that changes some of them, so that the sums over
    a campaign's batches are the truth at every moment, for the price of a few thousand rows.
    """

    __tablename__ = "batch"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaign.id"))
    frozen_on: Mapped[date] = mapped_column(Date)
    first_seq: Mapped[int]
    last_seq: Mapped[int]
    provider: Mapped[str] = mapped_column(String(40), default="other", server_default="other")
    """The mailbox provider of all its recipients."""
    is_canary: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Goes out before the others, where its campaign is tried with a part first."""
    status: Mapped[BatchStatus] = mapped_column(enum_text(BatchStatus), default=BatchStatus.READY)
    claim: Mapped[int] = mapped_column(default=0, server_default="0")
    claimed_by: Mapped[str | None] = mapped_column(String(100))
    lease_expires_at: Mapped[datetime | None] = mapped_column(Timestamp)
    rung_at: Mapped[datetime | None] = mapped_column(Timestamp)
    """When the dispatcher last put it on the broker."""
    next_attempt_at: Mapped[datetime | None] = mapped_column(Timestamp)
    """Earliest retry within; empty: at once."""

    planned: Mapped[int] = mapped_column(default=0, server_default="0")
    sending: Mapped[int] = mapped_column(default=0, server_default="0")
    accepted: Mapped[int] = mapped_column(default=0, server_default="0")
    delivered: Mapped[int] = mapped_column(default=0, server_default="0")
    deferred: Mapped[int] = mapped_column(default=0, server_default="0")
    bounced: Mapped[int] = mapped_column(default=0, server_default="0")
    failed: Mapped[int] = mapped_column(default=0, server_default="0")
    skipped: Mapped[int] = mapped_column(default=0, server_default="0")
    skipped_by: Mapped[dict[str, int]] = mapped_column(JSONB, default=dict, server_default=text("'{}'"))
    """``skipped`` by reason."""
    unknown: Mapped[int] = mapped_column(default=0, server_default="0")

    __table_args__ = (
        UniqueConstraint("campaign_id", "first_seq"),
        Index("ix_batch_open", "campaign_id", "id", postgresql_where=text("status <> 'done'")),
        CheckConstraint("last_seq >= first_seq", name="range"),
    )
