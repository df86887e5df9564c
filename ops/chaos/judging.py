"""Three who know something of the same mail: the ledger (what the platform believes), the sink (who got what, from where), and
the relay's log. Where they disagree, the run has failed.

Two things are no failure of the platform, and counted by themselves; each needs a proof:

``relay_redelivered``  the sink has a message twice, both times out of the same queue file, and the log knows of no other one. A
                       Postfix that is killed between its recipient's "250" and the removal of that file delivers it again.
``outcome_not_logged`` the sink has it, and the log has no line of that: it was lost with the process that writes the log. The
                       delivery stays accepted, which is true.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from ops.chaos.handovers import Handovers
from ops.sink_process import Witnessed

MOST_LINES_A_KILL = 100
"""So many lines of its log may die with a Postfix. Where more are missing, these rules or the follower are wrong."""

WRONG = (
    "lost",
    "duplicated",
    "foreign",
    "unknown",
    "not_delivered",
    "by_other_ip",
    "retry_by_other_ip",
    "by_quarantined_ip",
    "log_too_poor",
)


@dataclass(frozen=True)
class Planned:
    """A delivery of the ledger."""

    email: str
    message_id: str
    status: str
    address: str
    """Of the IP that the platform chose."""
    helo: str
    attempts: int


def judge(
    ledger: Collection[Planned],
    captured: Iterable[Witnessed],
    log: Handovers,
    quarantined: Collection[str],
    *,
    relay_kills: int,
) -> dict[str, int]:
    copies = by_key(captured)
    keys = {(one.email, one.message_id) for one in ledger}
    statuses = Counter(one.status for one in ledger)
    again = {key: len(found) - 1 for key, found in copies.items()}
    by_relay = sum(number for key, number in again.items() if is_one_handover(copies[key], log))
    unread = sum(copy.queue_id not in log.address_of for found in copies.values() for copy in found)
    not_logged = sum(is_not_logged(one, copies.get((one.email, one.message_id), []), log) for one in ledger)
    return {
        "planned": len(ledger),
        "captured": sum(map(len, copies.values())),
        "delivered": statuses["delivered"],
        "lost": len(keys - copies.keys()),
        "duplicated": sum(again.values()) - by_relay,
        "relay_redelivered": by_relay,
        "foreign": len(copies.keys() - keys),
        "unknown": statuses["unknown"],
        "outcome_not_logged": not_logged,
        "log_too_poor": max(0, not_logged + unread - MOST_LINES_A_KILL * relay_kills),
        "not_delivered": len(ledger) - statuses["delivered"] - not_logged,
        "retried": sum(one.attempts > 1 for one in ledger),
        **ips(ledger, copies, log, quarantined),
    }


def by_key(captured: Iterable[Witnessed]) -> dict[tuple[str, str], list[Witnessed]]:
    copies: dict[tuple[str, str], list[Witnessed]] = {}
    for one in captured:
        copies.setdefault((one.recipient, one.message_id), []).append(one)
    return copies


def ips(
    ledger: Collection[Planned],
    copies: Mapping[tuple[str, str], list[Witnessed]],
    log: Handovers,
    quarantined: Collection[str],
) -> dict[str, int]:
    came = [(one, copy) for one in ledger for copy in copies.get((one.email, one.message_id), [])]
    everything = [copy for found in copies.values() for copy in found]
    return {
        "ips_used": len({copy.source for copy in everything}),
        "by_other_ip": sum((copy.source, copy.helo) != (one.address, one.helo) for one, copy in came),
        "retry_by_other_ip": sum(len(log.addresses(one.message_id)) > 1 for one in ledger),
        "by_quarantined_ip": sum(copy.source in quarantined for copy in everything),
    }


def is_one_handover(found: list[Witnessed], log: Handovers) -> bool:
    """Whether the platform handed over once what the sink has (so often)."""
    queue_ids = {copy.queue_id for copy in found}
    return len(queue_ids) == 1 and "" not in queue_ids and log.by_message.get(found[0].message_id) == queue_ids


def is_not_logged(one: Planned, found: list[Witnessed], log: Handovers) -> bool:
    return one.status == "accepted" and bool(found) and not any(copy.queue_id in log.sent for copy in found)
