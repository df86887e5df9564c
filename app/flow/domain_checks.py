"""What the DNS shows of a sending domain now: its keys, and whether MX, SPF and DMARC stand there at all. The result stays
with the domain, so that the list of domains says how each was found."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

import dns.nameserver
import dns.resolver

from app.config import ConfigurationError, Settings
from app.flow.sessions import AnySession
from app.models import SendingDomain
from dns_tools import dkim, presence

DNS_SECONDS = 5.0
"""Longest wait for the name servers; a person sits in front of it."""


@dataclass(frozen=True, kw_only=True)
class DomainCheck:
    keys: dict[int, dkim.KeyCheck]
    """By the key's id."""
    records: dict[str, presence.PresenceCheck]
    """By the code of ``domains.DnsRecord``."""

    @property
    def states(self) -> dict[str, str]:
        """A word for each kind of record; of several keys that sign, the first one that is not as it should be."""
        of_keys = sorted(self.keys.values(), key=lambda check: check.ok)
        keys = {"dkim": of_keys[0].status.value} if of_keys else {}
        return keys | {code: check.status.value for code, check in self.records.items()}


def check_domain(
    session: AnySession, row: SendingDomain, resolver: dns.resolver.Resolver, *, now: datetime
) -> DomainCheck:
    """Asks, and keeps with the domain what was found. All questions at once: a dead name server costs its time limit once."""
    keys = {key.id: (row.domain, key.selector, key.public_record) for key in row.dkim_keys if key.is_active}
    names = {"return_path_mx": row.return_path_domain, "return_path_spf": row.return_path_domain, "dmarc": row.domain}
    with ThreadPoolExecutor(max_workers=len(names) + max(1, len(keys))) as pool:
        asked = {code: pool.submit(CHECKS[code], resolver, name) for code, name in names.items()}
        asked_keys = {
            key_id: pool.submit(dkim.check_published_key, resolver, domain, selector, expected=expected)
            for key_id, (domain, selector, expected) in keys.items()
        }
    found = DomainCheck(
        keys={key_id: answer.result() for key_id, answer in asked_keys.items()},
        records={code: answer.result() for code, answer in asked.items()},
    )
    row.dns_states, row.dns_checked_at = found.states, now
    session.commit()
    return found


CHECKS: dict[str, Callable[[dns.resolver.Resolver, str], presence.PresenceCheck]] = {
    "return_path_mx": presence.check_mx,
    "return_path_spf": presence.check_spf,
    "dmarc": presence.check_dmarc,
}


def make_resolver(settings: Settings) -> dns.resolver.Resolver:
    """The servers of ``DNS_SERVERS``, else those of this machine. Raises :class:`ConfigurationError`."""
    named = [server.strip() for server in settings.dns_servers.split(",") if server.strip()]
    resolver = dns.resolver.Resolver(configure=not named)
    resolver.lifetime = DNS_SECONDS
    resolver.timeout = DNS_SECONDS / 2
    if named:
        resolver.nameservers = [_nameserver(server) for server in named]
    return resolver


def _nameserver(server: str) -> dns.nameserver.Nameserver:
    """``192.0.2.53``, ``192.0.2.53:5353`` or ``[2001:db8::53]:53``."""
    try:
        parts = urlsplit(f"//{server}")
        return dns.nameserver.Do53Nameserver(parts.hostname or "", parts.port or 53)
    except ValueError as error:
        raise ConfigurationError(f"DNS_SERVERS names {server!r}, which is no address with an optional port.") from error
