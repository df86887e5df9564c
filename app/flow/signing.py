"""What signs a domain's mail and whether receivers can check it: said in one way by the list of domains, a domain's page
and the checklist before sending. What the DNS shows is known from the last check; nobody waits for name servers here."""

from enum import StrEnum

from app.models import DkimKey, SendingDomain


class Signing(StrEnum):
    READY = "ready"  # Each key that signs was in the DNS.
    PARTLY = (
        "partly"  # One was and another was not: one good signature is enough (RFC 6376 §6.1), the other only fails.
    )
    UNPUBLISHED = "unpublished"  # None was: signed in vain.
    UNCHECKED = "unchecked"  # Nobody asked yet, or no name server answered.
    NO_KEY = "no_key"  # Nothing would sign.


def signing_keys(domain: SendingDomain) -> list[DkimKey]:
    """Every one of them signs each message."""
    return [key for key in domain.dkim_keys if key.is_active]


def signing_of(domain: SendingDomain | None) -> Signing:
    keys = signing_keys(domain) if domain else []
    if not keys:
        return Signing.NO_KEY
    if any(key.is_published for key in keys):
        return Signing.READY if all(key.is_published for key in keys) else Signing.PARTLY
    return Signing.UNPUBLISHED if any(key.checked_at for key in keys) else Signing.UNCHECKED


def unpublished_selectors(domain: SendingDomain) -> list[str]:
    """Of the keys that sign."""
    return [key.selector for key in signing_keys(domain) if not key.is_published]
