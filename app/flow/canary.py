"""A part of a campaign goes out first, and the rest waits until that part has proved harmless.

The part is the first batches of each mailbox provider, so that every provider is asked. When all of it was tried, the rest
waits for some minutes more, in which late refusals come in; if at any moment too many of those tried were refused or
deferred, the campaign pauses itself and says why. Resuming it is a person's word that the rest may go.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from app.flow import bell
from app.flow.sessions import AnySession
from app.logs import get_logger
from app.models import CAMPAIGN_TRANSITIONS, CampaignStatus, CanaryStage, PauseReason, coded, sources_of

log = get_logger(__name__)

MOST_BOUNCED_PERCENT = 5.0
"""Above this, providers take a sender for one who bought his list."""
MOST_DEFERRED_PERCENT = 20.0
"""Greylisting defers many at first; after their retries few are left."""
SMALLEST_SAMPLE = 50
"""Fewer say nothing while it goes on; at its end whatever was tried has to do."""


@dataclass(frozen=True)
class Figures:
    """Of the batches that went first."""

    tried: int
    bounced: int
    deferred: int
    to_try: int
    failed: int = 0
    """Could not be made, or was refused because of us: a blocked IP speaks against the rest as much as bounces do."""

    def trouble(self, *, is_complete: bool) -> str:
        """What speaks against the rest: ``bounced 7.3 5`` (what, its share and the limit in per cent); empty: nothing.
        Deferrals count at the end only: until then they are being tried again."""
        if not self.tried or (self.tried < SMALLEST_SAMPLE and not is_complete):
            return ""
        bounced, deferred = (100 * count / self.tried for count in (self.bounced, self.deferred))
        if bounced > MOST_BOUNCED_PERCENT:
            return f"bounced {bounced:.1f} {MOST_BOUNCED_PERCENT:g}"
        if (failed := 100 * self.failed / self.tried) > MOST_BOUNCED_PERCENT:
            return f"failed {failed:.1f} {MOST_BOUNCED_PERCENT:g}"
        if is_complete and deferred > MOST_DEFERRED_PERCENT:
            return f"deferred {deferred:.1f} {MOST_DEFERRED_PERCENT:g}"
        return ""


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
    for row in session.execute(text(OPEN)).all():
        figures = Figures(int(row.tried), int(row.bounced), int(row.deferred), int(row.to_try), int(row.failed))
        _judge(session, row.id, CanaryStage(row.canary_stage), row.canary_until, row.canary_minutes, figures, now)
        session.commit()


OPEN = """
    SELECT c.id, c.canary_stage, c.canary_until, c.canary_minutes,
           coalesce(sum(b.accepted + b.delivered + b.bounced + b.failed + b.deferred), 0) AS tried,
           coalesce(sum(b.bounced), 0) AS bounced, coalesce(sum(b.deferred), 0) AS deferred,
           coalesce(sum(b.failed), 0) AS failed,
           coalesce(sum(b.planned + b.sending), 0) AS to_try
    FROM campaign c LEFT JOIN batch b ON b.campaign_id = c.id AND b.is_canary
    WHERE c.status = 'sending' AND c.canary_stage IN ('sending', 'watching') GROUP BY c.id ORDER BY c.id
"""


def _judge(
    session: AnySession,
    campaign_id: int,
    stage: CanaryStage,
    until: datetime | None,
    minutes: int,
    figures: Figures,
    now: datetime,
) -> None:
    is_over = stage is CanaryStage.WATCHING and until is not None and now >= until
    trouble = figures.trouble(is_complete=is_over)
    if trouble:
        _hold(session, campaign_id, trouble)
    elif is_over:
        _move(session, campaign_id, stage, CanaryStage.PASSED)
        bell.ring_dispatcher(session)
    elif stage is CanaryStage.SENDING and figures.to_try == 0:
        _move(session, campaign_id, stage, CanaryStage.WATCHING, until=now + timedelta(minutes=minutes))


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


def _move(
    session: AnySession, campaign_id: int, before: CanaryStage, after: CanaryStage, *, until: datetime | None = None
) -> None:
    session.execute(
        text(
            "UPDATE campaign SET canary_stage = :after, canary_until = :until WHERE id = :id AND canary_stage = :before"
        ),
        {"id": campaign_id, "before": before.value, "after": after.value, "until": until},
    )
