"""Who got it, who did not, and why: the deliveries of a campaign, one by one, as a list, a page and a file."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, or_, select, text

from app.config import Settings
from app.flow import composing, practice, reports
from app.flow.reconciling import PRACTICE_RELAY_ID
from app.flow.sessions import AnySession
from app.flow.slices import in_slices
from app.mail.addresses import domain_of
from app.mail.relay_report import ARRIVAL_SIGHTINGS
from app.mail.tokens import make_token, message_id
from app.models import (
    Attempt,
    Batch,
    Campaign,
    CampaignLink,
    Contact,
    Delivery,
    DeliveryStatus,
    EgressIp,
    Engagement,
    Event,
    EventKind,
    RelayOutcome,
)

FILTERS: dict[str, tuple[DeliveryStatus, ...]] = {
    "waiting": (DeliveryStatus.PLANNED, DeliveryStatus.SENDING),
    "accepted": (DeliveryStatus.ACCEPTED, DeliveryStatus.DELIVERED),
    "delivered": (DeliveryStatus.DELIVERED,),
    "deferred": (DeliveryStatus.DEFERRED,),
    "bounced": (DeliveryStatus.BOUNCED,),
    "failed": (DeliveryStatus.FAILED,),
    "skipped": (DeliveryStatus.SKIPPED,),
    "unknown": (DeliveryStatus.UNKNOWN,),
}
"""What a person can choose, with the statuses behind it; the figures of the live page link to these."""
REACTION_FILTERS = ("opened", "clicked", "left")
RARE = 10
"""A status is looked up through its batches where less than one delivery in so many has it."""


def recipients(
    session: AnySession, campaign: Campaign, *, chosen: str = "", query: str = ""
) -> Select[Delivery, Engagement]:
    """The campaign's deliveries with their engagement (or None), to be paged by ``Delivery.seq``."""
    same = and_(
        Engagement.frozen_on == Delivery.frozen_on,
        Engagement.campaign_id == Delivery.campaign_id,
        Engagement.seq == Delivery.seq,
    )
    statement = (
        select(Delivery, Engagement)
        .join(Engagement, same, isouter=chosen not in REACTION_FILTERS)
        .where(Delivery.frozen_on == campaign.frozen_on, Delivery.campaign_id == campaign.id)
    )
    if query:
        statement = statement.where(Delivery.email.contains(query.strip().lower(), autoescape=True))
    if chosen in FILTERS:
        return _with_status(session, campaign, statement, chosen)
    return _with_reaction(statement, chosen)


def _with_status(
    session: AnySession,
    campaign: Campaign,
    statement: Select[Delivery, Engagement],
    chosen: str,
) -> Select[Delivery, Engagement]:
    """A rare status is found through the counts of the batches, instead of reading a million rows for ten."""
    current = reports.counts(session, campaign.id)
    if getattr(current, chosen) * RARE < current.planned:
        statement = statement.join(
            Batch,
            and_(Batch.campaign_id == Delivery.campaign_id, Delivery.seq.between(Batch.first_seq, Batch.last_seq)),
        ).where(Batch.campaign_id == campaign.id, reports.STATUS_SUMS[chosen] > 0)
    return statement.where(Delivery.status.in_(FILTERS[chosen]))


def _with_reaction(statement: Select[Delivery, Engagement], chosen: str) -> Select[Delivery, Engagement]:
    if chosen == "opened":
        return statement.where(or_(Engagement.opens > 0, Engagement.clicks > 0))
    if chosen == "clicked":
        return statement.where(Engagement.clicks > 0)
    if chosen == "left":
        return statement.where(Engagement.unsubscribed_at.is_not(None))
    return statement


@dataclass(frozen=True)
class Moment:
    """One thing that happened to a delivery. ``kind``: an event's; ``try`` with its outcome in ``what``; ``relay``, the same of
    what the relay did afterwards."""

    at: datetime
    kind: str
    what: str = ""
    code: int | None = None
    note: str = ""
    remote: str = ""
    """The recipient's host with its address."""
    source: str = ""
    """The IP of ours that it left by."""
    delay_seconds: float | None = None
    """Since the relay took it."""


@dataclass(frozen=True)
class Recipient:
    delivery: Delivery
    contact: Contact | None
    """None: erased since."""
    engagement: Engagement | None
    timeline: list[Moment]


def recipient(session: AnySession, campaign: Campaign, seq: int, *, limit: int = 500) -> Recipient | None:
    """One recipient with all that happened, the oldest first; None where the campaign has no such delivery."""
    if campaign.frozen_on is None:
        return None
    key = (campaign.frozen_on, campaign.id, seq)
    delivery = session.get(Delivery, key)
    if delivery is None:
        return None
    contact = session.scalar(
        select(Contact).where(Contact.id == delivery.contact_id, Contact.panel_id == campaign.panel_id)
    )
    afterwards = list(_afterwards(session, delivery))
    tries = _tries(session, delivery, was_taken=bool(afterwards))
    moments = [*tries, *afterwards, *_events(session, campaign, seq, limit)]
    moments.sort(key=in_order)
    return Recipient(delivery, contact, session.get(Engagement, key), moments)


KIND_ORDER = ("try", "relay", *EventKind)


def in_order(moment: Moment) -> tuple[datetime, int]:
    """By the second, and within one as things can only have happened: tries in their order, then the relay, the open, the click,
    the leaving. The clocks behind them are those of several processes."""
    return moment.at.replace(microsecond=0), KIND_ORDER.index(moment.kind)


def captured_message(session: AnySession, settings: Settings, campaign: Campaign, delivery: Delivery) -> int | None:
    """The message in the practice mailbox that this delivery became; none where it went to a real relay, or was emptied
    away."""
    if delivery.relay_id != PRACTICE_RELAY_ID:
        return None
    token = make_token(composing.token_key(settings), campaign.id, delivery.seq)
    wanted = message_id(token, domain_of(campaign.from_email.lower()))
    return practice.rows_of(session, campaign.panel_id, [wanted]).get(wanted)


def _afterwards(session: AnySession, delivery: Delivery) -> Iterator[Moment]:
    """What the relay's log tells."""
    rows = session.execute(
        select(RelayOutcome, EgressIp.address)
        .join(EgressIp, EgressIp.id == RelayOutcome.egress_ip_id, isouter=True)
        .where(
            RelayOutcome.frozen_on == delivery.frozen_on,
            RelayOutcome.campaign_id == delivery.campaign_id,
            RelayOutcome.seq == delivery.seq,
            RelayOutcome.status.not_in(ARRIVAL_SIGHTINGS),
        )
        .order_by(RelayOutcome.at)
    )
    for row, source in rows:
        remote = f"{row.remote_host} [{row.remote_address}]" if row.remote_address else ""
        delay = row.delay_ms / 1000 if row.delay_ms is not None else None
        yield Moment(row.at, "relay", row.status, None, row.reply, remote, source or "", delay)


def _tries(session: AnySession, delivery: Delivery, *, was_taken: bool = False) -> Iterator[Moment]:
    attempts = session.scalars(
        select(Attempt)
        .where(
            Attempt.frozen_on == delivery.frozen_on,
            Attempt.campaign_id == delivery.campaign_id,
            Attempt.seq == delivery.seq,
        )
        .order_by(Attempt.attempt, Attempt.at)
    )
    heard_at = delivery.last_attempt_at
    for attempt in attempts:
        yield Moment(attempt.at, "try", attempt.outcome, attempt.reply_code, attempt.reply_text or "")
        heard_at = max(attempt.at, heard_at or attempt.at)
    if delivery.status in FILTERS["accepted"] and heard_at is not None:
        # Of the accepted try the beginning is known; one that was settled later ended behind all that was noted.
        yield Moment(heard_at, "try", DeliveryStatus.ACCEPTED, delivery.reply_code, delivery.reply_text or "")
    elif was_taken and delivery.status is DeliveryStatus.BOUNCED and heard_at is not None:
        yield Moment(heard_at, "try", DeliveryStatus.ACCEPTED)  # The refusal that came later took its answer's place.


def _events(session: AnySession, campaign: Campaign, seq: int, limit: int) -> Iterator[Moment]:
    urls = dict(
        session.execute(
            select(CampaignLink.position, CampaignLink.url).where(CampaignLink.campaign_id == campaign.id)
        ).all()
    )
    events = session.scalars(
        select(Event)
        .where(
            Event.campaign_id == campaign.id,
            Event.seq == seq,
            Event.occurred_at >= (campaign.started_at or campaign.created_at),
        )
        .order_by(Event.occurred_at)
        .limit(limit)
    )
    for event in events:
        url = urls.get(event.link, "") if event.link is not None else ""
        yield Moment(event.occurred_at, event.kind.value, url, None, event.user_agent)


@dataclass(frozen=True)
class Refusal:
    """One reason why deliveries ended as bounced or failed. ``reply`` has no addresses in it."""

    status: str
    code: int | None
    reply: str
    deliveries: int


def top_refusals(session: AnySession, campaign: Campaign, *, top: int = 10) -> list[Refusal]:
    """The commonest reasons, told apart by the replies without the addresses that relays put into them. Only batches
    that have some are looked into."""
    values = {"id": campaign.id, "frozen_on": campaign.frozen_on, "top": top}
    return [Refusal(*row) for row in session.execute(text(REFUSALS), values)]


REFUSALS = r"""
    SELECT d.status::text, d.reply_code,
           left(regexp_replace(coalesce(d.reply_text, ''), '<?[^[:space:]<>]+@[^[:space:]<>]+>?', '…', 'g'), 200) AS reply,
           count(*) AS deliveries
    FROM batch b JOIN delivery d ON d.frozen_on = b.frozen_on AND d.campaign_id = b.campaign_id
         AND d.seq BETWEEN b.first_seq AND b.last_seq
    WHERE b.campaign_id = :id AND b.bounced + b.failed > 0 AND d.frozen_on = :frozen_on
      AND d.status IN ('bounced', 'failed')
    GROUP BY 1, 2, 3 ORDER BY deliveries DESC, 2, 3 LIMIT :top
"""


def export_rows(session: AnySession, campaign: Campaign) -> Iterator[Any]:
    """Every delivery with its engagement, in the order of seq."""
    return in_slices(session, text(EXPORT), key="seq", values={"frozen_on": campaign.frozen_on, "id": campaign.id})


EXPORT = """
    SELECT d.seq, d.email, d.status::text AS status, d.skip_reason, d.attempts, d.first_attempt_at, d.last_attempt_at,
           d.reply_code, d.reply_text, coalesce(e.opens, 0) AS opens, coalesce(e.clicks, 0) AS clicks,
           e.first_open_at, e.first_click_at, e.unsubscribed_at
    FROM delivery d LEFT JOIN engagement e
         ON e.frozen_on = d.frozen_on AND e.campaign_id = d.campaign_id AND e.seq = d.seq
    WHERE d.frozen_on = :frozen_on AND d.campaign_id = :id AND d.seq > :after ORDER BY d.seq LIMIT :slice
"""
