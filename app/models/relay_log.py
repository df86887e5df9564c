"""What the dedicated relay's log tells: outcomes per delivery, how far the log was read, and who may report it."""

from datetime import date, datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    Date,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Text,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import Model
from app.models.types import Timestamp


class RelayOutcome(Model):
    """One sighting of a delivery in a relay's log. The same line read twice is the same row."""

    __tablename__ = "relay_outcome"

    frozen_on: Mapped[date] = mapped_column(Date)
    campaign_id: Mapped[int] = mapped_column(Integer)
    seq: Mapped[int] = mapped_column(Integer)
    at: Mapped[datetime] = mapped_column(Timestamp)
    """By the relay's clock."""
    queue_id: Mapped[str] = mapped_column(String(30))
    status: Mapped[str] = mapped_column(String(10))
    """As ``app.mail.relay_report.Sighting`` names them."""
    dsn: Mapped[str] = mapped_column(String(12), default="", server_default="")
    remote_host: Mapped[str] = mapped_column(String(253), default="", server_default="")
    remote_address: Mapped[str] = mapped_column(String(45), default="", server_default="")
    egress_ip_id: Mapped[int | None] = mapped_column(Integer)
    """The IP that it left by: after a quarantine another one than the platform had chosen."""
    delay_ms: Mapped[int | None] = mapped_column(Integer)
    reply: Mapped[str] = mapped_column(Text, default="", server_default="")
    is_about_us: Mapped[bool] = mapped_column(Boolean, default=False, server_default="false")
    """The refusal judges our IP or domain, and says nothing about the recipient."""
    is_applied: Mapped[bool] = mapped_column(Boolean, default=True, server_default="true")
    """False while the delivery's status waits for it: the log may be faster than the sender that heard the relay's answer."""

    __table_args__ = (
        PrimaryKeyConstraint("frozen_on", "campaign_id", "seq", "at", "queue_id", "status"),
        Index("ix_relay_outcome_waiting", "campaign_id", "seq", postgresql_where=text("NOT is_applied")),
        {"postgresql_partition_by": "RANGE (frozen_on)"},
    )


class RelayLog(Model):
    """How far a relay's log was read. A relay without a row has no follower."""

    __tablename__ = "relay_log"

    relay_id: Mapped[int] = mapped_column(ForeignKey("relay.id", ondelete="CASCADE"), primary_key=True)
    complete_since: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    """No line since then is missing."""
    read_until: Mapped[datetime | None] = mapped_column(Timestamp)
    """By our clock: everything that the relay logged before was read."""
    heard_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    foreign_count: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    """Sightings with tokens that are not ours, or of deliveries that this relay never had."""
    malformed_count: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    lines_count: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    """Read so far; a portion that had to be told twice counts twice."""
    lost_count: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    """Of these: tells of a delivery, and was not understood."""
    behind_bytes: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    """Written to the log and not read yet, when the follower last spoke."""
    problem: Mapped[str] = mapped_column(String(40), default="", server_default="")
    """As ``app.mail.relay_report.ReadingProblem`` names it; empty: none."""
    problem_detail: Mapped[str] = mapped_column(String(300), default="", server_default="")


class RelayApiKey(Model):
    """With it a follower or agent on the relay's own host may report for that relay, and nothing else."""

    __tablename__ = "relay_api_key"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    relay_id: Mapped[int] = mapped_column(ForeignKey("relay.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(100), default="", server_default="")
    """What people call it: where it lies, what for."""
    key_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    """SHA-256; the key has 256 random bits, so nothing slower is needed."""
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id", ondelete="SET NULL"))
    """Empty: by command."""
    last_used_at: Mapped[datetime | None] = mapped_column(Timestamp)
    last_used_from: Mapped[str] = mapped_column(String(45), default="", server_default="")
    revoked_at: Mapped[datetime | None] = mapped_column(Timestamp)
    """From then on it opens nothing; the row stays, so that people see that it was there."""
    revoked_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id", ondelete="SET NULL"))
