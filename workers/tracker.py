"""The tracker: ``python -m workers.tracker``. Hits from the Redis stream, and from the spool file of this host, become events.

Written and committed first, settled (acknowledged and deleted) after: killed in between, it or another tracker writes
the same hits again, and the database leaves out what stands already. Several may run.
"""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import TypeVar

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app import logs
from app.config import Settings, load_settings
from app.connections import one_connection
from app.flow.events import record_lines
from app.flow.hit_spool import HitSpool, read_spooled
from app.flow.hit_stream import Entry, HitStream, Unwritable
from app.logs import get_logger

log = get_logger(__name__)
R = TypeVar("R")

BULK_HITS = 5_000
BLOCK_SECONDS = 1.0
LINGER_SECONDS = 0.2
"""Rest after a small bulk, so that bulks under load are large and reports still less than a second old."""
SMALL_BULK_HITS = 1_000
UPKEEP_SECONDS = 5.0
FORGET_CONSUMER_SECONDS = 3600.0
RETRY_SECONDS = 0.5
MAX_RETRY_SECONDS = 5.0


class Stopped(Exception):
    """Told to stop while waiting for a service; the hits in hand are not settled and come again."""


class Tracker:
    def __init__(self, settings: Settings) -> None:
        client = Redis.from_url(settings.redis_url, socket_timeout=BLOCK_SECONDS + 10, socket_connect_timeout=3)
        self._stream = HitStream(client, f"{socket.gethostname()}-{os.getpid()}-{os.urandom(3).hex()}")
        self._spool = HitSpool(settings.spool_dir)
        self._engine = one_connection(settings.database_url)
        self._takeover_seconds = settings.tracker_takeover_seconds
        self._stopping = threading.Event()
        self._next_upkeep = 0.0

    def stop(self) -> None:
        """After the bulk in hand."""
        self._stopping.set()

    def run(self) -> None:
        log.info("tracker_started")
        with suppress(Stopped):
            while not self._stopping.is_set():
                self._patiently(self._turn)
        log.info("tracker_stopped")

    def _patiently(self, act: Callable[[], R]) -> R:
        """Again and again while Redis or PostgreSQL is away, with growing waits."""
        wait_seconds = RETRY_SECONDS
        while True:
            try:
                return act()
            except (RedisError, SQLAlchemyError, OSError) as error:
                log.warning("tracker_waits", error=repr(error)[:500], seconds=wait_seconds)
                self._next_upkeep = 0.0  # The group may be gone (FLUSHALL).
            if self._stopping.wait(wait_seconds):
                raise Stopped
            wait_seconds = min(2 * wait_seconds, MAX_RETRY_SECONDS)

    def _turn(self) -> None:
        """One bulk of the stream; now and then what was left behind."""
        if time.monotonic() >= self._next_upkeep:
            self._upkeep()
            self._next_upkeep = time.monotonic() + UPKEEP_SECONDS
        entries = self._stream.read(BULK_HITS, block_seconds=BLOCK_SECONDS)
        if entries:
            self._write(entries)
            if len(entries) < SMALL_BULK_HITS:
                self._stopping.wait(LINGER_SECONDS)

    def _upkeep(self) -> None:
        # The file first: it is there because Redis is, or was, away.
        for path in self._spool.take():
            self._write_spooled(path)
        self._stream.ensure_group()
        while entries := self._stream.claim_abandoned(BULK_HITS, idle_seconds=self._takeover_seconds):
            log.info("abandoned_hits_claimed", count=len(entries))
            self._write(entries)
        self._stream.forget_dead_consumers(idle_seconds=FORGET_CONSUMER_SECONDS)

    def _write(self, entries: list[Entry]) -> None:
        unwritable = self._record([entry.hit for entry in entries])
        self._stream.settle(entries, unwritable)

    def _write_spooled(self, path: Path) -> None:
        """The file goes when all of it is written; killed before, it is written again, which changes nothing."""
        count, lines = 0, read_spooled(path)
        while bulk := list(islice(lines, BULK_HITS)):
            count += len(bulk)
            if unwritable := self._record(bulk):
                self._stream.settle([], unwritable)
        path.unlink(missing_ok=True)
        log.info("spooled_hits_written", count=count)

    def _record(self, lines: list[bytes]) -> list[Unwritable]:
        """Waits for PostgreSQL as long as it takes, or until told to stop."""
        return self._patiently(lambda: self._record_once(lines))

    def _record_once(self, lines: list[bytes]) -> list[Unwritable]:
        with Session(self._engine) as session:
            return record_lines(session, lines)


def main() -> None:
    settings = load_settings()
    logs.configure(settings.log_format)
    tracker = Tracker(settings)

    def stop(_number: int, _frame: FrameType | None) -> None:
        tracker.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    tracker.run()


if __name__ == "__main__":
    main()
