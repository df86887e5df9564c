"""Where mail leaves the relay: egress pools, their IPs, who uses which pool, and what each IP did on each day."""

from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, Date, ForeignKey, PrimaryKeyConstraint, String, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.extensions import Model
from app.models.types import Timestamp, enum_text


class MailStream(StrEnum):
    """What kind of sending it is. A stream of a panel keeps to its pool, as mailbox providers ask."""

    BULK = "bulk"
    URGENT = "urgent"  # The priority lane: goes before whatever else is on its way.


class EgressState(StrEnum):
    WARMING = "warming"  # Sends up to its day's cap at each provider.
    ACTIVE = "active"
    QUARANTINED = "quarantined"  # Sends nothing; the rest of its pool takes over.


EGRESS_TRANSITIONS: dict[EgressState, frozenset[EgressState]] = {
    EgressState.WARMING: frozenset({EgressState.ACTIVE, EgressState.QUARANTINED}),
    # Back to warming: it rested for weeks, and providers have forgotten it.
    EgressState.ACTIVE: frozenset({EgressState.WARMING, EgressState.QUARANTINED}),
    EgressState.QUARANTINED: frozenset({EgressState.WARMING, EgressState.ACTIVE}),
}


class EgressPool(Model):
    """A named group of a relay's IPs, within which mail is spread."""

    __tablename__ = "egress_pool"

    id: Mapped[int] = mapped_column(primary_key=True)
    relay_id: Mapped[int] = mapped_column(ForeignKey("relay.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(60))
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())

    ips: Mapped[list["EgressIp"]] = relationship(back_populates="pool", order_by="EgressIp.id")

    __table_args__ = (UniqueConstraint("relay_id", "name"),)


class EgressIp(Model):
    """One source address of a relay, with the name it says in HELO."""

    __tablename__ = "egress_ip"

    id: Mapped[int] = mapped_column(primary_key=True)
    relay_id: Mapped[int] = mapped_column(ForeignKey("relay.id", ondelete="CASCADE"))
    """The pool's relay, here too, so that an address is unique within it."""
    pool_id: Mapped[int] = mapped_column(ForeignKey("egress_pool.id"), index=True)
    address: Mapped[str] = mapped_column(String(45))
    """As ``ipaddress`` writes it."""
    helo_name: Mapped[str] = mapped_column(String(253))
    """Lower case, A-labels; forward and reverse DNS should agree with it (RFC 5321 §4.1.4)."""
    weight: Mapped[int] = mapped_column(default=1, server_default="1")
    """Its share of the pool's mail, relative to the others."""
    rate_per_hour: Mapped[int | None]
    """Upper limit of all that leaves by it; none when empty."""
    state: Mapped[EgressState] = mapped_column(enum_text(EgressState), default=EgressState.WARMING)
    state_reason: Mapped[str] = mapped_column(String(300), default="", server_default="")
    state_since: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    warm_up_started_on: Mapped[date | None] = mapped_column(Date)
    """Day 1 of its warm-up (UTC); empty where it never warmed up here."""
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())

    pool: Mapped[EgressPool] = relationship(back_populates="ips")

    __table_args__ = (
        UniqueConstraint("relay_id", "address"),
        CheckConstraint("weight BETWEEN 1 AND 1000", name="weight"),
        CheckConstraint("rate_per_hour >= 1", name="rate_per_hour"),
    )


class EgressAssignment(Model):
    """The pool that a panel's stream uses at a relay. None: the relay's first pool."""

    __tablename__ = "egress_assignment"

    relay_id: Mapped[int] = mapped_column(ForeignKey("relay.id", ondelete="CASCADE"))
    panel_id: Mapped[int] = mapped_column(ForeignKey("panel.id", ondelete="CASCADE"))
    stream: Mapped[MailStream] = mapped_column(enum_text(MailStream))
    pool_id: Mapped[int] = mapped_column(ForeignKey("egress_pool.id"), index=True)

    __table_args__ = (PrimaryKeyConstraint("relay_id", "panel_id", "stream"),)


class EgressUse(Model):
    """What an IP handed over for one mailbox provider on one day (UTC), and what became of it: the warm-up's truth and the
    health page's. ``app.flow.egress.using`` says what counts."""

    __tablename__ = "egress_use"

    egress_ip_id: Mapped[int] = mapped_column(ForeignKey("egress_ip.id", ondelete="CASCADE"))
    provider: Mapped[str] = mapped_column(String(40))
    day: Mapped[date] = mapped_column(Date)
    submitted: Mapped[int] = mapped_column(default=0, server_default="0")
    deferred: Mapped[int] = mapped_column(default=0, server_default="0")
    bounced: Mapped[int] = mapped_column(default=0, server_default="0")
    delivered: Mapped[int] = mapped_column(default=0, server_default="0")
    """Taken by the provider's host, as the relay's log tells; nothing where nobody reads it."""

    __table_args__ = (PrimaryKeyConstraint("egress_ip_id", "provider", "day"),)
