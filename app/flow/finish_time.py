"""When a campaign will have been tried once for everybody, before it is scheduled and while it runs: the facts for
:mod:`app.flow.forecasting`, and who else sends through the same relay at that time."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import Integer, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from app.flow import pace
from app.flow.egress.choosing import EgressCandidate, candidates
from app.flow.forecasting import ColdIps, Conditions, Forecast, Lane, Limiting, forecast
from app.flow.providers import limits_of
from app.flow.sessions import AnySession
from app.mail.mailbox_providers import OTHER, Limits, provider_of_domain
from app.models import Campaign, Panel, PanelMode

SPEED_DAYS = 7
"""Samples of so many days tell how fast this installation sends."""
SECONDS_PER_HOUR, SECONDS_PER_MINUTE = 3600, 60


@dataclass(frozen=True, kw_only=True)
class Clash:
    """Another panel's campaign through the same relay at the same time: by its panel and time, never its content."""

    panel_name: str
    begins_at: datetime
    is_running: bool
    ends_at: datetime | None
    """When ours would end with both under way."""


@dataclass(frozen=True, kw_only=True)
class FinishTime:
    people: int
    forecast: Forecast | None
    """None: nothing is known that would limit it, no speed either."""
    clashes: list[Clash]


def finish_time(session: AnySession, campaign: Campaign, *, now: datetime, at: datetime | None = None) -> FinishTime:
    """``at``: when it would begin; at once where empty or past."""
    begins_at = max(now, at or now)
    panel = session.get_one(Panel, campaign.panel_id)
    people = people_left(session, campaign) if campaign.audience_frozen_at else people_of_lists(session, campaign)
    conditions = conditions_of(session, campaign, panel, people, begins_at=begins_at, now=now)
    found = forecast(people, conditions, begins_at=begins_at)
    clashes = clashes_of(session, panel, people, conditions, found, begins_at=begins_at, now=now) if found else []
    return FinishTime(people=sum(people.values()), forecast=found, clashes=clashes)


# Who is left.


def people_left(session: AnySession, campaign: Campaign) -> dict[str, int]:
    """Of a frozen audience, by provider."""
    return {one.provider: one.waiting for one in pace.by_provider(session, campaign.id) if one.waiting}


def people_of_lists(session: AnySession, campaign: Campaign) -> dict[str, int]:
    """Before it is frozen: whose provider nobody found yet, and whose name doesn't tell, counts among the others."""
    statement = text(PEOPLE).bindparams(bindparam("lists", type_=ARRAY(Integer)))
    lists = [row.id for row in campaign.lists]
    found: Counter[str] = Counter()
    for provider, domain, people in session.execute(statement, {"lists": lists, "panel": campaign.panel_id}):
        found[provider or provider_of_domain(domain) or OTHER] += people
    return dict(found)


PEOPLE = """
    SELECT m.provider, CASE WHEN m.provider IS NULL THEN c.domain END AS domain, count(*) AS people
    FROM (SELECT DISTINCT contact_id FROM subscription WHERE list_id = ANY(:lists) AND status = 'subscribed') s
    JOIN contact c ON c.id = s.contact_id AND c.panel_id = :panel
    LEFT JOIN mail_domain m ON m.domain = c.domain
    WHERE NOT EXISTS (SELECT FROM suppression x WHERE x.email = c.email AND (x.panel_id = :panel OR x.panel_id IS NULL))
    GROUP BY 1, 2
"""


# How fast it may go.


def conditions_of(
    session: AnySession,
    campaign: Campaign,
    panel: Panel,
    people: Mapping[str, int],
    *,
    begins_at: datetime,
    now: datetime,
) -> Conditions:
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
    lanes = None if ips is None else _lanes(session, ips, people, begins_at=begins_at, now=now)
    return Conditions(common=common, lanes=lanes)


def measured_speed(session: AnySession, panel: Panel) -> float | None:
    """Answers a second of campaigns through the panel's relay in the last days, when they went well (nine of ten looks
    were slower); None: none ran."""
    speed = session.scalar(text(SPEED), {"relay": _relay_id(panel), "days": SPEED_DAYS})
    return float(speed) if speed else None


def _relay_id(panel: Panel) -> int:
    """0: the practice relay."""
    return panel.relay_id or 0 if panel.mode is PanelMode.REAL else 0


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


def _lanes(
    session: AnySession, ips: list[EgressCandidate], people: Mapping[str, int], *, begins_at: datetime, now: datetime
) -> dict[str, Lane]:
    limits = limits_of(session)
    today = now.astimezone(UTC).date()
    days_ahead = (begins_at.astimezone(UTC).date() - today).days
    used = _used(session, ips, today) if days_ahead == 0 else {}
    return {one: _lane(ips, limits[one], days_ahead, used.get(one, {})) for one in {*people, *limits}}


def _lane(ips: list[EgressCandidate], limits: Limits, days_ahead: int, used: Mapping[int, int]) -> Lane:
    """``used``: today, by IP."""
    cold: dict[int, list[EgressCandidate]] = {}
    for ip in ips:
        if ip.warm_up_day is not None and ip.warm_up_day + days_ahead <= len(limits.warm_up_caps):
            cold.setdefault(ip.warm_up_day + days_ahead, []).append(ip)
    groups = tuple(
        ColdIps(ips=len(group), caps=limits.warm_up_caps[day - 1 :], used=sum(used.get(ip.id, 0) for ip in group))
        for day, group in sorted(cold.items())
    )
    warm = len(ips) - sum(group.ips for group in groups)
    return Lane(per_ip=limits.messages_per_minute / SECONDS_PER_MINUTE, warm_ips=warm, cold=groups)


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


def clashes_of(
    session: AnySession,
    panel: Panel,
    people: Mapping[str, int],
    conditions: Conditions,
    alone: Forecast,
    *,
    begins_at: datetime,
    now: datetime,
) -> list[Clash]:
    """Campaigns of other panels that are under way between the begin of ours and its end."""
    facts = {"relay": _relay_id(panel), "panel": panel.id, "until": alone.ends_at or datetime.max.replace(tzinfo=UTC)}
    found = []
    for row in session.execute(text(OTHERS), facts):
        theirs = _like(people, row.people)
        their_begin = max(now, row.begins_at)
        their_end = forecast(theirs, conditions, begins_at=their_begin)
        if theirs and (their_end is None or their_end.ends_at is None or their_end.ends_at > begins_at):
            found.append(_clash(row, panel, people, theirs, conditions, begins_at))
    return found


def _clash(
    row: Any,
    panel: Panel,
    ours: Mapping[str, int],
    theirs: Mapping[str, int],
    conditions: Conditions,
    begins_at: datetime,
) -> Clash:
    """Both share by weight while both run; ours ends at the latest when everything of both is through."""
    part = panel.weight / (panel.weight + row.weight)
    shared = replace(conditions, common={name: rate * part for name, rate in conditions.common.items()})
    if conditions.lanes is not None:
        lanes = {name: replace(lane, per_ip=lane.per_ip * part) for name, lane in conditions.lanes.items()}
        shared = replace(shared, lanes=lanes)
    both = {name: ours.get(name, 0) + theirs.get(name, 0) for name in {*ours, *theirs}}
    ends = [forecast(ours, shared, begins_at=begins_at), forecast(both, conditions, begins_at=begins_at)]
    known = [one.ends_at for one in ends if one and one.ends_at]
    return Clash(
        panel_name=row.name,
        begins_at=row.begins_at,
        is_running=row.is_running,
        ends_at=min(known, default=None),
    )


def _like(people: Mapping[str, int], count: int) -> dict[str, int]:
    """As many people, spread over the providers as ours: whose theirs are is not ours to know."""
    total = sum(people.values())
    return {name: round(count * part / total) for name, part in people.items()} if total and count else {}


OTHERS = """
    SELECT p.name, p.weight, c.status <> 'scheduled' AS is_running,
           coalesce(c.started_at, c.scheduled_at) AS begins_at,
           CASE WHEN c.status = 'sending'
                THEN (SELECT coalesce(sum(b.planned + b.sending), 0) FROM batch b WHERE b.campaign_id = c.id)
                ELSE (SELECT count(*) FROM subscription s JOIN campaign_list l ON l.list_id = s.list_id
                      WHERE l.campaign_id = c.id AND s.status = 'subscribed') END AS people
    FROM campaign c JOIN panel p ON p.id = c.panel_id
    WHERE p.id <> :panel AND CASE WHEN p.mode = 'real' THEN p.relay_id ELSE 0 END = :relay
      AND (c.status IN ('preparing', 'sending') OR (c.status = 'scheduled' AND c.scheduled_at < :until))
    ORDER BY begins_at, c.id LIMIT 20
"""
