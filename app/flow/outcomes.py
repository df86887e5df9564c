"""How the relay's answers become the deliveries' statuses, and what a run of relay failures does to a campaign."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple, Protocol

from sqlalchemy import text

from app.config import Settings
from app.flow import batches, bell, breaker
from app.flow.egress.using import count_use
from app.flow.sessions import AnySession
from app.flow.submission import Answer, AnswerKind
from app.logs import get_logger
from app.mail.backoff import rule_for
from app.mail.blame import is_about_us
from app.mail.replies import RelayTrouble, Stage, Verdict, classify_reply
from app.mail.retry import gives_up, next_attempt_after
from app.models import CAMPAIGN_TRANSITIONS, CampaignStatus, DeliveryStatus, OwnReply, PauseReason, coded, sources_of

if TYPE_CHECKING:
    from app.flow.batches import ClaimedBatch

log = get_logger(__name__)

ACCEPTED = 250
"""The one answer that nearly all contents get (RFC 5321 §4.3.2); the others are looked at more closely."""
MAX_REPLY_CHARACTERS = 500
RECORD_PATIENCE_SECONDS = 600.0
"""How long a worker waits for a database that is away, to write down an answer that it heard."""
MIN_ATTEMPTS = 3
"""A delivery has had so many tries before its age makes it fail."""


class Marked(Protocol):
    """What is remembered of a delivery between marking and recording."""

    @property
    def seq(self) -> int: ...
    @property
    def attempts(self) -> int: ...
    @property
    def first_attempt_at(self) -> datetime: ...
    @property
    def egress_ip_id(self) -> int | None: ...


@dataclass(frozen=True)
class ChunkResult:
    """What a recorded chunk means for the batch."""

    counts: Mapping[str, int]
    wait_seconds: float
    """How long the batch should rest; 0 to go on."""


class _Row(NamedTuple):
    """One line of the update: a delivery's new state."""

    seq: int
    status: DeliveryStatus
    code: int | None
    text: str | None
    next_attempt_at: datetime | None
    stage: str


def record(
    session: AnySession,
    settings: Settings,
    batch: "ClaimedBatch",
    chunk: Sequence[Marked],
    answers: Sequence[Answer],
    *,
    relay_id: int = 0,
    now: datetime | None = None,
) -> ChunkResult:
    """Write the answers of one chunk in one transaction: deliveries, attempts, the batch's counts, the campaign's run of
    relay failures, and what the provider holds against us. ``relay_id``: 0 for the practice relay."""
    now = now or datetime.now(UTC)
    batches.lock(session, [batch.id])
    marked = {delivery.seq: delivery for delivery in chunk}
    rows = [judge(answer, marked[answer.seq], settings, now, provider=batch.provider) for answer in answers]
    _update_deliveries(session, batch, rows)
    _insert_attempts(session, batch, rows, marked, now)
    count_use(session, batch.provider, day=now.date(), uses=_uses(rows, answers, marked))
    batches.recount(session, [batch.id])
    batches.close_finished(session, [batch.id])  # Where the lease expired meanwhile, nobody else would.
    wait_seconds = _count_relay_failures(session, settings, batch, answers)
    _tell_breaker(session, batch, answers, marked, relay_id, now)
    session.commit()
    return ChunkResult(Counter(row.status.value for row in rows), wait_seconds)


def _uses(rows: Sequence[_Row], answers: Sequence[Answer], marked: Mapping[int, Marked]) -> Mapping[int, Counter[str]]:
    """What each IP was given, and what became of it."""
    uses: dict[int, Counter[str]] = {}
    for row, answer in zip(rows, answers, strict=True):
        ip_id = marked[row.seq].egress_ip_id
        if ip_id is not None and answer.kind in (AnswerKind.REPLIED, AnswerKind.LOST):
            uses.setdefault(ip_id, Counter()).update(("submitted", row.status.value))
    return uses


def _tell_breaker(
    session: AnySession,
    batch: "ClaimedBatch",
    answers: Sequence[Answer],
    marked: Mapping[int, Marked],
    relay_id: int,
    now: datetime,
) -> None:
    """The practice relay plays nobody's limits."""
    refused = [a for a in answers if a.kind is AnswerKind.REPLIED and a.code != ACCEPTED]
    if relay_id and refused:
        replies = [breaker.Heard(marked[a.seq].egress_ip_id, a.code, a.text) for a in refused]
        breaker.heard(session, relay_id=relay_id, provider=batch.provider, replies=replies, now=now)


def judge(answer: Answer, delivery: Marked, settings: Settings, now: datetime, *, provider: str) -> _Row:
    """The delivery's new state. Pure."""
    reply = answer.text[:MAX_REPLY_CHARACTERS] or None
    if answer.kind is AnswerKind.LOST:
        return _Row(answer.seq, DeliveryStatus.UNKNOWN, None, reply, None, answer.stage)
    if answer.kind is AnswerKind.NOT_SENT:
        return _Row(answer.seq, DeliveryStatus.PLANNED, None, reply, None, answer.stage)
    if answer.kind is AnswerKind.NOT_RENDERED:
        return _Row(answer.seq, DeliveryStatus.FAILED, None, reply, None, answer.stage)
    if answer.code == ACCEPTED and answer.stage is Stage.BODY:
        return _Row(answer.seq, DeliveryStatus.ACCEPTED, answer.code, reply, None, answer.stage)
    outcome = classify_reply(answer.code, answer.text, stage=answer.stage)
    # What judges the relay, our account there or our IP is no verdict on the recipient: nothing is burned by it.
    is_blocked = outcome.verdict is Verdict.BOUNCED and is_about_us(provider, answer.code, answer.text)
    is_ours = is_blocked or isinstance(outcome, RelayTrouble)
    status = DeliveryStatus.DEFERRED if is_ours else STATUS_OF[outcome.verdict]
    if status is not DeliveryStatus.DEFERRED:
        return _Row(answer.seq, status, answer.code, reply, None, answer.stage)
    wait = next_attempt_after(
        delivery.attempts,
        first_wait_seconds=settings.first_retry_seconds,
        max_wait_seconds=settings.max_retry_wait_seconds,
        jitter=answer.seq % 100 / 100,
    )
    max_age = timedelta(seconds=settings.max_retry_age_seconds)
    too_old = gives_up(delivery.first_attempt_at, now + wait, max_age=max_age)
    # A campaign that lay paused for days must not burn people at the first greylisting afterwards.
    if too_old and delivery.attempts >= MIN_ATTEMPTS:
        if is_blocked:
            reply = coded(OwnReply.REFUSED_FOR_US, f"{answer.code} {answer.text}")[:MAX_REPLY_CHARACTERS]
        return _Row(answer.seq, DeliveryStatus.FAILED, answer.code, reply, None, answer.stage)
    return _Row(answer.seq, status, answer.code, reply, now + wait, answer.stage)


STATUS_OF: Mapping[Verdict, DeliveryStatus] = {
    Verdict.ACCEPTED: DeliveryStatus.ACCEPTED,
    Verdict.DEFERRED: DeliveryStatus.DEFERRED,
    Verdict.BOUNCED: DeliveryStatus.BOUNCED,
    Verdict.FAILED: DeliveryStatus.FAILED,
    Verdict.UNKNOWN: DeliveryStatus.UNKNOWN,
}


def _update_deliveries(session: AnySession, batch: "ClaimedBatch", rows: Sequence[_Row]) -> None:
    session.execute(
        text(
            """
            UPDATE delivery d SET
                -- Provably not sent, heard after the lease had expired: due at once, the way of every retry.
                status = CASE WHEN v.status = 'planned' AND d.status = 'unknown' THEN 'deferred'
                              ELSE v.status END::delivery_status,
                next_attempt_at = CASE WHEN v.status = 'planned' AND d.status = 'unknown' THEN now() ELSE v.next END,
                reply_code = v.code, reply_text = v.reply,
                unknown_at = CASE WHEN v.status = 'unknown' THEN now() ELSE d.unknown_at END,
                attempts = d.attempts - CASE WHEN v.status = 'planned' THEN 1 ELSE 0 END,
                -- An attempt that never was is no beginning: the age of a delivery counts from its first real one.
                first_attempt_at = CASE WHEN v.status = 'planned' AND d.attempts <= 1 THEN NULL
                                        ELSE d.first_attempt_at END
            FROM unnest(CAST(:seqs AS int[]), CAST(:statuses AS text[]), CAST(:codes AS smallint[]),
                        CAST(:replies AS text[]), CAST(:nexts AS timestamptz[])) AS v(seq, status, code, reply, next)
            WHERE d.frozen_on = :frozen_on AND d.campaign_id = :campaign AND d.seq BETWEEN :first AND :last
              AND d.seq = v.seq AND d.claim = :claim
              AND (d.status = 'sending' OR (d.status = 'unknown' AND v.status <> 'unknown'))
            """
        ),
        {
            "seqs": [row.seq for row in rows],
            "statuses": [row.status.value for row in rows],
            "codes": [row.code for row in rows],
            "replies": [row.text.replace("\0", " ") if row.text else None for row in rows],
            "nexts": [row.next_attempt_at for row in rows],
            "frozen_on": batch.frozen_on,
            "campaign": batch.campaign_id,
            "claim": batch.claim,
            "first": batch.first_seq,
            "last": batch.last_seq,
        },
    )


def _insert_attempts(
    session: AnySession, batch: "ClaimedBatch", rows: Sequence[_Row], marked: Mapping[int, Marked], now: datetime
) -> None:
    """Every try that did not end in acceptance; the accepted one stands in the delivery."""
    tries = [r for r in rows if r.status not in (DeliveryStatus.ACCEPTED, DeliveryStatus.PLANNED)]
    if not tries:
        return
    session.execute(
        text(
            """
            INSERT INTO attempt (frozen_on, campaign_id, seq, attempt, at, outcome, stage, reply_code, reply_text)
            VALUES (:frozen_on, :campaign, :seq, :attempt, :at, :outcome, :stage, :code, :reply)
            ON CONFLICT DO NOTHING
            """
        ),
        [
            {
                "frozen_on": batch.frozen_on,
                "campaign": batch.campaign_id,
                "seq": row.seq,
                "attempt": marked[row.seq].attempts,
                "at": now,
                "outcome": row.status.value,
                "stage": row.stage,
                "code": row.code,
                "reply": row.text.replace("\0", " ") if row.text else None,
            }
            for row in tries
        ],
    )


def _count_relay_failures(
    session: AnySession, settings: Settings, batch: "ClaimedBatch", answers: Sequence[Answer]
) -> float:
    """A chunk in which the relay failed and took nothing adds one to the campaign's run of failures; any other ends the
    run. Where they are many and the relay has been away for long, the campaign pauses itself: many alone happen within a
    second, when the relay is started anew. Returns how long the batch should rest."""
    campaign_id = batch.campaign_id
    # What the breaker answers by slowing down is a provider that works: waiting helps, a person doesn't have to come.
    answers = [answer for answer in answers if not _holds_back(batch.provider, answer)]
    trouble = next((answer for answer in answers if is_relay_trouble(answer)), None)
    took_something = any(a.kind is AnswerKind.REPLIED and not is_relay_trouble(a) for a in answers)
    # One message that kills its connections is no sign of a broken relay; several are, and so is no connection at all.
    is_relay = sum(is_relay_trouble(a) for a in answers) > 1 or (trouble and trouble.kind is AnswerKind.NOT_SENT)
    if trouble is None or took_something or not is_relay:
        session.execute(
            text(
                "UPDATE campaign SET relay_failures = 0, relay_failing_since = NULL WHERE id = :id AND relay_failures > 0"
            ),
            {"id": campaign_id},
        )
        return 0.0
    failures, seconds = session.execute(text(COUNT_FAILURE), {"id": campaign_id}).one_or_none() or (0, 0)
    log.warning("relay_failed", campaign_id=campaign_id, failures=failures, reply=trouble.text[:200])
    if failures >= settings.relay_failures_before_pause and seconds >= settings.relay_patience_seconds:
        _pause(session, campaign_id, coded(PauseReason.RELAY_FAILURES, trouble.text[:200]))
    return min(60.0, 2.0 ** min(failures or 1, 6))


COUNT_FAILURE = """
    UPDATE campaign SET relay_failures = relay_failures + 1, relay_failing_since = coalesce(relay_failing_since, now())
    WHERE id = :id RETURNING relay_failures, extract(epoch FROM now() - relay_failing_since)
"""


def _holds_back(provider: str, answer: Answer) -> bool:
    return (
        answer.kind is AnswerKind.REPLIED
        and answer.code != ACCEPTED
        and rule_for(provider, answer.code, answer.text) is not None
    )


def is_relay_trouble(answer: Answer) -> bool:
    """Whether the answer judges the relay or our account there."""
    if answer.relay_trouble or answer.kind is not AnswerKind.REPLIED or answer.code < 400:
        return answer.relay_trouble
    return isinstance(classify_reply(answer.code, answer.text, stage=answer.stage), RelayTrouble)


def pause_campaign(session: AnySession, campaign_id: int, reason: str) -> None:
    """The platform pauses a campaign by itself and says why."""
    _pause(session, campaign_id, reason)
    session.commit()


def _pause(session: AnySession, campaign_id: int, reason: str) -> None:
    session.execute(
        text("UPDATE campaign SET status = 'paused', status_reason = :reason WHERE id = :id AND status = ANY(:from)"),
        {"id": campaign_id, "reason": reason, "from": sources_of(CAMPAIGN_TRANSITIONS, CampaignStatus.PAUSED)},
    )
    bell.ring_dispatcher(session)


def finish_campaigns(session: AnySession) -> list[int]:
    """Campaigns of which nothing is left to do are finished."""
    finished = session.scalars(
        text(
            """
            UPDATE campaign c SET status = 'finished', finished_at = now()
            WHERE c.status = 'sending' AND c.audience_frozen_at IS NOT NULL
              AND NOT EXISTS (SELECT 1 FROM batch b WHERE b.campaign_id = c.id AND b.status <> 'done')
            RETURNING c.id
            """
        )
    ).all()
    session.commit()
    return list(finished)
