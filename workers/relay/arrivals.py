"""Messages that began to arrive and were not heard of since: does the relay have them?

Postfix says when a message's header has come, and when the message is in its queue; that it threw one away in between (the sender
or Postfix itself died, there was no space) it does not say. So the queue is asked: what is not there, and by a later line was not
there before either, was never taken. Of a relay that was just started or reloaded the whole queue is asked for, since the last
lines before may be missing.
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from app.logs import get_logger
from app.mail.postfix_queue import Listing, QueuedMail
from app.mail.relay_report import Seen, Sighting
from app.mail.tokens import token_of_return_path
from workers.relay.joining import Open
from workers.relay.queue import QueueUnavailable

log = get_logger(__name__)

FIRST_LOOK_SECONDS = 300.0
"""More than twice the relay's ``smtpd_timeout``; later looks each wait twice as long as the one before."""
LAST_LOOK_SECONDS = 24 * 3600.0
QUEUE_AWAY_SECONDS = 30.0
"""Until a queue that could not be listed is asked again."""
LOG_DELAY_SECONDS = 5.0
"""A line that was sent before the queue was listed is in the log after so long."""
MOST_MAILS = 200_000
"""Of a larger queue nothing is concluded."""
START_PATIENCE_SECONDS = 10.0
"""While a Postfix starts its queue can't be listed."""


class Queue(Protocol):
    """As ``workers.relay.queue.PostfixQueue``."""

    def listing(self, *, most: int, wanted: frozenset[str] | None = None) -> Listing: ...
    def log_file(self) -> Path | None: ...


@dataclass
class Arriving:
    began: float
    look_at: float


@dataclass(frozen=True)
class Look:
    """The queue was listed, and these were not in it."""

    ended: float
    asked_at: datetime
    missing: frozenset[str]


@dataclass
class Arrivals:
    """Parameters:
    queue: of the Postfix whose log is followed; None where it can't be asked.
    """

    queue: Queue | None
    first_look_seconds: float = FIRST_LOOK_SECONDS
    clock: Callable[[], float] = time.monotonic
    arriving: dict[str, Arriving] = field(default_factory=dict)
    look: Look | None = None

    def note(self, changed: Mapping[str, Open | None]) -> None:
        """Of which queue ids no more is known than the Message-ID."""
        now = self.clock()
        for queue_id, known in changed.items():
            if known is not None and known.named and not known.sender:
                self.arriving.setdefault(queue_id, Arriving(now, now + self.first_look_seconds))
            else:
                self.arriving.pop(queue_id, None)

    def after_start(self) -> list[Seen] | None:
        """What the relay had taken before it was started or reloaded; None where nobody knows."""
        listing = self._listing_after_start()
        if listing is None or listing.unreadable or listing.total > len(listing.mails):
            return None
        return [seen for mail in listing.mails if (seen := queued(mail))]

    def _listing_after_start(self) -> Listing | None:
        deadline = self.clock() + START_PATIENCE_SECONDS
        while self.queue is not None:
            try:
                return self.queue.listing(most=MOST_MAILS)
            except QueueUnavailable as error:
                if self.clock() > deadline:
                    log.warning("follower_queue_unknown", error=str(error))
                    return None
                time.sleep(0.2)
        return None

    def examine(self, opened: Mapping[str, Open], asked_at: datetime | None, *, at_end: bool) -> list[Seen]:
        """One step, at the log's end only: look into the queue, or conclude from an earlier look."""
        if not at_end or self.queue is None or asked_at is None:
            return []
        if self.look is None:
            return self._look(self.queue, asked_at)
        if self.clock() < self.look.ended + LOG_DELAY_SECONDS:
            return []
        look, self.look = self.look, None
        return list(self._dropped(look, opened))

    def _look(self, queue: Queue, asked_at: datetime) -> list[Seen]:
        now = self.clock()
        due = frozenset(queue_id for queue_id, one in self.arriving.items() if one.look_at <= now)
        if not due:
            return []
        try:
            listing = queue.listing(most=2 * len(due), wanted=due)
        except QueueUnavailable as error:
            log.warning("follower_queue_unknown", error=str(error))
            for queue_id in due:  # Nothing was seen, so nothing is given up.
                self.arriving[queue_id].look_at = now + QUEUE_AWAY_SECONDS
            return []
        there = frozenset(mail.queue_id for mail in listing.mails)
        self.look = Look(self.clock(), asked_at, due - there if not listing.unreadable else frozenset())
        self._later(due, now)
        return [seen for mail in listing.mails if (seen := queued(mail))]

    def _later(self, due: Collection[str], now: float) -> None:
        """An answer may be given up for lost only after the first look, so one look is not enough."""
        for queue_id in due:
            one = self.arriving[queue_id]
            one.look_at = now + (now - one.began)
            if one.look_at - one.began > LAST_LOOK_SECONDS:
                log.warning("follower_gives_up_message", queue_id=queue_id, seconds=round(now - one.began))
                del self.arriving[queue_id]

    @staticmethod
    def _dropped(look: Look, opened: Mapping[str, Open]) -> Iterable[Seen]:
        for queue_id in sorted(look.missing):
            known = opened.get(queue_id)
            if known is not None and known.named and not known.sender:
                yield Seen(Sighting.DROPPED, known.named, queue_id, look.asked_at)


def queued(mail: QueuedMail) -> Seen | None:
    """None for mail of others."""
    token = token_of_return_path(mail.sender)
    return Seen(Sighting.QUEUED, token, mail.queue_id, datetime.fromtimestamp(mail.arrived_at, UTC)) if token else None


def queue_of_log(queue: Queue, path: Path) -> Queue | None:
    """The queue, if it is that of the Postfix which writes this log: of another one's nothing follows."""
    try:
        written = queue.log_file()
    except QueueUnavailable as error:
        log.warning("follower_queue_unknown", error=str(error))
        return None
    if written is None or written.resolve() != path.resolve():
        log.warning("follower_queue_of_another", log=str(path), written=str(written))
        return None
    return queue
