"""Connections kept between chunks, per thread and relay: opening one costs several round trips and a TLS handshake."""

import threading
import time

from app.flow.relays import RelayEndpoint
from workers.smtp.connecting import open_socket
from workers.smtp.connection import SmtpConnection

MAX_IDLE_SECONDS = 20.0
"""Well under the time after which relays hang up (Postfix: 300 s), so that a kept connection is rarely a dead one."""


class ConnectionPool:
    """Idle connections of one thread. Not shared: a connection serves one transport at a time."""

    def __init__(self, helo_name: str) -> None:
        self._helo_name = helo_name
        self._idle: dict[RelayEndpoint, list[SmtpConnection]] = {}

    def take(self, endpoint: RelayEndpoint) -> SmtpConnection:
        """An idle connection that is still alive, or a new one. Raises ``RelayUnavailable``."""
        idle = self._idle.get(endpoint, [])
        while idle:
            connection = idle.pop()
            if time.monotonic() - connection.idle_since < MAX_IDLE_SECONDS and is_alive(connection):
                return connection
            connection.quit()
        opened = open_socket(endpoint, helo_name=self._helo_name)
        return SmtpConnection(opened.sock, opened.pipelining, endpoint.timeout_seconds)

    def give_back(self, endpoint: RelayEndpoint, connection: SmtpConnection) -> None:
        if connection.is_idle and connection.messages_begun < endpoint.messages_per_connection:
            self._idle.setdefault(endpoint, []).append(connection)
        elif connection.is_idle:
            connection.quit()
        else:
            connection.close()  # In the middle of something: QUIT would be read as part of a message.

    def close(self) -> None:
        for connections in self._idle.values():
            for connection in connections:
                connection.quit()
        self._idle.clear()


def is_alive(connection: SmtpConnection) -> bool:
    """An idle relay has nothing to say: anything readable is its goodbye."""
    try:
        connection.sock.recv(1)
    except (BlockingIOError, InterruptedError):
        return True
    except OSError as error:
        return "want" in type(error).__name__.lower()  # ssl.SSLWantReadError: TLS has nothing either.
    return False


_thread = threading.local()


def thread_pool(helo_name: str) -> ConnectionPool:
    """This thread's pool."""
    pool: ConnectionPool | None = getattr(_thread, "pool", None)
    if pool is None:
        pool = _thread.pool = ConnectionPool(helo_name)
    return pool
