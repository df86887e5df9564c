"""What a relay's follower tells the platform: a bundle of sightings. In JSON between two hosts, and the same within one."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

MAX_SIGHTINGS = 2_000
"""In one bundle."""
MAX_BUNDLE_BYTES = 2 * 1024 * 1024
MAX_DETAIL = 300
_TOKEN = re.compile(r"[a-z2-7]{32}", re.ASCII)
_QUEUE_ID = re.compile(r"[0-9A-Za-z]{5,30}", re.ASCII)
_DSN = re.compile(r"(?:[245]\.[0-9]{1,3}\.[0-9]{1,3})?", re.ASCII)
_INT4 = 2**31 - 1
_MOST = 2**43
"""So that sums of such counts stay within what the database keeps."""


class Sighting(StrEnum):
    """What the log showed of a message."""

    NAMED = "named"  # It began to arrive; whether the relay took it isn't known.
    DROPPED = "dropped"  # It began to arrive long ago and is neither in the queue nor was it ever: never taken.
    QUEUED = "queued"  # The relay took it.
    SENT = "sent"  # The recipient's host took it.
    DEFERRED = "deferred"  # The relay tries again by itself.
    BOUNCED = "bounced"  # Refused for good.
    EXPIRED = "expired"  # The relay gave it up as too old.


ARRIVAL_SIGHTINGS = (Sighting.NAMED, Sighting.DROPPED, Sighting.QUEUED)
"""Whether the relay took it; what became of it is told by the others."""
FINAL_SIGHTINGS = (Sighting.SENT, Sighting.BOUNCED, Sighting.EXPIRED)


class MalformedSighting(ValueError):
    """Something that no follower of ours writes."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One sighting. The token names the delivery and is verified by whoever stores it."""

    sighting: Sighting
    token: str
    queue_id: str
    at: datetime
    """By the relay's clock; by the platform's where it was dropped: when that was looked for."""
    dsn: str = ""
    remote_host: str = ""
    remote_address: str = ""
    egress_ip_id: int | None = None
    delay_ms: int | None = None
    reply: str = ""


class ReadingProblem(StrEnum):
    """Why a follower can't read on."""

    LOG_MISSING = "log_missing"
    LOG_UNREADABLE = "log_unreadable"


@dataclass(frozen=True, slots=True)
class Reading:
    """How the reading goes, for people."""

    lines: int = 0
    """Read since the last bundle."""
    lost: int = 0
    """Of these: they tell of a delivery, and were not understood."""
    behind_bytes: int = 0
    """Written to the log and not read yet."""
    problem: ReadingProblem | None = None
    detail: str = ""
    """The system's words."""


@dataclass(frozen=True, slots=True)
class Bundle:
    seen: tuple[Seen, ...] = ()
    read_until: datetime | None = None
    """By the platform's clock: of what the relay logged before, nothing is left to read."""
    has_gap: bool = False
    """Lines before this moment may be missing."""
    reading: Reading = Reading()


def to_json(bundle: Bundle) -> dict[str, Any]:
    read_until = bundle.read_until.isoformat() if bundle.read_until else None
    seen = [{**asdict(one), "at": one.at.isoformat()} for one in bundle.seen]
    return {"seen": seen, "read_until": read_until, "has_gap": bundle.has_gap, "reading": asdict(bundle.reading)}


def from_json(told: Any) -> tuple[Bundle, int]:
    """The bundle, and how many sightings in it were malformed and left out. Raises MalformedSighting where it is none."""
    if not isinstance(told, dict) or not isinstance(told.get("seen"), list):
        raise MalformedSighting("no bundle")
    if len(told["seen"]) > MAX_SIGHTINGS:
        raise MalformedSighting("too many")
    seen = list(_readable(told["seen"]))
    read_until = told.get("read_until")
    bundle = Bundle(
        tuple(seen),
        _moment(read_until) if read_until is not None else None,
        told.get("has_gap") is True,
        _reading(told.get("reading", {})),
    )
    return bundle, len(told["seen"]) - len(seen)


def _reading(item: Any) -> Reading:
    """Nothing, where a follower of an older release tells none."""
    if not isinstance(item, dict):
        raise MalformedSighting("reading")
    problem = item.get("problem")
    if problem is not None and problem not in list(ReadingProblem):
        raise MalformedSighting("problem")
    lines, lost, behind = (_number(item, name, _MOST) or 0 for name in ("lines", "lost", "behind_bytes"))
    return Reading(lines, lost, behind, ReadingProblem(problem) if problem else None, _text(item, "detail", MAX_DETAIL))


def _readable(items: Iterable[Any]) -> Iterable[Seen]:
    for item in items:
        try:
            yield read_seen(item)
        except MalformedSighting:
            continue


def read_seen(item: Any) -> Seen:
    """Raises MalformedSighting for whatever the database could not keep."""
    if not isinstance(item, dict):
        raise MalformedSighting("no sighting")
    try:
        sighting = Sighting(str(item.get("sighting")))
    except ValueError as error:
        raise MalformedSighting("sighting") from error
    return Seen(
        sighting=sighting,
        token=_matching(_TOKEN, item, "token"),
        queue_id=_matching(_QUEUE_ID, item, "queue_id"),
        at=_moment(item.get("at")),
        dsn=_matching(_DSN, item, "dsn"),
        remote_host=_text(item, "remote_host", 253),
        remote_address=_text(item, "remote_address", 45),
        egress_ip_id=_number(item, "egress_ip_id"),
        delay_ms=_number(item, "delay_ms"),
        reply=_text(item, "reply", 500),
    )


def _matching(pattern: re.Pattern[str], item: Mapping[str, Any], name: str) -> str:
    value = item.get(name)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise MalformedSighting(name)
    return value


def _text(item: Mapping[str, Any], name: str, longest: int) -> str:
    value = item.get(name, "")
    if not isinstance(value, str):
        raise MalformedSighting(name)
    # PostgreSQL keeps neither NUL nor half of a surrogate pair.
    return value[:longest].replace("\0", " ").encode("utf-8", "replace").decode()


def _number(item: Mapping[str, Any], name: str, most: int = _INT4) -> int | None:
    value = item.get(name)
    if value is not None and (type(value) is not int or not 0 <= value <= most):
        raise MalformedSighting(name)
    return value


def _moment(value: Any) -> datetime:
    if isinstance(value, str) and len(value) <= 40:
        try:
            moment = datetime.fromisoformat(value)
            if moment.tzinfo and 2000 < moment.year < 3000:
                return moment.astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    raise MalformedSighting("at")
