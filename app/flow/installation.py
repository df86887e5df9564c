"""The whole installation at one glance, for administrators: which version, and are its parts alive?"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import redis
from sqlalchemy import text

from app import amqp
from app.config import Settings
from app.flow.sessions import AnySession
from app.version import version

DISPATCHER_LOCK = 0x43_48_41_53_4B_49
"""Advisory lock of the active dispatcher (`workers.dispatcher.LOCK_KEY`; a test holds the two together)."""
WORKER_HEARTBEATS = "chaski:__heartbeats__"
"""Dramatiq's sorted set: each process on the broker with the time of its last sign of life, in ms."""
HEARTBEAT_SECONDS = 15
TIMEOUT_SECONDS = 1


@dataclass(frozen=True, kw_only=True)
class InstallationState:
    version: str
    database_version: str
    database_embedded: bool
    broker_reachable: bool
    broker_embedded: bool
    broker_is_rabbit: bool
    redis_reachable: bool
    """Limits and tracking; the same as ``broker_reachable`` where Redis is the broker, too."""
    dispatcher_active: bool
    workers_alive: bool | None
    """None where the broker can't tell (out of reach)."""


def installation_state(session: AnySession, settings: Settings) -> InstallationState:
    reachable, alive = broker_state(settings)
    return InstallationState(
        version=version(),
        database_version=str(session.scalar(text("SHOW server_version"))).split(" ")[0],
        database_embedded=database_embedded(settings),
        broker_reachable=reachable,
        broker_embedded=broker_embedded(settings),
        broker_is_rabbit=settings.broker_is_rabbit,
        redis_reachable=redis_reachable(settings) if settings.redis_url != settings.broker_url else reachable,
        dispatcher_active=dispatcher_active(session),
        workers_alive=alive,
    )


def database_embedded(settings: Settings) -> bool:
    """Whether it is the PostgreSQL that ``script/server`` keeps in ``var``: reached through a socket, not by a host name."""
    return "@/" in settings.database_url and (Path(settings.var_dir) / "postgres").is_dir()


def broker_embedded(settings: Settings) -> bool:
    return "@127.0.0.1:" in settings.broker_url and (Path(settings.var_dir) / "redis").is_dir()


def dispatcher_active(session: AnySession) -> bool:
    """Whether some process of this database holds the dispatcher's lock."""
    held = session.scalar(
        text(
            "SELECT EXISTS (SELECT 1 FROM pg_locks l JOIN pg_database d ON d.oid = l.database "
            "WHERE d.datname = current_database() AND l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 "
            "AND (l.classid::bigint << 32) | l.objid::bigint = :key)"
        ),
        {"key": DISPATCHER_LOCK},
    )
    return bool(held)


def broker_state(settings: Settings) -> tuple[bool, bool | None]:
    """Whether the broker answers, and whether workers serve it: a process fetched work from Redis lately, or each of
    RabbitMQ's queues has a consumer."""
    return _rabbit_state(settings.broker_url) if settings.broker_is_rabbit else _redis_state(settings.broker_url)


def redis_reachable(settings: Settings) -> bool:
    return _redis_state(settings.redis_url)[0]


def _rabbit_state(url: str) -> tuple[bool, bool | None]:
    try:
        return True, all(amqp.consumers(url, patience_seconds=TIMEOUT_SECONDS).values())
    except amqp.AMQP_FAILURES:
        return False, None


def _redis_state(url: str) -> tuple[bool, bool | None]:
    try:
        with redis.Redis.from_url(
            url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS
        ) as client:
            since_ms = (datetime.now(UTC).timestamp() - HEARTBEAT_SECONDS) * 1000
            return True, client.zcount(WORKER_HEARTBEATS, since_ms, "+inf") > 0
    except redis.RedisError:
        return False, None
