"""What a relay's queue agent tells the platform over HTTPS, and is told. Pure; both ends use it.

A listing is a line of JSON for the whole and one for each mail, packed: neither end ever holds more than one line of text
beside the mails themselves. Whatever comes is bounded before it is believed.
"""

import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from app.mail.postfix_queue import MAX_ADDRESS, MAX_REASON, QUEUE_ID, QUEUES, Listing, QueuedMail, bounded_number, words

MOST_MAILS = 50_000
"""Of one listing; the others are only counted."""
MAX_PACKED_BYTES = 8 * 1024 * 1024
MAX_UNPACKED_BYTES = 64 * 1024 * 1024
MAX_LINE_BYTES = 16 * 1024
MAX_MAILS_OF_A_REPORT = 1_000
MAX_DETAIL = 300
TURN_CHARACTERS = 32
_BLOCK_BYTES = 64 * 1024


class QueueTrouble(StrEnum):
    """What keeps an agent from the queue."""

    NO_POSTFIX = "no_postfix"
    REFUSED = "refused"
    FAILED = "failed"


class MalformedReport(ValueError):
    """Something that no agent of ours sends."""


@dataclass(frozen=True, slots=True)
class ToldListing:
    turn: str
    """What the platform gave out for this listing, and for no other."""
    listing: Listing


def pack(turn: str, listing: Listing) -> bytes:
    """As many mails as fit into one report."""
    packer = zlib.compressobj(6)
    head = {"turn": turn, "total": listing.total, "unreadable": listing.unreadable}
    parts = [packer.compress(_line(head))]
    size = 0
    for mail in listing.mails[:MOST_MAILS]:
        line = _line(_told(mail))
        size += len(line)
        if size > MAX_UNPACKED_BYTES // 2:
            break
        parts.append(packer.compress(line))
    return b"".join([*parts, packer.flush()])


def _line(told: Any) -> bytes:
    return json.dumps(told).encode() + b"\n"


def _told(mail: QueuedMail) -> list[Any]:
    return [
        mail.queue_id, mail.queue, mail.arrived_at, mail.size_bytes, mail.sender, mail.recipient, mail.recipients, mail.reason
    ]  # fmt: skip


def unpack(packed: bytes) -> ToldListing:
    """Raises MalformedReport. A mail that can't be one is counted as unreadable."""
    lines = _lines(packed)
    try:
        head = json.loads(next(lines))
        listing = Listing(total=bounded_number(head["total"]), unreadable=bounded_number(head["unreadable"]))
        turn = str(head["turn"])
    except (StopIteration, ValueError, KeyError, TypeError, RecursionError) as error:
        raise MalformedReport("no listing") from error
    for line in lines:
        if len(listing.mails) >= MOST_MAILS:
            raise MalformedReport("too many mails")
        mail = _mail(line)
        if mail is None:
            listing.unreadable += 1
        else:
            listing.mails.append(mail)
    listing.total = min(max(listing.total, len(listing.mails)), 2**31 - 1)
    listing.unreadable = min(listing.unreadable, 2**31 - 1)
    return ToldListing(turn[:TURN_CHARACTERS], listing)


def _lines(packed: bytes) -> Iterator[bytes]:
    """A small parcel may hold gigabytes: it is opened in blocks, and only so far."""
    unpacker, rest, opened, left = zlib.decompressobj(), b"", 0, packed
    while not unpacker.eof:
        try:
            block = unpacker.decompress(left, _BLOCK_BYTES)
        except zlib.error as error:
            raise MalformedReport("not packed") from error
        left = unpacker.unconsumed_tail
        if not block and not left:
            break
        opened += len(block)
        *lines, rest = (rest + block).split(b"\n")
        if opened > MAX_UNPACKED_BYTES or len(rest) > MAX_LINE_BYTES:
            raise MalformedReport("too large")
        yield from lines
    if rest or not unpacker.eof:
        raise MalformedReport("cut off")


def _mail(line: bytes) -> QueuedMail | None:
    try:
        queue_id, queue, arrived_at, size_bytes, sender, recipient, recipients, reason = json.loads(line)
        if not QUEUE_ID.fullmatch(queue_id) or queue not in QUEUES:
            return None
        return QueuedMail(
            queue_id=queue_id,
            queue=queue,
            arrived_at=bounded_number(arrived_at),
            size_bytes=bounded_number(size_bytes),
            sender=words(sender, MAX_ADDRESS),
            recipient=words(recipient, MAX_ADDRESS),
            recipients=min(bounded_number(recipients), 2**31 - 1),
            reason=words(reason, MAX_REASON),
        )
    except (ValueError, TypeError, RecursionError):
        return None


def read_outcomes(told: Any, outcomes: frozenset[str]) -> Mapping[str, str]:
    """Queue id -> outcome. Raises MalformedReport."""
    if not isinstance(told, dict) or len(told) > MAX_MAILS_OF_A_REPORT:
        raise MalformedReport("no outcomes")
    for queue_id, outcome in told.items():
        if not QUEUE_ID.fullmatch(queue_id) or not isinstance(outcome, str) or outcome not in outcomes:
            raise MalformedReport("no outcome")
    return told


def read_trouble(told: Any) -> tuple[QueueTrouble, str]:
    """Raises MalformedReport."""
    if not isinstance(told, dict) or told.get("problem") not in list(QueueTrouble):
        raise MalformedReport("no trouble")
    detail = told.get("detail", "")
    return QueueTrouble(told["problem"]), words(detail if isinstance(detail, str) else "", MAX_DETAIL)
