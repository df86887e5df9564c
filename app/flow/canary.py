"""A part of a campaign goes out first, and the rest waits until that part has proved harmless.

The part is the first batches of each mailbox provider, so that every provider is asked. When all of it was tried, the rest
waits for some minutes more, in which late refusals and complaints come in; if at any moment too many of those tried were
refused, or called it spam, the campaign pauses itself and says why. Resuming it is a person's word that the rest may go.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row, text

from app.flow import bell
from app.flow.sessions import AnySession
from app.logs import get_logger
from app.models import CAMPAIGN_TRANSITIONS, CampaignStatus, CanaryStage, PauseReason, coded, sources_of

log = get_logger(__name__)

SMALLEST_SAMPLE = 50
"""Fewer say nothing while it goes on; at its end whatever was tried has to do."""
FEWEST = {"bounced": 5, "failed": 5, "deferred": 5, "complained": 3}
"""So many at least hold the rest, whatever their share: three of twenty may be chance."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """In per cent: more of it holds the rest."""

    bounced: float
    deferred: float
    complained: float

    @property
    def failed(self) -> float:
        """What could not be made, or was refused because of us, speaks against the rest as much as bounces do."""
        return self.bounced


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Of the batches that went first."""

    tried: int = 0
    accepted: int = 0
    bounced: int = 0
    failed: int = 0
    deferred: int = 0
    complained: int = 0
    """Recipients, each once."""
    to_try: int = 0

    def of(self, what: str) -> int:
        """What a count is a share of: only who got a mail can complain of it."""
        return self.accepted if what == "complained" else self.tried

    def trouble(self, limits: Limits, *, is_complete: bool) -> str:
        """What speaks against the rest, as `PauseReason.CANARY` keeps it; empty: nothing."""
        if self.tried < SMALLEST_SAMPLE and not is_complete:
            return ""
        return "; ".join(self._over(limits, is_complete=is_complete))

    def _over(self, limits: Limits, *, is_complete: bool) -> Iterator[str]:
        for what, fewest in FEWEST.items():
            count, whole, limit = getattr(self, what), self.of(what), getattr(limits, what)
            # Until the end, what was deferred is being tried again.
            is_counted = is_complete or what != "deferred"
            if is_counted and count >= fewest and 100 * count > limit * whole:
                yield f"{what} {count} {whole} {limit:g}"


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where a campaign's part stands, against what."""

    campaign_id: int
    stage: CanaryStage
    until: datetime | None
    minutes: int
    figures: Figures
    limits: Limits


def batch_size_for(percent: int | None, expected: int, batch_size: int) -> int:
    """Small enough that a part of the audience is not more than was asked for, as far as whole batches can say it."""
    if percent is None:
        return batch_size
    return max(10, min(batch_size, expected * percent // 100 // 4))


def begin(session: AnySession, campaign_id: int) -> None:
    """Choose the part, when the audience is frozen. Commits nothing."""
    session.execute(text(CHOOSE), {"id": campaign_id})
    session.execute(
        text("UPDATE campaign SET canary_stage = 'sending' WHERE id = :id AND canary_percent IS NOT NULL"),
        {"id": campaign_id},
    )


CHOOSE = """
    UPDATE batch SET is_canary = true FROM (
        SELECT b.id, row_number() OVER (PARTITION BY b.provider ORDER BY b.first_seq)
                     <= ceil(count(*) OVER (PARTITION BY b.provider) * c.canary_percent / 100.0) AS goes_first
        FROM batch b JOIN campaign c ON c.id = b.campaign_id
        WHERE c.id = :id AND c.canary_percent IS NOT NULL AND b.status <> 'done'
    ) part WHERE batch.id = part.id AND part.goes_first
"""


def look(session: AnySession, *, now: datetime | None = None) -> None:
    """At every campaign whose part is on its way. For the dispatcher's sweep. Commits."""
    now = now or datetime.now(UTC)
    for row in session.execute(text(STANDING.format(which=OPEN))).all():
        _judge(session, _standing(row), now)
        session.commit()


def standing(session: AnySession, campaign_id: int) -> Standing | None:
    """Of one campaign, while its part is on its way or watched."""
    row = session.execute(text(STANDING.format(which=f"{OPEN} AND c.id = :id")), {"id": campaign_id}).one_or_none()
    return _standing(row) if row else None


OPEN = "c.status = 'sending' AND c.canary_stage IN ('sending', 'watching')"

STANDING = """
    SELECT c.id, c.canary_stage, c.canary_until, coalesce(c.canary_minutes, p.canary_minutes) AS minutes,
           coalesce(c.canary_bounced_percent, p.canary_bounced_percent) AS most_bounced,
           coalesce(c.canary_deferred_percent, p.canary_deferred_percent) AS most_deferred,
           coalesce(c.canary_complained_percent, p.canary_complained_percent) AS most_complained,
           part.*, complaints.*
    FROM campaign c JOIN panel p ON p.id = c.panel_id
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(b.accepted + b.delivered + b.bounced + b.failed + b.deferred), 0) AS tried,
               coalesce(sum(b.accepted + b.delivered), 0) AS accepted,
               coalesce(sum(b.bounced), 0) AS bounced, coalesce(sum(b.failed), 0) AS failed,
               coalesce(sum(b.deferred), 0) AS deferred,
               coalesce(sum(b.planned + b.sending), 0) AS to_try
        FROM batch b WHERE b.campaign_id = c.id AND b.is_canary
    ) part
    CROSS JOIN LATERAL (
        SELECT count(DISTINCT e.seq) AS complained
        FROM event e JOIN batch b ON b.campaign_id = e.campaign_id AND e.seq BETWEEN b.first_seq AND b.last_seq
        WHERE e.campaign_id = c.id AND e.kind = 'complaint' AND b.is_canary
    ) complaints
    WHERE {which} ORDER BY c.id
"""


def _standing(row: Row[*tuple[Any, ...]]) -> Standing:
    counted = ("tried", "accepted", "bounced", "failed", "deferred", "complained", "to_try")
    return Standing(
        campaign_id=row.id,
        stage=CanaryStage(row.canary_stage),
        until=row.canary_until,
        minutes=row.minutes,
        figures=Figures(**{name: int(getattr(row, name)) for name in counted}),
        limits=Limits(bounced=row.most_bounced, deferred=row.most_deferred, complained=row.most_complained),
    )


def _judge(session: AnySession, part: Standing, now: datetime) -> None:
    is_over = part.stage is CanaryStage.WATCHING and part.until is not None and now >= part.until
    trouble = part.figures.trouble(part.limits, is_complete=is_over)
    if trouble:
        _hold(session, part.campaign_id, trouble)
    elif is_over:
        _move(session, part, CanaryStage.PASSED)
        bell.ring_dispatcher(session)
    elif part.stage is CanaryStage.SENDING and part.figures.to_try == 0:
        _move(session, part, CanaryStage.WATCHING, until=now + timedelta(minutes=part.minutes))


def _hold(session: AnySession, campaign_id: int, trouble: str) -> None:
    log.warning("canary_held", campaign_id=campaign_id, trouble=trouble)
    session.execute(
        text(
            """
            UPDATE campaign SET status = 'paused', status_reason = :reason, canary_stage = 'held'
            WHERE id = :id AND status = ANY(:sources) AND canary_stage IN ('sending', 'watching')
            """
        ),
        {
            "id": campaign_id,
            "reason": coded(PauseReason.CANARY, trouble),
            "sources": sources_of(CAMPAIGN_TRANSITIONS, CampaignStatus.PAUSED),
        },
    )


def _move(session: AnySession, part: Standing, after: CanaryStage, *, until: datetime | None = None) -> None:
    session.execute(
        text(
            "UPDATE campaign SET canary_stage = :after, canary_until = :until WHERE id = :id AND canary_stage = :before"
        ),
        {"id": part.campaign_id, "before": part.stage.value, "after": after.value, "until": until},
    )
