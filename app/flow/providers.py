"""Mailbox providers of the installation: the limits in force, what people changed of them, and where the contacts are."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from sqlalchemy import delete, func, select, text
from sqlalchemy.dialects.postgresql import insert

from app.flow.problem import Problem
from app.flow.sessions import AnySession
from app.mail.mailbox_providers import OTHER, Limits, provider_of_domain, providers
from app.models import MailDomain, ProviderLimits, User

MOST_PER_MINUTE = 100_000
MOST_CONNECTIONS = 1_000
MOST_PER_CONNECTION = 100_000
MOST_WARM_UP_DAYS = 60
MOST_PER_DAY = 10_000_000
SAMPLED_CONTACTS = 20_000


class ProviderProblem(Problem):
    """``code``: ``too_many_days``, ``cap_out_of_range``, or ``cap_falls`` (with the ``day``, counted from 1)."""


class LimitsByProvider(dict[str, Limits]):
    """By key; a key that is no longer shipped has the limits of ``other``."""

    def __missing__(self, key: str) -> Limits:
        return self[OTHER]


def limits_of(session: AnySession) -> Mapping[str, Limits]:
    """Per egress IP, by provider: as shipped, but for what people changed."""
    shipped = {key: provider.limits for key, provider in providers().items()}
    changed = {key: _limits(row) for key, row in changed_limits(session).items()}
    return LimitsByProvider(shipped | changed)


def changed_limits(session: AnySession) -> dict[str, ProviderLimits]:
    """By provider; only of those that are still shipped."""
    rows = session.scalars(select(ProviderLimits)).all()
    return {row.provider: row for row in rows if row.provider in providers()}


def _limits(row: ProviderLimits) -> Limits:
    return Limits(
        messages_per_minute=row.messages_per_minute,
        connections=row.connections,
        messages_per_connection=row.messages_per_connection,
        warm_up_caps=tuple(row.warm_up_caps),
    )


def save_limits(session: AnySession, key: str, limits: Limits, user: User | None) -> None:
    """``key``: of a provider that is shipped. What equals the shipped limits is no change. Raises
    :class:`ProviderProblem`. Commits."""
    _check_caps(limits.warm_up_caps)
    if limits == providers()[key].limits:
        reset_limits(session, key)
        return
    values = {
        "messages_per_minute": limits.messages_per_minute,
        "connections": limits.connections,
        "messages_per_connection": limits.messages_per_connection,
        "warm_up_caps": list(limits.warm_up_caps),
        "updated_by_id": user.id if user else None,
        "updated_at": func.now(),
    }
    saved = insert(ProviderLimits).values(provider=key, **values)
    session.execute(saved.on_conflict_do_update(index_elements=[ProviderLimits.provider], set_=values))
    session.commit()


def _check_caps(caps: tuple[int, ...]) -> None:
    """None at all: new IPs are warm at once. A cap below the day before's is a slip."""
    if len(caps) > MOST_WARM_UP_DAYS:
        raise ProviderProblem("too_many_days")
    for day, cap in enumerate(caps, 1):
        if not 1 <= cap <= MOST_PER_DAY:
            raise ProviderProblem("cap_out_of_range", day=day)
    for day, (before, cap) in enumerate(pairwise(caps), 2):
        if cap < before:
            raise ProviderProblem("cap_falls", day=day)


def reset_limits(session: AnySession, key: str) -> None:
    """Back to what is shipped. Commits."""
    session.execute(delete(ProviderLimits).where(ProviderLimits.provider == key))
    session.commit()


@dataclass(frozen=True, kw_only=True)
class Whereabouts:
    """Where the recipients are, by provider."""

    domains: Mapping[str, int]
    """Domains that campaigns wrote to."""
    sampled: Mapping[str, int]
    """Contacts of a sample; the empty key: nobody looked their domain up yet."""

    @property
    def sample_size(self) -> int:
        return sum(self.sampled.values())


def whereabouts(session: AnySession) -> Whereabouts:
    """Costs the same however many contacts there are."""
    counted = select(MailDomain.provider, func.count()).group_by(MailDomain.provider)
    known = dict(session.execute(counted).tuples().all())
    sampled: Counter[str] = Counter()
    for domain, provider, people in session.execute(text(SAMPLE), {"percent": _percent(session)}):
        sampled[provider or provider_of_domain(domain) or ""] += people
    return Whereabouts(domains=known, sampled=sampled)


def _percent(session: AnySession) -> float:
    """Of the table, so that some :data:`SAMPLED_CONTACTS` are read; all of a small one, or of one never analysed that is
    still small by its size."""
    rows, size_bytes = session.execute(
        text("SELECT reltuples, pg_relation_size(oid) FROM pg_class WHERE oid = 'contact'::regclass")
    ).one()
    expected: float = max(rows, size_bytes / 200, 1.0)
    return min(100.0, 100.0 * SAMPLED_CONTACTS / expected)


# Whole blocks of the table, always the same ones, so that figures stand still between two looks. Until a campaign wrote to
# a domain, or where it was never asked successfully, nobody knows whose it is.
SAMPLE = """
    SELECT c.domain, CASE WHEN m.provider <> 'other' OR m.looked_up_at IS NOT NULL THEN m.provider END, count(*)
    FROM contact c TABLESAMPLE SYSTEM (:percent) REPEATABLE (1) LEFT JOIN mail_domain m ON m.domain = c.domain
    GROUP BY c.domain, m.provider, m.looked_up_at
"""
