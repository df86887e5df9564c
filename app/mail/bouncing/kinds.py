"""The vocabulary: what came back (`Kind`), why (`Reason`), and what the one makes of the other.

A kind answers "what shall we do?", a reason "what shall we tell the person who reads the report?".
"""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    HARD = "hard"  # nobody will ever get mail at this address
    SOFT = "soft"  # not this time; the same address may work another day
    BLOCKED = "blocked"  # they refuse us or this message; it says nothing about the recipient
    COMPLAINT = "complaint"  # the recipient pressed "this is spam"
    AUTO_REPLY = "auto_reply"  # a machine answers for a person; the mail arrived
    DELAYED = "delayed"  # still in a queue; another message will say how it ended
    DELIVERED = "delivered"
    UNKNOWN = "unknown"  # not understood, or nothing that says something about a delivery


class Reason(StrEnum):
    """Why; docs/bounces.md has an example of each."""

    USER_UNKNOWN = "user_unknown"
    HOST_UNKNOWN = "host_unknown"  # the domain doesn't exist, or has no mail server
    MOVED = "moved"  # known there once, now elsewhere or gone
    NOT_ACCEPTED = "not_accepted"  # the domain takes no mail at all (null MX, 521, 556)
    MAILBOX_FULL = "mailbox_full"
    SUSPENDED = "suspended"  # the mailbox exists, but was disabled, frozen or left unused
    RECIPIENT_REFUSES = "recipient_refuses"  # the recipient's own settings turn us away
    MESSAGE_TOO_BIG = "message_too_big"
    RATE_LIMITED = "rate_limited"  # too much at once, or greylisted
    NETWORK = "network"  # no way to the host: refused, unreachable, loop, name server trouble
    SYSTEM_ERROR = "system_error"  # the other host is broken, full or misconfigured
    EXPIRED = "expired"  # tried until the time was over; in a delay notice: not delivered in time so far
    RELAYING_DENIED = "relaying_denied"  # their host doesn't think itself responsible for the domain
    PROTOCOL = "protocol"  # the hosts didn't understand each other
    SENDER_REJECTED = "sender_rejected"  # our sender address is not liked
    CONTENT = "content"  # malformed, or a kind of content that they don't take
    SPAM = "spam"
    VIRUS = "virus"
    POLICY = "policy"  # a rule of theirs, not further explained
    AUTHENTICATION_FAILURE = "authentication_failure"  # SPF, DKIM, DMARC, or a log-in that they want
    BAD_REPUTATION = "bad_reputation"
    BLOCKED = "blocked"  # our address or domain stands on a list
    PTR_REQUIRED = "ptr_required"  # our address has no, or no fitting, name in the DNS
    TLS_REQUIRED = "tls_required"
    COMPLAINT = "complaint"
    UNSUBSCRIBE = "unsubscribe"  # a complaint that asks for removal (RFC 5965 opt-out)
    VACATION = "vacation"  # and any other automatic answer
    DELIVERED = "delivered"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Feedback:
    """What one message says of one recipient.

    recipient: an address, or empty where the message names nobody
    status: the enhanced code (RFC 3463), "5.1.1", or empty
    diagnostic: the other system's words, one line, at most `MAX_DIAGNOSTIC` characters, fit to be stored and shown
    """

    recipient: str
    kind: Kind
    reason: Reason
    status: str
    diagnostic: str


MAX_DIAGNOSTIC = 1000

# The address will not work again. Whatever is not here may, and is soft, or is our fault, and is blocked.
_HARD = frozenset({Reason.USER_UNKNOWN, Reason.HOST_UNKNOWN, Reason.MOVED, Reason.NOT_ACCEPTED})
_BLOCKED = frozenset({
    Reason.SENDER_REJECTED, Reason.CONTENT, Reason.SPAM, Reason.VIRUS, Reason.POLICY, Reason.AUTHENTICATION_FAILURE,
    Reason.BAD_REPUTATION, Reason.BLOCKED, Reason.PTR_REQUIRED, Reason.TLS_REQUIRED, Reason.RECIPIENT_REFUSES,
})  # fmt: skip


def kind_of_failure(reason: Reason) -> Kind:
    """The kind of a delivery that was given up for `reason`.

    A full or suspended mailbox is soft even when the host calls it permanent: its owner can mend it, and the policy
    that counts soft bounces ends the tries in time. So is what nobody explained: an unexplained refusal must not cost
    a citizen their mail for good.
    """
    if reason in _HARD:
        return Kind.HARD
    return Kind.BLOCKED if reason in _BLOCKED else Kind.SOFT
