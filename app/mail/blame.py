"""Whom a refusal judges: the recipient, or us. Pure.

A provider that turns away our IP, our domain or how we sign and connect says nothing about the person. The next message from
another IP may arrive, and nobody must lose their mail for good because an address of ours stands on a list.
"""

from functools import lru_cache

from app.mail.backoff import rule_for
from app.mail.bounces import Kind, Reason, classify_reply_text

ABOUT_US = frozenset(
    {
        Reason.BLOCKED,
        Reason.BAD_REPUTATION,
        Reason.PTR_REQUIRED,
        Reason.AUTHENTICATION_FAILURE,
        Reason.TLS_REQUIRED,
    }
)
"""Of the reasons that judge us or the message, those that every message of ours meets: not what one message says."""


@lru_cache(maxsize=4096)
def is_about_us(provider: str, code: int, text: str) -> bool:
    """Whether a reply (4xx or 5xx) refuses us, whoever the recipient is. Never raises.

    Kept, since a provider that blocks us says the same thousands of times.

    provider: key of a mailbox provider; text: the reply without its code, what stands around it in a log does no harm
    """
    kind, reason = classify_reply_text(code, text)
    if kind is Kind.HARD:
        return False
    if reason in ABOUT_US:
        return True
    rule = rule_for(provider, code, text)
    return rule is not None and rule.suspends
