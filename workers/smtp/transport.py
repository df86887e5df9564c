"""Submits a chunk over several connections from one thread.

Messages are asked for only when a connection wants one; the street writes some at a time. A message that was
provably not sent when its connection went away goes to another connection, twice at most; then it counts as refused for
now, so that a message which kills connections can't keep the relay busy. Each message taken is answered exactly once.

When the lease ends, no further byte is written, but answers to content that was handed over whole are still heard for a
moment: each of them is recorded under the claim's number as what it is instead of as unknown. What is in the middle of its
content is cut off, and a relay drops that.
"""

import selectors
import time
from collections import Counter, deque
from collections.abc import Iterator

from app.flow.relays import RelayEndpoint
from app.flow.submission import Answer, AnswerKind, Lease, OutgoingMessage
from app.logs import get_logger
from app.mail.replies import Stage
from app.models import OwnReply, coded
from workers.smtp.connecting import RelayUnavailable
from workers.smtp.connection import CLOSING, ConnectionLost, SmtpConnection
from workers.smtp.pool import ConnectionPool

log = get_logger(__name__)

TRIES_PER_MESSAGE = 3
TICK_SECONDS = 1.0
HEAR_OUT_SECONDS = 1.5
"""How long answers are still heard after the lease has ended."""


class SmtpTransport:
    """Implements ``app.flow.sending.Transport`` for one relay and thread."""

    def __init__(self, endpoint: RelayEndpoint, pool: ConnectionPool) -> None:
        self._endpoint = endpoint
        self._pool = pool

    def submit(self, messages: Iterator[OutgoingMessage], lease: Lease) -> list[Answer]:
        run = _Run(self._endpoint, self._pool, messages, lease)
        try:
            return run.to_the_end()
        finally:
            run.give_back_connections()


class _Run:
    """One chunk in work."""

    def __init__(
        self, endpoint: RelayEndpoint, pool: ConnectionPool, messages: Iterator[OutgoingMessage], lease: Lease
    ) -> None:
        self._endpoint = endpoint
        self._pool = pool
        self._messages = messages
        self._lease = lease
        self._selector = selectors.DefaultSelector()
        self._connections: list[SmtpConnection] = []
        self._again: deque[OutgoingMessage] = deque()
        self._tries: Counter[int] = Counter()
        self._answers: list[Answer] = []
        self._unavailable: RelayUnavailable | None = None
        self._choked: set[SmtpConnection] = set()
        """Those that wait for room to write."""
        self._watched_at = 0.0

    def to_the_end(self) -> list[Answer]:
        while self._feed():
            for key, mask in self._selector.select(TICK_SECONDS):
                self._serve(key.data, mask)
            self._lease.keep()
            self._watch()
        return self._answers

    def give_back_connections(self) -> None:
        for connection in self._connections:
            self._selector.unregister(connection.sock)
            self._pool.give_back(self._endpoint, connection)
        self._connections.clear()
        self._selector.close()

    # Feeding.

    def _feed(self) -> bool:
        """Give every connection that wants one a message. False when all is answered or nothing more can be done."""
        if self._lease.holds():
            self._retire_worn_out()
            self._hand_out()
        if not self._lease.holds():
            self._stop_for_lost_lease()
            return False
        if self._unavailable is not None and not self._connections:
            self._give_up()
            return False
        return any(not connection.is_idle for connection in self._connections)

    def _hand_out(self) -> None:
        """Messages first, then bytes: so a content and the envelope of the message behind it leave in one write, and the
        relay answers both in one. What a connection that broke meanwhile gave back is handed out again."""
        while self._lease.holds():
            self._take_messages()
            if self._flush_all():
                return

    def _take_messages(self) -> None:
        while self._lease.holds():
            connection = self._hungry()
            if connection is None and not self._may_open:
                return
            message = self._next_message()
            if message is None:
                return
            connection = connection or self._open()
            if connection is None:
                self._again.appendleft(message)
                return
            connection.begin(message)

    @property
    def _may_open(self) -> bool:
        return len(self._connections) < self._endpoint.connections and self._unavailable is None

    def _hungry(self) -> SmtpConnection | None:
        for connection in self._connections:
            if connection.wants_message and connection.messages_begun < self._endpoint.messages_per_connection:
                return connection
        return None

    def _next_message(self) -> OutgoingMessage | None:
        if self._again:
            return self._again.popleft()
        return next(self._messages, None)

    def _open(self) -> SmtpConnection | None:
        self._flush_all()  # Opening takes a while; what is queued for others doesn't wait for it.
        try:
            connection = self._pool.take(self._endpoint)
        except RelayUnavailable as error:
            self._unavailable = error
            return None
        self._lease.keep()  # Opening took its time, and others may follow.
        self._connections.append(connection)
        self._selector.register(connection.sock, selectors.EVENT_READ, connection)
        return connection

    def _retire_worn_out(self) -> None:
        for connection in list(self._connections):
            if connection.is_idle and connection.messages_begun >= self._endpoint.messages_per_connection:
                self._drop(connection)
                connection.quit()

    # Serving.

    def _serve(self, connection: SmtpConnection, mask: int) -> None:
        """Read answers; what they allow to be written is written when the next messages are handed out."""
        if connection not in self._connections or not mask & selectors.EVENT_READ:
            return
        try:
            connection.on_readable()
        except ConnectionLost as lost:
            self._lose(connection, lost)
        self._collect(connection)

    def _flush_all(self) -> bool:
        """Write what is queued. False where a connection broke at that."""
        is_whole = True
        for connection in list(self._connections):
            try:
                self._flush(connection)
            except ConnectionLost as lost:
                self._lose(connection, lost)
                is_whole = False
        return is_whole

    def _flush(self, connection: SmtpConnection) -> None:
        if connection.wants_write and self._lease.holds():
            connection.on_writable()
        if connection.wants_write is not (connection in self._choked):
            self._choked ^= {connection}
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.wants_write else 0)
            self._selector.modify(connection.sock, wanted, connection)

    def _watch(self) -> None:
        now = time.monotonic()
        if now < self._watched_at + TICK_SECONDS:
            return
        self._watched_at = now
        for connection in list(self._connections):
            try:
                connection.check_silence(now)
            except ConnectionLost as lost:
                self._lose(connection, lost)

    def _collect(self, connection: SmtpConnection) -> None:
        self._answers += connection.answers
        connection.answers = []

    def _lose(self, connection: SmtpConnection, lost: ConnectionLost) -> None:
        self._drop(connection)
        self._collect(connection)
        answers, unsent = connection.abandon(lost)
        self._answers += answers
        if lost.relay_failed:
            log.warning("relay_connection_lost", relay=self._endpoint.key, reason=str(lost), unsent=len(unsent))
        for message, was_current in unsent:
            # Only the message in work can have been the reason; the one behind it stood in the queue.
            self._tries[message.seq] += was_current
            if self._tries[message.seq] < TRIES_PER_MESSAGE:
                self._again.append(message)
            else:
                self._answers.append(self._refused_for_now(message, lost))

    def _drop(self, connection: SmtpConnection) -> None:
        self._selector.unregister(connection.sock)
        self._choked.discard(connection)
        self._connections.remove(connection)

    @staticmethod
    def _refused_for_now(message: OutgoingMessage, lost: ConnectionLost) -> Answer:
        return Answer(
            seq=message.seq,
            kind=AnswerKind.REPLIED,
            code=CLOSING,
            text=str(lost).removeprefix("421 "),
            stage=Stage.MAIL_FROM,
            relay_trouble=True,
        )

    # Ending early.

    def _give_up(self) -> None:
        """No connection and none to be had: at least one message carries the reason; the rest was never taken."""
        message = self._next_message()
        while message is not None:
            self._answers.append(
                Answer(
                    seq=message.seq,
                    kind=AnswerKind.NOT_SENT,
                    code=self._unavailable.code if self._unavailable else 0,
                    text=str(self._unavailable),
                    stage=Stage.CONNECT,
                    relay_trouble=True,
                )
            )
            message = self._again.popleft() if self._again else None

    def _stop_for_lost_lease(self) -> None:
        lost = ConnectionLost(coded(OwnReply.LEASE_ENDED), relay_failed=False)
        self._hear_out()
        for connection in list(self._connections):
            self._drop(connection)
            if connection.is_idle:
                connection.quit()
            else:
                answers, unsent = connection.abandon(lost)
                self._answers += answers
                self._again.extend(message for message, _was_in_work in unsent)
        self._answers += [Answer(seq=m.seq, kind=AnswerKind.NOT_SENT, text=str(lost)) for m in self._again]
        self._again.clear()

    def _hear_out(self) -> None:
        for connection in self._connections:
            self._selector.modify(connection.sock, selectors.EVENT_READ, connection)
        until = time.monotonic() + HEAR_OUT_SECONDS
        while any(c.owes_verdict for c in self._connections) and (left := until - time.monotonic()) > 0:
            for key, _mask in self._selector.select(left):
                self._hear(key.data)

    def _hear(self, connection: SmtpConnection) -> None:
        try:
            connection.on_readable()
        except ConnectionLost as lost:
            self._lose(connection, lost)
        self._collect(connection)
