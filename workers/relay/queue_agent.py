"""The queue agent: ``python -m workers.relay.queue_agent``. One per relay, where its Postfix runs: on the platform's host with
``--relay NAME``, on the relay's own with ``--platform https://… --relay NUMBER --key-file FILE``.

Every few seconds it tells the platform what lies in the queue, then carries out orders. Killed at any moment, it or another
one does the same order again, to no other effect:

hold, release   moving a mail where it is already changes nothing
requeue         the mail has another number afterwards, so that a second time finds nothing
delete          held first, which is reported, then deleted from `hold` only. Nothing leaves `hold` by itself: where a mail
                that was reported as held is gone, it was this agent who deleted it, and no delivery can have come between
"""

import argparse
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import logs
from app.config import Settings, load_settings
from app.connections import one_connection
from app.flow.relay_queue import commands, snapshot
from app.flow.relay_queue.commands import Order, OrderedMail
from app.logs import get_logger
from app.mail.postfix_queue import QueuedMail
from app.models import QueueAction, QueueOutcome, Relay
from workers.relay.platform_api import PlatformApi, checked_address
from workers.relay.queue import PostfixQueue, QueueUnavailable
from workers.relay.queue_platform import AWAY, LocalPlatform, QueuePlatform, RemotePlatform

log = get_logger(__name__)

EVERY_SECONDS = 3.0
LISTING_SHARE = 5
"""A listing that takes a second is made every five at most: it reads every file of the queue."""
LONGEST_WAIT_SECONDS = 20.0
"""Less than what makes pages call it silent: an agent that may look but not touch tells what lies there all the same."""
ORDERS_AT_ONCE = 20
"""Then the platform hears again what lies in the queue."""


class QueueAgent:
    def __init__(self, queue: PostfixQueue, platform: QueuePlatform, *, every_seconds: float = EVERY_SECONDS) -> None:
        self._queue = queue
        self._platform = platform
        self._every_seconds = every_seconds
        self._stopping = threading.Event()
        self._failures = 0
        """In a row."""
        self._said = ""

    def stop(self) -> None:
        self._stopping.set()

    def run(self) -> None:
        """Until stopped. While Postfix or the platform is away, it waits, longer each time, and tries again."""
        while not self._stopping.is_set():
            try:
                wait_seconds = max(self._every_seconds, LISTING_SHARE * self.turn())
                self._failures, self._said = 0, ""
            except QueueUnavailable as error:
                wait_seconds = self._failed(error)
                self._tell_trouble(error)
            except AWAY as error:
                wait_seconds = self._failed(error)
            self._stopping.wait(wait_seconds)

    def _failed(self, error: Exception) -> float:
        """Said once, not every few seconds. Returns how long to wait."""
        words, self._failures = repr(error)[:500], self._failures + 1
        if words != self._said:
            log.warning("queue_agent_waits", error=words)
            self._said = words
        return min(LONGEST_WAIT_SECONDS, self._every_seconds * 2.0 ** min(self._failures - 1, 10))

    def _tell_trouble(self, error: QueueUnavailable) -> None:
        with suppress(*AWAY):
            self._platform.trouble(error.trouble, str(error))

    def turn(self) -> float:
        """Carry out what was ordered, then tell what lies there; returns how many seconds the listing took. Raises
        QueueUnavailable, where Postfix takes no orders only after what lies there was told."""
        refusal = self._carry_out_orders()
        began = time.monotonic()
        listing = self._queue.listing(most=snapshot.MOST_MAILS)
        seconds = time.monotonic() - began
        self._platform.tell(listing)
        if refusal is not None:
            raise refusal
        return seconds

    def _carry_out_orders(self) -> QueueUnavailable | None:
        for _ in range(ORDERS_AT_ONCE):
            order = self._platform.next_order()
            if order is None:
                break
            try:
                self.carry_out(order)
            except QueueUnavailable as error:
                return error
        return None

    def carry_out(self, order: Order) -> None:
        """Each mail of the order gets an outcome."""
        found = self._find(order.mails)
        here = {one for one, mail in found.items() if mail.queue in commands.SUITS[order.action]}
        if order.action is QueueAction.DELETE:
            self._delete(order, found, here)
            return
        act = {
            QueueAction.HOLD: self._queue.hold,
            QueueAction.RELEASE: self._queue.release,
            QueueAction.REQUEUE: self._queue.requeue,
        }[order.action]
        done = act(here) | {one for one, mail in found.items() if _is_so(order.action, mail)}
        self._platform.report(order.command_id, {one.queue_id: _outcome(one, found, done) for one in order.mails})

    def _delete(self, order: Order, found: Mapping[str, QueuedMail], here: set[str]) -> None:
        held = self._queue.hold({one for one in here if found[one].queue != "hold"})
        held |= {one for one in here if found[one].queue == "hold"}
        self._platform.report(order.command_id, dict.fromkeys(held, QueueOutcome.HELD))
        deleted = self._queue.delete_held(held)
        # Reported as held by an agent that was killed, and not here any more: that agent deleted it.
        deleted |= {mail.queue_id for mail in order.mails if mail.is_held and mail.queue_id not in found}
        self._platform.report(order.command_id, {one.queue_id: _outcome(one, found, deleted) for one in order.mails})

    def _find(self, mails: Sequence[OrderedMail]) -> dict[str, QueuedMail]:
        """Those of them that are in the queue now, and are still the same mail."""
        wanted = {mail.queue_id: mail.arrived_at for mail in mails}
        # A mail that moves while Postfix lists may be told twice, as one in each place.
        listing = self._queue.listing(most=2 * len(wanted), wanted=frozenset(wanted))
        return {mail.queue_id: mail for mail in listing.mails if wanted[mail.queue_id] == mail.arrived_at}


def _is_so(action: QueueAction, mail: QueuedMail) -> bool:
    """Already as it was ordered: an agent before this one was killed before it could say so, or a person was faster."""
    return (action is QueueAction.HOLD and mail.queue == "hold") or (
        action is QueueAction.RELEASE and mail.queue in ("deferred", "incoming", "active")
    )


def _outcome(mail: OrderedMail, found: Mapping[str, QueuedMail], done: set[str]) -> QueueOutcome:
    if mail.queue_id in done:
        return QueueOutcome.DONE
    return QueueOutcome.BUSY if mail.queue_id in found else QueueOutcome.GONE


# The process.


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m workers.relay.queue_agent", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument(
        "--relay", help="the relay's name, or its number where --platform is given; else RELAY_LOG_RELAY"
    )
    parser.add_argument("--config-dir", type=Path, metavar="DIR", help="of Postfix, where it is not /etc/postfix")
    parser.add_argument("--every", type=float, default=EVERY_SECONDS, metavar="SECONDS", help="default: %(default)g")
    parser.add_argument("--platform", help="https://… of the platform, where this is not its host")
    parser.add_argument("--key-file", type=Path, help="file with the key of the relay's page, or of `flask relay key`")
    parser.add_argument("--ca-file", type=Path, help="authority of the platform's certificate, where it is your own")
    parser.add_argument("--if-configured", action="store_true", help="without a relay to look at wait to be stopped")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> None:
    told = arguments(given)
    logs.configure("console")
    agent = (_remote(told) if told.platform else _local(told, load_settings())) or Idle()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: agent.stop())
    agent.run()
    log.info("queue_agent_stopped")


class Idle:
    """No work, and no failure that would have it started again and again."""

    def __init__(self) -> None:
        log.info("queue_agent_has_no_relay")
        self._ended = threading.Event()

    def stop(self) -> None:
        self._ended.set()

    def run(self) -> None:
        self._ended.wait()


def _remote(told: argparse.Namespace) -> QueueAgent:
    if not (told.key_file and (told.relay or "").isdecimal()):
        raise SystemExit("--platform needs --key-file and --relay with the relay's number.")
    try:
        platform = checked_address(told.platform)
    except ValueError as error:
        raise SystemExit(str(error)) from error
    api = PlatformApi(platform, int(told.relay), told.key_file.read_text().strip(), told.ca_file)
    log.info("queue_agent_started", relay_id=int(told.relay))
    return QueueAgent(PostfixQueue(told.config_dir), RemotePlatform(api), every_seconds=told.every)


def _local(told: argparse.Namespace, settings: Settings) -> QueueAgent | None:
    logs.configure(settings.log_format)
    relay = told.relay or settings.relay_log_relay
    if not relay:
        if told.if_configured:
            return None
        raise SystemExit("No relay to look at: give --relay, or set RELAY_LOG_RELAY.")
    relay_id = relay_named(settings, relay)
    if relay_id is None:
        raise SystemExit(f"There is no relay named {relay!r}.")
    config_dir = told.config_dir or Path(settings.relay_postfix_dir)
    log.info("queue_agent_started", relay_id=relay_id)
    return QueueAgent(PostfixQueue(config_dir), LocalPlatform(settings, relay_id), every_seconds=told.every)


def relay_named(settings: Settings, name: str) -> int | None:
    engine = one_connection(settings.database_url)
    with Session(engine) as session:
        found = session.scalar(select(Relay.id).where(Relay.name == name))
    engine.dispose()
    return found


if __name__ == "__main__":
    main()
