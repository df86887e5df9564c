"""Send only to those whom a campaign provably did not reach: counted with reasons first, then a draft of its own.

The draft has no list of people: who they are is decided by the same rule when its audience is frozen (``not_reached``), so
nothing that happens in between can make it reach anybody twice. A unique index allows one follow-up of a campaign at a time;
one that was cancelled keeps those whom it had frozen.
"""

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from app.flow import review
from app.flow.campaign_content import MAX_NAME_CHARACTERS, TEXT_FIELDS
from app.flow.campaigns import CampaignProblem
from app.flow.not_reached import NOT_REACHED
from app.flow.sessions import AnySession
from app.models import Campaign, CampaignStatus

OVER = (CampaignStatus.FINISHED, CampaignStatus.CANCELLED)
"""Nothing is planned or tried any more."""


@dataclass(frozen=True)
class Missed:
    """``reasons``: ``ours``, ``too_old``, ``refused``, ``cancelled``. ``left_out``: ``bounced``, ``unknown``, ``deleted``,
    ``skipped``, ``open``. Zeros are left out."""

    reasons: dict[str, int]
    left_out: dict[str, int]
    recipients: int
    """Of those, who would be mailed at this moment: still on a list, not unsubscribed, not suppressed, in no other follow-up."""

    @property
    def people(self) -> int:
        return sum(self.reasons.values())


def missed(session: AnySession, campaign: Campaign) -> Missed:
    """The dry run. Exact at this moment; decided again when the audience is frozen."""
    rows = session.execute(text(REASONS), {"id": campaign.id, "frozen_on": campaign.frozen_on}).all()
    audience = review.count_audience(
        session, campaign.panel_id, [row.id for row in campaign.lists if row.archived_at is None], origin_id=campaign.id
    )
    return Missed(
        reasons={row.reason: row.people for row in rows if row.is_missed},
        left_out={row.reason: row.people for row in rows if not row.is_missed},
        recipients=audience.recipients,
    )


REASONS = f"""
    SELECT {NOT_REACHED} AS is_missed,
        CASE WHEN NOT {NOT_REACHED} THEN
                CASE WHEN d.status = 'bounced' THEN 'bounced' WHEN d.status = 'skipped' AND d.unknown_at IS NULL THEN 'skipped'
                     WHEN d.status IN ('planned', 'sending', 'deferred') THEN 'open'
                     WHEN d.reply_text LIKE 'deleted\\_from\\_queue%' THEN 'deleted' ELSE 'unknown' END
             WHEN d.status = 'skipped' THEN 'cancelled' WHEN d.reply_code BETWEEN 400 AND 499 THEN 'too_old'
             WHEN d.reply_code >= 500 THEN 'refused' ELSE 'ours' END AS reason,
        count(*) AS people
    FROM delivery d WHERE d.frozen_on = :frozen_on AND d.campaign_id = :id AND d.status NOT IN ('accepted', 'delivered')
    GROUP BY 1, 2 ORDER BY 3 DESC
"""  # noqa: S608  # made of constants


def follow_up(
    session: AnySession, panel_id: int, campaign_id: int, *, name: str, user_id: int | None = None
) -> Campaign:
    """A draft with the campaign's content and lists, whose audience is only those. Raises :class:`CampaignProblem`:
    ``not_found``, ``not_over``, ``nobody_missed``, ``already_followed_up``."""
    source = session.get(Campaign, campaign_id, populate_existing=True)
    if source is None or source.panel_id != panel_id:
        raise CampaignProblem("not_found")
    if source.status not in OVER:
        raise CampaignProblem("not_over", status=source.status)
    if not missed(session, source).recipients:
        raise CampaignProblem("nobody_missed")
    copy = Campaign(panel_id=panel_id, created_by_id=user_id, follow_up_of_id=source.id)
    for field_name in TEXT_FIELDS:
        setattr(copy, field_name, getattr(source, field_name))
    copy.name, copy.rate_per_hour = name[:MAX_NAME_CHARACTERS], source.rate_per_hour
    copy.lists = [row for row in source.lists if row.archived_at is None]
    session.add(copy)
    try:
        session.commit()
    except IntegrityError as error:
        session.rollback()
        raise CampaignProblem("already_followed_up") from error
    return copy
