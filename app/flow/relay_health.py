"""How those fare who tell what a relay does: the follower of its log and the agent of its queue; and which of them should
speak and don't."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import func, select, text

from app.flow.sessions import AnySession
from app.models import RelayLog, RelayQueue

SILENT_AFTER = timedelta(minutes=1)
"""Both speak every few seconds."""
ALARM_AFTER = timedelta(minutes=10)
"""A follower that is restarted, or a network that is mended, needs nobody to come."""
MUCH_BEHIND_BYTES = 10 * 1024 * 1024
"""Of a log: some 40,000 lines. Less than that is read within seconds."""


class Health(StrEnum):
    NEVER = "never"  # Nobody ever reported.
    SILENT = "silent"
    TROUBLED = "troubled"  # It speaks, and says what keeps it from its work.
    BEHIND = "behind"
    FINE = "fine"


@dataclass(frozen=True)
class LogReader:
    """The follower, as it last spoke."""

    health: Health
    told: RelayLog | None
    silence: timedelta | None
    """Since it last spoke."""


@dataclass(frozen=True)
class QueueReader:
    """The agent, as it last spoke."""

    health: Health
    told: RelayQueue | None
    silence: timedelta | None


def log_reader(session: AnySession, relay_id: int) -> LogReader:
    told = session.get(RelayLog, relay_id, populate_existing=True)
    if told is None:
        return LogReader(Health.NEVER, None, None)
    silence = _now(session) - told.heard_at
    health = _health(silence, told.problem)
    if health is Health.FINE and told.behind_bytes > MUCH_BEHIND_BYTES:
        health = Health.BEHIND
    return LogReader(health, told, silence)


def queue_reader(session: AnySession, relay_id: int) -> QueueReader:
    told = session.get(RelayQueue, relay_id, populate_existing=True)
    if told is None:
        return QueueReader(Health.NEVER, None, None)
    silence = _now(session) - told.heard_at
    return QueueReader(_health(silence, told.problem), told, silence)


def _now(session: AnySession) -> datetime:
    """The database's, since it dates what it hears."""
    now: datetime = session.execute(select(func.clock_timestamp())).scalar_one()
    return now


def _health(silence: timedelta, problem: str) -> Health:
    if silence > SILENT_AFTER:
        return Health.SILENT
    return Health.TROUBLED if problem else Health.FINE


# Followers that are missed.


@dataclass(frozen=True)
class Missed:
    """A panel's relay whose follower used to report, and has not since although the relay took mail."""

    panel_id: int
    relay_id: int
    relay_name: str
    silent_for: timedelta


def missed(session: AnySession, panel_ids: Iterable[int], now: datetime) -> list[Missed]:
    """One a panel at most. Looked for in the samples of campaigns, which are few; no delivery is read."""
    facts = {"panels": list(panel_ids), "now": now, "after": ALARM_AFTER}
    return [
        Missed(row.panel_id, row.relay_id, row.name, now - row.heard_at) for row in session.execute(text(MISSED), facts)
    ]


MISSED = """
    SELECT p.id AS panel_id, r.id AS relay_id, r.name, l.heard_at
    FROM panel p JOIN relay r ON r.id = p.relay_id JOIN relay_log l ON l.relay_id = r.id
    WHERE p.id = ANY(:panels) AND p.mode = 'real' AND l.heard_at < CAST(:now AS timestamptz) - CAST(:after AS interval)
      AND EXISTS (
          SELECT FROM campaign c JOIN campaign_sample s ON s.campaign_id = c.id AND s.at > l.heard_at
          WHERE c.panel_id = p.id AND c.started_at IS NOT NULL AND (c.finished_at IS NULL OR c.finished_at > l.heard_at)
            AND s.accepted > coalesce((
                SELECT before.accepted FROM campaign_sample before
                WHERE before.campaign_id = c.id AND before.at <= l.heard_at ORDER BY before.at DESC LIMIT 1), 0))
    ORDER BY p.id
"""
