"""What one line of Postfix's log says.

Nothing in a line is believed but its place: a remote server's reply and a header may contain anything, also what looks like
another line's end. So every part before the reply is matched by what it can consist of, and the reply is whatever comes last.
Both the traditional timestamp (RFC 3164, without year and zone) and RFC 3339's are read.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

MAX_LINE_CHARACTERS = 16_384
MAX_REPLY_CHARACTERS = 500
MAX_DELAY_MS = 2**31 - 1
DELIVERY_AGENTS = frozenset({"smtp", "lmtp"})
"""Whose ``sent`` means that another host took it; ``discard``, say, calls it sent as well."""
GIVING_UP_AGENTS = frozenset({*DELIVERY_AGENTS, "error", "retry"})
EXPIRED_STATUSES = frozenset({"expired", "force-expired"})
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
A_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Named:
    """A message that is being taken has this Message-ID; whether it is taken in the end isn't said."""

    at: datetime
    queue_id: str
    message_id: str


@dataclass(frozen=True, slots=True)
class Queued:
    """The message is in the queue, taken; said again before each of its tries."""

    at: datetime
    queue_id: str
    sender: str
    size_bytes: int
    recipients: int


@dataclass(frozen=True, slots=True)
class Tried:
    at: datetime
    queue_id: str
    recipient: str
    status: str
    """``sent``, ``deferred`` or ``bounced``."""
    remote_host: str
    """Empty, like the address, where no host was reached."""
    remote_address: str
    remote_port: int | None
    delay_ms: int
    """Since the message came to the relay."""
    delays_ms: tuple[int, int, int, int]
    """Before the queue manager, in its queue, connecting, transmitting."""
    dsn: str
    """RFC 3463."""
    reply: str
    egress_ip_id: int | None
    """Of the service that tried it."""


@dataclass(frozen=True, slots=True)
class Expired:
    """Too old: given up and returned to its sender."""

    at: datetime
    queue_id: str


@dataclass(frozen=True, slots=True)
class Removed:
    """Out of the queue; nothing more is said of this queue id until it is used anew."""

    at: datetime
    queue_id: str


@dataclass(frozen=True, slots=True)
class Interrupted:
    """Postfix was started, stopped or reloaded: the last lines before may be missing."""

    at: datetime
    goes_on: bool
    """Started or reloaded, so that its queue can be asked what it holds."""


LogEvent = Named | Queued | Tried | Expired | Removed | Interrupted

_HEAD = re.compile(
    r"(?P<stamp>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,20}(?:Z|[+-][0-9]{2}:?[0-9]{2})"
    r"|[A-Z][a-z]{2} [ 0-9][0-9] [0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?)"
    r" [^\s:]\S{0,254} (?P<tag>postfix[\w.-]{0,60}(?:/[\w.-]{1,60}){0,3})/(?P<daemon>[\w-]{1,30})\[[0-9]{1,10}\]: ",
    re.ASCII,
)
_QUEUE_ID = r"(?P<queue_id>[0-9A-F]{5,20}|[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{10,30}): "
_ADDRESS = r"[^\s<>\"]{0,320}"
_NUMBER = r"[0-9]{1,9}(?:\.[0-9]{1,9})?"
_NAMED = re.compile(_QUEUE_ID + r"message-id=(?P<message_id><[^\s<>]{1,900}>)", re.ASCII)
_QUEUED = re.compile(
    _QUEUE_ID + rf"from=<(?P<sender>{_ADDRESS})>, size=(?P<size>[0-9]{{1,18}}), nrcpt=(?P<recipients>[0-9]{{1,9}}) "
    r"\(queue active\)",
    re.ASCII,
)
_EXPIRED = re.compile(
    _QUEUE_ID + rf"from=<{_ADDRESS}>, status=(?P<status>[a-z-]{{1,20}}), returned to sender", re.ASCII
)
_REMOVED = re.compile(_QUEUE_ID + "removed", re.ASCII)
_TRIED = re.compile(
    _QUEUE_ID + rf"to=<(?P<recipient>{_ADDRESS})>, (?:orig_to=<{_ADDRESS}>, )?"
    r"relay=(?:none|(?P<host>[^\s\[\],]{1,253})\[(?P<address>[0-9A-Fa-f:.%\w]{2,60})\](?::(?P<port>[0-9]{1,5}))?"
    r"|[^\s,()]{1,253}(?:\[[^\],()]{1,253}\])?), "
    rf"(?:conn_use=[0-9]{{1,9}}, )?delay=(?P<delay>{_NUMBER}), "
    rf"delays=(?P<delays>{_NUMBER}/{_NUMBER}/{_NUMBER}/{_NUMBER}), "
    r"dsn=(?P<dsn>[245]\.[0-9]{1,3}\.[0-9]{1,3}), status=(?P<status>sent|deferred|bounced) \((?P<reply>.*)",
    re.ASCII | re.DOTALL,
)
_TELLS = re.compile(r" to=<[^>]{0,320}>,.{0,600} status=(?:sent|deferred|bounced)", re.ASCII)
_EGRESS = re.compile(r"/smtp-([1-9][0-9]{0,8})$", re.ASCII)
_BEGINNINGS = ("daemon started", "reload ")
_ENDS = ("terminating on signal", "stopping ")


def is_postfix_line(line: str) -> bool:
    """Whether Postfix wrote it, whatever it says."""
    return _HEAD.match(line[:MAX_LINE_CHARACTERS]) is not None


def is_lost(line: str) -> bool:
    """Of a line that `parse_line` makes nothing of: whether it tells of a delivery all the same, so that something of this
    log is not understood."""
    head = _HEAD.match(line[:MAX_LINE_CHARACTERS])
    return head is not None and head["daemon"] in DELIVERY_AGENTS and _TELLS.search(line, head.end()) is not None


def parse_line(line: str, *, now: datetime) -> LogEvent | None:
    """What the line says; None for whatever else stands in a log. Never raises.

    now: an aware time near to the line's; a traditional timestamp is of its zone, and of the year that brings it nearest
    """
    line = line[:MAX_LINE_CHARACTERS].rstrip("\r\n")
    head = _HEAD.match(line)
    if head is None:
        return None
    at = _moment(head["stamp"], now)
    return _read(at, head["daemon"], head["tag"], line[head.end() :]) if at else None


def _read(at: datetime, daemon: str, tag: str, said: str) -> LogEvent | None:
    if daemon in GIVING_UP_AGENTS:
        return _tried(at, daemon, tag, said)
    if daemon == "qmgr":
        return _managed(at, said)
    if daemon == "cleanup":
        named = _NAMED.fullmatch(said)
        return Named(at, named["queue_id"], named["message_id"]) if named else None
    if daemon in ("master", "postfix-script") and said.startswith((*_BEGINNINGS, *_ENDS)):
        return Interrupted(at, goes_on=said.startswith(_BEGINNINGS))
    return None


def _managed(at: datetime, said: str) -> LogEvent | None:
    if queued := _QUEUED.fullmatch(said):
        return Queued(at, queued["queue_id"], queued["sender"], int(queued["size"]), int(queued["recipients"]))
    if removed := _REMOVED.fullmatch(said):
        return Removed(at, removed["queue_id"])
    expired = _EXPIRED.fullmatch(said)
    return Expired(at, expired["queue_id"]) if expired and expired["status"] in EXPIRED_STATUSES else None


def _tried(at: datetime, daemon: str, tag: str, said: str) -> Tried | None:
    tried = _TRIED.fullmatch(said)
    if tried is None or (tried["status"] == "sent" and daemon not in DELIVERY_AGENTS):
        return None
    egress = _EGRESS.search(tag)
    before, queued, connecting, transmitting = map(_milliseconds, tried["delays"].split("/"))
    return Tried(
        at=at,
        queue_id=tried["queue_id"],
        recipient=tried["recipient"],
        status=tried["status"],
        remote_host=tried["host"] or "",
        remote_address=(tried["address"] or "")[:45],
        remote_port=int(tried["port"]) if tried["port"] else None,
        delay_ms=_milliseconds(tried["delay"]),
        delays_ms=(before, queued, connecting, transmitting),
        dsn=tried["dsn"],
        # A line that was cut has lost its closing parenthesis.
        reply=tried["reply"].removesuffix(")")[:MAX_REPLY_CHARACTERS].replace("\0", " "),
        egress_ip_id=int(egress[1]) if egress else None,
    )


def _milliseconds(seconds: str) -> int:
    return min(round(float(seconds) * 1000), MAX_DELAY_MS)


def _moment(stamp: str, now: datetime) -> datetime | None:
    return _traditional(stamp, now) if stamp[0].isalpha() else _rfc3339(stamp)


@lru_cache(maxsize=1024)
def _rfc3339(stamp: str) -> datetime | None:
    try:
        return datetime.fromisoformat(stamp).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _traditional(stamp: str, now: datetime) -> datetime | None:
    """Of this year, or of the last one where that would lie ahead: a line of December read in January."""
    for year in (now.year, now.year - 1):
        found = _in_year(stamp, year)
        if found is None:
            continue
        at = found.replace(tzinfo=now.tzinfo)
        if at <= now + A_DAY:
            return at.astimezone(UTC)
    return None


@lru_cache(maxsize=1024)
def _in_year(stamp: str, year: int) -> datetime | None:
    try:
        clock = datetime.strptime(stamp[7:15], "%H:%M:%S")  # noqa: DTZ007  # the zone is `now`'s
        return clock.replace(year=year, month=MONTHS.index(stamp[:3]) + 1, day=int(stamp[4:6]))
    except ValueError:
        return None
