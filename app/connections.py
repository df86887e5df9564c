"""Connections to PostgreSQL and Redis that notice when the other side is gone.

A cable that is pulled sends no goodbye. Without probes either side waits for hours: a worker in its call, and PostgreSQL
on behalf of a dead worker, holding its locks. So both sides probe, and give up after half a minute.
"""

from typing import Any

from redis import Redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry
from sqlalchemy import Engine, create_engine, event

IDLE_SECONDS, INTERVAL_SECONDS, PROBES = 10, 5, 3
"""Probed after so long without a word, so often, until it counts as gone."""
GONE_SECONDS = IDLE_SECONDS + INTERVAL_SECONDS * PROBES

DATABASE_CONNECTION: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": IDLE_SECONDS,
    "keepalives_interval": INTERVAL_SECONDS,
    "keepalives_count": PROBES,
    "tcp_user_timeout": GONE_SECONDS * 1000,
}
"""What libpq is told. Of no effect over a unix socket."""

IDLE_IN_TRANSACTION_SECONDS = 300
"""A process that was frozen in the middle of a transaction loses it, and its locks, after so long."""
SESSION_SETTINGS = {
    "tcp_keepalives_idle": IDLE_SECONDS,
    "tcp_keepalives_interval": INTERVAL_SECONDS,
    "tcp_keepalives_count": PROBES,
    "tcp_user_timeout": GONE_SECONDS * 1000,
    "idle_in_transaction_session_timeout": IDLE_IN_TRANSACTION_SECONDS * 1000,
}
"""What the server is told of each connection. By SET, since poolers refuse it at connecting."""
SETTING = "; ".join(f"SET {name} = {value}" for name, value in SESSION_SETTINGS.items())

REDIS_CONNECTION: dict[str, Any] = {"socket_timeout": 3, "socket_connect_timeout": 3, "health_check_interval": 15}


def watch_server_side(engine: Engine) -> None:
    """Tell the server of each new connection of ``engine`` what it shall look after."""

    @event.listens_for(engine, "connect")
    def tell(connection: Any, _record: Any) -> None:
        connection.execute(SETTING)
        connection.commit()


def one_connection(database_url: str) -> Engine:
    """For a process of one thread."""
    engine = create_engine(database_url, pool_size=1, pool_pre_ping=True, connect_args=DATABASE_CONNECTION)
    watch_server_side(engine)
    return engine


def redis_client(url: str) -> Redis:
    """For calls that answer at once. One retry: a connection that lay idle may have been closed."""
    return Redis.from_url(url, retry=Retry(ExponentialBackoff(cap=0.5, base=0.1), 1), **REDIS_CONNECTION)
