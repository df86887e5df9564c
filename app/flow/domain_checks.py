"""What the DNS shows of a sending domain now: its keys, and whether MX, SPF and DMARC stand there at all. The result stays
with the domain and its keys, for the list of domains and for the checklist before sending."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

import dns.resolver

from app.flow.sessions import AnySession
from app.models import DkimKey, SendingDomain
from dns_tools import dkim, presence

OF_THE_RETURN_PATH = frozenset({"return_path_mx", "return_path_spf"})


@dataclass(frozen=True, kw_only=True)
class DomainCheck:
    keys: dict[int, dkim.KeyCheck]
    """By the key's id."""
    records: dict[str, presence.PresenceCheck]
    """By the code of ``domains.DnsRecord``."""


def check_domain(
    session: AnySession, row: SendingDomain, resolver: dns.resolver.Resolver, *, now: datetime
) -> DomainCheck | None:
    """Asks, and keeps with the domain what was found; None where somebody removed it meanwhile. Commits, before asking
    too: no transaction waits for name servers."""
    domain_id, return_path = row.id, row.return_path_domain
    ask_keys, ask_records = _key_questions(row, resolver), _record_questions(row, resolver)
    session.commit()
    check = _ask(ask_keys, ask_records)
    found = session.get(SendingDomain, domain_id, populate_existing=True, with_for_update=True)
    if found is not None:
        _note_keys(found.dkim_keys, check.keys, now)
        _note_records(found, check, now, same_return_path=found.return_path_domain == return_path)
    session.commit()
    return check if found is not None else None


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


def _key_questions(row: SendingDomain, resolver: dns.resolver.Resolver) -> dict[int, Callable[[], dkim.KeyCheck]]:
    return {
        key.id: partial(dkim.check_published_key, resolver, row.domain, key.selector, expected=key.public_record)
        for key in row.dkim_keys
    }


def _record_questions(
    row: SendingDomain, resolver: dns.resolver.Resolver
) -> dict[str, Callable[[], presence.PresenceCheck]]:
    return {
        "return_path_mx": partial(presence.check_mx, resolver, row.return_path_domain),
        "return_path_spf": partial(presence.check_spf, resolver, row.return_path_domain),
        "dmarc": partial(presence.check_dmarc, resolver, row.domain),
    }


def _ask(
    keys: Mapping[int, Callable[[], dkim.KeyCheck]], records: Mapping[str, Callable[[], presence.PresenceCheck]]
) -> DomainCheck:
    """All questions at once: name servers that don't answer cost their time limit once, however many the keys."""
    with ThreadPoolExecutor(max_workers=len(keys) + len(records)) as pool:
        asked_keys = {key_id: pool.submit(question) for key_id, question in keys.items()}
        asked_records = {code: pool.submit(question) for code, question in records.items()}
    return DomainCheck(
        keys={key_id: answer.result() for key_id, answer in asked_keys.items()},
        records={code: answer.result() for code, answer in asked_records.items()},
    )


def _note_keys(keys: list[DkimKey], checks: Mapping[int, dkim.KeyCheck], now: datetime) -> None:
    """Silent name servers say nothing about a record: what was known of it stays."""
    for key in keys:
        if key.id in checks and checks[key.id].status is not dkim.KeyStatus.UNREACHABLE:
            key.checked_at, key.is_published = now, checks[key.id].ok


def _note_records(row: SendingDomain, checks: DomainCheck, now: datetime, *, same_return_path: bool) -> None:
    """What was found of a return path that was changed meanwhile is about another name."""
    codes = checks.records.keys() if same_return_path else checks.records.keys() - OF_THE_RETURN_PATH
    row.dns_states = {code: checks.records[code].status.value for code in codes}
    row.dns_details = _storable(replace(checks, records={code: checks.records[code] for code in codes}))
    row.dns_checked_at = now
