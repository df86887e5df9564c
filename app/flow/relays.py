"""Where a panel's mail goes: the practice relay, or the relay it points at; and the relays of the installation.

A relay's password is written, never read back: sealed in the database, and asked for anew when the relay moves to
another host, so that nobody can send it elsewhere without knowing it.
"""

import dataclasses
import re
from dataclasses import dataclass

from sqlalchemy import Select, select
from sqlalchemy.exc import IntegrityError

from app.config import Settings
from app.flow.problem import Problem
from app.flow.sessions import AnySession
from app.models import Panel, PanelMode, Relay, RelaySecurity
from app.secrets import seal, unseal

HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?\Z|[0-9A-Fa-f:]{2,45}\Z")
"""A host name or an address; which of both exists, the probe finds out."""

MOST_PER_HOUR = 1_000_000_000
"""Of a limit that a person may write; the column holds twice as much."""


@dataclass(frozen=True, kw_only=True)
class RelayEndpoint:
    """What the transport needs to open a connection. Holds a password: never logged, never on the broker."""

    key: str
    """``practice`` or ``relay:<id>``: connections are pooled and failures counted by it."""
    host: str
    port: int
    security: RelaySecurity
    verify_certificate: bool
    username: str
    password: str
    connections: int
    """Connections per sending thread."""
    messages_per_connection: int
    timeout_seconds: int

    @property
    def relay_id(self) -> int:
        """As deliveries carry it; 0 for the practice relay."""
        return 0 if self.is_practice else int(self.key.partition(":")[2])

    @property
    def is_practice(self) -> bool:
        return self.key.startswith("practice")


def endpoint_of(panel: Panel, settings: Settings) -> RelayEndpoint:
    """The relay in force for ``panel`` at this moment."""
    if panel.mode is PanelMode.PRACTICE or panel.relay is None:
        return RelayEndpoint(
            key=f"practice:{panel.id}",
            host=settings.practice_relay_host,
            port=settings.practice_relay_port,
            security=RelaySecurity.NONE,
            verify_certificate=False,
            username=practice_username(panel.slug),
            password=practice_password(settings, panel.slug),
            connections=2,
            messages_per_connection=10_000,
            timeout_seconds=settings.smtp_timeout_seconds,
        )
    return relay_endpoint(panel.relay, settings)


def relay_endpoint(relay: Relay, settings: Settings) -> RelayEndpoint:
    return RelayEndpoint(
        key=f"relay:{relay.id}",
        host=relay.host,
        port=relay.port,
        security=relay.security,
        verify_certificate=relay.verify_certificate,
        username=relay.username,
        password=unseal(settings, relay.password_encrypted) if relay.password_encrypted else "",
        connections=relay.connections,
        messages_per_connection=relay.messages_per_connection,
        timeout_seconds=settings.smtp_timeout_seconds,
    )


def practice_username(panel_slug: str) -> str:
    return f"panel-{panel_slug}"


def practice_password(settings: Settings, panel_slug: str) -> str:
    """Derived, so that it needs no storing: only processes that hold the installation's key can submit."""
    return settings.derived_key(f"practice-relay:{panel_slug}").hex()


# The relays of the installation.


class RelayProblem(Problem):
    """``code``: ``name_taken``, ``host_invalid``, ``password_needed``, or ``in_use`` (with the panels' ``names``)."""


@dataclass(frozen=True, kw_only=True)
class RelayDetails:
    """What administrators write. ``password`` empty: the stored one stays."""

    name: str
    host: str
    port: int
    security: RelaySecurity
    verify_certificate: bool
    username: str
    password: str
    connections: int
    messages_per_connection: int
    rate_per_hour: int | None = None


def relays() -> Select[tuple[Relay]]:
    """All, for a paged list."""
    return select(Relay)


def save_relay(session: AnySession, settings: Settings, relay: Relay | None, details: RelayDetails) -> Relay:
    """Makes a relay, or changes one. Raises :class:`RelayProblem`."""
    if not HOST.match(details.host):
        raise RelayProblem("host_invalid")
    moved = relay is not None and relay.host != details.host
    if moved and relay is not None and relay.password_encrypted and details.username and not details.password:
        raise RelayProblem("password_needed")
    row = relay or Relay()
    for field in dataclasses.fields(RelayDetails):
        if field.name != "password":
            setattr(row, field.name, getattr(details, field.name))
    if details.password:
        row.password_encrypted = seal(settings, details.password)
    if not details.username:
        row.password_encrypted = None
    session.add(row)
    try:
        session.commit()
    except IntegrityError as error:
        session.rollback()
        raise RelayProblem("name_taken") from error
    return row


def panels_using(session: AnySession, relay_ids: list[int]) -> dict[int, list[Panel]]:
    """By relay. A panel in practice mode may still point at the relay it used before."""
    found: dict[int, list[Panel]] = {relay_id: [] for relay_id in relay_ids}
    for panel in session.scalars(select(Panel).where(Panel.relay_id.in_(relay_ids)).order_by(Panel.id)):
        found[panel.relay_id or 0].append(panel)
    return found


def delete_relay(session: AnySession, relay: Relay) -> None:
    """Only one that no panel sends through. Raises :class:`RelayProblem`."""
    users = panels_using(session, [relay.id])[relay.id]
    real = tuple(panel.name for panel in users if panel.mode is PanelMode.REAL)
    if real:
        raise RelayProblem("in_use", names=real)
    for panel in users:
        panel.relay_id = None
    session.delete(relay)
    try:
        session.commit()
    except IntegrityError as error:
        session.rollback()
        raise RelayProblem("in_use") from error
