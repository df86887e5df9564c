"""What a panel does at this moment: today's figures, what goes out now, what comes next, what needs a person.

Polled every two seconds by every open page, so nothing here counts deliveries: counts are sums over the batches of the
few campaigns in question, and a campaign that ran over midnight is split by its samples (what stood accepted then).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Select, and_, case, exists, func, select, text

from app.flow import reconciling, relay_health, reports
from app.flow.seeding import SAMPLE_HTML, SAMPLE_SUBJECT
from app.flow.sessions import AnySession
from app.models import (
    BY_PEOPLE,
    Batch,
    BatchStatus,
    Campaign,
    CampaignStatus,
    Import,
    ImportStatus,
    Panel,
    PauseReason,
    Proof,
    ProofStatus,
)

RUNNING = (CampaignStatus.PREPARING, CampaignStatus.SENDING, CampaignStatus.PAUSED)
OVERDUE_SECONDS = 60
"""A schedule that nobody took up for so long: the dispatcher does not run."""
RUNNING_SHOWN = 20
UPCOMING_SHOWN = 5
IMPORTS_SHOWN = 5
MANY_BOUNCES_SHARE = 0.05
"""Mailbox providers begin to refuse a sender whose mail bounces more often than about this."""
MANY_BOUNCES_FROM = 100
"""Answers below which a share says nothing."""


@dataclass(frozen=True, kw_only=True)
class Day:
    """A panel's figures since midnight in its own time zone, and what waits now."""

    accepted: int = 0
    bounced: int = 0
    queued_deliveries: int = 0
    queued_batches: int = 0
    next_scheduled_at: datetime | None = None


TODAY = text(
    """
    WITH active AS (
        SELECT c.id, c.panel_id, c.frozen_on, m.midnight, c.started_at < m.midnight AS began_before
        FROM campaign c
        JOIN (SELECT id AS panel_id, date_trunc('day', CAST(:now AS timestamptz), timezone) AS midnight
              FROM panel WHERE id = ANY(:panels)) m ON m.panel_id = c.panel_id
        WHERE c.started_at IS NOT NULL AND (c.finished_at IS NULL OR c.finished_at >= m.midnight)
    )
    SELECT a.panel_id,
           sum(now.accepted - CASE WHEN a.began_before THEN coalesce((
               SELECT s.accepted FROM campaign_sample s WHERE s.campaign_id = a.id AND s.at < a.midnight
               ORDER BY s.at DESC LIMIT 1), 0) ELSE 0 END) AS accepted,
           sum(CASE WHEN a.began_before THEN (
               SELECT count(*) FROM attempt t WHERE t.frozen_on = a.frozen_on AND t.campaign_id = a.id
               AND t.outcome = 'bounced' AND t.at >= a.midnight) ELSE now.bounced END) AS bounced
    FROM active a
    CROSS JOIN LATERAL (SELECT coalesce(sum(b.accepted + b.delivered), 0) AS accepted,
                               coalesce(sum(b.bounced), 0) AS bounced
                        FROM batch b WHERE b.campaign_id = a.id) now
    GROUP BY a.panel_id
    """
)


def days(session: AnySession, panel_ids: Iterable[int], now: datetime | None = None) -> dict[int, Day]:
    """The day of each panel."""
    ids = list(panel_ids)
    today = {
        row.panel_id: row for row in session.execute(TODAY, {"now": now or datetime.now(UTC), "panels": ids}).all()
    }
    queue = {row.panel_id: row for row in session.execute(_queue(ids)).all()}
    upcoming = {row.panel_id: row.at for row in session.execute(_next_schedules(ids)).all()}
    return {
        panel_id: Day(
            accepted=int(today[panel_id].accepted) if panel_id in today else 0,
            bounced=int(today[panel_id].bounced) if panel_id in today else 0,
            queued_deliveries=int(queue[panel_id].deliveries) if panel_id in queue else 0,
            queued_batches=int(queue[panel_id].batches) if panel_id in queue else 0,
            next_scheduled_at=upcoming.get(panel_id),
        )
        for panel_id in ids
    }


def _queue(panel_ids: list[int]) -> Select[*tuple[Any, ...]]:
    waiting = Batch.planned + Batch.sending + Batch.deferred + Batch.unknown
    return (
        select(
            Campaign.panel_id,
            func.count(case((waiting > 0, 1))).label("batches"),
            func.sum(waiting).label("deliveries"),
        )
        .join(Batch, Batch.campaign_id == Campaign.id)
        .where(Campaign.panel_id.in_(panel_ids), Campaign.status.in_(RUNNING), Batch.status != BatchStatus.DONE)
        .group_by(Campaign.panel_id)
    )


def _next_schedules(panel_ids: list[int]) -> Select[*tuple[Any, ...]]:
    return (
        select(Campaign.panel_id, func.min(Campaign.scheduled_at).label("at"))
        .where(Campaign.panel_id.in_(panel_ids), Campaign.status == CampaignStatus.SCHEDULED)
        .group_by(Campaign.panel_id)
    )


# Alarms.


class AlarmKind(StrEnum):
    PAUSED_BY_ITSELF = "paused_by_itself"
    OVERDUE = "overdue"
    UNCONFIRMED = "unconfirmed"  # Answers were lost, and no relay can be asked for them.
    RELAY_LOG_SILENT = "relay_log_silent"  # The relay takes mail, and nobody tells any more what becomes of it.
    MANY_BOUNCES = "many_bounces"
    IMPORT_FAILED = "import_failed"


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """Something that waits for a person. ``subject_id`` is a campaign's, an import's or a relay's; ``detail`` a code, a
    share, a number or seconds."""

    panel_id: int
    kind: AlarmKind
    subject_id: int
    name: str
    detail: str = ""


def alarms(session: AnySession, panel_ids: Iterable[int], now: datetime | None = None) -> list[Alarm]:
    """Of these panels, the most urgent first."""
    ids, now = list(panel_ids), now or datetime.now(UTC)
    return [
        *_paused_by_itself(session, ids),
        *_overdue(session, ids, now),
        *_unconfirmed(session, ids),
        *_silent_relays(session, ids, now),
        *_many_bounces(session, ids),
        *_failed_imports(session, ids, now),
    ]


def _paused_by_itself(session: AnySession, panel_ids: list[int]) -> list[Alarm]:
    rows = session.scalars(
        select(Campaign)
        .where(Campaign.panel_id.in_(panel_ids), Campaign.status == CampaignStatus.PAUSED)
        .where(func.coalesce(Campaign.status_reason, PauseReason.USER).not_in(BY_PEOPLE))
        .order_by(Campaign.id)
    )
    return [_alarm(row, AlarmKind.PAUSED_BY_ITSELF, row.status_reason or "") for row in rows]


def _overdue(session: AnySession, panel_ids: list[int], now: datetime) -> list[Alarm]:
    rows = session.scalars(
        select(Campaign)
        .where(Campaign.panel_id.in_(panel_ids), Campaign.status == CampaignStatus.SCHEDULED)
        .where(Campaign.scheduled_at < now - timedelta(seconds=OVERDUE_SECONDS))
        .order_by(Campaign.scheduled_at)
    )
    return [_alarm(row, AlarmKind.OVERDUE, "") for row in rows]


def _unconfirmed(session: AnySession, panel_ids: list[int]) -> list[Alarm]:
    """Only batches that are open and count unknown deliveries are looked into."""
    open_ones = exists(
        select(Batch.id).where(Batch.campaign_id == Campaign.id, Batch.status != BatchStatus.DONE, Batch.unknown > 0)
    )
    rows = list(session.scalars(select(Campaign).where(Campaign.panel_id.in_(panel_ids), open_ones)))
    found = reconciling.waiting_for_a_person(session, [row.id for row in rows]) if rows else {}
    return [_alarm(row, AlarmKind.UNCONFIRMED, str(found[row.id])) for row in rows if row.id in found]


def _silent_relays(session: AnySession, panel_ids: list[int], now: datetime) -> list[Alarm]:
    return [
        Alarm(
            panel_id=one.panel_id,
            kind=AlarmKind.RELAY_LOG_SILENT,
            subject_id=one.relay_id,
            name=one.relay_name,
            detail=str(int(one.silent_for.total_seconds())),
        )
        for one in relay_health.missed(session, panel_ids, now)
    ]


def _many_bounces(session: AnySession, panel_ids: list[int]) -> list[Alarm]:
    rows = list(session.scalars(select(Campaign).where(Campaign.panel_id.in_(panel_ids), Campaign.status.in_(RUNNING))))
    counts = reports.counts_of(session, [row.id for row in rows])
    return [
        _alarm(row, AlarmKind.MANY_BOUNCES, f"{counts[row.id].bounced}/{counts[row.id].answered}")
        for row in rows
        if counts[row.id].answered >= MANY_BOUNCES_FROM
        and counts[row.id].bounced > MANY_BOUNCES_SHARE * counts[row.id].answered
    ]


def _failed_imports(session: AnySession, panel_ids: list[int], now: datetime) -> list[Alarm]:
    rows = session.scalars(
        select(Import)
        .where(Import.panel_id.in_(panel_ids), Import.status == ImportStatus.FAILED)
        .where(Import.created_at > now - timedelta(days=1))
        .order_by(Import.id.desc())
    )
    return [
        Alarm(panel_id=row.panel_id, kind=AlarmKind.IMPORT_FAILED, subject_id=row.id, name=row.filename) for row in rows
    ]


def _alarm(campaign: Campaign, kind: AlarmKind, detail: str) -> Alarm:
    return Alarm(panel_id=campaign.panel_id, kind=kind, subject_id=campaign.id, name=campaign.name, detail=detail)


# The monitor of one panel.


@dataclass(frozen=True, kw_only=True)
class RunningCampaign:
    campaign: Campaign
    counts: reports.Counts
    speed: reports.Speed

    @property
    def done(self) -> int:
        """Of the progress bar: frozen people while preparing, afterwards settled deliveries."""
        return self.campaign.audience_size if self.campaign.audience_frozen_at is None else self.counts.settled

    @property
    def total(self) -> int:
        return self.campaign.audience_expected if self.campaign.audience_frozen_at is None else self.counts.planned


@dataclass(frozen=True, kw_only=True)
class FirstSteps:
    """What a newcomer has done already; sample data don't count."""

    imported: bool
    written: bool
    proved: bool
    sent: bool


@dataclass(frozen=True, kw_only=True)
class Monitor:
    day: Day
    running: list[RunningCampaign]
    upcoming: list[Campaign]
    alarms: list[Alarm]
    imports: list[Import]
    first_steps: FirstSteps


def monitor(session: AnySession, panel: Panel, now: datetime | None = None) -> Monitor:
    return Monitor(
        day=days(session, [panel.id], now)[panel.id],
        running=running(session, panel.id),
        upcoming=upcoming(session, panel.id),
        alarms=alarms(session, [panel.id], now),
        imports=recent_imports(session, panel.id),
        first_steps=first_steps(session, panel.id),
    )


def running(session: AnySession, panel_id: int) -> list[RunningCampaign]:
    rows = list(
        session.scalars(
            select(Campaign)
            .where(Campaign.panel_id == panel_id, Campaign.status.in_(RUNNING))
            .order_by(Campaign.started_at.desc(), Campaign.id.desc())
            .limit(RUNNING_SHOWN)
        )
    )
    counts = reports.counts_of(session, [row.id for row in rows])
    return [
        RunningCampaign(campaign=row, counts=counts[row.id], speed=reports.speed(session, row, counts[row.id]))
        for row in rows
    ]


def upcoming(session: AnySession, panel_id: int) -> list[Campaign]:
    return list(
        session.scalars(
            select(Campaign)
            .where(Campaign.panel_id == panel_id, Campaign.status == CampaignStatus.SCHEDULED)
            .order_by(Campaign.scheduled_at, Campaign.id)
            .limit(UPCOMING_SHOWN)
        )
    )


def recent_imports(session: AnySession, panel_id: int) -> list[Import]:
    return list(
        session.scalars(
            select(Import).where(Import.panel_id == panel_id).order_by(Import.id.desc()).limit(IMPORTS_SHOWN)
        )
    )


def first_steps(session: AnySession, panel_id: int) -> FirstSteps:
    of_panel = select(Campaign.id).where(Campaign.panel_id == panel_id)
    is_written = and_(Campaign.html != "", Campaign.subject != "")
    is_sample = and_(Campaign.html == SAMPLE_HTML, Campaign.subject == SAMPLE_SUBJECT)
    row = session.execute(
        select(
            exists(select(Import.id).where(Import.panel_id == panel_id, Import.status == ImportStatus.DONE)).label(
                "imported"
            ),
            exists(of_panel.where(is_written, ~is_sample)).label("written"),
            exists(
                select(Proof.id).where(
                    Proof.campaign_id.in_(of_panel.scalar_subquery()), Proof.status == ProofStatus.ACCEPTED
                )
            ).label("proved"),
            exists(of_panel.where(Campaign.started_at.is_not(None))).label("sent"),
        )
    ).one()
    return FirstSteps(imported=row.imported, written=row.written, proved=row.proved, sent=row.sent)
