"""The log follower: ``python -m workers.relay.follow``. What the relay's log says of deliveries goes to the platform.

One turn: read a portion of the log, join its lines, hand the sightings over, and only then keep the place behind them. Killed in
between, the next one reads the same portion again from the same state, and the platform leaves out what stands already.
"""

import argparse
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import TypeVar

from sqlalchemy import text

from app import logs
from app.config import Settings, load_settings
from app.connections import one_connection
from app.logs import get_logger
from app.mail.postfix_log import Interrupted, LogEvent, is_lost, is_postfix_line, parse_line
from app.mail.relay_report import MAX_DETAIL, MAX_SIGHTINGS, Bundle, Reading, ReadingProblem, Seen
from workers.relay.arrivals import FIRST_LOOK_SECONDS, Arrivals, queue_of_log
from workers.relay.handover import Handover, IntoDatabase, NotTaken, OverHttps
from workers.relay.joining import Joiner
from workers.relay.memory import Memory
from workers.relay.platform_api import checked_address
from workers.relay.queue import PostfixQueue
from workers.relay.tail import LogTail

log = get_logger(__name__)
R = TypeVar("R")

REST_SECONDS = 0.3
"""At the log's end."""
HEARTBEAT_TURNS = 10
"""After so many turns without anything new an empty bundle goes: the platform applies what waited, and knows we are here."""
FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 30.0
NOTHING_TOLD = Reading()


class Stopped(Exception):
    """Told to stop while the platform could not be reached; the portion in hand comes again."""


class Follower:
    def __init__(self, path: Path, memory: Memory, handover: Handover, arrivals: Arrivals | None = None) -> None:
        self._tail = LogTail(path, memory.place())
        self._memory = memory
        self._handover = handover
        self._joiner = Joiner.knowing(memory.open())
        self._arrivals = arrivals or Arrivals(None)
        self._arrivals.note(self._joiner.open)
        self._kept = memory.place()
        self._has_gap = not memory.knows_this_boot()
        self._stopping = threading.Event()
        self._ended_at: datetime | None = None
        """When the log's end was last seen, by the platform's clock."""
        self._quiet_turns = HEARTBEAT_TURNS
        self._lines = self._lost = 0
        """Since the last bundle."""

    def stop(self, _signal: int = 0, _frame: FrameType | None = None) -> None:
        self._stopping.set()

    def run(self) -> None:
        log.info("follower_started")
        with suppress(Stopped):
            while not self._stopping.is_set():
                if not self.turn():
                    self._stopping.wait(REST_SECONDS)
        log.info("follower_stopped")

    def turn(self) -> bool:
        """One portion. Returns whether there may be more at once."""
        asked_at = self._patiently(self._handover.clock)
        portion = self._tail.read()
        now = datetime.now().astimezone()
        events = [event for line in portion.lines if (event := self._understood(line, now))]
        seen = self._joiner.join(events)
        interruptions = [event for event in events if isinstance(event, Interrupted)]
        known = self._known_after(interruptions)
        has_gap = self._has_gap or portion.has_gap or known is None
        seen += known or []
        seen += self._arrivals.examine(self._joiner.open, asked_at, at_end=portion.at_end)
        # That nothing more stood there proves something only once the relay is seen to go on writing into this log.
        read_until = self._ended_at if any(map(is_postfix_line, portion.lines)) else None
        self._hand(seen, read_until, has_gap=has_gap)
        changes = self._joiner.settle()
        self._arrivals.note(changes)
        if changes or portion.place != self._kept or self._has_gap:
            self._memory.keep(portion.place, changes)
            self._kept, self._has_gap = portion.place, False
        if portion.at_end:
            self._ended_at = asked_at
        return bool(portion.lines) and not portion.at_end

    def _known_after(self, interruptions: list[Interrupted]) -> list[Seen] | None:
        """What lines that may be missing would have said, by asking the queue; None where that can't be told. A Postfix that
        was stopped is asked once it goes on."""
        if not interruptions:
            return []
        if self._arrivals.queue is not None and not any(one.goes_on for one in interruptions):
            return []
        return self._arrivals.after_start()

    def _hand(self, seen: list[Seen], read_until: datetime | None, *, has_gap: bool) -> None:
        self._quiet_turns += 1
        if not (seen or has_gap or read_until) and self._quiet_turns < HEARTBEAT_TURNS:
            return
        for bundle in bundles(seen, read_until, has_gap=has_gap, reading=self._reading()):
            self._patiently(lambda bundle=bundle: self._handover.hand(bundle))  # type: ignore[misc]
        self._quiet_turns = self._lines = self._lost = 0

    def _understood(self, line: str, now: datetime) -> LogEvent | None:
        event = parse_line(line, now=now)
        self._lines += 1
        self._lost += event is None and is_lost(line)
        return event

    def _reading(self) -> Reading:
        trouble, behind = self._tail.trouble, self._tail.behind_bytes()
        if trouble is None:
            return Reading(self._lines, self._lost, behind)
        is_missing = isinstance(trouble, FileNotFoundError)
        problem = ReadingProblem.LOG_MISSING if is_missing else ReadingProblem.LOG_UNREADABLE
        return Reading(self._lines, self._lost, behind, problem, str(trouble)[:MAX_DETAIL])

    def _patiently(self, act: Callable[[], R]) -> R:
        """Again and again while the platform doesn't answer, or doesn't let us in, with growing waits."""
        wait_seconds = FIRST_WAIT_SECONDS
        while True:
            try:
                return act()
            except NotTaken as error:
                log.warning("follower_waits", error=str(error), seconds=wait_seconds)
            if self._stopping.wait(wait_seconds):
                raise Stopped
            wait_seconds = min(2 * wait_seconds, LONGEST_WAIT_SECONDS)


def bundles(
    seen: list[Seen], read_until: datetime | None, *, has_gap: bool, reading: Reading = NOTHING_TOLD
) -> Iterator[Bundle]:
    """At least one. The last one says how far the log was read, and how that goes."""
    starts = range(0, max(len(seen), 1), MAX_SIGHTINGS)
    for start in starts:
        is_last = start == starts[-1]
        part = tuple(seen[start : start + MAX_SIGHTINGS])
        yield Bundle(
            part, read_until if is_last else None, has_gap=has_gap, reading=reading if is_last else NOTHING_TOLD
        )


# The process.


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m workers.relay.follow", description=__doc__)
    parser.add_argument("--log", type=Path, help="Postfix' log; else the setting RELAY_LOG_FILE")
    parser.add_argument(
        "--relay", help="the relay's name, or its number where --platform is given; else RELAY_LOG_RELAY"
    )
    parser.add_argument("--state", type=Path, help="file for the place in the log; else below VAR_DIR")
    parser.add_argument(
        "--config-dir", type=Path, help="of that Postfix; else the setting RELAY_POSTFIX_DIR, or /etc/postfix"
    )
    parser.add_argument("--platform", help="https://… of the platform, where this is not its host")
    parser.add_argument("--key-file", type=Path, help="file with the key of `flask relay key`")
    parser.add_argument("--ca-file", type=Path, help="authority of the platform's certificate, where it is your own")
    parser.add_argument("--if-configured", action="store_true", help="without a log to follow wait to be stopped")
    return parser.parse_args()


def main() -> None:
    told = arguments()
    logs.configure("console")
    follower = _remote(told) if told.platform else _local(told, load_settings())
    if follower is None:
        _wait_for_the_end()
        return
    signal.signal(signal.SIGTERM, follower.stop)
    signal.signal(signal.SIGINT, follower.stop)
    follower.run()


def _remote(told: argparse.Namespace) -> Follower:
    if not (told.log and told.key_file and told.state and (told.relay or "").isdecimal()):
        raise SystemExit("--platform needs --log, --state, --key-file and --relay with the relay's number.")
    try:
        platform = checked_address(told.platform)
    except ValueError as error:
        raise SystemExit(str(error)) from error
    key = told.key_file.read_text().strip()
    handover = OverHttps(platform, int(told.relay), key, told.ca_file)
    return Follower(
        told.log, Memory(told.state), handover, _arrivals(told.log, told.config_dir or Path("/etc/postfix"))
    )


def _local(told: argparse.Namespace, settings: Settings) -> Follower | None:
    logs.configure(settings.log_format)
    path, relay = told.log or settings.relay_log_file, told.relay or settings.relay_log_relay
    if not path or not relay:
        if told.if_configured:
            return None
        raise SystemExit("No log to follow: give --log and --relay, or set RELAY_LOG_FILE and RELAY_LOG_RELAY.")
    relay_id = _relay_id(settings, relay)
    memory = Memory(told.state or Path(settings.var_dir) / f"relay-log-{relay_id}.sqlite")
    arrivals = _arrivals(
        Path(path), told.config_dir or Path(settings.relay_postfix_dir), float(settings.relay_silence_seconds)
    )
    return Follower(Path(path), memory, IntoDatabase(settings, relay_id), arrivals)


def _arrivals(path: Path, config_dir: Path, first_look_seconds: float = FIRST_LOOK_SECONDS) -> Arrivals:
    return Arrivals(queue_of_log(PostfixQueue(config_dir), path), first_look_seconds)


def _relay_id(settings: Settings, name: str) -> int:
    engine = one_connection(settings.database_url)
    with engine.connect() as connection:
        relay_id = connection.scalar(text("SELECT id FROM relay WHERE name = :name"), {"name": name})
    engine.dispose()
    if relay_id is None:
        raise SystemExit(f"There is no relay named {name!r}.")
    return int(relay_id)


def _wait_for_the_end() -> None:
    """Nothing to follow: no work, and no failure that would have it started again and again."""
    log.info("follower_has_no_log")
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()


if __name__ == "__main__":
    main()
