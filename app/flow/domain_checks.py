"""What the DNS shows of a sending domain now: its keys, and whether MX, SPF and DMARC stand there at all. The result stays
with the domain, so that the list of domains says how each was found."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

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


def check_domain(session: AnySession, row: SendingDomain, resolver: dns.resolver.Resolver, *, now: datetime) -> None:
    """Asks, and keeps with the domain what was found (``last_check``). Commits."""
    records = _check_records(row, resolver)
    keys = domains.check_keys(session, row, resolver)
    row.dns_states = _key_state(row, keys) | {code: check.status.value for code, check in records.items()}
    row.dns_details = _storable(DomainCheck(keys=keys, records=records))
    row.dns_checked_at = now
    session.commit()


def last_check(row: SendingDomain) -> DomainCheck | None:
    """What ``check_domain`` kept; None where nothing was asked yet."""
    if not row.dns_details:
        return None
    return DomainCheck(
        keys={int(key_id): _key_check(stored) for key_id, stored in row.dns_details["keys"].items()},
        records={code: _presence_check(stored) for code, stored in row.dns_details["records"].items()},
    )


def _storable(check: DomainCheck) -> dict[str, Any]:
    return {
        "keys": {str(key_id): _fields(result) for key_id, result in check.keys.items()},
        "records": {code: _fields(result) for code, result in check.records.items()},
    }


def _fields(result: dkim.KeyCheck | presence.PresenceCheck) -> dict[str, Any]:
    """PostgreSQL keeps no NUL in JSON, and a stranger's TXT record may hold one."""
    return asdict(result) | {"found": [text.replace("\0", "\N{REPLACEMENT CHARACTER}") for text in result.found]}


def _key_check(stored: Mapping[str, Any]) -> dkim.KeyCheck:
    return dkim.KeyCheck(**{**stored, "status": dkim.KeyStatus(stored["status"]), "found": tuple(stored["found"])})


def _presence_check(stored: Mapping[str, Any]) -> presence.PresenceCheck:
    return presence.PresenceCheck(
        **{**stored, "status": presence.Presence(stored["status"]), "found": tuple(stored["found"])}
    )


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
