"""What the DNS shows of a sending domain now: its keys, and whether MX, SPF and DMARC stand there at all. The result stays
with the domain, so that the list of domains says how each was found."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

import dns.resolver

from app.flow import domains
from app.flow.sessions import AnySession
from app.models import SendingDomain
from dns_tools import dkim, presence


@dataclass(frozen=True, kw_only=True)
class DomainCheck:
    keys: dict[int, dkim.KeyCheck]
    """By the key's id."""
    records: dict[str, presence.PresenceCheck]
    """By the code of ``domains.DnsRecord``."""


CHECKS: dict[str, Callable[[dns.resolver.Resolver, str], presence.PresenceCheck]] = {
    "return_path_mx": presence.check_mx,
    "return_path_spf": presence.check_spf,
    "dmarc": presence.check_dmarc,
}


def check_domain(
    session: AnySession, row: SendingDomain, resolver: dns.resolver.Resolver, *, now: datetime
) -> DomainCheck:
    """Asks, and keeps with the domain what was found. Commits."""
    records = _check_records(row, resolver)
    keys = domains.check_keys(session, row, resolver)
    row.dns_states = _key_state(row, keys) | {code: check.status.value for code, check in records.items()}
    row.dns_checked_at = now
    session.commit()
    return DomainCheck(keys=keys, records=records)


def _check_records(row: SendingDomain, resolver: dns.resolver.Resolver) -> dict[str, presence.PresenceCheck]:
    """All questions at once: name servers that don't answer cost their time limit once."""
    names = {"return_path_mx": row.return_path_domain, "return_path_spf": row.return_path_domain, "dmarc": row.domain}
    with ThreadPoolExecutor(max_workers=len(names)) as pool:
        asked = {code: pool.submit(CHECKS[code], resolver, name) for code, name in names.items()}
    return {code: answer.result() for code, answer in asked.items()}


def _key_state(row: SendingDomain, keys: dict[int, dkim.KeyCheck]) -> dict[str, str]:
    """Of several keys that sign, the first one that is not as it should be."""
    found = sorted((keys[key.id] for key in row.dkim_keys if key.is_active), key=lambda check: check.ok)
    return {"dkim": found[0].status.value} if found else {}
