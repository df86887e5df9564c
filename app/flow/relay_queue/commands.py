"""What people want done with mails of a relay's queue, from the question to the last mail's outcome.

A command is proposed with its mails frozen, so that the person confirms an exact number; confirmed, it waits for the agent,
which takes it in orders of some hundred mails and reports each of them. Orders may be taken and reports made twice: each
mail gets its outcome once. What the agent does is idempotent, too (see ``workers.relay.queue_agent``).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, literal, select, text, update

from app.flow import batches, bell
from app.flow.problem import Problem
from app.flow.relay_queue.figures import QueueFilter, condition
from app.flow.sessions import AnySession, rows_changed
from app.logs import get_logger
from app.mail.postfix_queue import QUEUE_ID
from app.models import (
    QUEUE_COMMAND_TRANSITIONS,
    OwnReply,
    QueueAction,
    QueueCommand,
    QueueCommandMail,
    QueueCommandStatus,
    QueueOutcome,
    RelayQueueMail,
    User,
    sources_of,
)

log = get_logger(__name__)

ORDER_MAILS = 500
MOST_SHOWN = 20
FORGET_PROPOSALS_SECONDS = 3600

SUITS: Mapping[QueueAction, tuple[str, ...]] = {
    QueueAction.HOLD: ("incoming", "deferred"),
    QueueAction.RELEASE: ("hold",),
    QueueAction.REQUEUE: ("hold", "deferred"),
    QueueAction.DELETE: ("incoming", "deferred", "hold"),
}
"""In which queues a mail must be. Never `active`: it is being delivered, and its outcome would be anybody's guess."""


class QueueProblem(Problem):
    """``nothing_suits``, ``not_proposed``, ``not_waiting``."""


def propose(
    session: AnySession,
    relay_id: int,
    action: QueueAction,
    *,
    chosen: QueueFilter | None = None,
    queue_ids: Collection[str] = (),
    user_id: int | None = None,
) -> QueueCommand:
    """The mails of the filter, or these: frozen into a command that does nothing before it is confirmed. Commits. Raises
    :class:`QueueProblem` where none of them is in a queue that suits."""
    _forget_proposals(session)
    where = condition(relay_id, chosen or QueueFilter()) & RelayQueueMail.queue.in_(SUITS[action])
    if chosen is None:
        where &= RelayQueueMail.queue_id.in_([one for one in queue_ids if QUEUE_ID.fullmatch(one)])
    command = QueueCommand(relay_id=relay_id, action=action, requested_by_id=user_id)
    session.add(command)
    session.flush()
    mail = RelayQueueMail
    names = ["command_id", "queue_id", "arrived_at", "campaign_id", "seq"]
    source = select(literal(command.id), mail.queue_id, mail.arrived_at, mail.campaign_id, mail.seq).where(where)
    session.execute(insert(QueueCommandMail).from_select(names, source))
    command.mails = session.scalar(select(func.count()).where(QueueCommandMail.command_id == command.id)) or 0
    if not command.mails:
        session.rollback()
        raise QueueProblem("nothing_suits")
    session.commit()
    return command


def _forget_proposals(session: AnySession) -> None:
    session.execute(
        text(
            """
            DELETE FROM relay_queue_command
            WHERE status = 'proposed' AND requested_at < now() - make_interval(secs => :seconds)
            """
        ),
        {"seconds": FORGET_PROPOSALS_SECONDS},
    )


def confirm(session: AnySession, relay_id: int, command_id: int) -> None:
    """The agent may take it. Pressed twice, the second time changes nothing and is refused."""
    _move(session, relay_id, command_id, QueueCommandStatus.WAITING, "not_proposed")
    log.info("queue_command_confirmed", command_id=command_id, relay_id=relay_id)


def withdraw(session: AnySession, relay_id: int, command_id: int) -> None:
    """The agent takes no further order of it; what was done already stays done."""
    _move(session, relay_id, command_id, QueueCommandStatus.WITHDRAWN, "not_waiting")


def _move(session: AnySession, relay_id: int, command_id: int, wanted: QueueCommandStatus, problem: str) -> None:
    changed = rows_changed(
        session,
        update(QueueCommand)
        .where(QueueCommand.id == command_id, QueueCommand.relay_id == relay_id)
        .where(QueueCommand.status.in_(sources_of(QUEUE_COMMAND_TRANSITIONS, wanted)))
        .values(status=wanted),
    )
    if not changed:
        session.rollback()
        raise QueueProblem(problem)
    session.commit()


# The agent's side.


@dataclass(frozen=True)
class OrderedMail:
    queue_id: str
    arrived_at: int
    """Seconds since 1970, as Postfix told it."""
    is_held: bool
    """On its way to be deleted: an agent put it on hold for that, and said so."""


@dataclass(frozen=True)
class Order:
    command_id: int
    action: QueueAction
    mails: tuple[OrderedMail, ...]


def next_order(session: AnySession, relay_id: int) -> Order | None:
    """The oldest command with mails that have no outcome yet, and some of these; None: nothing to do. Commits."""
    command = session.scalar(
        select(QueueCommand)
        .where(QueueCommand.relay_id == relay_id, QueueCommand.status == QueueCommandStatus.WAITING)
        .order_by(QueueCommand.id)
        .limit(1)
    )
    if command is None:
        session.rollback()
        return None
    mail = QueueCommandMail
    seconds = func.extract("epoch", mail.arrived_at)
    rows = session.execute(
        select(mail.queue_id, seconds, mail.outcome).where(mail.command_id == command.id, _open()).limit(ORDER_MAILS)
    ).all()
    order = Order(
        command.id,
        command.action,
        tuple(OrderedMail(queue_id, int(at), outcome is QueueOutcome.HELD) for queue_id, at, outcome in rows),
    )
    session.commit()
    return order


def _open() -> Any:
    return QueueCommandMail.outcome.is_(None) | (QueueCommandMail.outcome == QueueOutcome.HELD)


def report(session: AnySession, relay_id: int, command_id: int, outcomes: Mapping[str, QueueOutcome]) -> None:
    """What became of some mails. Commits. Told again, nothing changes; what is told of a command that was withdrawn
    meanwhile is written down all the same, since it happened. What nobody confirmed was ordered from nobody."""
    command = session.scalar(
        select(QueueCommand).where(QueueCommand.id == command_id, QueueCommand.relay_id == relay_id).with_for_update()
    )
    if command is None or command.status is QueueCommandStatus.PROPOSED:
        session.rollback()
        return
    told = {"command": command_id, "ids": list(outcomes), "outcomes": [one.value for one in outcomes.values()]}
    settled = session.execute(text(SETTLE), told).all()
    if command.action is QueueAction.DELETE:
        _fail_deliveries(session, [row for row in settled if row.outcome == QueueOutcome.DONE and row.seq is not None])
    left = session.scalar(
        select(select(QueueCommandMail).where(QueueCommandMail.command_id == command_id, _open()).exists())
    )
    if not left and command.status is QueueCommandStatus.WAITING:
        command.status, command.done_at = QueueCommandStatus.DONE, func.now()
    session.commit()
    log.info("queue_command_reported", command_id=command_id, mails=len(settled), is_done=not left)


SETTLE = """
    UPDATE relay_queue_command_mail m SET outcome = v.outcome
    FROM unnest(CAST(:ids AS text[]), CAST(:outcomes AS text[])) AS v(queue_id, outcome)
    WHERE m.command_id = :command AND m.queue_id = v.queue_id AND (m.outcome IS NULL OR m.outcome = 'held')
    RETURNING m.queue_id, m.campaign_id, m.seq, m.outcome
"""


def _fail_deliveries(session: AnySession, rows: list[Any]) -> None:
    """What our relay had accepted and will never send has failed, and says so. Whatever the relay's log told of it before
    (delivered, bounced) stays."""
    keys = {"campaigns": [row.campaign_id for row in rows], "seqs": [row.seq for row in rows]}
    batch_ids = list(session.scalars(text(BATCHES), keys))
    if not batch_ids:
        return
    batches.lock(session, batch_ids)
    facts = {**keys, "ids": [row.queue_id for row in rows], "note": OwnReply.DELETED_FROM_QUEUE.value}
    session.execute(text(FAIL), facts)
    batches.recount(session, batch_ids)
    batches.close_finished(session, batch_ids)
    bell.ring_dispatcher(session)


BATCHES = """
    SELECT DISTINCT b.id FROM unnest(CAST(:campaigns AS int[]), CAST(:seqs AS int[])) AS v(campaign, seq)
    JOIN batch b ON b.campaign_id = v.campaign AND v.seq BETWEEN b.first_seq AND b.last_seq ORDER BY b.id
"""

FAIL = """
    UPDATE delivery d SET status = 'failed', reply_code = NULL, reply_text = :note || ':' || v.queue_id
    FROM unnest(CAST(:campaigns AS int[]), CAST(:seqs AS int[]), CAST(:ids AS text[])) AS v(campaign, seq, queue_id)
    JOIN campaign c ON c.id = v.campaign
    WHERE d.frozen_on = c.frozen_on AND d.campaign_id = c.id AND d.seq = v.seq AND d.status IN ('accepted', 'unknown')
"""


# For pages.


@dataclass(frozen=True)
class CommandView:
    command: QueueCommand
    by: str
    """Who asked for it."""
    outcomes: Mapping[str, int]
    """``open`` for those without one."""

    @property
    def at(self) -> datetime:
        return self.command.requested_at


def recent(session: AnySession, relay_id: int) -> list[CommandView]:
    """The newest first; proposals are nobody's business but their maker's."""
    told = (
        select(QueueCommand, User.name)
        .outerjoin(User, User.id == QueueCommand.requested_by_id)
        .where(QueueCommand.relay_id == relay_id, QueueCommand.status != QueueCommandStatus.PROPOSED)
        .order_by(QueueCommand.id.desc())
        .limit(MOST_SHOWN)
    )
    rows = session.execute(told).all()
    counts = _outcomes(session, [command.id for command, _by in rows])
    return [CommandView(command, by or "", counts.get(command.id, {})) for command, by in rows]


def _outcomes(session: AnySession, command_ids: list[int]) -> dict[int, dict[str, int]]:
    mail = QueueCommandMail
    told = select(mail.command_id, mail.outcome, func.count()).where(mail.command_id.in_(command_ids))
    found: dict[int, dict[str, int]] = {}
    for command_id, outcome, number in session.execute(told.group_by(mail.command_id, mail.outcome)):
        found.setdefault(command_id, {})[outcome.value if outcome else "open"] = number
    return found


def campaigns_in(session: AnySession, command_id: int) -> list[tuple[str, str, int]]:
    """Panel, campaign and number of mails of a command; empty names for mail that is no campaign's."""
    rows = session.execute(
        text(
            """
            SELECT coalesce(p.name, '') AS panel, coalesce(c.name, '') AS campaign, count(*) AS mails
            FROM relay_queue_command_mail m LEFT JOIN campaign c ON c.id = m.campaign_id LEFT JOIN panel p ON p.id = c.panel_id
            WHERE m.command_id = :command GROUP BY m.campaign_id, p.name, c.name ORDER BY 3 DESC
            """
        ),
        {"command": command_id},
    )
    return [(row.panel, row.campaign, row.mails) for row in rows]
