"""Which limits apply to a batch: of its relay, panel and campaign, and of each IP that it may leave by."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

from sqlalchemy import text

from app.flow import breaker
from app.flow.breaker import Standing
from app.flow.egress.choosing import EgressCandidate, candidates
from app.flow.providers import limits_of
from app.flow.rates.buckets import Bucket, DayCap, Limit
from app.flow.rates.waits import WaitCause
from app.flow.sessions import AnySession
from app.mail.mailbox_providers import Limits
from app.models import MailStream

SECONDS_PER_HOUR, SECONDS_PER_MINUTE = 3600, 60


@dataclass(frozen=True)
class Allowances:
    common: Mapping[Limit, WaitCause]
    """What all messages of the batch count towards, and what it is to wait for one of them."""
    candidates: list[EgressCandidate] | None
    """IPs of the pool that may send to the provider; None where the relay has none of ours."""
    by_ip: Mapping[int, list[Limit]]
    suspended_until: datetime | None
    """Where the breaker lets nothing go: until when, at the earliest."""
    turns_key: str
    """Where the turns of the IPs are counted, see ``app.flow.egress.spreading``."""
    is_urgent: bool = False


def allowances(session: AnySession, *, campaign_id: int, relay_id: int, provider: str) -> Allowances:
    """``relay_id``: 0 for the practice relay, which has no IPs."""
    facts = session.execute(text(FACTS), {"campaign": campaign_id, "relay": relay_id}).one()
    common: dict[Limit, WaitCause] = {
        Bucket(f"chaski:rate:{name}:{id_}", rate / SECONDS_PER_HOUR): cause
        for name, id_, rate, cause in (
            ("relay", relay_id, facts.relay_rate, WaitCause.RELAY_RATE),
            ("panel", facts.panel_id, facts.panel_rate, WaitCause.PANEL_RATE),
            ("campaign", campaign_id, facts.campaign_rate, WaitCause.CAMPAIGN_RATE),
        )
        if rate is not None
    }
    ips = candidates(session, relay_id, facts.panel_id, MailStream(facts.stream)) if relay_id else None
    turns_key = f"chaski:turns:{relay_id}:{facts.panel_id}:{facts.stream}:{provider}"
    is_urgent = facts.stream == MailStream.URGENT
    held = breaker.standing(session, relay_id, provider, datetime.now(UTC)) if relay_id else Standing()
    if ips is None:
        common |= _of_relay(session, relay_id, provider, held)
        return Allowances(common, None, {}, held.suspended_until(None), turns_key, is_urgent)
    free = [ip for ip in ips if held.suspended_until(ip.id) is None]
    return Allowances(
        common,
        free,
        _by_ip(session, free, provider, held),
        None if free else min((until for ip in ips if (until := held.suspended_until(ip.id))), default=None),
        turns_key,
        is_urgent,
    )


def _of_relay(session: AnySession, relay_id: int, provider: str, held: Standing) -> dict[Limit, WaitCause]:
    """A relay without IPs of ours knows by itself how fast it may go, until a provider complains: then it goes as slowly as
    one IP would."""
    factor = held.factor(None)
    if factor >= 1:
        return {}
    per_second = limits_of(session)[provider].messages_per_minute / SECONDS_PER_MINUTE * factor
    return {Bucket(f"chaski:rate:held:{relay_id}:{provider}", per_second): WaitCause.PROVIDER_SLOWED}


FACTS = """
    SELECT c.stream, c.rate_per_hour AS campaign_rate, p.id AS panel_id, p.rate_per_hour AS panel_rate,
           (SELECT r.rate_per_hour FROM relay r WHERE r.id = :relay) AS relay_rate
    FROM campaign c JOIN panel p ON p.id = c.panel_id WHERE c.id = :campaign
"""


def _by_ip(session: AnySession, ips: list[EgressCandidate], provider: str, held: Standing) -> dict[int, list[Limit]]:
    if not ips:
        return {}
    limits, today = limits_of(session)[provider], datetime.now(UTC).date()
    used = _used_today(session, [ip.id for ip in ips if ip.warm_up_day is not None], provider, today)
    return {
        ip.id: list(_of_ip(ip, provider, limits, used.get(ip.id, 0), today, factor=held.factor(ip.id))) for ip in ips
    }


def _of_ip(ip: EgressCandidate, provider: str, limits: Limits, used: int, today: date, *, factor: float) -> list[Limit]:
    """``factor``: what the breaker leaves of the rate."""
    per_second = limits.messages_per_minute / SECONDS_PER_MINUTE * factor
    found: list[Limit] = [Bucket(f"chaski:rate:ip:{ip.id}:{provider}", per_second)]
    if ip.rate_per_hour is not None:
        found.append(Bucket(f"chaski:rate:ip:{ip.id}", ip.rate_per_hour / SECONDS_PER_HOUR))
    if ip.warm_up_day is not None and ip.warm_up_day <= len(limits.warm_up_caps):
        cap = limits.warm_up_caps[ip.warm_up_day - 1]
        found.append(DayCap(f"chaski:warm-up:{ip.id}:{provider}:{today}", cap, used))
    return found


def _used_today(session: AnySession, warming: list[int], provider: str, today: date) -> dict[int, int]:
    if not warming:
        return {}
    rows = session.execute(text(USED), {"ips": warming, "provider": provider, "day": today})
    return {row.egress_ip_id: row.submitted for row in rows}


USED = """
    SELECT egress_ip_id, submitted FROM egress_use
    WHERE egress_ip_id = ANY(:ips) AND provider = :provider AND day = :day
"""
