"""What `postqueue -j` tells of Postfix' queue -> typed entries. One JSON object a line (postqueue(1), JSON OBJECT FORMAT).

Senders, recipients and what remote servers said are hostile: bounded in length and number, without control characters. A
line that can't be read is counted, not believed.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from app.mail.replies import classify_reply
from app.mail.reply_rules import Reason

MAX_LINE_BYTES = 256 * 1024
"""Some 2,000 recipients; ours have one. A longer line is unreadable."""
MAX_ADDRESS = 320
MAX_REASON = 500
MAX_SECONDS = 2**33
"""Of a time since 1970: the year 2242."""

QUEUE_ID = re.compile(r"[0-9A-Za-z]{5,20}")
"""Long ones (`enable_long_queue_ids`) as well as short ones. Nothing else is handed to a program."""
QUEUES = frozenset({"maildrop", "hold", "incoming", "active", "deferred", "corrupt"})
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_SAID = re.compile(r" (?:said|refused to talk to me): (\d{3})[ -]")
_IN_REPLY_TO = re.compile(r" \(in reply to [^()]{1,60}\)$")
_QUEUED_AS = re.compile(r"\bqueued as ([0-9A-Za-z]{5,20})\b")


@dataclass(frozen=True, slots=True)
class QueuedMail:
    """A mail in the queue, as Postfix tells it."""

    queue_id: str
    queue: str
    """One of ``QUEUES``."""
    arrived_at: int
    """Seconds since 1970."""
    size_bytes: int
    sender: str
    recipient: str
    """The first of those that it still has to reach."""
    recipients: int
    reason: str
    """Why it was deferred last; empty where it was not tried yet."""


@dataclass(slots=True)
class Listing:
    """Mails of the queue, and what was left out of them."""

    mails: list[QueuedMail] = field(default_factory=list)
    total: int = 0
    """Lines that were mails, kept or not."""
    unreadable: int = 0


def read_listing(lines: Iterable[bytes], *, most: int, wanted: frozenset[str] | None = None) -> Listing:
    """At most ``most`` mails, the others counted. ``wanted``: only mails of these queue ids are kept."""
    listing = Listing()
    for line in lines:
        if not line.strip():
            continue
        mail = read_mail(line)
        if mail is None:
            listing.unreadable += 1
            continue
        listing.total += 1
        if len(listing.mails) < most and (wanted is None or mail.queue_id in wanted):
            listing.mails.append(mail)
    return listing


def read_mail(line: bytes) -> QueuedMail | None:
    """None where it is no line of `postqueue -j`."""
    if len(line) > MAX_LINE_BYTES:
        return None
    try:
        told = json.loads(line)
        return _mail(told) if isinstance(told, dict) else None
    except (ValueError, RecursionError, KeyError, TypeError):  # UnicodeDecodeError is a ValueError
        return None


def _mail(told: dict[str, Any]) -> QueuedMail:
    queue_id, queue = told["queue_id"], told["queue_name"]
    recipients = [one for one in told["recipients"] if isinstance(one, dict)]
    first: dict[str, Any] = recipients[0] if recipients else {}
    if not QUEUE_ID.fullmatch(queue_id) or queue not in QUEUES:
        raise ValueError("no mail of a queue")
    return QueuedMail(
        queue_id=queue_id,
        queue=queue,
        arrived_at=bounded_number(told["arrival_time"]),
        size_bytes=bounded_number(told["message_size"]),
        sender=words(told["sender"], MAX_ADDRESS),
        recipient=words(first.get("address", ""), MAX_ADDRESS),
        recipients=len(recipients),
        reason=words(first.get("delay_reason", ""), MAX_REASON),
    )


def bounded_number(value: object) -> int:
    """Raises ValueError for what the database could not keep."""
    if type(value) is not int or not 0 <= value < MAX_SECONDS:
        raise ValueError("no number that can be one")
    return value


def words(value: object, most: int) -> str:
    """Fit to be stored and shown. Raises TypeError."""
    if not isinstance(value, str):
        raise TypeError("no text")
    return _CONTROL.sub(" ", value[: 4 * most]).strip()[:most]


@lru_cache(maxsize=4096)
def reason_kind(reason: str) -> str:
    """The ``Reason`` behind a delay; empty where there was none yet. Pure; thousands of mails share one."""
    if not reason:
        return ""
    said = _SAID.search(reason)
    if said is None:
        return Reason.ROUTING.value  # No answer: not reached, not found, or the connection was lost.
    words = _IN_REPLY_TO.sub("", reason[said.end() :])
    return classify_reply(int(said[1]), words).reason.value


def queue_id_of_reply(reply: str | None) -> str:
    """The queue id in Postfix' answer to a content (``250 2.0.0 Ok: queued as …``); empty where it tells none."""
    found = _QUEUED_AS.search(reply or "")
    return found[1] if found else ""


def chunks_of_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Lines out of blocks as a pipe gives them. Of a line that is too long no more is kept than shows that it is."""
    rest = b""
    for block in blocks:
        *lines, tail = (rest + block).split(b"\n")
        yield from lines
        rest = tail if len(tail) <= MAX_LINE_BYTES else tail[: MAX_LINE_BYTES + 1]
    if rest:
        yield rest
