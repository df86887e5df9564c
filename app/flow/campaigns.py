"""A campaign is written, checked, scheduled, paused, resumed, cancelled, duplicated, deleted.

Who writes takes the campaign's row lock and finds it a draft; whoever changes a status does so by compare-and-set over
``CAMPAIGN_TRANSITIONS``: of two people who press at once, one wins and the other is told where the campaign stands.
Every function commits, and rings the dispatcher where there is something to do.
"""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Select, func, or_, select, update

from app.config import Settings
from app.flow import bell, cancelling, review
from app.flow.campaign_content import (
    MAX_NAME_CHARACTERS,
    PACE_FIELDS,
    TEXT_FIELDS,
    CampaignContent,
    ContentProblem,
    check_content,
    content_of,
    normalised,
)
from app.flow.problem import Problem
from app.flow.sessions import AnySession
from app.models import (
    CAMPAIGN_TRANSITIONS,
    CANARY_TRANSITIONS,
    Campaign,
    CampaignStatus,
    CanaryStage,
    MailingList,
    MailStream,
    PauseReason,
    check_transition,
    sources_of,
)

PAST_TOLERANCE = timedelta(seconds=60)
"""A minute chosen in a form has begun when the form arrives."""
FURTHEST_SCHEDULE = timedelta(days=731)

WRITABLE = frozenset({CampaignStatus.DRAFT, CampaignStatus.IN_REVIEW})


class CampaignProblem(Problem):
    """``not_found``, ``not_a_draft``, ``changed_meanwhile``, ``wrong_status``; for a time ``past``, ``too_far``,
    ``time_skipped``; those of proofs (see ``previews``) and of follow-ups (see ``following_up``)."""


class ContentRefused(CampaignProblem):
    """The content is broken: nothing was saved."""

    def __init__(self, problems: list[ContentProblem]) -> None:
        super().__init__("content", problems="; ".join(map(str, problems)))
        self.problems = problems


class NotReady(CampaignProblem):
    """The campaign can't go out as it is: ``blockers`` are the review's codes."""

    def __init__(self, blockers: list[review.Finding]) -> None:
        super().__init__("not_ready", blockers=", ".join(finding.code for finding in blockers))
        self.blockers = blockers


# Writing.


def create_campaign(
    session: AnySession, settings: Settings, panel_id: int, content: CampaignContent, *, user_id: int | None = None
) -> Campaign:
    """A new draft. Raises :class:`ContentRefused`."""
    campaign = Campaign(panel_id=panel_id, created_by_id=user_id, status=CampaignStatus.DRAFT)
    _write(session, settings, campaign, content)
    session.add(campaign)
    session.commit()
    return campaign


def save_campaign(
    session: AnySession,
    settings: Settings,
    panel_id: int,
    campaign_id: int,
    content: CampaignContent,
    *,
    read_at: datetime | None = None,
) -> Campaign:
    """Replace a draft's content. ``read_at``: the ``updated_at`` that the author saw; where somebody saved since, the
    save is refused (``changed_meanwhile``) instead of undoing the other's work. Raises :class:`CampaignProblem`."""
    campaign = _locked(session, panel_id, campaign_id)
    if campaign.status not in WRITABLE:
        _refuse(session, "not_a_draft", status=campaign.status)
    if read_at is not None and campaign.updated_at != read_at:
        _refuse(session, "changed_meanwhile")
    _write(session, settings, campaign, content)
    session.commit()
    return campaign


def _write(session: AnySession, settings: Settings, campaign: Campaign, content: CampaignContent) -> None:
    content = normalised(content)
    problems = check_content(session, settings, campaign.panel_id, content)
    if problems:
        session.rollback()
        raise ContentRefused(problems)
    for name in (*TEXT_FIELDS, *PACE_FIELDS):
        setattr(campaign, name, getattr(content, name))
    campaign.lists = list(session.scalars(select(MailingList).where(MailingList.id.in_(content.list_ids))))
    campaign.updated_at = datetime.now(UTC)


def duplicate_campaign(
    session: AnySession, panel_id: int, campaign_id: int, *, name: str, user_id: int | None = None
) -> Campaign:
    """A new draft with the same content; archived lists are left out, and so is its priority:
    being urgent is decided each time. Its own counts, links and proofs start empty."""
    source = _found(session, panel_id, campaign_id)
    content = content_of(source)
    copy = Campaign(panel_id=panel_id, created_by_id=user_id, status=CampaignStatus.DRAFT)
    for field_name in (*TEXT_FIELDS, *PACE_FIELDS):
        setattr(copy, field_name, getattr(content, field_name))
    copy.name, copy.stream = name[:MAX_NAME_CHARACTERS], MailStream.BULK
    copy.lists = [row for row in source.lists if row.archived_at is None]
    session.add(copy)
    session.commit()
    return copy


def delete_draft(session: AnySession, panel_id: int, campaign_id: int) -> None:
    """Only what never had a recipient can be deleted; everything else is part of the ledger."""
    campaign = _locked(session, panel_id, campaign_id)
    if campaign.status not in WRITABLE or campaign.frozen_on is not None:
        _refuse(session, "not_a_draft", status=campaign.status)
    session.delete(campaign)
    session.commit()


# Finding.

LISTING_SORTS: dict[str, Any] = {
    "created": Campaign.created_at,
    "name": func.lower(Campaign.name),
    "time": func.coalesce(Campaign.started_at, Campaign.scheduled_at, Campaign.created_at),
}
"""What a list of campaigns can be sorted by."""


def listing(panel_id: int, *, status: str = "", query: str = "") -> Select[Campaign]:
    """A panel's campaigns, to be paged by ``Campaign.id``; ``query`` looks into name and subject."""
    statement = select(Campaign).where(Campaign.panel_id == panel_id)
    if status in set(CampaignStatus):
        statement = statement.where(Campaign.status == CampaignStatus(status))
    if query.strip():
        wanted = query.strip()
        statement = statement.where(
            or_(Campaign.name.icontains(wanted, autoescape=True), Campaign.subject.icontains(wanted, autoescape=True))
        )
    return statement


# Scheduling.


def schedule_campaign(
    session: AnySession,
    settings: Settings,
    panel_id: int,
    campaign_id: int,
    *,
    at: datetime | None = None,
    now: datetime | None = None,
) -> Campaign:
    """Send at ``at`` (aware), or as soon as the dispatcher sees it. Raises :class:`NotReady` where the review finds a
    blocker, :class:`CampaignProblem` ``past``, ``too_far`` or ``wrong_status``."""
    now = now or datetime.now(UTC)
    check_time(at, now)
    campaign = _locked(session, panel_id, campaign_id)
    if campaign.status not in WRITABLE:
        _refuse(session, "wrong_status", status=campaign.status, wanted=CampaignStatus.SCHEDULED)
    blockers = review.blockers(session, settings, campaign)
    if blockers:
        session.rollback()
        raise NotReady(blockers)
    campaign.status = check_transition(CAMPAIGN_TRANSITIONS, campaign.status, CampaignStatus.SCHEDULED)
    campaign.status_reason = None
    campaign.scheduled_at = at or now
    bell.ring_dispatcher(session)
    session.commit()
    return campaign


def check_time(at: datetime | None, now: datetime) -> None:
    """Raises ``past`` or ``too_far``; a time without a zone is a mistake of the caller."""
    if at is None:
        return
    if at.tzinfo is None:
        raise ValueError("the time of a schedule needs a time zone")
    if at < now - PAST_TOLERANCE:
        raise CampaignProblem("past", at=at.isoformat())
    if at > now + FURTHEST_SCHEDULE:
        raise CampaignProblem("too_far", at=at.isoformat())


def moment_in_zone(local: datetime, zone: str) -> datetime:
    """A time as people of that zone read it on their clocks (naive) as a moment. A time that the clocks skip is refused
    (``time_skipped``); of one that they show twice the first is taken."""
    moment = local.replace(tzinfo=ZoneInfo(zone), fold=0)
    if moment.astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) != local:
        raise CampaignProblem("time_skipped", time=f"{local:%Y-%m-%d %H:%M}")
    return moment.astimezone(UTC)


def unschedule_campaign(session: AnySession, panel_id: int, campaign_id: int) -> None:
    """Back to draft, as long as nothing of it has begun."""
    _move(session, panel_id, campaign_id, CampaignStatus.DRAFT, sources=[CampaignStatus.SCHEDULED], scheduled_at=None)
    session.commit()


# While it runs.


def pause_campaign(
    session: AnySession, panel_id: int, campaign_id: int, *, reason: PauseReason = PauseReason.USER
) -> None:
    """No chunk begins after this is committed; what is on the wire gets its outcome."""
    _move(session, panel_id, campaign_id, CampaignStatus.PAUSED, status_reason=reason)
    bell.ring_dispatcher(session)
    session.commit()


def resume_campaign(session: AnySession, panel_id: int, campaign_id: int) -> None:
    """On with freezing where the audience was not complete yet, else with sending; relay failures count from 0. Where the
    part that went first was refused too often, this is a person's word that the rest may go all the same."""
    campaign = _locked(session, panel_id, campaign_id)
    if campaign.canary_stage is CanaryStage.HELD:
        campaign.canary_stage = check_transition(CANARY_TRANSITIONS, campaign.canary_stage, CanaryStage.PASSED)
        session.flush()
    is_frozen = campaign.audience_frozen_at is not None
    wanted = CampaignStatus.SENDING if is_frozen else CampaignStatus.PREPARING
    _move(
        session,
        panel_id,
        campaign_id,
        wanted,
        sources=[CampaignStatus.PAUSED],
        status_reason=None,
        relay_failures=0,
        relay_failing_since=None,
        lease_expires_at=None,
    )
    bell.ring_dispatcher(session)
    session.commit()


def cancel_campaign(
    session: AnySession, panel_id: int, campaign_id: int, *, reason: PauseReason = PauseReason.USER
) -> int:
    """For good: whoever has not been tried, or waits for another try, is skipped. What is on the wire still gets its
    outcome. Returns how many were skipped at once; the dispatcher's sweep skips the rest (batches a worker holds)."""
    _move(
        session,
        panel_id,
        campaign_id,
        CampaignStatus.CANCELLED,
        sources=[source for source in CampaignStatus if source not in WRITABLE],
        status_reason=reason,
        finished_at=func.now(),
        lease_expires_at=None,
    )
    bell.ring_dispatcher(session)
    session.commit()
    return cancelling.skip_remaining(session, campaign_id=campaign_id)


# Parts of the above.


def _move(
    session: AnySession,
    panel_id: int,
    campaign_id: int,
    wanted: CampaignStatus,
    *,
    sources: list[CampaignStatus] | None = None,
    **values: Any,
) -> None:
    """Compare-and-set on the status: from where the table allows it (and ``sources``, where narrower)."""
    allowed = [s for s in sources_of(CAMPAIGN_TRANSITIONS, wanted) if sources is None or s in sources]
    moved = session.execute(
        update(Campaign)
        .where(Campaign.id == campaign_id, Campaign.panel_id == panel_id, Campaign.status.in_(allowed))
        .values(status=wanted, **values)
        .returning(Campaign.id)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if moved is None:
        current = _found(session, panel_id, campaign_id, populate_existing=True).status
        _refuse(session, "wrong_status", status=current, wanted=wanted)
    session.expire_all()


def _refuse(session: AnySession, code: str, **details: Any) -> None:
    session.rollback()
    raise CampaignProblem(code, **details)


def _found(session: AnySession, panel_id: int, campaign_id: int, *, populate_existing: bool = False) -> Campaign:
    statement = select(Campaign).where(Campaign.id == campaign_id, Campaign.panel_id == panel_id)
    campaign = session.scalar(statement.execution_options(populate_existing=populate_existing))
    if campaign is None:
        raise CampaignProblem("not_found", campaign=campaign_id)
    return campaign


def _locked(session: AnySession, panel_id: int, campaign_id: int) -> Campaign:
    statement = select(Campaign).where(Campaign.id == campaign_id, Campaign.panel_id == panel_id).with_for_update()
    campaign = session.scalar(statement.execution_options(populate_existing=True))
    if campaign is None:
        _refuse(session, "not_found", campaign=campaign_id)
    assert campaign is not None  # noqa: S101  # for mypy: `_refuse` has raised
    return campaign
