"""What lies in a relay's own queue, as its agent last told it, and what administrators want done with it.

The snapshot is a table because pages filter it, count it and join it with the ledger; it is rewritten by difference, so that
a queue that stands still costs no writes.
"""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, ForeignKey, Index, PrimaryKeyConstraint, String, func
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import Model
from app.models.types import Timestamp, enum_text


class RelayQueue(Model):
    """The last that was heard of a relay's queue."""

    __tablename__ = "relay_queue"

    relay_id: Mapped[int] = mapped_column(ForeignKey("relay.id", ondelete="CASCADE"), primary_key=True)
    seen_at: Mapped[datetime | None] = mapped_column(Timestamp, server_default=func.now())
    """When the snapshot was stored, by the database's clock: the agent's may differ. Empty: an agent spoke, but could not
    look into the queue yet."""
    heard_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    """When the agent last spoke, be it of a problem."""
    total: Mapped[int] = mapped_column(default=0, server_default="0")
    """Mails in the queue, those beyond the snapshot's bound included."""
    unreadable: Mapped[int] = mapped_column(default=0, server_default="0")
    turn: Mapped[str] = mapped_column(String(32), default="", server_default="")
    """What the next listing over HTTPS must carry; each listing makes a new one, so that an old one can't come again."""
    problem: Mapped[str] = mapped_column(String(40), default="", server_default="")
    """As ``app.mail.queue_report.QueueTrouble`` names it; empty: none."""
    problem_detail: Mapped[str] = mapped_column(String(300), default="", server_default="")


class RelayQueueMail(Model):
    """A mail in the queue."""

    __tablename__ = "relay_queue_mail"

    relay_id: Mapped[int] = mapped_column(ForeignKey("relay.id", ondelete="CASCADE"))
    queue_id: Mapped[str] = mapped_column(String(20))
    queue: Mapped[str] = mapped_column(String(20))
    arrived_at: Mapped[datetime] = mapped_column(Timestamp)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sender: Mapped[str] = mapped_column(String(320))
    recipient: Mapped[str] = mapped_column(String(320))
    recipients: Mapped[int]
    reason: Mapped[str] = mapped_column(String(500))
    reason_kind: Mapped[str] = mapped_column(String(40))
    """A ``Reason``; empty where it was not tried yet."""
    provider: Mapped[str] = mapped_column(String(40))
    panel_id: Mapped[int | None]
    """Empty, like the three that follow, where it is no mail of a campaign of ours."""
    campaign_id: Mapped[int | None]
    seq: Mapped[int | None]
    egress_ip_id: Mapped[int | None]

    __table_args__ = (
        PrimaryKeyConstraint("relay_id", "queue_id"),
        Index("ix_relay_queue_mail_campaign_id", "campaign_id"),
    )


class QueueAction(StrEnum):
    HOLD = "hold"
    RELEASE = "release"
    REQUEUE = "requeue"  # The relay chooses the way anew: after a quarantine, another IP.
    DELETE = "delete"  # For good; nobody is told.


class QueueCommandStatus(StrEnum):
    PROPOSED = "proposed"  # Shown to the person who asked, with its exact count; nothing happens yet.
    WAITING = "waiting"  # For the agent.
    DONE = "done"  # Each of its mails has an outcome.
    WITHDRAWN = "withdrawn"  # Before all was done: those with an outcome keep it.


QUEUE_COMMAND_TRANSITIONS: dict[QueueCommandStatus, frozenset[QueueCommandStatus]] = {
    QueueCommandStatus.PROPOSED: frozenset({QueueCommandStatus.WAITING, QueueCommandStatus.WITHDRAWN}),
    QueueCommandStatus.WAITING: frozenset({QueueCommandStatus.DONE, QueueCommandStatus.WITHDRAWN}),
    QueueCommandStatus.DONE: frozenset(),
    QueueCommandStatus.WITHDRAWN: frozenset(),
}


class QueueCommand(Model):
    """What a person wants done with some mails of a relay's queue."""

    __tablename__ = "relay_queue_command"

    id: Mapped[int] = mapped_column(primary_key=True)
    relay_id: Mapped[int] = mapped_column(ForeignKey("relay.id", ondelete="CASCADE"), index=True)
    action: Mapped[QueueAction] = mapped_column(enum_text(QueueAction))
    status: Mapped[QueueCommandStatus] = mapped_column(
        enum_text(QueueCommandStatus), default=QueueCommandStatus.PROPOSED
    )
    mails: Mapped[int] = mapped_column(default=0, server_default="0")
    requested_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    requested_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id", ondelete="SET NULL"))
    done_at: Mapped[datetime | None] = mapped_column(Timestamp)


class QueueOutcome(StrEnum):
    HELD = "held"  # On its way to be deleted: nothing leaves from there, so a crash can't hide what became of it.
    DONE = "done"
    GONE = "gone"  # It was not there any more.
    BUSY = "busy"  # It is being delivered at this moment, and was left alone.


class QueueCommandMail(Model):
    """One mail of a command. Its id alone would not do: a relay without long queue ids uses them again."""

    __tablename__ = "relay_queue_command_mail"

    command_id: Mapped[int] = mapped_column(ForeignKey("relay_queue_command.id", ondelete="CASCADE"))
    queue_id: Mapped[str] = mapped_column(String(20))
    arrived_at: Mapped[datetime] = mapped_column(Timestamp)
    campaign_id: Mapped[int | None]
    seq: Mapped[int | None]
    outcome: Mapped[QueueOutcome | None] = mapped_column(enum_text(QueueOutcome))

    __table_args__ = (PrimaryKeyConstraint("command_id", "queue_id"),)
