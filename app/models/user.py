"""User: a person who logs in; Membership: what that person may do in one panel."""

from datetime import datetime
from enum import StrEnum

from flask_login import UserMixin
from sqlalchemy import ForeignKey, String, false, func
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.extensions import Model
from app.models.panel import Panel
from app.models.types import Timestamp, enum_text


class Role(StrEnum):
    """Roles within a panel; each includes the ones before it."""

    VIEWER = "viewer"  # Sees everything of the panel.
    EDITOR = "editor"  # Imports contacts, writes campaigns, sends tests.
    MANAGER = "manager"  # Schedules, pauses, cancels; settings of the panel.


ROLE_ORDER = (Role.VIEWER, Role.EDITOR, Role.MANAGER)


class User(UserMixin, Model):  # type: ignore[misc]  # Flask-Login has no types
    __tablename__ = "user_account"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(254), unique=True)
    name: Mapped[str] = mapped_column(String(100))
    password_hash: Mapped[str]
    password_is_generated: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Made by the system (first log-in, reset): the person is asked on every page to choose an own one."""
    is_administrator: Mapped[bool] = mapped_column(default=False)
    """Administers the installation: every panel, users, relays."""
    is_active: Mapped[bool] = mapped_column(default=True)
    locale: Mapped[str] = mapped_column(String(5), default="es")
    session_epoch: Mapped[int] = mapped_column(default=0)
    """Part of the session's identity: a password change or "log out everywhere" raises it and ends all sessions."""
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    last_login_at: Mapped[datetime | None] = mapped_column(Timestamp)

    memberships: Mapped[list["Membership"]] = relationship(back_populates="user", cascade="all, delete-orphan")

    def get_id(self) -> str:
        return f"{self.id}.{self.session_epoch}"


class Membership(Model):
    __tablename__ = "membership"

    user_id: Mapped[int] = mapped_column(ForeignKey("user_account.id", ondelete="CASCADE"), primary_key=True)
    panel_id: Mapped[int] = mapped_column(ForeignKey("panel.id"), primary_key=True, index=True)
    role: Mapped[Role] = mapped_column(enum_text(Role))

    user: Mapped[User] = relationship(back_populates="memberships")
    panel: Mapped[Panel] = relationship()
