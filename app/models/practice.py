"""PracticeMessage: what the practice relay was given. It delivers to no one; a message given twice is kept twice."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, LargeBinary, String, func
from sqlalchemy.orm import Mapped, deferred, mapped_column

from app.extensions import Model
from app.models.types import Timestamp


class PracticeMessage(Model):
    __tablename__ = "practice_message"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    panel_id: Mapped[int] = mapped_column(ForeignKey("panel.id"))
    message_id: Mapped[str] = mapped_column(String(300), index=True)
    """With its angle brackets, as in the header."""
    mail_from: Mapped[str] = mapped_column(String(320))
    rcpt_to: Mapped[str] = mapped_column(String(320))
    subject: Mapped[str] = mapped_column(String(500), default="", server_default="")
    """Decoded (RFC 2047)."""
    received_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    size_bytes: Mapped[int]
    raw: Mapped[bytes] = deferred(mapped_column(LargeBinary))
    """The message exactly as it came over the wire (dot-unstuffed)."""

    __table_args__ = (Index("ix_practice_message_panel_id_id", "panel_id", "id"),)
