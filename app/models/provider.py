"""Mailbox providers as the database knows them: who runs a domain's mail, limits changed by people, and holds.

Which providers there are, how their MX look and what they accept is shipped as data in ``app/mail``; a provider is
named by its key there.
"""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, Float, ForeignKey, Index, Integer, String, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import Model
from app.models.types import Timestamp, enum_text


class MailDomain(Model):
    """A recipient domain and the provider that its MX belong to, as last looked up."""

    __tablename__ = "mail_domain"

    domain: Mapped[str] = mapped_column(String(253), primary_key=True)
    """Lower case, A-labels."""
    provider: Mapped[str] = mapped_column(String(40))
    mx_host: Mapped[str] = mapped_column(String(253), default="", server_default="")
    """The best MX; empty where it has none (then the domain itself takes mail, or nobody does)."""
    looked_up_at: Mapped[datetime | None] = mapped_column(Timestamp)
    """When the DNS last answered; empty: known by its name alone, or not asked yet."""
    expires_at: Mapped[datetime] = mapped_column(Timestamp, index=True)
    """From then on it is looked up again when it is next needed."""
    used_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    """When a campaign last had recipients there: what nobody writes to any more is forgotten."""


class ProviderLimits(Model):
    """What people changed of a provider's limits. Per egress IP."""

    __tablename__ = "provider_limits"

    provider: Mapped[str] = mapped_column(String(40), primary_key=True)
    messages_per_minute: Mapped[int]
    connections: Mapped[int]
    messages_per_connection: Mapped[int]
    warm_up_caps: Mapped[list[int]] = mapped_column(ARRAY(Integer))
    """Messages that a warming IP may hand over on its first day, its second …; after the last day it is warm."""
    updated_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now(), onupdate=func.now())
    updated_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id", ondelete="SET NULL"))

    __table_args__ = (
        CheckConstraint(
            "messages_per_minute >= 1 AND connections >= 1 AND messages_per_connection >= 1", name="limits"
        ),
    )


class HoldKind(StrEnum):
    SLOW = "slow"  # The rate is multiplied by `factor`, and recovers step by step.
    SUSPENDED = "suspended"  # Nothing goes out until `until`; then one connection tries first.


class ProviderHold(Model):
    """What the breaker did: one IP (or every IP of a relay) goes slowly or not at all to one provider for a time."""

    __tablename__ = "provider_hold"

    id: Mapped[int] = mapped_column(primary_key=True)
    relay_id: Mapped[int] = mapped_column(ForeignKey("relay.id", ondelete="CASCADE"))
    egress_ip_id: Mapped[int | None] = mapped_column(ForeignKey("egress_ip.id", ondelete="CASCADE"))
    """Empty: every IP of the relay."""
    provider: Mapped[str] = mapped_column(String(40))
    kind: Mapped[HoldKind] = mapped_column(enum_text(HoldKind))
    factor: Mapped[float] = mapped_column(Float, default=1.0, server_default="1")
    """What is left of the rate, 0 < factor <= 1."""
    rule: Mapped[str] = mapped_column(String(60))
    """Key of the rule that saw the reply."""
    reply: Mapped[str] = mapped_column(String(500), default="", server_default="")
    """The reply that set it off, without addresses of recipients."""
    times: Mapped[int] = mapped_column(default=1, server_default="1")
    """How often it was set off since it began."""
    started_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    until: Mapped[datetime] = mapped_column(Timestamp)
    lifted_at: Mapped[datetime | None] = mapped_column(Timestamp)
    lifted_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id", ondelete="SET NULL"))

    __table_args__ = (
        Index("ix_provider_hold_open", "relay_id", "provider", postgresql_where=text("lifted_at IS NULL")),
        CheckConstraint("factor > 0 AND factor <= 1", name="factor"),
    )
