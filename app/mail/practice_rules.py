"""Which answer the practice relay gives to which recipient, so that people can train and tests can try every answer.

The local part asks for it; the domain does not matter and may be invented. ``TRAINING_ADDRESSES`` is the table that the
UI shows. In short::

    practica-<what>[x<tries>][+<anything>]@<any domain>

``x2`` limits the answer to the first two tries for this address; from the third on the message is accepted. The relay
counts tries in memory: a restarted relay counts from the beginning. ``+anything`` makes addresses distinct.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

MAX_DELAY_SECONDS = 120


class AnswerKind(StrEnum):
    ACCEPT = "accept"
    REFUSE_RECIPIENT = "refuse_recipient"  # The reply to RCPT.
    REFUSE_MESSAGE = "refuse_message"  # The reply after the final dot; nothing is stored.
    CLOSE = "close"  # 421 at RCPT, then the connection is closed.
    SLOW = "slow"  # Accepted, but the reply after the final dot comes late.
    DROP = "drop"  # The connection is cut in the middle of DATA; nothing is stored.
    DROP_AFTER_STORING = "drop_after_storing"  # Stored, then cut before the reply: the sender cannot know.


@dataclass(frozen=True, kw_only=True)
class PracticeAnswer:
    kind: AnswerKind
    reply: str = ""
    """The whole reply line, with its enhanced status code (RFC 3463), where the kind has one of its own."""
    delay_seconds: int = 0
    tries: int | None = None
    """The answer holds for this many tries per address, then the message is accepted; none: always."""

    def holds_at(self, try_number: int) -> bool:
        """Whether the address still gets this answer at its ``try_number``-th try, counted from 1."""
        return self.tries is None or try_number <= self.tries


ACCEPTED = PracticeAnswer(kind=AnswerKind.ACCEPT)

_PREFIX = "practica-"
_LOCAL_PART = re.compile(
    _PREFIX + r"(?:(?P<code>[45][0-5][0-9])|dato-(?P<content_code>[45][0-5][0-9])|lento(?P<seconds>[0-9]{1,3})"
    r"|(?P<cut>corte(?P<stored>-guardado)?))"
    r"(?:x(?P<tries>[1-9][0-9]?))?(?:\+[^@]*)?",
    re.IGNORECASE | re.ASCII,
)

# What real servers answer with these codes: enhanced code and sentence. Others get X.0.0.
_REPLIES = {
    421: "4.3.2 Service shutting down, try again later",
    450: "4.2.0 Mailbox busy, try again later",
    451: "4.3.0 Temporary local problem, try again later",
    452: "4.2.2 Mailbox full, try again later",
    550: "5.1.1 No such user here",
    551: "5.1.6 User has moved",
    552: "5.2.2 Mailbox full",
    553: "5.1.3 Bad mailbox name",
    554: "5.7.1 Message refused by policy",
}


def answer_for(address: str) -> PracticeAnswer:
    """The answer that ``address`` asks for; ``ACCEPTED`` for every other address."""
    if address[: len(_PREFIX)].lower() != _PREFIX:
        return ACCEPTED
    match = _LOCAL_PART.fullmatch(address.rpartition("@")[0])
    return _answer(match) if match else ACCEPTED


def _answer(asked: re.Match[str]) -> PracticeAnswer:
    tries = int(asked["tries"]) if asked["tries"] else None
    if code := asked["code"]:
        kind = AnswerKind.CLOSE if code == "421" else AnswerKind.REFUSE_RECIPIENT
        return PracticeAnswer(kind=kind, reply=_reply(int(code)), tries=tries)
    if code := asked["content_code"]:
        return PracticeAnswer(kind=AnswerKind.REFUSE_MESSAGE, reply=_reply(int(code)), tries=tries)
    if seconds := asked["seconds"]:
        return PracticeAnswer(kind=AnswerKind.SLOW, delay_seconds=min(int(seconds), MAX_DELAY_SECONDS), tries=tries)
    kind = AnswerKind.DROP_AFTER_STORING if asked["stored"] else AnswerKind.DROP
    return PracticeAnswer(kind=kind, tries=tries)


def _reply(code: int) -> str:
    return f"{code} {_REPLIES.get(code, f'{code // 100}.0.0 Practice answer {code}')}"


@dataclass(frozen=True)
class TrainingAddress:
    """A row of the table that people see."""

    local_part: str
    topic: str
    """Stable code; its sentences are made where it is shown."""


TRAINING_ADDRESSES: tuple[TrainingAddress, ...] = (
    TrainingAddress("practica-451", "deferred"),
    TrainingAddress("practica-451x2", "deferred_twice"),
    TrainingAddress("practica-452", "deferred_full"),
    TrainingAddress("practica-550", "no_such_user"),
    TrainingAddress("practica-552", "full"),
    TrainingAddress("practica-dato-451", "deferred_after_content"),
    TrainingAddress("practica-dato-554", "refused_after_content"),
    TrainingAddress("practica-421", "closing"),
    TrainingAddress("practica-lento5", "slow"),
    TrainingAddress("practica-corte", "dropped"),
    TrainingAddress("practica-corte-guardado", "dropped_after_storing"),
)
