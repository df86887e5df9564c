"""Group commit: while one transaction is being written, the messages of all connections wait for the next one.

A lone client's message is stored at once. Where several clients were seen at work, the next transaction waits some
milliseconds for all of them, since a commit costs as much as five messages. Each message gets its id before it is
written, so that a transaction whose end a broken connection hid is simply written again.
"""

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass

import psycopg
from psycopg import AsyncConnection

from app.flow import practice
from app.flow.practice import CapturedMessage
from app.logs import get_logger
from app.mail.captured import Identity

log = get_logger(__name__)

MAX_BATCH_MESSAGES = 200
MAX_BATCH_BYTES = 16 * 1024 * 1024
GATHER_SECONDS = 0.004
"""How long a transaction waits for the clients that the last one saw."""
PATIENCE_SECONDS = 5.0
"""How long a message waits for PostgreSQL to come back before it is answered 451."""
FIRST_WAIT_SECONDS = 0.1
LONGEST_WAIT_SECONDS = 1.0
CONNECT_SECONDS = 5
PRUNE_EVERY_SECONDS = 30.0


class StoreUnavailable(Exception):
    """PostgreSQL is away; trying again later helps."""


class NotStorable(Exception):
    """PostgreSQL refuses this one message for good."""


@dataclass(slots=True, eq=False)
class _Waiting:
    panel_id: int
    mail_from: str
    rcpt_to: str
    raw: bytes
    identity: Identity
    deadline: float
    answered: asyncio.Future[int]
    id: int = 0
    is_second_try: bool = False

    def as_captured(self) -> CapturedMessage:
        return CapturedMessage(
            id=self.id,
            panel_id=self.panel_id,
            mail_from=self.mail_from,
            rcpt_to=self.rcpt_to,
            identity=self.identity,
            raw=self.raw,
        )

    def settle(self, error: Exception | None) -> None:
        """Tell the connection, unless its client has gone meanwhile."""
        if self.answered.done():
            return
        if error is None:
            self.answered.set_result(self.id)
        else:
            self.answered.set_exception(error)


class MessageCollector:
    """Stores messages; ``put`` returns once the message is durable.

    Parameters:
      conninfo: libpq's URL of the database.
      keep_messages: how many messages of the whole installation are kept.
    """

    def __init__(self, conninfo: str, *, keep_messages: int, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._conninfo = conninfo
        self._keep_messages = keep_messages
        self._patience_seconds = patience_seconds
        self._waiting: deque[_Waiting] = deque()
        self._batch: list[_Waiting] = []
        self._bell = asyncio.Event()
        self._connection: AsyncConnection | None = None
        self._expected = 1
        """Messages to gather before writing: how many clients were at work during the last transaction."""
        self._is_away = False
        self._is_closing = False
        self._writer: asyncio.Task[None] | None = None
        self._pruner: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._writer = asyncio.create_task(self._write_forever())
        self._pruner = asyncio.create_task(self._prune_forever())

    async def close(self) -> None:
        """Store what is waiting, then stop."""
        self._is_closing = True
        self._bell.set()
        if self._writer is not None:
            await self._writer
        if self._pruner is not None:
            self._pruner.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._pruner
        await self._disconnect()

    async def put(self, *, panel_id: int, mail_from: str, rcpt_to: str, raw: bytes, identity: Identity) -> int:
        """The message's id, once it is durable. Raises :class:`StoreUnavailable` or :class:`NotStorable`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience_seconds
        waiting = _Waiting(panel_id, mail_from, rcpt_to, raw, identity, deadline, loop.create_future())
        self._waiting.append(waiting)
        if len(self._waiting) in (1, self._expected):
            self._bell.set()
        return await waiting.answered

    async def panel_id_of(self, slug: str) -> int | None:
        """The panel's id. Asked once per client, on a connection of its own. Raises :class:`StoreUnavailable`."""
        try:
            async with await self._connect() as connection:
                return await practice.panel_id_of(connection, slug)
        except psycopg.OperationalError as error:
            raise StoreUnavailable from error

    async def _connect(self) -> AsyncConnection:
        return await AsyncConnection.connect(
            self._conninfo, autocommit=True, connect_timeout=CONNECT_SECONDS, application_name="practice-relay"
        )

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error):
                await connection.close()

    # Writing.

    async def _write_forever(self) -> None:
        wait_seconds = FIRST_WAIT_SECONDS
        while await self._has_work():
            try:
                await self._write_batch()
            except psycopg.OperationalError as error:
                self._note_away(error)
                await self._disconnect()
                self._give_up_on_the_impatient()
                await asyncio.sleep(wait_seconds)
                wait_seconds = min(2 * wait_seconds, LONGEST_WAIT_SECONDS)
            else:
                self._note_back()
                wait_seconds = FIRST_WAIT_SECONDS

    async def _has_work(self) -> bool:
        """Wait for messages, and a moment for more; False once the relay is closing and everything is stored."""
        while not (self._batch or self._waiting):
            if self._is_closing:
                return False
            await self._ring(None)
        if len(self._waiting) < self._expected and not (self._batch or self._is_closing):
            await self._ring(GATHER_SECONDS)
        return True

    async def _ring(self, timeout_seconds: float | None) -> None:
        self._bell.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                await self._bell.wait()

    async def _write_batch(self) -> None:
        connection = self._connection = self._connection or await self._connect()
        self._batch = self._batch or self._take()
        try:
            await _write(connection, self._batch)
        except psycopg.OperationalError:
            raise
        except psycopg.Error:
            await self._write_one_by_one(connection)
        self._expected = min((len(self._batch) + len(self._waiting) + 1) // 2, MAX_BATCH_MESSAGES)
        self._batch = []

    def _take(self) -> list[_Waiting]:
        """What goes into one transaction."""
        batch: list[_Waiting] = []
        total_bytes = 0
        while self._waiting and len(batch) < MAX_BATCH_MESSAGES and total_bytes < MAX_BATCH_BYTES:
            batch.append(self._waiting.popleft())
            total_bytes += len(batch[-1].raw)
        return batch

    async def _write_one_by_one(self, connection: AsyncConnection) -> None:
        """PostgreSQL refuses something in this batch (a panel deleted meanwhile): find it, and store the others."""
        while self._batch:
            one = self._batch[0]
            try:
                await _write(connection, [one])
            except psycopg.OperationalError:
                raise
            except psycopg.Error as error:
                log.warning("practice_message_refused", panel_id=one.panel_id, error=str(error))
                one.settle(NotStorable())
            self._batch.pop(0)

    def _give_up_on_the_impatient(self) -> None:
        """Answer 451 to those who waited long enough; the others wait on for PostgreSQL."""
        now = asyncio.get_running_loop().time()
        for one in (*self._batch, *self._waiting):
            if self._is_closing or one.deadline <= now:
                one.settle(StoreUnavailable())
        self._batch = [one for one in self._batch if not one.answered.done()]
        self._waiting = deque(one for one in self._waiting if not one.answered.done())

    def _note_away(self, error: psycopg.Error) -> None:
        if not self._is_away:
            log.warning("practice_store_away", error=str(error).strip())
        self._is_away = True

    def _note_back(self) -> None:
        if self._is_away:
            log.info("practice_store_back")
        self._is_away = False

    # Pruning.

    async def _prune_forever(self) -> None:
        """On a connection of its own, so that storing never waits for it."""
        while True:
            await asyncio.sleep(PRUNE_EVERY_SECONDS)
            try:
                await self.prune()
            except psycopg.Error as error:
                log.warning("practice_prune_failed", error=str(error).strip())

    async def prune(self) -> int:
        """Delete the oldest messages beyond what is kept; how many went."""
        gone = 0
        async with await self._connect() as connection:
            while step := await practice.prune(connection, self._keep_messages):
                gone += step
        return gone


async def _write(connection: AsyncConnection, batch: list[_Waiting]) -> None:
    """One transaction, and the answers. An id that turns out to be taken was ours if this is the second try (the first
    one's end was hidden); else the sequence was set back meanwhile, and the message gets another id."""
    while batch:
        await _give_ids(connection, batch)
        stored = await practice.store(connection, [one.as_captured() for one in batch])
        for one in batch:
            if one.id in stored or one.is_second_try:
                one.settle(None)
            else:
                one.id = 0
        batch = [one for one in batch if not one.id]


async def _give_ids(connection: AsyncConnection, batch: list[_Waiting]) -> None:
    for one in batch:
        one.is_second_try = one.id != 0
    new = [one for one in batch if not one.id]
    ids = await practice.reserve_ids(connection, len(new)) if new else []
    for one, id_ in zip(new, ids, strict=True):
        one.id = id_
