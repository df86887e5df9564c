"""Where a panel's mail goes: the practice relay, or the relay it points at."""

from dataclasses import dataclass

from app.config import Settings
from app.models import Panel, PanelMode, RelaySecurity
from app.secrets import unseal


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
    relay = panel.relay
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
