"""What pages show of a relay's queue. Everything is of the last snapshot; ``state`` says how old that is."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Integer, Select, and_, cast, func, select
from sqlalchemy.dialects.postgresql import ARRAY

from app.flow.sessions import AnySession
from app.models import Campaign, EgressIp, Panel, RelayQueue, RelayQueueMail

STALE_AFTER_SECONDS = 30
"""The agent speaks every few seconds; after so long, it is silent."""
AGES_SECONDS = (300, 1800, 2 * 3600, 12 * 3600, 86400, 3 * 86400)
"""Where one age ends and the next begins."""
MOST_CAMPAIGNS = 20


@dataclass(frozen=True, kw_only=True)
class QueueFilter:
    """Which mails; an empty field asks for nothing."""

    queue: str = ""
    ip_id: int | None = None
    """0: those that carry none of our IPs."""
    provider: str = ""
    reason: str = ""
    """A ``Reason``; ``none`` for those that were not tried yet."""
    campaign_id: int | None = None
    """0: foreign mail."""

    @property
    def is_empty(self) -> bool:
        return self == QueueFilter()


@dataclass(frozen=True)
class QueueState:
    seen_at: datetime
    total: int
    unreadable: int
    age: timedelta

    @property
    def is_stale(self) -> bool:
        return self.age.total_seconds() > STALE_AFTER_SECONDS


def state(session: AnySession, relay_id: int) -> QueueState | None:
    """None where no agent ever told what lies there."""
    told = select(RelayQueue.seen_at, RelayQueue.total, RelayQueue.unreadable, func.now().label("now"))
    row = session.execute(told.where(RelayQueue.relay_id == relay_id, RelayQueue.seen_at.is_not(None))).one_or_none()
    return QueueState(row.seen_at, row.total, row.unreadable, row.now - row.seen_at) if row else None


def condition(relay_id: int, chosen: QueueFilter) -> ColumnElement[bool]:
    mail = RelayQueueMail
    parts: list[ColumnElement[bool]] = [mail.relay_id == relay_id]
    if chosen.queue:
        parts.append(mail.queue == chosen.queue)
    if chosen.ip_id is not None:
        parts.append(mail.egress_ip_id == chosen.ip_id if chosen.ip_id else mail.egress_ip_id.is_(None))
    if chosen.provider:
        parts.append(mail.provider == chosen.provider)
    if chosen.reason:
        parts.append(mail.reason_kind == ("" if chosen.reason == "none" else chosen.reason))
    if chosen.campaign_id is not None:
        parts.append(mail.campaign_id == chosen.campaign_id if chosen.campaign_id else mail.campaign_id.is_(None))
    return and_(*parts)


def mails(relay_id: int, chosen: QueueFilter) -> Select[Any]:
    """``RelayQueueMail``, to be paged by its queue id."""
    return select(RelayQueueMail).where(condition(relay_id, chosen))


@dataclass(frozen=True)
class Group:
    """``key``: what to filter by; ``name``: what it is called, where the data knows that."""

    key: Any
    name: str
    mails: int
    oldest: datetime


@dataclass(frozen=True, kw_only=True)
class Figures:
    mails: int
    oldest: datetime | None
    queues: list[Group]
    ips: list[Group]
    providers: list[Group]
    reasons: list[Group]
    campaigns: list[Group]
    """``name``: panel and campaign; at most ``MOST_CAMPAIGNS``, the largest first."""
    ages: list[int]
    """One number more than ``AGES_SECONDS``: the last is what is older than all."""


def figures(session: AnySession, relay_id: int, chosen: QueueFilter) -> Figures:
    mail, where = RelayQueueMail, condition(relay_id, chosen)
    total = session.execute(select(func.count(), func.min(mail.arrived_at)).where(where)).one()
    return Figures(
        mails=total[0],
        oldest=total[1],
        queues=_groups(session, where, mail.queue),
        ips=_ips(session, where),
        providers=_groups(session, where, mail.provider),
        reasons=_groups(session, where, mail.reason_kind),
        campaigns=_campaigns(session, where),
        ages=_ages(session, where),
    )


def _groups(session: AnySession, where: ColumnElement[bool], column: Any) -> list[Group]:
    told = select(column, func.count(), func.min(RelayQueueMail.arrived_at)).where(where).group_by(column)
    return [
        Group(key, "", number, oldest) for key, number, oldest in session.execute(told.order_by(func.count().desc()))
    ]


def _ips(session: AnySession, where: ColumnElement[bool]) -> list[Group]:
    mail = RelayQueueMail
    told = (
        select(mail.egress_ip_id, func.max(EgressIp.address), func.count(), func.min(mail.arrived_at))
        .outerjoin(EgressIp, EgressIp.id == mail.egress_ip_id)
        .where(where)
        .group_by(mail.egress_ip_id)
        .order_by(func.count().desc())
    )
    return [Group(key or 0, name or "", number, oldest) for key, name, number, oldest in session.execute(told)]


def _campaigns(session: AnySession, where: ColumnElement[bool]) -> list[Group]:
    mail = RelayQueueMail
    told = (
        select(mail.campaign_id, func.max(Panel.name), func.max(Campaign.name), func.count(), func.min(mail.arrived_at))
        .outerjoin(Campaign, Campaign.id == mail.campaign_id)
        .outerjoin(Panel, Panel.id == Campaign.panel_id)
        .where(where)
        .group_by(mail.campaign_id)
        .order_by(func.count().desc())
        .limit(MOST_CAMPAIGNS)
    )
    return [
        Group(key or 0, f"{panel} · {name}" if key else "", number, oldest)
        for key, panel, name, number, oldest in session.execute(told)
    ]


def _ages(session: AnySession, where: ColumnElement[bool]) -> list[int]:
    age = func.extract("epoch", func.now() - RelayQueueMail.arrived_at)
    bounds = cast(list(AGES_SECONDS), ARRAY(Integer))
    bucket = func.width_bucket(cast(age, Integer), bounds)
    found: dict[int, int] = dict(
        session.execute(select(bucket, func.count()).where(where).group_by(bucket)).tuples().all()
    )
    return [found.get(number, 0) for number in range(len(AGES_SECONDS) + 1)]


def addresses(session: AnySession, ip_ids: Iterable[int | None]) -> dict[int, str]:
    """What the IPs of some mails are called."""
    wanted = [one for one in ip_ids if one is not None]
    return dict(session.execute(select(EgressIp.id, EgressIp.address).where(EgressIp.id.in_(wanted))).tuples().all())


@dataclass(frozen=True)
class CampaignShare:
    mails: int
    oldest: datetime


def of_campaign(session: AnySession, panel_id: int, campaign_id: int) -> CampaignShare | None:
    """How many mails of the campaign lie in relays' queues; None where there are none, or no relay told lately."""
    mail = RelayQueueMail
    told = (
        select(func.count(), func.min(mail.arrived_at))
        .join(RelayQueue, RelayQueue.relay_id == mail.relay_id)
        .where(mail.campaign_id == campaign_id, mail.panel_id == panel_id)
        .where(RelayQueue.seen_at > func.now() - timedelta(seconds=STALE_AFTER_SECONDS))
    )
    number, oldest = session.execute(told).one()
    return CampaignShare(number, oldest) if number else None
