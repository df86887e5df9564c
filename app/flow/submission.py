"""The contract between the street and a transport: what is handed over, what comes back. ``workers.smtp`` keeps it."""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import NamedTuple, Protocol

from app.mail.replies import Stage


class OutgoingMessage(NamedTuple):
    """One message ready for the wire. ``content`` ends in CRLF and needs no dot-stuffing."""

    seq: int
    mail_from: str
    rcpt_to: str
    content: bytes


class AnswerKind(StrEnum):
    REPLIED = "replied"  # The relay answered: `code` and `text`.
    NOT_SENT = "not_sent"  # Provably not given to the relay: the final dot was never written.
    LOST = "lost"  # The final dot was written and no answer came: it may or may not have been taken.
    NOT_RENDERED = "not_rendered"  # Could not be rendered or signed.


class Answer(NamedTuple):
    """What the transport heard about one message."""

    seq: int
    kind: AnswerKind
    code: int = 0
    text: str = ""
    stage: Stage = Stage.BODY
    relay_trouble: bool = False
    """The relay itself failed (no connection, 421, lost connection, refused log-in), not this message."""


class Lease(Protocol):
    """The right to send, as the transport sees it."""

    def holds(self) -> bool:
        """Whether bytes may still be put on the wire. Cheap: asked before each write."""

    def keep(self) -> None:
        """Called at least once a second while working: renews where due."""


class Transport(Protocol):
    """Submits messages to one relay. Implemented over SMTP in ``workers.smtp``."""

    def submit(self, messages: Iterator[OutgoingMessage], lease: Lease) -> Iterable[Answer]:
        """Exactly one answer per message taken from ``messages``; none may be missing, in any order."""
