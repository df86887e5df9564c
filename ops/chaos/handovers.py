"""What Postfix' log says of each message: by which queue ids it came, which IP was asked for, and which of them were sent. Read
here by rules of their own, so that the follower is judged by somebody else."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from app.mail.egress_header import EGRESS_HEADER

QUEUE_ID = r"([0-9A-Za-z]{5,30})"
NAMED = re.compile(rf"/cleanup\[\d+\]: {QUEUE_ID}: message-id=(<[^>]+>)")
ASKED = re.compile(rf"/cleanup\[\d+\]: {QUEUE_ID}: filter: header {EGRESS_HEADER}: (\S+) ")
SENT = re.compile(rf"/smtp\[\d+\]: {QUEUE_ID}: .* status=sent ")


@dataclass
class Handovers:
    """``by_message``: Message-ID -> queue ids under which it began to arrive."""

    by_message: dict[str, set[str]] = field(default_factory=dict)
    address_of: dict[str, str] = field(default_factory=dict)
    """Queue id -> IP that the message asked for."""
    sent: set[str] = field(default_factory=set)

    def addresses(self, message_id: str) -> set[str]:
        queue_ids = self.by_message.get(message_id, set())
        return {self.address_of[queue_id] for queue_id in queue_ids if queue_id in self.address_of}


def read_handovers(logs: Iterable[Path]) -> Handovers:
    found = Handovers()
    for log in logs:
        with log.open(errors="replace") as lines:
            for line in lines:
                take_line(line, found)
    return found


def take_line(line: str, found: Handovers) -> None:
    if named := NAMED.search(line):
        found.by_message.setdefault(named[2], set()).add(named[1])
    elif asked := ASKED.search(line):
        found.address_of[asked[1]] = asked[2]
    elif sent := SENT.search(line):
        found.sent.add(sent[1])
