"""RabbitMQ by URL: how a connection to it is opened, whether it can be worked with, and in a sentence why it can't.

No sentence here has the URL in it: it holds a password.
"""

import logging
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.adapters.utils.connection_workflow import AMQPConnectorException, AMQPConnectorStackTimeout
from pika.exceptions import (
    AMQPError,
    AMQPHeartbeatTimeout,
    ChannelClosedByBroker,
    ConnectionBlockedTimeout,
    ConnectionClosedByBroker,
    IncompatibleProtocolError,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
    ProtocolSyntaxError,
)

from app.connections import GONE_SECONDS, IDLE_SECONDS, INTERVAL_SECONDS, PROBES

QUEUES = ("urgent", "sending", "imports", "preparing", "reconciling", "proofs", "lookups", "reports")
"""What actors name (`workers.actors`; a test holds the two together)."""
AMQP_FAILURES = (AMQPError, AMQPConnectorException, OSError)
"""What pika raises where a broker can't be reached or ends a connection; an unknown host name is an OSError."""

CONNECTION: dict[str, Any] = {
    "heartbeat": GONE_SECONDS,
    "socket_timeout": 3,
    "stack_timeout": 5,
    "blocked_connection_timeout": 5,  # A broker short of memory or disk takes nothing more, and says so.
    "tcp_options": {
        "TCP_KEEPIDLE": IDLE_SECONDS,
        "TCP_KEEPINTVL": INTERVAL_SECONDS,
        "TCP_KEEPCNT": PROBES,
        "TCP_USER_TIMEOUT": GONE_SECONDS * 1000,
    },
}
"""In place of pika's defaults, some of which wait for ever. What the URL says (``?heartbeat=60``) counts more."""

ACCESS_REFUSED, NOT_ALLOWED, PRECONDITION_FAILED = 403, 530, 406

# It tells each failure in five ways, tracebacks included; who calls it says it once.
logging.getLogger("pika").setLevel(logging.CRITICAL)


def parameters(url: str, **instead: Any) -> pika.URLParameters:
    """How to connect. ``instead``: in place of what :data:`CONNECTION` and the URL say."""
    found = pika.URLParameters(url)
    given = found._all_url_query_values or {}
    for name, value in {**{k: v for k, v in CONNECTION.items() if k not in given}, **instead}.items():
        setattr(found, name, value)
    found.client_properties = {"connection_name": f"chaski {socket.gethostname()}:{os.getpid()}"}
    return found


@contextmanager
def channel(wanted: pika.URLParameters) -> Iterator[BlockingChannel]:
    """On a connection of its own, closed at the end."""
    connection = pika.BlockingConnection(wanted)
    try:
        yield connection.channel()
    finally:
        if connection.is_open:
            connection.close()


def declare(channel: BlockingChannel, queue: str) -> None:
    """Make it where it is missing. Durable: it outlives a restart; what rings in it need not."""
    channel.queue_declare(queue=queue, durable=True)


def consumers(url: str, *, patience_seconds: float) -> dict[str, int]:
    """How many consumers each queue has; none where a queue was never declared. Raises :data:`AMQP_FAILURES`."""
    wanted = parameters(url, socket_timeout=patience_seconds, stack_timeout=patience_seconds)
    connection = pika.BlockingConnection(wanted)
    try:
        return {queue: _consumers_of(connection, queue) for queue in QUEUES}
    finally:
        if connection.is_open:
            connection.close()


def _consumers_of(connection: pika.BlockingConnection, queue: str) -> int:
    try:
        return int(connection.channel().queue_declare(queue=queue, passive=True).method.consumer_count)
    except ChannelClosedByBroker:
        return 0


def problem(url: str) -> str | None:
    """Why the platform can't work with this RabbitMQ, and what to do; None where it can: its queues are there then."""
    try:
        wanted = parameters(url)
    except ValueError as error:  # Of an option: the rest was looked at when the settings were read.
        return f"BROKER_URL: {error}"
    try:
        with channel(wanted) as opened:
            for queue in QUEUES:
                declare(opened, queue)
    except AMQP_FAILURES as error:
        return sentence(wanted, error)
    return None


def sentence(wanted: pika.URLParameters, error: Exception) -> str:
    """What the failure means for whoever wrote BROKER_URL."""
    code = getattr(error, "reply_code", None)
    where, user, host = f"{wanted.host}:{wanted.port}", wanted.credentials.username, wanted.virtual_host
    if isinstance(error, ProbableAuthenticationError) or (
        code == ACCESS_REFUSED and isinstance(error, ConnectionClosedByBroker)
    ):
        return f"RabbitMQ at {where} refuses the user {user!r}: correct user or password in BROKER_URL."
    if isinstance(error, ProbableAccessDeniedError) or code == NOT_ALLOWED:
        return (
            f"RabbitMQ at {where} has no virtual host {host!r} that {user!r} may enter. Make it (rabbitmqctl add_vhost "
            f"{host}; rabbitmqctl set_permissions -p {host} {user} '.*' '.*' '.*'), or correct BROKER_URL."
        )
    if code == ACCESS_REFUSED:
        return (
            f"RabbitMQ at {where} does not let {user!r} make queues: "
            f"rabbitmqctl set_permissions -p {host} {user} '.*' '.*' '.*'."
        )
    if code == PRECONDITION_FAILED:
        return (
            f"The virtual host {host!r} of RabbitMQ at {where} has queues of somebody else with our names. Give Chaski a "
            "virtual host of its own and name it in BROKER_URL."
        )
    return _unreachable(where, error)


def _unreachable(where: str, error: Exception) -> str:
    reason = _innermost(error)
    if isinstance(reason, AMQPHeartbeatTimeout | ConnectionBlockedTimeout):
        return f"RabbitMQ at {where} has stopped answering: it may be short of memory or disk (rabbitmqctl status)."
    if isinstance(reason, ssl.SSLError):
        return f"No TLS with RabbitMQ at {where} ({reason.reason}): look at its certificate, or at amqps in BROKER_URL."
    if isinstance(reason, OSError) and not isinstance(reason, TimeoutError):
        return f"RabbitMQ does not answer at {where} ({reason.strerror}). Start it, or correct BROKER_URL."
    if isinstance(reason, TimeoutError | AMQPConnectorStackTimeout):
        return f"RabbitMQ does not answer at {where} in time. Look at it and at the firewall, or correct BROKER_URL."
    if isinstance(reason, ProtocolSyntaxError | IncompatibleProtocolError) or isinstance(
        error, ProtocolSyntaxError | IncompatibleProtocolError
    ):
        return f"What listens at {where} does not speak with us as RabbitMQ does. Correct BROKER_URL."
    return f"RabbitMQ at {where} hung up ({type(reason).__name__}: {reason})."


def _innermost(error: BaseException) -> BaseException:
    """pika wraps what happened in what it was doing."""
    inner = getattr(error, "exception", None) or (error.args[0] if error.args else None)
    return _innermost(inner) if isinstance(inner, BaseException) else error
