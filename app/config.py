"""The only reader of the environment: every setting named, typed, with its default.

Order: environment variable, then ``var/instance.json`` (written by ``script/server`` for the services it started, so
that ``flask …`` in the same checkout talks to the same installation), then the default here.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

CHECKOUT = Path(__file__).resolve().parent.parent
MAY_BE_ZERO = frozenset({"trusted_proxies", "practice_relay_port", "reconcile_grace_seconds"})
"""No proxy, any free port, no wait. With 0 or less of any other number, nothing would be kept, sent or let in."""

REDIS_SCHEMES = ("redis://", "rediss://", "unix://")
RABBIT_SCHEMES = ("amqp://", "amqps://")
RABBIT_OPTIONS = frozenset(
    {"heartbeat", "socket_timeout", "stack_timeout", "blocked_connection_timeout", "ssl_options"}
)
"""What may stand behind the ``?`` of its URL, as pika reads it."""


class ConfigurationError(RuntimeError):
    """A setting is missing or wrong; the message names it and says what to do."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings of an installation. Names equal the environment variables, in lower case."""

    database_url: str = field(repr=False)
    """SQLAlchemy URL of PostgreSQL (``postgresql+psycopg://…``)."""
    broker_url: str = field(repr=False)
    """The doorbell of the workers: ``redis://…``, or RabbitMQ: ``amqp://user:password@host:5672/virtual_host``."""
    redis_url: str = field(repr=False)
    """``redis://…`` for tracking events and rate limits. Needed beside RabbitMQ; otherwise the broker's."""
    secret_key: str = field(repr=False)
    """Signs sessions and, through :meth:`derived_key`, tokens and stored secrets. Never change it on a live installation."""
    public_url: str = "http://127.0.0.1:8025"
    """Where people and recipients reach the platform; base of tracking links unless a sending domain has its own host."""
    var_dir: str = str(CHECKOUT / "var")
    """Uploads, embedded services, logs."""
    allowed_domain_suffixes: str = "gob.pe"
    """Comma-separated suffixes under which domains may send at all (E12)."""
    max_upload_mb: int = 512
    """Largest file taken by an import, in MiB."""
    max_import_columns: int = 200
    keep_import_days: int = 30
    """How long the rows of an ended import, the rejected ones included, can be looked at. An import that nobody goes on
    with for as long is cancelled, and its file deleted; other files go as soon as their import has ended."""
    batch_size: int = 500
    """Deliveries per batch (one broker message)."""
    chunk_size: int = 250
    """Deliveries claimed, sent and recorded per transaction; pause and cancel are read between chunks."""
    lease_seconds: int = 60
    """How long a worker may hold a batch without renewing its lease."""
    ring_again_seconds: int = 15
    """A batch rung but not claimed for this long is rung again (the broker may have lost it)."""
    reconcile_grace_seconds: int = 10
    """How long an unknown delivery rests before the relay is asked, so that bytes in flight have landed."""
    first_retry_seconds: int = 60
    """Wait before the second attempt after a 4xx reply; doubles with each attempt."""
    max_retry_wait_seconds: int = 4 * 3600
    max_retry_age_seconds: int = 48 * 3600
    """A delivery deferred for longer than this since its first attempt has failed."""
    relay_failures_before_pause: int = 10
    """Consecutive relay failures after which a campaign pauses itself, where they also span the seconds below."""
    relay_patience_seconds: int = 300
    """How long a relay may be away before its campaigns pause: after a restart or a short outage they go on by themselves."""
    smtp_timeout_seconds: int = 60
    dns_servers: str = ""
    """Comma-separated resolvers (``192.0.2.53`` or ``192.0.2.53:5353``) for checking published records and finding out who
    runs a recipient's mail; empty: the machine's own; ``none``: nobody is asked."""
    practice_relay_host: str = "127.0.0.1"
    practice_relay_port: int = 2525
    practice_keep_messages: int = 200_000
    """Captured messages kept per installation; the oldest go first."""
    relay_log_file: str = ""
    """Log of a Postfix on this host that is followed for what became of the mail; empty: none is. A relay on a host of its own
    has a follower there (``flask relay key``)."""
    relay_log_relay: str = ""
    """Name of the relay whose log that is; the queue agent looks into its queue, too."""
    relay_postfix_dir: str = "/etc/postfix"
    """That Postfix' configuration. Its queue is listed, and asked about messages that began to arrive and never appeared in
    it."""
    relay_silence_seconds: int = 300
    """After so long nothing of a sender that gave up can still arrive at a relay: more than twice its ``smtpd_timeout``."""
    tracking_token_days: int = 730
    """Open and click tokens older than this answer 404. Unsubscribing never expires."""
    tracking_backlog: int = 1_000_000
    """Hits waiting in Redis (some 200 bytes each) before further ones go to the spool file below ``var_dir``."""
    tracker_takeover_seconds: int = 15
    """Hits that a tracker read and has not settled for so long are taken over by another one (or by itself)."""
    trusted_proxies: int = 0
    """Proxies in front of the platform whose ``X-Forwarded-For`` is believed; 0: the peer's own address counts."""
    organisation_name: str = ""
    """Who sends, on the pages that recipients see, beside the panel's name."""
    session_hours: int = 12
    login_attempts_per_minute: int = 10
    secure_cookies: bool = False
    """Session cookie only over HTTPS; switched on by itself where ``public_url`` is https."""
    locale: str = "es"
    timezone: str = "America/Lima"
    log_format: str = "console"
    """``console`` or ``json``."""

    @property
    def broker_is_rabbit(self) -> bool:
        return self.broker_url.startswith(RABBIT_SCHEMES)

    def derived_key(self, purpose: str) -> bytes:
        """A 32-byte key for one purpose, derived from ``secret_key`` (keyed BLAKE2b, RFC 7693)."""
        return hashlib.blake2b(
            purpose.encode(), key=hashlib.sha256(self.secret_key.encode()).digest(), digest_size=32
        ).digest()

    @property
    def suffixes(self) -> tuple[str, ...]:
        return tuple(s.strip().lower().lstrip(".") for s in self.allowed_domain_suffixes.split(",") if s.strip())

    @property
    def spool_dir(self) -> Path:
        """Opens and clicks that wait for Redis to come back."""
        return Path(self.var_dir) / "spool"

    @property
    def upload_dir(self) -> Path:
        return Path(self.var_dir) / "uploads"


def instance_file(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("CHASKI_VAR") or CHECKOUT / "var") / "instance.json"


def load_settings(environ: Mapping[str, str] = os.environ, **overrides: Any) -> Settings:
    """Read the settings. Raises :class:`ConfigurationError` naming the first one that is missing or not of its type."""
    path = instance_file(environ)
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    found.update({f.name.upper(): environ[f.name.upper()] for f in fields(Settings) if f.name.upper() in environ})
    values = {
        f.name: _typed(f.name, f.type, found[f.name.upper()]) for f in fields(Settings) if f.name.upper() in found
    }
    values.setdefault("var_dir", str(path.parent))
    values.update(overrides)
    for name in ("database_url", "broker_url", "secret_key"):
        if not values.get(name):
            raise ConfigurationError(
                f"{name.upper()} is not set and no running instance was found at {path}. "
                "Start the platform with script/server, or set the variable."
            )
    values["database_url"] = values["database_url"].replace("postgres://", "postgresql://", 1)
    if values["database_url"].startswith("postgresql://"):
        values["database_url"] = values["database_url"].replace("postgresql://", "postgresql+psycopg://", 1)
    values["redis_url"] = redis_beside(values["broker_url"], values.get("redis_url"))
    if values.get("public_url", "").startswith("https://"):
        values.setdefault("secure_cookies", True)
    _check_least(values)
    return Settings(**values)


def redis_beside(broker_url: str, redis_url: str | None) -> str:
    """The Redis of tracking and limits. Raises :class:`ConfigurationError` where one of the two can't be what it is for."""
    if broker_url.startswith(RABBIT_SCHEMES):
        _check_rabbit(broker_url)
        if not redis_url:
            raise ConfigurationError(
                "BROKER_URL names RabbitMQ, and REDIS_URL is not set: limits and tracking need a Redis as well. Set "
                "REDIS_URL=redis://…, the same one on every host."
            )
    elif not broker_url.startswith(REDIS_SCHEMES):
        raise ConfigurationError("BROKER_URL must be a redis://, rediss://, unix://, amqp:// or amqps:// URL.")
    found = redis_url or broker_url
    if not found.startswith(REDIS_SCHEMES):
        raise ConfigurationError("REDIS_URL must be a redis://, rediss:// or unix:// URL.")
    return found


def _check_rabbit(url: str) -> None:
    """Its form. What the URL says is not repeated: it holds a password, whole or in pieces."""
    try:
        is_whole = _is_whole(url)
    except ValueError:
        is_whole = False
    if not is_whole:
        raise ConfigurationError(
            "BROKER_URL is not of the form amqp://user:password@host:5672/virtual_host. Within its parts write / @ : # ? % "
            "as %2F %40 %3A %23 %3F %25."
        )


def _is_whole(url: str) -> bool:
    """A host, user and password or neither, one virtual host, and options that the client knows. ValueError: no URL at all."""
    parts = urlsplit(url)
    options = {name for name, _ in parse_qsl(parts.query, strict_parsing=True)} if parts.query else set()
    has_log_in = bool(parts.username) == bool(parts.password)
    has_address = bool(parts.hostname) and parts.port != 0
    return has_address and has_log_in and "/" not in parts.path[1:] and not parts.fragment and options <= RABBIT_OPTIONS


def _check_least(values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        least = 0 if name in MAY_BE_ZERO else 1
        if type(value) is int and value < least:
            raise ConfigurationError(f"{name.upper()}={value} is too small: {least} is the least.")


def _typed(name: str, type_: Any, value: Any) -> Any:
    """``value`` as ``type_``; environment variables are text."""
    if not isinstance(value, str):
        return value
    try:
        if type_ is bool:
            return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False, "": False}[
                value.lower()
            ]
        return type_(value)
    except (ValueError, KeyError) as error:
        raise ConfigurationError(f"{name.upper()}={value!r} is not a valid {type_.__name__}.") from error
