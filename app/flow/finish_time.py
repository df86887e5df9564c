"""When a campaign will have been tried once for everybody, before it is scheduled and while it runs, and its retries after
that: the facts for :mod:`app.flow.forecasting`, and who else sends through the same relay at that time."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Integer, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from app.flow import pace
from app.flow.finish_conditions import Retries, conditions_of, like, measured_retries, relay_id_of
from app.flow.forecast_terms import Conditions, Forecast
from app.flow.forecasting import forecast
from app.flow.sessions import AnySession
from app.mail.mailbox_providers import OTHER, provider_of_domain
from app.models import Campaign, CanaryStage, MailStream, Panel


@dataclass(frozen=True, kw_only=True)
class Clash:
    """Another panel's campaign through the same relay at the same time: by its panel and time, never its content."""

    panel_name: str
    begins_at: datetime
    is_running: bool
    goes_first: bool
    """Theirs is urgent and ours is not: the forecast has waited for it already."""
    ends_at: datetime | None
    """When ours would end with both under way, where they share."""


@dataclass(frozen=True, kw_only=True)
class FinishTime:
    people: int
    """Not tried yet."""
    forecast: Forecast | None
    """None: nothing is known that would limit it, no speed either."""
    clashes: list[Clash]
    begins_at: datetime
    retries: Retries
    beside: int = 0
    """Campaigns of the same panel that share its pace."""
    rest_at: datetime | None = None
    """Where a part goes first: when the rest follows, if nothing speaks against it."""

    @property
    def retries_until(self) -> datetime | None:
        """When nine of ten of those deferred will have been through; None: nobody is, or it isn't known."""
        if self.forecast is None or self.forecast.ends_at is None or not self.retries.wait_seconds:
            return None
        return self.forecast.ends_at + timedelta(seconds=self.retries.wait_seconds)


def finish_time(session: AnySession, campaign: Campaign, *, now: datetime, at: datetime | None = None) -> FinishTime:
    """``at``: when it would begin; at once where empty or past."""
    begins_at = max(now, at or now)
    panel = session.get_one(Panel, campaign.panel_id)
    is_frozen = campaign.audience_frozen_at is not None
    people = people_left(session, campaign) if is_frozen else people_of_lists(session, campaign)
    retries = measured_retries(session, panel)
    mails = mails_for(people, retries, deferred(session, campaign) if is_frozen else {})
    conditions = conditions_of(session, campaign, panel, mails, now=now)
    rest_at, rest, part = _after_the_part(session, campaign, panel, mails, conditions, begins_at, now)
    found = _with_part(part, begins_at, rest_at, forecast(rest, conditions, begins_at=rest_at or begins_at, now=now))
    clashes = (
        clashes_of(session, campaign, panel, mails, conditions, found, begins_at=begins_at, now=now) if found else []
    )
    return FinishTime(
        people=sum(people.values()),
        forecast=found,
        clashes=clashes,
        begins_at=begins_at,
        retries=retries,
        beside=_beside(conditions, found),
        rest_at=rest_at,
    )


def _after_the_part(
    session: AnySession,
    campaign: Campaign,
    panel: Panel,
    mails: Mapping[str, float],
    conditions: Conditions,
    begins_at: datetime,
    now: datetime,
) -> tuple[datetime | None, Mapping[str, float], Forecast | None]:
    """When the rest of a campaign that goes to a part first follows, what that is, and how the part goes; else all of it, at
    no other time."""
    if campaign.canary_percent is None or campaign.canary_stage in (CanaryStage.PASSED, CanaryStage.HELD):
        return None, mails, None
    if campaign.canary_stage is CanaryStage.WATCHING:
        return campaign.canary_until, mails, None
    if campaign.canary_stage is CanaryStage.SENDING:
        rows = session.execute(text(PART_LEFT), {"id": campaign.id})
        part = {row.provider: min(float(row.waiting), mails.get(row.provider, 0.0)) for row in rows}
    else:
        part = {name: count * campaign.canary_percent / 100 for name, count in mails.items()}
    tried = forecast(part, conditions, begins_at=begins_at, now=now)
    if tried is None or tried.ends_at is None:
        return None, mails, None
    rest = {name: count - part.get(name, 0.0) for name, count in mails.items()}
    return tried.ends_at + timedelta(minutes=campaign.canary_minutes or panel.canary_minutes), rest, tried


def _with_part(
    part: Forecast | None, begins_at: datetime, rest_at: datetime | None, found: Forecast | None
) -> Forecast | None:
    """The end is that of the rest; where the part takes longer, what the part hangs on is what the whole hangs on."""
    if part is None or found is None or part.ends_at is None or found.ends_at is None or rest_at is None:
        return found
    if part.ends_at - begins_at <= found.ends_at - rest_at:
        return found
    return replace(part, ends_at=found.ends_at)


PART_LEFT = """
    SELECT provider, sum(planned + sending) AS waiting FROM batch WHERE campaign_id = :id AND is_canary GROUP BY 1
"""


def _beside(conditions: Conditions, found: Forecast | None) -> int:
    until = found.ends_at if found else None
    return sum(not one.is_ahead and (until is None or one.begins_at < until) for one in conditions.rivals)


def mails_for(people: Mapping[str, int], retries: Retries, waiting: Mapping[str, int]) -> dict[str, float]:
    """By provider: everybody once, those that will be deferred as often as usual again, those that are deferred now once."""
    found = {name: count * (1 + retries.extra) for name, count in people.items()}
    return {name: found.get(name, 0.0) + waiting.get(name, 0) for name in {*found, *waiting}}


# Who is left.


def people_left(session: AnySession, campaign: Campaign) -> dict[str, int]:
    """Of a frozen audience, by provider."""
    return {one.provider: one.waiting for one in pace.by_provider(session, campaign.id) if one.waiting}


def deferred(session: AnySession, campaign: Campaign) -> dict[str, int]:
    """Tried, and to be tried again, by provider."""
    return {one.provider: one.deferred for one in pace.by_provider(session, campaign.id) if one.deferred}


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


# Who else.


def clashes_of(
    session: AnySession,
    campaign: Campaign,
    panel: Panel,
    mails: Mapping[str, float],
    conditions: Conditions,
    alone: Forecast,
    *,
    begins_at: datetime,
    now: datetime,
) -> list[Clash]:
    """Campaigns of other panels that are under way between the begin of ours and its end. Bulk ones don't hold an urgent one
    up."""
    facts = {
        "relay": relay_id_of(panel),
        "panel": panel.id,
        "until": alone.ends_at or datetime.max.replace(tzinfo=UTC),
        "streams": [MailStream.URGENT.value, campaign.stream.value],
    }
    found = []
    for row in session.execute(text(OTHERS), facts):
        theirs = like(mails, row.people)
        their_end = forecast(theirs, conditions, begins_at=max(now, row.begins_at), now=now)
        if theirs and (their_end is None or their_end.ends_at is None or their_end.ends_at > begins_at):
            goes_first = row.is_urgent and campaign.stream is not MailStream.URGENT
            ends_at = None if goes_first else _end_with(row, panel, mails, theirs, conditions, begins_at, now)
            found.append(
                Clash(
                    panel_name=row.name,
                    begins_at=row.begins_at,
                    is_running=row.is_running,
                    goes_first=goes_first,
                    ends_at=ends_at,
                )
            )
    return found


def _end_with(
    row: Any,
    panel: Panel,
    ours: Mapping[str, float],
    theirs: Mapping[str, float],
    conditions: Conditions,
    begins_at: datetime,
    now: datetime,
) -> datetime | None:
    """Both share by weight while both run; ours ends at the latest when everything of both is through."""
    part = panel.weight / (panel.weight + row.weight)
    shared = replace(conditions, common={name: rate * part for name, rate in conditions.common.items()})
    if conditions.lanes is not None:
        lanes = {name: replace(lane, per_ip=lane.per_ip * part) for name, lane in conditions.lanes.items()}
        shared = replace(shared, lanes=lanes)
    both = {name: ours.get(name, 0) + theirs.get(name, 0) for name in {*ours, *theirs}}
    ends = [forecast(one, by, begins_at=begins_at, now=now) for one, by in ((ours, shared), (both, conditions))]
    return min((one.ends_at for one in ends if one and one.ends_at), default=None)


OTHERS = """
    SELECT p.name, p.weight, c.stream = 'urgent' AS is_urgent, c.status <> 'scheduled' AS is_running,
           coalesce(c.started_at, c.scheduled_at) AS begins_at,
           CASE WHEN c.status = 'sending'
                THEN (SELECT coalesce(sum(b.planned + b.sending), 0) FROM batch b WHERE b.campaign_id = c.id)
                ELSE (SELECT count(*) FROM subscription s JOIN campaign_list l ON l.list_id = s.list_id
                      WHERE l.campaign_id = c.id AND s.status = 'subscribed') END AS people
    FROM campaign c JOIN panel p ON p.id = c.panel_id
    WHERE p.id <> :panel AND c.stream = ANY(:streams) AND CASE WHEN p.mode = 'real' THEN p.relay_id ELSE 0 END = :relay
      AND (c.status IN ('preparing', 'sending') OR (c.status = 'scheduled' AND c.scheduled_at < :until))
    ORDER BY begins_at, c.id LIMIT 20
"""
