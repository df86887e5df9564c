"""Lines of one queue id become sightings of one delivery.

The envelope sender (VERP) names the delivery, the Message-ID must agree. A queue id may be used again once its message is
removed; the line that queues a message always comes before those of its tries, and again before each retry, so a follower
that knows nothing of a queue id learns of it in time.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from app.mail.postfix_log import Expired, Interrupted, LogEvent, Named, Queued, Removed, Tried
from app.mail.relay_report import Seen, Sighting
from app.mail.tokens import token_of_message_id, token_of_return_path

MAX_OPEN = 200_000
"""Queue ids known at a time: some 200 bytes each. Postfix has at most 50,000 at work (``qmgr_message_active_limit``), and the
line that queues a message comes again before each retry: the oldest may be forgotten."""


@dataclass(frozen=True, slots=True)
class Open:
    """A message in the relay's queue. Tokens are empty where there was none."""

    named: str = ""
    """By its Message-ID."""
    sender: str = ""
    """By its envelope sender; empty until it is queued."""


@dataclass
class Joiner:
    open: OrderedDict[str, Open] = field(default_factory=OrderedDict)
    changed: set[str] = field(default_factory=set)
    """Queue ids that came, changed or went since the last :meth:`settle`."""

    @classmethod
    def knowing(cls, known: Mapping[str, Open]) -> "Joiner":
        return cls(OrderedDict(known))

    def settle(self) -> dict[str, Open | None]:
        """What changed, for whoever keeps it; None: gone."""
        changes = {queue_id: self.open.get(queue_id) for queue_id in self.changed}
        self.changed = set()
        return changes

    def join(self, events: Iterable[LogEvent]) -> list[Seen]:
        """The sightings of these events, in their order. That a message was named or queued is told only where the same
        events don't tell more of it."""
        seen: list[Seen] = []
        for event in events:
            if not isinstance(event, Interrupted):
                seen.extend(self._take(event))
        self._forget_the_oldest()
        return _most_telling(seen)

    def _take(self, event: Named | Queued | Tried | Expired | Removed) -> list[Seen]:
        match event:
            case Named():
                return self._name(event)
            case Queued():
                return self._queue(event)
            case Removed():
                if self.open.pop(event.queue_id, None) is not None:
                    self.changed.add(event.queue_id)
                return []
            case Tried():
                return self._tell(event.queue_id, _tried(event))
            case Expired():
                return self._tell(event.queue_id, Seen(Sighting.EXPIRED, "", event.queue_id, event.at))

    def _name(self, event: Named) -> list[Seen]:
        """A message begins: whatever this queue id stood for before is over."""
        token = token_of_message_id(event.message_id) or ""
        self._put(event.queue_id, Open(named=token))
        return [Seen(Sighting.NAMED, token, event.queue_id, event.at)] if token else []

    def _queue(self, event: Queued) -> list[Seen]:
        known = self.open.get(event.queue_id, Open())
        self._put(event.queue_id, replace(known, sender=token_of_return_path(event.sender) or ""))
        return self._tell(event.queue_id, Seen(Sighting.QUEUED, "", event.queue_id, event.at))

    def _tell(self, queue_id: str, seen: Seen) -> list[Seen]:
        """Nothing where the queue id is unknown, is no mail of ours, or calls itself two different things."""
        known = self.open.get(queue_id)
        if known is None or not known.sender or known.named not in ("", known.sender):
            return []
        return [replace(seen, token=known.sender)]

    def _put(self, queue_id: str, message: Open) -> None:
        self.open[queue_id] = message
        self.open.move_to_end(queue_id)
        self.changed.add(queue_id)

    def _forget_the_oldest(self) -> None:
        while len(self.open) > MAX_OPEN:
            queue_id, _message = self.open.popitem(last=False)
            self.changed.add(queue_id)


def _tried(event: Tried) -> Seen:
    return Seen(
        sighting=Sighting(event.status),
        token="",
        queue_id=event.queue_id,
        at=event.at,
        dsn=event.dsn,
        remote_host=event.remote_host,
        remote_address=event.remote_address,
        egress_ip_id=event.egress_ip_id,
        delay_ms=event.delay_ms,
        reply=event.reply,
    )


def _most_telling(seen: list[Seen]) -> list[Seen]:
    queued = {(one.queue_id, one.token) for one in seen if one.sighting is not Sighting.NAMED}
    tried = {(one.queue_id, one.token) for one in seen if one.sighting not in (Sighting.NAMED, Sighting.QUEUED)}
    hidden = {Sighting.NAMED: queued, Sighting.QUEUED: tried}
    return [one for one in seen if (one.queue_id, one.token) not in hidden.get(one.sighting, ())]
