"""Codes that stand in a column where a relay's words could stand, too: ``relay_failures:421 too busy``. A stable code,
then, behind a colon, what only the moment knew. They become sentences where people read them, in people's language."""

from enum import StrEnum
from typing import TypeVar

Code = TypeVar("Code", bound=StrEnum)


class PauseReason(StrEnum):
    """Who or what stopped a campaign (`Campaign.status_reason`)."""

    USER = "user"
    COMMAND = "command"
    RELAY_FAILURES = "relay_failures"  # Many in a row. Detail: the last thing heard of the relay.
    CANNOT_COMPOSE = "cannot_compose"  # Detail: code and detail of the `CompositionProblem`.
    # The part that went first was refused too often. Detail, once for each limit it is over: what, how many, of how many
    # and the limit in per cent ("bounced 60 800 5; complained 4 700 0.3").
    CANARY = "canary"


BY_PEOPLE = (PauseReason.USER, PauseReason.COMMAND)
"""Nobody needs to be told why."""


class OwnReply(StrEnum):
    """What the platform notes where no words of the relay are to be had (`reply_text` of deliveries and attempts, a
    proof's `reply`, the detail of `PauseReason.RELAY_FAILURES`)."""

    NO_CONNECTION = "no_connection"  # Detail: host, port and the system's words.
    CONNECTION_BROKE = "connection_broke"  # Detail: the system's words.
    RELAY_CLOSED = "relay_closed"
    RELAY_SILENT = "relay_silent"  # Detail: for how many seconds.
    NOT_SMTP = "not_smtp"  # What came is no answer, or none that was owed. Detail: what came.
    ANSWER_TOO_LONG = "answer_too_long"
    LEASE_ENDED = "lease_ended"  # Another worker was to take over.
    TRANSPORT_FAILED = "transport_failed"  # Our own fault. Detail: the error.
    NOT_RENDERED = "not_rendered"  # This one message. Detail: the error.
    CANNOT_COMPOSE = "cannot_compose"  # As for `PauseReason`.
    FOUND_AT_RELAY = "found_at_relay"  # By Message-ID. Detail: its number there.
    NOT_FOUND_AT_RELAY = "not_found_at_relay"
    SETTLED_AS_SENT = "settled_as_sent"  # By a person.
    REFUSED_FOR_US = "refused_for_us"  # Our IP or domain is refused, not the recipient. Detail: the provider's reply.
    DELETED_FROM_QUEUE = "deleted_from_queue"  # By an administrator. Detail: its number in the relay's queue.
    SETTLED_TO_SEND_AGAIN = "settled_to_send_again"  # By a person.


def coded(code: StrEnum, detail: object = "") -> str:
    return f"{code.value}:{detail}" if str(detail) else code.value


def read_coded(kind: type[Code], written: str | None) -> tuple[Code | None, str]:
    """Code and detail; no code and the whole text where it is somebody else's."""
    code, _colon, detail = (written or "").partition(":")
    try:
        return kind(code), detail
    except ValueError:
        return None, written or ""
