"""Which mailbox provider a recipient domain belongs to: asked of the DNS, kept in ``mail_domain``.

    prepare(session, settings, campaign_id)    before freezing: every domain of the campaign's lists gets its row, and the
                                               unknown ones are looked up for some seconds, those with most people first
    refresh(session, settings)                 in the background: what expired, and what had to be left out before
    look_up(session, settings, domain)         one domain, now, for people

A row that nobody could look up yet says ``other`` and has expired already, so the table itself is the queue. Every call
is bounded in time and in domains, asks several at once, and holds no transaction while it asks. Two at once ask the same
twice; that is all.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dns.exception
import dns.resolver
from sqlalchemy import select, text

from app.config import ConfigurationError, Settings
from app.flow.domains import make_resolver
from app.flow.sessions import AnySession, rows_changed
from app.logs import get_logger
from app.mail.mailbox_providers import OTHER, provider_of_domain, provider_of_mx
from app.models import MailDomain
from dns_tools.exchange import hosts_of
from dns_tools.lookup import query

log = get_logger(__name__)

PREPARE_SECONDS = 10.0
REFRESH_SECONDS = 10.0
LOOKUP_SECONDS = 3.0
"""For one domain. Its name servers may be silent: then one of the parallel questions waits so long."""
PARALLEL = 32
MOST_AT_ONCE = 20_000
HOUR = 3600
KEEP_LEAST_SECONDS = 6 * HOUR
KEEP_MOST_SECONDS = 7 * 24 * HOUR
KEEP_WITHOUT_TTL_SECONDS = 24 * HOUR
TTL_FACTOR = 24
"""The relay looks MX up itself and obeys their TTL; this only chooses a pace, and who runs a domain's mail seldom changes."""
RETRY_LEAST_SECONDS = 600
RETRY_MOST_SECONDS = 2 * HOUR
FORGET_AFTER = timedelta(days=60)
MAX_HOST_CHARACTERS = 253


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What is known of a domain now."""

    domain: str
    provider: str | None
    """None: the DNS did not say."""
    mx_host: str = ""
    keep_seconds: int = KEEP_MOST_SECONDS
    was_asked: bool = False
    """False: known by its name alone."""


def prepare(
    session: AnySession,
    settings: Settings,
    campaign_id: int,
    *,
    seconds: float = PREPARE_SECONDS,
    now: datetime | None = None,
) -> int:
    """Look the campaign's unknown and expired domains up, within ``seconds``; returns how many are left for later, which
    go as they were known before, else as ``other``. Commits."""
    now = now or datetime.now(UTC)
    session.execute(text("SET LOCAL work_mem = '128MB'"))
    wanted = session.scalars(text(WANTED), {"campaign": campaign_id, "now": now, "most": MOST_AT_ONCE}).all()
    session.commit()
    left = _look_up_all(session, settings, wanted, seconds, now)
    if wanted:
        log.info("mail_domains_prepared", campaign_id=campaign_id, wanted=len(wanted), left=left)
    return left


def is_due(session: AnySession, *, now: datetime | None = None) -> bool:
    """Whether something is there to refresh."""
    expired = select(MailDomain.domain).where(MailDomain.expires_at <= (now or datetime.now(UTC)))
    return session.scalar(select(expired.exists())) or False


def refresh(
    session: AnySession, settings: Settings, *, seconds: float = REFRESH_SECONDS, now: datetime | None = None
) -> int:
    """Look up what expired, the longest ago first; returns how many are left. Commits."""
    now = now or datetime.now(UTC)
    expired = select(MailDomain.domain).where(MailDomain.expires_at <= now).order_by(MailDomain.expires_at)
    wanted = session.scalars(expired.limit(MOST_AT_ONCE)).all()
    session.commit()
    return _look_up_all(session, settings, wanted, seconds, now)


def look_up(session: AnySession, settings: Settings, domain: str, *, now: datetime | None = None) -> Answer:
    """Ask now, and keep the answer. ``domain``: lower case, A-labels. Commits, before asking too."""
    session.commit()
    answer = _answer(_resolver(settings), domain)
    store(session, [answer], now or datetime.now(UTC))
    return answer


def known(session: AnySession, domain: str) -> MailDomain | None:
    return session.get(MailDomain, domain, populate_existing=True)


def forget_unused(session: AnySession, *, now: datetime) -> int:
    """Domains that no campaign wrote to for long. Commits."""
    gone = rows_changed(
        session, text("DELETE FROM mail_domain WHERE used_at < :before"), {"before": now - FORGET_AFTER}
    )
    session.commit()
    return gone


# Which domains are wanted. Rows are made and touched in the order of their key, so that two campaigns take turns on a
# common one instead of waiting for each other for ever.
WANTED = """
    WITH members AS (
        SELECT c.domain, count(*) AS people
        FROM campaign k JOIN campaign_list l ON l.campaign_id = k.id JOIN subscription s ON s.list_id = l.list_id
        JOIN contact c ON c.id = s.contact_id AND c.panel_id = k.panel_id
        WHERE k.id = :campaign AND s.status = 'subscribed' GROUP BY c.domain
    ), noted AS (
        INSERT INTO mail_domain AS m (domain, provider, expires_at, used_at)
        SELECT domain, 'other', CAST(:now AS timestamptz), CAST(:now AS timestamptz) FROM members ORDER BY domain
        ON CONFLICT (domain) DO UPDATE SET used_at = greatest(m.used_at, excluded.used_at)
        RETURNING domain, expires_at
    )
    SELECT domain FROM noted JOIN members USING (domain)
    WHERE expires_at <= :now ORDER BY people DESC, domain LIMIT :most
"""


def _look_up_all(session: AnySession, settings: Settings, wanted: Sequence[str], seconds: float, now: datetime) -> int:
    """Those known by their name first, which costs nothing; then the questions."""
    by_name = [answer for domain in wanted if (answer := _by_name(domain))]
    named = {answer.domain for answer in by_name}
    asked = list(_ask(_resolver(settings), [domain for domain in wanted if domain not in named], seconds))
    store(session, [*by_name, *asked], now)
    return len(wanted) - len(by_name) - sum(answer.provider is not None for answer in asked)


def _ask(resolver: dns.resolver.Resolver, domains: Sequence[str], seconds: float) -> Iterator[Answer]:
    """The answers in the order in which they come; none of those that have not come when the time is up, or when as many
    questions as are asked at once brought nothing before anything was answered: then the DNS itself is away."""
    pool = ThreadPoolExecutor(max_workers=min(PARALLEL, len(domains)) or 1, thread_name_prefix="mail-domains")
    asked = {pool.submit(_answer, resolver, domain): domain for domain in domains}
    heard, was_answered = 0, False
    try:
        for question in as_completed(asked, timeout=seconds):
            answer = _strange(asked[question], question.exception()) or question.result()
            heard, was_answered = heard + 1, was_answered or answer.provider is not None
            yield answer
            if heard >= PARALLEL and not was_answered:
                return
    except TimeoutError:
        return
    finally:
        # Questions on their way end by themselves within LOOKUP_SECONDS; nobody waits for them.
        pool.shutdown(wait=False, cancel_futures=True)


def _strange(domain: str, error: BaseException | None) -> Answer | None:
    """What no lookup should do; whatever it was, one strange domain keeps no campaign from being prepared."""
    if error is None:
        return None
    log.error("mail_domain_lookup_failed", domain=domain, error=repr(error)[:300])
    return Answer(domain=domain, provider=None, was_asked=True)


def _by_name(domain: str) -> Answer | None:
    provider = provider_of_domain(domain)
    return Answer(domain=domain, provider=provider) if provider else None


def _answer(resolver: dns.resolver.Resolver, domain: str) -> Answer:
    if by_name := _by_name(domain):
        return by_name
    lookup = query(resolver, domain, "MX")
    if lookup.unknown:
        return Answer(domain=domain, provider=None, was_asked=True)
    # Without MX the domain itself takes its mail (RFC 5321 §5.1); a null MX is an answer without hosts (RFC 7505).
    hosts = hosts_of(lookup) if lookup.answered else [domain]
    return Answer(
        domain=domain,
        provider=provider_of_mx(hosts),
        mx_host=hosts[0][:MAX_HOST_CHARACTERS] if lookup.answered and hosts else "",
        keep_seconds=keep_seconds(lookup.ttl_seconds),
        was_asked=True,
    )


def keep_seconds(ttl_seconds: int | None) -> int:
    if ttl_seconds is None:
        return KEEP_WITHOUT_TTL_SECONDS
    return min(max(TTL_FACTOR * ttl_seconds, KEEP_LEAST_SECONDS), KEEP_MOST_SECONDS)


def _resolver(settings: Settings) -> dns.resolver.Resolver:
    """A machine without usable name servers still sends: then nothing is asked."""
    try:
        resolver = make_resolver(settings)
    except (ConfigurationError, dns.exception.DNSException) as error:
        log.error("no_name_servers", error=str(error)[:300])
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers = []
    resolver.lifetime = LOOKUP_SECONDS
    resolver.timeout = LOOKUP_SECONDS / 2
    return resolver


def store(session: AnySession, answers: Sequence[Answer], now: datetime) -> None:
    """Keep what was answered; of the others only when to ask again: what was known of them stays. Commits."""
    found = sorted((one for one in answers if one.provider is not None), key=lambda one: one.domain)
    silent = sorted(one.domain for one in answers if one.provider is None)
    if found:
        columns = {
            name: [getattr(one, name) for one in found]
            for name in ("domain", "provider", "mx_host", "keep_seconds", "was_asked")
        }
        session.execute(text(KEEP), {"now": now, **columns})
    if silent:
        waits = {"least": RETRY_LEAST_SECONDS, "most": RETRY_MOST_SECONDS}
        session.execute(text(ASK_AGAIN), {"now": now, "domain": silent, "other": OTHER, **waits})
    session.commit()


KEEP = """
    INSERT INTO mail_domain AS m (domain, provider, mx_host, looked_up_at, expires_at, used_at)
    SELECT domain, provider, mx_host, CASE WHEN asked THEN CAST(:now AS timestamptz) END,
           :now + make_interval(secs => keep), :now
    FROM unnest(CAST(:domain AS text[]), CAST(:provider AS text[]), CAST(:mx_host AS text[]),
                CAST(:keep_seconds AS int[]), CAST(:was_asked AS bool[])) AS a(domain, provider, mx_host, keep, asked)
    ORDER BY domain
    ON CONFLICT (domain) DO UPDATE SET provider = excluded.provider, mx_host = excluded.mx_host,
           looked_up_at = excluded.looked_up_at, expires_at = excluded.expires_at
"""

# A quarter of the time since something was last known, so that a domain that is gone is asked less and less.
ASK_AGAIN = """
    INSERT INTO mail_domain AS m (domain, provider, expires_at, used_at)
    SELECT domain, :other, :now + make_interval(secs => :least), :now FROM unnest(CAST(:domain AS text[])) AS a(domain)
    ORDER BY domain
    ON CONFLICT (domain) DO UPDATE SET expires_at = :now + make_interval(secs =>
        greatest(:least, least(:most, extract(epoch FROM :now - coalesce(m.looked_up_at, m.used_at)) / 4)))
"""
