"""What a forecast reckons with: speed and retries as measured, limits, warm-up, holds of the breaker, who else sends."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from sqlalchemy import select, text

from app.flow.breaker.phases import Phase, ends_at, factor, is_watch, phase
from app.flow.egress.choosing import EgressCandidate, candidates
from app.flow.forecast_terms import Conditions, HoldStep, IpGroup, Lane, Limiting, Rival
from app.flow.providers import limits_of
from app.flow.sessions import AnySession
from app.mail.backoff import recovery
from app.mail.mailbox_providers import Limits
from app.models import Campaign, MailStream, Panel, PanelMode, ProviderHold

MEASURED_DAYS = 7
"""The last days tell how fast this installation sends, and how much of it is deferred."""
SECONDS_PER_HOUR, SECONDS_PER_MINUTE = 3600, 60


def relay_id_of(panel: Panel) -> int:
    """0: the practice relay."""
    return panel.relay_id or 0 if panel.mode is PanelMode.REAL else 0


def conditions_of(
    session: AnySession, campaign: Campaign, panel: Panel, people: Mapping[str, float], *, now: datetime
) -> Conditions:
    """As of today; ``people``: whose mail it is about, by provider."""
    relay = panel.relay if panel.mode is PanelMode.REAL else None
    common = {
        limiting: rate / SECONDS_PER_HOUR
        for limiting, rate in (
            (Limiting.RELAY_RATE, relay.rate_per_hour if relay else None),
            (Limiting.PANEL_RATE, panel.rate_per_hour),
            (Limiting.CAMPAIGN_RATE, campaign.rate_per_hour),
        )
        if rate is not None
    }
    speed = measured_speed(session, panel)
    if speed is not None:
        common[Limiting.SPEED] = speed
    ips = candidates(session, relay.id, panel.id, campaign.stream) if relay else None
    if ips and all(ip.rate_per_hour for ip in ips):
        common[Limiting.IP_RATE] = sum(ip.rate_per_hour or 0 for ip in ips) / SECONDS_PER_HOUR
    held = _holds(session, relay.id, now) if relay else {}
    limits = limits_of(session)
    rivals = rivals_of(session, campaign, panel, people, now=now)
    if ips is None:
        lanes = {one: _relays_lane(held[one], limits[one], now) for one in people if one in held and one in limits}
        return Conditions(common=common, lanes=lanes or None, rivals=rivals)
    used = _used(session, ips, now.astimezone(UTC).date())
    providers = {*people, *(one for rival in rivals for one in rival.people)}
    lanes = {one: _lane(ips, limits[one], used.get(one, {}), held.get(one, []), now) for one in providers}
    return Conditions(common=common, lanes=lanes, rivals=rivals)


def measured_speed(session: AnySession, panel: Panel) -> float | None:
    """Answers a second of campaigns through the panel's relay in the last days, when they went well (nine of ten looks
    were slower); None: none ran."""
    speed = session.scalar(text(SPEED), {"relay": relay_id_of(panel), "days": MEASURED_DAYS})
    return float(speed) if speed else None


SPEED = """
    SELECT percentile_cont(0.9) WITHIN GROUP (ORDER BY answered / seconds) FROM (
        SELECT s.answered - lag(s.answered) OVER each AS answered,
               extract(epoch FROM s.at - lag(s.at) OVER each) AS seconds
        FROM campaign_sample s JOIN campaign c ON c.id = s.campaign_id JOIN panel p ON p.id = c.panel_id
        WHERE s.at > now() - make_interval(days => :days)
          AND CASE WHEN p.mode = 'real' THEN p.relay_id ELSE 0 END = :relay
        WINDOW each AS (PARTITION BY s.campaign_id ORDER BY s.at)
    ) looks WHERE answered > 0 AND seconds > 0.5
"""


@dataclass(frozen=True, kw_only=True)
class Retries:
    """Of the last days through the same relay."""

    share: float = 0.0
    """Of those tried, who was deferred at first."""
    extra: float = 0.0
    """Tries that ended in a deferral, for each one tried."""
    wait_seconds: float = 0.0
    """After so long, nine of ten of them were through."""


def measured_retries(session: AnySession, panel: Panel) -> Retries:
    found = session.execute(text(RETRIES), {"relay": relay_id_of(panel), "days": MEASURED_DAYS}).one()
    if not found.tried or not found.deferred:
        return Retries()
    return Retries(
        share=min(1.0, found.deferred / found.tried),
        extra=found.tries / found.tried,
        wait_seconds=float(found.wait_seconds or 0),
    )


# Of the newest campaigns only, and of the waits a sample: it is asked for while somebody looks at a page.
RETRIES = """
    WITH recent AS (
        SELECT c.id, c.frozen_on FROM campaign c JOIN panel p ON p.id = c.panel_id
        WHERE c.started_at > now() - make_interval(days => :days) AND c.frozen_on IS NOT NULL
          AND CASE WHEN p.mode = 'real' THEN p.relay_id ELSE 0 END = :relay
        ORDER BY c.started_at DESC LIMIT 10
    ), tries AS (
        SELECT a.frozen_on, a.campaign_id, a.seq, a.attempt FROM recent r
        JOIN attempt a ON a.frozen_on = r.frozen_on AND a.campaign_id = r.id AND a.outcome = 'deferred'
    ), waits AS (
        SELECT extract(epoch FROM d.last_attempt_at - d.first_attempt_at) AS seconds
        FROM (SELECT * FROM tries WHERE attempt = 1 LIMIT 5000) t
        JOIN delivery d ON d.frozen_on = t.frozen_on AND d.campaign_id = t.campaign_id AND d.seq = t.seq
        WHERE d.attempts > 1 AND d.status IN ('accepted', 'delivered', 'bounced')
    )
    SELECT (SELECT coalesce(sum(b.accepted + b.delivered + b.bounced + b.deferred + b.failed), 0)
            FROM batch b JOIN recent r ON r.id = b.campaign_id) AS tried,
           (SELECT count(*) FROM tries) AS tries, (SELECT count(*) FROM tries WHERE attempt = 1) AS deferred,
           (SELECT percentile_cont(0.9) WITHIN GROUP (ORDER BY seconds) FROM waits) AS wait_seconds
"""


# IPs.


def _lane(
    ips: Sequence[EgressCandidate], limits: Limits, used: Mapping[int, int], holds: list[ProviderHold], now: datetime
) -> Lane:
    """``used``: today, by IP. ``holds``: of the provider."""
    groups: dict[tuple[int | None, tuple[HoldStep, ...]], list[EgressCandidate]] = {}
    for ip in ips:
        is_cold = ip.warm_up_day is not None and ip.warm_up_day <= len(limits.warm_up_caps)
        steps = steps_of([hold for hold in holds if hold.egress_ip_id in (None, ip.id)], now)
        groups.setdefault((ip.warm_up_day if is_cold else None, steps), []).append(ip)
    warm = groups.pop((None, ()), [])
    return Lane(
        per_ip=limits.messages_per_minute / SECONDS_PER_MINUTE,
        warm_ips=len(warm),
        groups=tuple(
            IpGroup(
                ips=len(group),
                caps=limits.warm_up_caps[day - 1 :] if day else (),
                used=sum(used.get(ip.id, 0) for ip in group) if day else 0,
                steps=steps,
            )
            for (day, steps), group in groups.items()
        ),
    )


def _relays_lane(holds: list[ProviderHold], limits: Limits, now: datetime) -> Lane:
    """A relay without IPs of ours goes as slowly as one IP would, while a provider holds it."""
    steps = steps_of([hold for hold in holds if hold.egress_ip_id is None], now)
    return Lane(
        per_ip=limits.messages_per_minute / SECONDS_PER_MINUTE,
        warm_ips=0,
        groups=(IpGroup(ips=1, steps=steps),),
        free_from=steps[-1].until if steps else now,
    )


def steps_of(holds: Sequence[ProviderHold], now: datetime) -> tuple[HoldStep, ...]:
    """What these holds together leave of the rate, from now on. Pure."""
    moments = sorted({moment for hold in holds if not is_watch(hold) for moment in _changes(hold) if moment > now})
    begins = [now, *moments[:-1]] if moments else []
    return tuple(
        HoldStep(until=until, factor=min(factor(hold, begin) for hold in holds))
        for begin, until in zip(begins, moments, strict=True)
    )


def _changes(hold: ProviderHold) -> list[datetime]:
    count = recovery().steps_from(hold.factor)
    return [*(hold.until + n * recovery().step for n in range(count)), ends_at(hold)]


def _holds(session: AnySession, relay_id: int, now: datetime) -> dict[str, list[ProviderHold]]:
    """Those in force, by provider."""
    rows = session.scalars(
        select(ProviderHold)
        .where(ProviderHold.relay_id == relay_id, ProviderHold.lifted_at.is_(None))
        .execution_options(populate_existing=True)
    )
    found: dict[str, list[ProviderHold]] = {}
    for hold in rows:
        if phase(hold, now) not in (Phase.ENDED, Phase.WATCHED):
            found.setdefault(hold.provider, []).append(hold)
    return found


def _used(session: AnySession, ips: list[EgressCandidate], today: date) -> dict[str, dict[int, int]]:
    rows = session.execute(
        text("SELECT provider, egress_ip_id, submitted FROM egress_use WHERE day = :day AND egress_ip_id = ANY(:ips)"),
        {"day": today, "ips": [ip.id for ip in ips]},
    )
    found: dict[str, dict[int, int]] = {}
    for provider, ip_id, submitted in rows:
        found.setdefault(provider, {})[ip_id] = submitted
    return found


# Who else.


def rivals_of(
    session: AnySession, campaign: Campaign, panel: Panel, people: Mapping[str, float], *, now: datetime
) -> list[Rival]:
    """Urgent campaigns of anybody at the same relay, where this one isn't; and what else its panel sends in its lane."""
    facts = {
        "id": campaign.id,
        "panel": panel.id,
        "relay": relay_id_of(panel),
        "is_bulk": campaign.stream is MailStream.BULK,
        "stream": campaign.stream.value,
    }
    found = []
    for row in session.execute(text(RIVALS), facts):
        theirs = dict(row.by_provider) if row.by_provider else like(people, row.people)
        if theirs:
            found.append(Rival(people=theirs, begins_at=max(now, row.begins_at or now), is_ahead=row.is_ahead))
    return found


def like(people: Mapping[str, float], count: int) -> dict[str, int]:
    """As many people, spread over the providers as ours: whose theirs are is not ours to know."""
    total = sum(people.values())
    return {name: round(count * part / total) for name, part in people.items()} if total and count else {}


RIVALS = """
    SELECT CASE WHEN c.status = 'scheduled' THEN c.scheduled_at END AS begins_at, c.stream = 'urgent' AND :is_bulk AS is_ahead,
           CASE WHEN c.status = 'sending' THEN (
               SELECT jsonb_object_agg(provider, waiting) FROM (
                   SELECT b.provider, sum(b.planned + b.sending) AS waiting FROM batch b
                   WHERE b.campaign_id = c.id GROUP BY 1) left_ WHERE waiting > 0) END AS by_provider,
           CASE WHEN c.status = 'sending' THEN 0
                ELSE (SELECT count(DISTINCT s.contact_id) FROM subscription s JOIN campaign_list l ON l.list_id = s.list_id
                      WHERE l.campaign_id = c.id AND s.status = 'subscribed') END AS people
    FROM campaign c JOIN panel p ON p.id = c.panel_id
    WHERE c.id <> :id AND c.status IN ('preparing', 'sending', 'scheduled')
      AND CASE WHEN p.mode = 'real' THEN p.relay_id ELSE 0 END = :relay
      AND ((p.id = :panel AND c.stream = :stream) OR (:is_bulk AND c.stream = 'urgent'))
    ORDER BY begins_at NULLS FIRST, c.id LIMIT 20
"""
