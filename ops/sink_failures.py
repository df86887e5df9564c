"""Which failures the sink shows to whom: seeded, and decided per recipient and try, so that neither the number of
connections nor their order changes the plan.

    451:0.01                at RCPT; any 4xx or 5xx; 421 also closes the connection
    data-554:0.01           after the content
    disconnect:0.001        the connection is cut in the middle of the content; the message is not taken
    disconnect-stored:0.001 the message is taken, and the connection cut before the answer
"""

import random
import re
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class FailureStage(StrEnum):
    RECIPIENT = "recipient"
    IN_CONTENT = "in_content"
    CONTENT = "content"
    AFTER_STORING = "after_storing"


@dataclass(frozen=True)
class Failure:
    name: str
    stage: FailureStage
    reply: bytes = b""

    @property
    def closes(self) -> bool:
        return self.reply.startswith(b"421")


class FailurePlan:
    """``next_for(recipient)`` says what this try of this recipient meets."""

    def __init__(self, shares: list[tuple[float, Failure]], seed: int) -> None:
        self._shares = shares
        self._seed = seed
        self._tries: Counter[bytes] = Counter()

    @classmethod
    def parse(cls, text: str, seed: int) -> Self | None:
        """None for an empty plan. Raises ``ValueError`` naming the part that is wrong."""
        parts = [part.strip() for part in text.split(",") if part.strip()]
        shares = [_share(part) for part in parts]
        if sum(share for share, _ in shares) > 1:
            raise ValueError("the shares of all failures together are more than 1")
        return cls(shares, seed) if shares else None

    def next_for(self, recipient: bytes) -> Failure | None:
        self._tries[recipient] += 1
        draw = random.Random(b"%d %d %b" % (self._seed, self._tries[recipient], recipient)).random()
        for share, failure in self._shares:
            if draw < share:
                return failure
            draw -= share
        return None


def _share(part: str) -> tuple[float, Failure]:
    name, _, share = part.partition(":")
    try:
        value = float(share)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ValueError(f"{part!r}: write a failure and its share between 0 and 1, as in 451:0.01")
    return value, _failure(name)


def _failure(name: str) -> Failure:
    if name == "disconnect":
        return Failure(name, FailureStage.IN_CONTENT)
    if name == "disconnect-stored":
        return Failure(name, FailureStage.AFTER_STORING)
    match = re.fullmatch(r"(data-)?([45]\d\d)", name)
    if match is None:
        raise ValueError(f"{name!r} is no failure: 4xx, 5xx, data-4xx, data-5xx, disconnect, disconnect-stored")
    code = match[2]
    return Failure(
        name,
        FailureStage.CONTENT if match[1] else FailureStage.RECIPIENT,
        f"{code} {code[0]}.3.0 Planned failure\r\n".encode(),
    )
