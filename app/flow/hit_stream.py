"""The Redis stream between the tracking endpoint and the tracker.

The stream has no MAXLEN, since trimming would lose hits silently. What bounds it: the tracker deletes what it
has written, and above ``backlog`` waiting entries (tracker stopped for hours), or where Redis refuses (``maxmemory``),
further hits go to the spool file on disk.
"""

import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from redis import Redis
from redis.backoff import NoBackoff
from redis.connection import Connection
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from app.flow.hit_spool import HitSpool
from app.logs import get_logger

log = get_logger(__name__)

STREAM = "chaski:events"
GROUP = "tracker"
ASIDE = "chaski:events:aside"
FIELD = b"hit"
MAX_ASIDE_ENTRIES = 100_000
"""Entries that can't be written; the newest are kept. Each is logged with its reason, too."""
MAX_ASIDE_BYTES = 2000

ANSWER_SECONDS = 0.5
"""A Redis slower than this counts as away: the person waits for the page behind the link."""
REST_SECONDS = 1.0
"""How long Redis is left alone after it failed."""
PUSHES_PER_LOOK = 1000
"""How often the length of the stream is looked at."""

_XADD = b"*5\r\n$4\r\nXADD\r\n$%d\r\n%b\r\n$1\r\n*\r\n$3\r\nhit\r\n$%d\r\n%b\r\n"
_XLEN = b"*2\r\n$4\r\nXLEN\r\n$%d\r\n%b\r\n"


# A script, since a consumer that reads between the look and the deletion would lose what it read.
_FORGET = """
for _, fields in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
    local consumer = {}
    for i = 1, #fields, 2 do consumer[fields[i]] = fields[i + 1] end
    if consumer.pending == 0 and consumer.idle > tonumber(ARGV[2]) then
        redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer.name)
    end
end
"""


class BacklogFull(Exception):
    """More hits wait in Redis than it should hold."""


class HitOutbox:
    """Takes hits where they happen: into the stream, else into the spool. Safe to share between threads.

    Each thread keeps one connection; the command is packed by hand, which costs half of the client's way. A hit whose
    answer was lost is pushed or spooled once more: its own id makes that harmless.
    """

    def __init__(self, redis_url: str, spool: HitSpool, *, backlog: int, stream: str = STREAM) -> None:
        self._pool = _impatient(redis_url).connection_pool
        self._spool = spool
        self._backlog = backlog
        self._stream = stream.encode()
        self._own = threading.local()
        self._resume_at = 0.0
        self._pushes_until_look = 0

    def put(self, hit: bytes) -> None:
        """Never raises: whoever opened or clicked gets an answer whatever happens here."""
        if time.monotonic() >= self._resume_at:
            try:
                self._push(hit)
                return
            except (RedisError, OSError, BacklogFull) as error:
                self._resume_at = time.monotonic() + REST_SECONDS
                log.warning("hits_go_to_spool", error=repr(error))
        try:
            self._spool.append(hit)
        except OSError as error:
            log.error("hit_lost", error=repr(error), hit=hit.decode())

    def _push(self, hit: bytes) -> None:
        if self._pushes_until_look <= 0:
            self._refuse_long_stream()
        self._pushes_until_look -= 1
        self._ask(_XADD % (len(self._stream), self._stream, len(hit), hit))

    def _refuse_long_stream(self) -> None:
        if self._ask(_XLEN % (len(self._stream), self._stream)) >= self._backlog:
            raise BacklogFull(f"{self._backlog} hits are waiting in Redis; is the tracker running?")
        self._pushes_until_look = PUSHES_PER_LOOK

    def _ask(self, packed: bytes) -> Any:
        """Redis' answer. A kept connection may have died since (Redis restarted): a second, new one decides."""
        if (kept := getattr(self._own, "connection", None)) is not None:
            try:
                return self._ask_over(kept, packed)
            except RedisTimeoutError:
                raise
            except (ConnectionError, RedisError, OSError) as error:
                if isinstance(error, ResponseError):
                    raise
        self._own.connection = self._pool.make_connection()
        return self._ask_over(self._own.connection, packed)

    def _ask_over(self, connection: Connection, packed: bytes) -> Any:
        try:
            connection.send_packed_command([packed], check_health=False)  # type: ignore[no-untyped-call]  # redis-py
            return connection.read_response()
        except ResponseError:
            raise  # A complete answer: the connection is in step.
        except BaseException:
            # An answer may still be under way; it must not be taken for that of the next hit.
            connection.disconnect()  # type: ignore[no-untyped-call]  # redis-py
            self._own.connection = None
            raise


def _impatient(redis_url: str) -> Redis:
    return Redis.from_url(
        redis_url,
        socket_timeout=ANSWER_SECONDS,
        socket_connect_timeout=ANSWER_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )


class Entry(NamedTuple):
    entry_id: bytes
    hit: bytes
    """Empty where the entry is none of ours."""


class Unwritable(NamedTuple):
    """A hit that can't become an event, with the reason: put aside, so that it blocks nothing."""

    hit: bytes
    reason: str


class HitStream:
    """The tracker's end: reads as ``consumer`` of the group, settles what is written."""

    def __init__(self, client: Redis, consumer: str, *, stream: str = STREAM, aside: str = ASIDE) -> None:
        self._client = client
        self._consumer = consumer
        self._stream = stream
        self._aside = aside

    def ensure_group(self) -> None:
        """From the beginning of the stream: after FLUSHALL, hits may have come before the group did."""
        try:
            self._client.xgroup_create(self._stream, GROUP, id="0", mkstream=True)
            log.info("hit_group_created", stream=self._stream)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    def read(self, count: int, *, block_seconds: float) -> list[Entry]:
        """New entries, waiting for the first one."""
        answer = self._client.xreadgroup(
            GROUP, self._consumer, {self._stream: ">"}, count=count, block=max(1, int(block_seconds * 1000))
        )
        if isinstance(answer, dict):  # RESP3
            return [entry for bulks in answer.values() for bulk in bulks for entry in _entries(bulk)]
        return [entry for _stream, bulk in answer or () for entry in _entries(bulk)]

    def claim_abandoned(self, count: int, *, idle_seconds: float) -> list[Entry]:
        """Entries that a consumer read and has not settled for so long: it is dead, or they are our own from before."""
        answer = self._client.xautoclaim(
            self._stream, GROUP, self._consumer, min_idle_time=int(idle_seconds * 1000), start_id="0-0", count=count
        )
        return _entries(answer[1])

    def settle(self, entries: Iterable[Entry], unwritable: Sequence[Unwritable]) -> None:
        """Written, or put aside: gone from the stream, in one transaction, so that none is acknowledged and stays."""
        ids = [entry.entry_id for entry in entries]
        with self._client.pipeline(transaction=True) as pipe:
            self._put_aside(pipe, unwritable)
            if ids:
                pipe.xack(self._stream, GROUP, *ids)
                pipe.xdel(self._stream, *ids)
            pipe.execute()

    def _put_aside(self, pipe: Any, unwritable: Sequence[Unwritable]) -> None:
        for hit, reason in unwritable:
            log.warning("hit_put_aside", reason=reason, hit=hit[:MAX_ASIDE_BYTES].decode(errors="replace"))
            pipe.xadd(
                self._aside,
                {"reason": reason, FIELD: hit[:MAX_ASIDE_BYTES]},
                maxlen=MAX_ASIDE_ENTRIES,
                approximate=True,
            )

    def forget_dead_consumers(self, *, idle_seconds: float) -> None:
        """Consumers that hold nothing and have been silent for so long: each start of a tracker leaves one behind."""
        self._client.eval(_FORGET, 1, self._stream, GROUP, str(int(idle_seconds * 1000)))


def _entries(bulk: Iterable[Any]) -> list[Entry]:
    """A claimed entry without fields was deleted meanwhile (Redis before 7 tells so)."""
    return [Entry(entry_id, (fields or {}).get(FIELD, b"")) for entry_id, fields in bulk if entry_id]
