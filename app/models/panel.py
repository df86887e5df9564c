"""Panel: one of the five web platforms, a tenant with its own users, lists, campaigns, domains and jobs."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, Float, ForeignKey, LargeBinary, String, func
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.extensions import Model
from app.models.types import Timestamp, enum_text

CANARY_LIMITS = (
    "canary_bounced_percent BETWEEN 0 AND 100 AND canary_deferred_percent BETWEEN 0 AND 100 "
    "AND canary_complained_percent BETWEEN 0 AND 100"
)


class PanelMode(StrEnum):
    """Where a panel's mail goes."""

    PRACTICE = "practice"  # The practice relay: delivers to no one.
    REAL = "real"  # The panel's relay.


class RelaySecurity(StrEnum):
    NONE = "none"
    STARTTLS = "starttls"
    TLS = "tls"


class Relay(Model):
    """The SMTP server we submit to. Owned by the installation; a panel points at one."""

    __tablename__ = "relay"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    host: Mapped[str] = mapped_column(String(253))
    port: Mapped[int]
    security: Mapped[RelaySecurity] = mapped_column(enum_text(RelaySecurity))
    verify_certificate: Mapped[bool] = mapped_column(default=True)
    username: Mapped[str] = mapped_column(default="")
    password_encrypted: Mapped[bytes | None] = mapped_column(LargeBinary)
    connections: Mapped[int] = mapped_column(default=4)
    """Connections per sending thread."""
    messages_per_connection: Mapped[int] = mapped_column(default=1000)
    rate_per_hour: Mapped[int | None]
    """Upper limit of what all panels submit to it; none when empty."""
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())

    __table_args__ = (
        CheckConstraint("port BETWEEN 1 AND 65535", name="port"),
        CheckConstraint("connections BETWEEN 1 AND 64", name="connections"),
        CheckConstraint("rate_per_hour >= 1", name="rate_per_hour"),
    )


class Panel(Model):
    __tablename__ = "panel"

    id: Mapped[int] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(String(40), unique=True)
    name: Mapped[str] = mapped_column(String(100))
    colour: Mapped[str] = mapped_column(String(20), default="blue")
    """A colour name of the design (blue, teal, orange, purple, red …)."""
    mode: Mapped[PanelMode] = mapped_column(enum_text(PanelMode), default=PanelMode.PRACTICE)
    relay_id: Mapped[int | None] = mapped_column(ForeignKey("relay.id"))
    weight: Mapped[int] = mapped_column(default=1, server_default="1")
    """Its share of the senders where several panels send at once, relative to the others."""
    rate_per_hour: Mapped[int | None]
    """Upper limit of all its campaigns together; none when empty."""
    timezone: Mapped[str] = mapped_column(String(60), default="America/Lima")
    canary_minutes: Mapped[int] = mapped_column(default=30, server_default="30")
    """Of campaigns that are tried with a part first and don't say it themselves: how long the rest waits, …"""
    canary_bounced_percent: Mapped[float] = mapped_column(Float, default=5.0, server_default="5")
    """… and how much holds it. Above this, providers take a sender for one who bought his list."""
    canary_deferred_percent: Mapped[float] = mapped_column(Float, default=20.0, server_default="20")
    """Greylisting defers many at first; after their retries few are left."""
    canary_complained_percent: Mapped[float] = mapped_column(Float, default=0.3, server_default="0.3")
    """At this rate Google and Yahoo begin to refuse a sender; they ask for a tenth of a per cent."""
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())

    relay: Mapped[Relay | None] = relationship()

    __table_args__ = (
        CheckConstraint("mode = 'practice' OR relay_id IS NOT NULL", name="real_has_relay"),
        CheckConstraint("weight BETWEEN 1 AND 100", name="weight"),
        CheckConstraint("canary_minutes BETWEEN 1 AND 1440", name="canary_minutes"),
        CheckConstraint(CANARY_LIMITS, name="canary_limits"),
        CheckConstraint("rate_per_hour >= 1", name="rate_per_hour"),
    )
