"""The queue agent: ``python -m workers.relay.queue_agent --relay NAME``. One per relay, where its Postfix runs.

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
from pathlib import Path
from types import FrameType
from typing import Protocol

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app import logs
from app.config import Settings, load_settings
from app.connections import one_connection
from app.flow.relay_queue import commands, snapshot
from app.flow.relay_queue.commands import Order, OrderedMail
from app.logs import get_logger
from app.mail.postfix_queue import Listing, QueuedMail
from app.models import QueueAction, QueueOutcome, Relay
from workers.relay.queue import PostfixQueue, QueueUnavailable

log = get_logger(__name__)

EVERY_SECONDS = 3.0
LISTING_SHARE = 5
"""A listing that takes a second is made every five at most: it reads every file of the queue."""
ORDERS_AT_ONCE = 20
"""Then the platform hears again what lies in the queue."""

Outcomes = Mapping[str, QueueOutcome]


class QueuePlatform(Protocol):
    """The agent's way to the platform: the database, or HTTPS from the relay's own host."""

    def tell(self, listing: Listing) -> None: ...
    def next_order(self) -> Order | None: ...
    def report(self, command_id: int, outcomes: Outcomes) -> None: ...


class LocalPlatform:
    """Implements ``QueuePlatform`` on the platform's own database."""

    def __init__(self, settings: Settings, relay_id: int) -> None:
        self._settings = settings
        self._relay_id = relay_id
        self._engine = one_connection(settings.database_url)

    def tell(self, listing: Listing) -> None:
        with Session(self._engine) as session:
            snapshot.store(session, self._settings, self._relay_id, listing)

    def next_order(self) -> Order | None:
        with Session(self._engine) as session:
            return commands.next_order(session, self._relay_id)

    def report(self, command_id: int, outcomes: Outcomes) -> None:
        with Session(self._engine) as session:
            commands.report(session, self._relay_id, command_id, outcomes)


class QueueAgent:
    def __init__(self, queue: PostfixQueue, platform: QueuePlatform, *, every_seconds: float = EVERY_SECONDS) -> None:
        self._queue = queue
        self._platform = platform
        self._every_seconds = every_seconds
        self._stopping = threading.Event()

    def stop(self) -> None:
        self._stopping.set()

    def run(self) -> None:
        """Until stopped. While Postfix or the platform is away, it waits and tries again: a silent agent shows."""
        while not self._stopping.is_set():
            wait_seconds = self._every_seconds
            try:
                wait_seconds = max(wait_seconds, LISTING_SHARE * self.turn())
            except (QueueUnavailable, SQLAlchemyError, OSError) as error:
                log.warning("queue_agent_waits", error=repr(error)[:500])
            self._stopping.wait(wait_seconds)

    def turn(self) -> float:
        """Carry out what was ordered, then tell what lies there; returns how many seconds the listing took."""
        for _ in range(ORDERS_AT_ONCE):
            order = self._platform.next_order()
            if order is None:
                break
            self.carry_out(order)
        began = time.monotonic()
        listing = self._queue.listing(most=snapshot.MOST_MAILS)
        seconds = time.monotonic() - began
        self._platform.tell(listing)
        return seconds

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


def relay_named(settings: Settings, name: str) -> int | None:
    engine = one_connection(settings.database_url)
    with Session(engine) as session:
        found = session.scalar(select(Relay.id).where(Relay.name == name))
    engine.dispose()
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m workers.relay.queue_agent", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--relay", required=True, metavar="NAME", help="name of the relay, as its page shows it")
    parser.add_argument("--config-dir", type=Path, metavar="DIR", help="of Postfix, where it is not /etc/postfix")
    parser.add_argument("--every", type=float, default=EVERY_SECONDS, metavar="SECONDS", help="default: %(default)g")
    asked = parser.parse_args(arguments)
    settings = load_settings()
    logs.configure(settings.log_format)
    relay_id = relay_named(settings, asked.relay)
    if relay_id is None:
        parser.error(f"there is no relay {asked.relay!r}")
    agent = QueueAgent(PostfixQueue(asked.config_dir), LocalPlatform(settings, relay_id), every_seconds=asked.every)

    def stop(_number: int, _frame: FrameType | None) -> None:
        agent.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    log.info("queue_agent_started", relay_id=relay_id)
    agent.run()


if __name__ == "__main__":
    main()
