"""RabbitMQ as a doorbell, in place of Redis.

Dramatiq's broker keeps a connection per thread (pika's are not for several) and one more for each queue that a process
serves. Ours differs where a message is a task for Dramatiq and only a ring for us: nothing is delayed, nothing kept when
it failed, and who rings in vain hears so soon and goes on with the rest of the sweep. The database knows what is to be done.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pika
from dramatiq import Consumer, Message, Middleware
from dramatiq.brokers.rabbitmq import RabbitmqBroker, _RabbitmqConsumer
from dramatiq.errors import ConnectionClosed
from pika.exceptions import AMQPHeartbeatTimeout

from app.amqp import AMQP_FAILURES, declare, sentence

PERSISTENT = 2
"""basic.properties.delivery-mode: the ring outlives a restart of the broker."""
SILENT_SECONDS = 2.0
"""After a connection failed nobody tries for so long, so that a sweep waits for it once and not at each of its steps."""
ANSWER_SECONDS = 5.0


class RingConsumer(_RabbitmqConsumer):
    """Says only of a ring of its own, and only where that can be heard, that it was answered. RabbitMQ repeats the others,
    and who comes then finds nothing to claim. Dramatiq has the thread wait for a connection over which it could tell; and on
    a new connection the old number is another ring's."""

    def __next__(self) -> Any:
        message: Any = super().__next__()  # type: ignore[no-untyped-call]  # dramatiq
        if message is not None:
            message.came_by = self
        return message

    def ack(self, message: Any) -> None:
        if message.came_by is self:
            with suppress(ConnectionClosed):
                super().ack(message)  # type: ignore[no-untyped-call]  # dramatiq

    def nack(self, message: Any) -> None:
        if message.came_by is self:
            with suppress(ConnectionClosed):
                super().nack(message)  # type: ignore[no-untyped-call]  # dramatiq


class RabbitDoorbell(RabbitmqBroker):
    """Raises dramatiq's ``ConnectionClosed`` where RabbitMQ is away, whatever the reason.

    Parameters:
      parameters: of :func:`app.amqp.parameters`.
      expires_ms: after so long RabbitMQ forgets a ring that nobody came for.
      answer_seconds: how long it may owe who rings an answer.
    """

    def __init__(
        self,
        parameters: pika.URLParameters,
        *,
        expires_ms: int,
        middleware: list[Middleware],
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        super().__init__(confirm_delivery=True, middleware=middleware)
        self.parameters = parameters
        self._answer_seconds = answer_seconds
        self._silent_until = 0.0
        self._properties = pika.BasicProperties(delivery_mode=PERSISTENT, expiration=str(expires_ms))

    @property
    def consumer_class(self) -> type[RingConsumer]:
        return RingConsumer

    def declare_queue(self, queue_name: str, *, ensure: bool = False) -> None:
        """No queues for delayed and dead messages beside it. Each time anew on the server: it may have lost its data."""
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues.add(queue_name)
            self.emit_after("declare_queue", queue_name)
        if ensure:
            declare(self.channel, queue_name)

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> Consumer:
        try:
            self.declare_queue(queue_name, ensure=True)
            return self.consumer_class(self, queue_name, prefetch, timeout)
        except AMQP_FAILURES as error:
            raise self._away(error) from None
        finally:
            del self.connection  # The consumer has one of its own; nobody would answer for this one.

    def enqueue(self, message: Message[Any], *, delay: int | None = None) -> Message[Any]:
        if delay is not None:
            raise ValueError("A doorbell rings now: the time of a next try is a column in the database.")
        self.emit_before("enqueue", message, delay)
        self._ring(message)
        self.emit_after("enqueue", message, delay)
        return message

    def _ring(self, message: Message[Any]) -> None:
        """Until RabbitMQ has confirmed it. Once more over a new connection where the old one was of no use."""
        if time.monotonic() < self._silent_until:
            raise self._away("RabbitMQ was away a moment ago.")
        is_new = getattr(self.state, "connection", None) is None
        try:
            self._publish(message)
        except AMQP_FAILURES as error:
            del self.connection
            if is_new:
                self._silent_until = time.monotonic() + SILENT_SECONDS
                raise self._away(error) from None
            self._ring(message)

    def _publish(self, message: Message[Any]) -> None:
        with self._patience(self.connection):
            self.declare_queue(message.queue_name, ensure=True)
            self.channel.basic_publish("", message.queue_name, message.encode(), self._properties, mandatory=True)

    @contextmanager
    def _patience(self, connection: pika.BlockingConnection) -> Iterator[None]:
        """pika waits for an answer until two heartbeats are missing: for a minute, in which the dispatcher does nothing
        else. It has no other limit; this is how it ends a connection itself whose heartbeats are missing."""
        core = connection._impl
        silence = AMQPHeartbeatTimeout(f"no answer in {self._answer_seconds:g} s")
        timer = core.ioloop.call_later(self._answer_seconds, lambda: core._terminate_stream(silence))
        try:
            yield
        finally:
            core.ioloop.remove_timeout(timer)

    def _away(self, reason: Exception | str) -> ConnectionClosed:
        told = reason if isinstance(reason, str) else sentence(self.parameters, reason)
        return ConnectionClosed(told)  # type: ignore[no-untyped-call]  # dramatiq

    def tend(self) -> None:
        """Answer for this thread's connection: heartbeats, and whether it is still there."""
        connection = getattr(self.state, "connection", None)
        try:
            if connection is not None:
                connection.process_data_events(time_limit=0)
        except AMQP_FAILURES:
            del self.connection
