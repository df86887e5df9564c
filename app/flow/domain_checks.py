"""What the DNS shows of a sending domain now: its keys, and whether MX, SPF and DMARC stand there at all. The result stays
with the domain and its keys, for the list of domains and for the checklist before sending."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial

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
        _note_records(found, check.records, now, same_return_path=found.return_path_domain == return_path)
    session.commit()
    return check if found is not None else None


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


def _note_records(
    row: SendingDomain, checks: Mapping[str, presence.PresenceCheck], now: datetime, *, same_return_path: bool
) -> None:
    """What was found of a return path that was changed meanwhile is about another name."""
    codes = checks.keys() if same_return_path else checks.keys() - OF_THE_RETURN_PATH
    row.dns_states = {code: checks[code].status.value for code in codes}
    row.dns_checked_at = now
