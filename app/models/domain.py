"""SendingDomain: a From domain of a panel, with its DKIM keys, return path and tracking host."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, LargeBinary, String, UniqueConstraint, false, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.extensions import Model
from app.models.types import Timestamp, enum_text


class DkimAlgorithm(StrEnum):
    RSA_SHA256 = "rsa-sha256"  # RFC 6376
    ED25519_SHA256 = "ed25519-sha256"  # RFC 8463


class SendingDomain(Model):
    __tablename__ = "sending_domain"

    id: Mapped[int] = mapped_column(primary_key=True)
    panel_id: Mapped[int] = mapped_column(ForeignKey("panel.id"))
    domain: Mapped[str] = mapped_column(String(253))
    """Lower case, A-labels."""
    return_path_domain: Mapped[str] = mapped_column(String(253))
    tracking_url: Mapped[str | None] = mapped_column(String(300))
    """Base URL of links and pixel (``https://enlaces.boletin.example.gob.pe``); empty: the installation's URL."""
    dns_states: Mapped[dict[str, str]] = mapped_column(JSONB, default=dict, server_default=text("'{}'"))
    """What the last check found, by kind of record (``return_path_mx``, ``return_path_spf``, ``dmarc``): a ``Presence`` of
    ``dns_tools``. What it found of a key stands with the key."""
    dns_checked_at: Mapped[datetime | None] = mapped_column(Timestamp)
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())

    dkim_keys: Mapped[list["DkimKey"]] = relationship(back_populates="sending_domain", order_by="DkimKey.id")

    __table_args__ = (UniqueConstraint("panel_id", "domain"),)


class DkimKey(Model):
    __tablename__ = "dkim_key"

    id: Mapped[int] = mapped_column(primary_key=True)
    sending_domain_id: Mapped[int] = mapped_column(ForeignKey("sending_domain.id", ondelete="CASCADE"), index=True)
    selector: Mapped[str] = mapped_column(String(63))
    algorithm: Mapped[DkimAlgorithm] = mapped_column(enum_text(DkimAlgorithm))
    private_key_encrypted: Mapped[bytes] = mapped_column(LargeBinary)
    public_record: Mapped[str]
    """The TXT record to publish at ``<selector>._domainkey.<domain>`` (RFC 6376 §3.6.1)."""
    is_active: Mapped[bool] = mapped_column(default=True)
    """Active keys sign; others stay published until mail they signed has been read."""
    checked_at: Mapped[datetime | None] = mapped_column(Timestamp)
    """When the DNS was last asked for it and answered."""
    is_published: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Whether the DNS then showed this record and no other."""
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())

    sending_domain: Mapped[SendingDomain] = relationship(back_populates="dkim_keys")

    __table_args__ = (UniqueConstraint("sending_domain_id", "selector"),)
