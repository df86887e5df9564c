"""A hit: one opened pixel or followed link, as it travels from the tracking endpoint to the database.

It is one line of JSON, the same in the Redis stream and in the spool file. Its id is made where the hit happens: however
often the line is pushed, spooled or read, it is written once. Its time is fixed there too, so that every reading
of the line makes the same row.
"""

import json
import os
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

from app.models import EventKind

MAX_HIT_BYTES = 4096
MAX_AGENT_CHARACTERS = 300
"""The column's width."""
MAX_ADDRESS_CHARACTERS = 64
MAX_INT4 = 2**31 - 1
MAX_INT2 = 2**15 - 1
OLDEST = timedelta(days=400)
"""A spool file that turns up later than this is no measurement any more."""
CLOCK_SKEW = timedelta(days=1)

HIT_ID = re.compile(r"[0-9a-f]{24}")
CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
TRACKED_KINDS = frozenset({EventKind.OPEN, EventKind.CLICK})


class UnreadableHit(ValueError):
    """A line that is no hit; ``reason`` is a code for the log and the stream of what was put aside."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Hit:
    hit_id: str
    """24 hexadecimal digits, random; the event's ``source_id``."""
    kind: EventKind
    campaign_id: int
    seq: int
    link: int | None
    occurred_at: datetime
    ip: str | None
    user_agent: str


def encode_hit(
    kind: EventKind, campaign_id: int, seq: int, *, link: int | None = None, ip: str = "", user_agent: str = ""
) -> bytes:
    """A new hit, happening now. ``user_agent`` is as WSGI gives it: bytes in the disguise of Latin-1 (PEP 3333)."""
    return json.dumps(
        {
            "h": os.urandom(12).hex(),
            "k": kind,
            "c": campaign_id,
            "s": seq,
            "n": link,
            "t": time.time_ns() // 1000,  # microseconds since 1970: PostgreSQL's resolution
            "i": ip[:MAX_ADDRESS_CHARACTERS],
            "u": user_agent[:MAX_AGENT_CHARACTERS],
        },
        separators=(",", ":"),
    ).encode()


def decode_hit(line: bytes, *, now: datetime) -> Hit:
    """The hit of a line, every field bounded; raises :class:`UnreadableHit`."""
    if len(line) > MAX_HIT_BYTES:
        raise UnreadableHit("too_long")
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UnreadableHit("no_json") from error
    if not isinstance(fields, dict):
        raise UnreadableHit("no_object")
    kind, link = _kind(fields.get("k")), fields.get("n")
    return Hit(
        hit_id=_hit_id(fields.get("h")),
        kind=kind,
        campaign_id=_whole(fields.get("c"), "campaign", MAX_INT4),
        seq=_whole(fields.get("s"), "seq", MAX_INT4),
        link=_whole(link, "link", MAX_INT2) if kind is EventKind.CLICK else None,
        occurred_at=_moment(fields.get("t"), now),
        ip=clean_address(fields.get("i")),
        user_agent=clean_agent(fields.get("u")),
    )


def _hit_id(value: Any) -> str:
    if not isinstance(value, str) or not HIT_ID.fullmatch(value):
        raise UnreadableHit("bad_id")
    return value


def _kind(value: Any) -> EventKind:
    if not isinstance(value, str) or value not in TRACKED_KINDS:
        raise UnreadableHit("bad_kind")
    return EventKind(value)


def _whole(value: Any, name: str, highest: int) -> int:
    if type(value) is not int or not 0 <= value <= highest:  # bool is an int to isinstance
        raise UnreadableHit(f"bad_{name}")
    return value


def _moment(value: Any, now: datetime) -> datetime:
    microseconds = _whole(value, "time", 2**53)
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    except OverflowError as error:
        raise UnreadableHit("bad_time") from error
    if not now - OLDEST < moment < now + CLOCK_SKEW:
        raise UnreadableHit("bad_time")
    return moment


def clean_address(value: Any) -> str | None:
    """None for what is no address (proxies write ``unknown``): the hit counts all the same."""
    if not isinstance(value, str):
        return None
    try:
        address = ip_address(value.strip().split("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if address.version == 6 else None
    return str(mapped or address)


def clean_agent(value: Any) -> str:
    """Readable, without control characters (PostgreSQL takes no NUL) and without lone surrogates."""
    if not isinstance(value, str):
        return ""
    try:
        raw = value.encode("latin-1")
    except UnicodeEncodeError:
        raw = value.encode(errors="replace")
    return CONTROL_CHARACTERS.sub(" ", raw.decode(errors="replace"))[:MAX_AGENT_CHARACTERS]
