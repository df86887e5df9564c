"""A batch goes out: claim > mark > load > render > sign > submit > record, chunk by chunk.

`mark` is committed before a byte may leave; `record` follows each chunk. Between chunks the campaign's status and rate
are read again. What makes this safe:

* the claim (one holder per batch) with a lease that the transport renews while it works and checks before each write;
* `mark` takes the campaign's row FOR SHARE: a pause or cancel that has committed sees no chunk begin after it;
* an answer is recorded by whoever heard it, as long as the delivery still carries that claim's number.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.config import Settings
from app.flow import batches, outcomes
from app.flow.batches import ClaimedBatch
from app.flow.composing import Composition, CompositionProblem, Draft
from app.flow.rates.reserving import Grant, RateLimits
from app.flow.relays import RelayEndpoint
from app.flow.sessions import AnySession
from app.flow.submission import Answer, AnswerKind, OutgoingMessage, Transport
from app.logs import get_logger
from app.models import OwnReply, PauseReason, coded

log = get_logger(__name__)

WRITTEN_TOGETHER = 16
WRITTEN_BYTES = 512 * 1024
"""So many messages are rendered, then hashed, then signed, before the first of them is submitted; fewer of large ones."""


def boot_seconds() -> float:
    """A clock that nobody sets and that runs on while the machine is suspended, unlike ``time.monotonic``."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class BatchLease:
    """A batch's lease: renewed when a third has passed, given up some seconds before its end."""

    MARGIN_SECONDS = 3.0
    LOOK_SECONDS = 1.0

    def __init__(self, session: AnySession, batch: ClaimedBatch, lease_seconds: int) -> None:
        self._session = session
        self._batch = batch
        self._seconds = lease_seconds
        self._renewed_at = self._looked_at = boot_seconds()
        self.lost = False
        self.campaign_sends = True
        """Turns false where the campaign was paused or cancelled: no further message of the chunk begins."""
        self.yields = False
        """Turns true where urgent work waits and no thread is free: none begins either, and the batch is let go."""

    def holds(self) -> bool:
        return not self.lost and boot_seconds() < self._renewed_at + self._seconds - self.MARGIN_SECONDS

    def keep(self) -> None:
        """Look after the campaign each second, renew when a third of the lease has passed. A database that is away loses
        nothing yet: the lease runs on."""
        now = boot_seconds()
        if now < self._looked_at + self.LOOK_SECONDS:
            return
        self._looked_at = now
        try:
            standing = batches.standing(self._session, self._batch)
            self.lost, self.campaign_sends = self.lost or not standing.is_ours, standing.campaign_sends
            self.yields = self.yields or standing.urgent_waits
            if not self.lost and now >= self._renewed_at + self._seconds / 3:
                self.lost = self.lost or not batches.renew(self._session, self._batch, lease_seconds=self._seconds)
                self._renewed_at = now
        except DBAPIError as error:
            self._session.rollback()
            log.warning("lease_not_renewed", batch_id=self._batch.id, error=str(error.orig))


class MarkedDelivery(NamedTuple):
    seq: int
    email: str
    name: str
    fields: dict[str, Any]
    attempts: int
    first_attempt_at: datetime
    egress_ip_id: int | None


@dataclass(frozen=True)
class Street:
    """What a worker brings along: settings, its name, how to compose and how to reach a relay."""

    settings: Settings
    worker: str
    compose: Callable[[AnySession, int], Composition]
    endpoint: Callable[[AnySession, int], RelayEndpoint]
    transport: Callable[[RelayEndpoint], Transport]
    rates: RateLimits
    stopping: Callable[[], bool] = lambda: False
    """Whether this process was asked to stop: what is on the wire gets its answer, nothing new begins."""


def send_batch(session: AnySession, street: Street, batch_id: int) -> int:
    """Send what is due of a batch. Returns the number of answers recorded; 0 where it wasn't ours to claim."""
    settings = street.settings
    batch = batches.claim(session, batch_id, worker=street.worker, lease_seconds=settings.lease_seconds)
    if batch is None:
        return 0
    try:
        composition = street.compose(session, batch.campaign_id)
        endpoint = street.endpoint(session, batch.campaign_id)
    except CompositionProblem as problem:
        outcomes.pause_campaign(session, batch.campaign_id, coded(PauseReason.CANNOT_COMPOSE, problem))
        batches.release(session, batch)
        return 0
    transport = street.transport(endpoint)
    lease = BatchLease(session, batch, settings.lease_seconds)
    recorded, not_before = 0, None
    while lease.holds() and not lease.yields and not street.stopping():
        due = min(batches.due_count(session, batch), settings.chunk_size)
        grant = reserve(session, street, batch, endpoint, due) if due else Grant(0)
        wait_seconds = grant.wait_seconds
        chunk = mark(session, batch, relay_id=endpoint.relay_id, grant=grant) if grant.count else []
        answers: list[Answer] = []
        if chunk:
            answers = submit(street, transport, composition, chunk, lease, grant.addresses)
            wait_seconds = record(session, settings, batch, chunk, answers, relay_id=endpoint.relay_id).wait_seconds
            recorded += len(chunk)
        street.rates.settle(grant, went_out(chunk, answers))
        if wait_seconds:
            not_before = datetime.now(UTC) + timedelta(seconds=wait_seconds)
        if wait_seconds or not chunk:
            break
    batches.release(session, batch, not_before=not_before)
    return recorded


def reserve(session: AnySession, street: Street, batch: ClaimedBatch, endpoint: RelayEndpoint, due: int) -> Grant:
    return street.rates.reserve(
        session, campaign_id=batch.campaign_id, relay_id=endpoint.relay_id, provider=batch.provider, wanted=due
    )


def went_out(chunk: list[MarkedDelivery], answers: list[Answer]) -> Counter[int | None]:
    """How many the relay was given, by IP."""
    ips = {delivery.seq: delivery.egress_ip_id for delivery in chunk}
    return Counter(ips[a.seq] for a in answers if a.kind in (AnswerKind.REPLIED, AnswerKind.LOST))


def submit(
    street: Street,
    transport: Transport,
    composition: Composition,
    chunk: list[MarkedDelivery],
    lease: BatchLease,
    addresses: Mapping[int, str],
) -> list[Answer]:
    """Render, sign and submit one chunk that is marked `sending`: one answer per delivery. Those that the transport
    never took were provably not sent; when the campaign is paused, urgent work waits or the process was asked to stop, it is
    given no more."""
    unwritten: list[Answer] = []
    messages = written(composition, chunk, unwritten, addresses)
    wanted = takewhile(lambda _: lease.campaign_sends and not lease.yields and not street.stopping(), messages)
    taken: set[int] = set()
    try:
        answers = [*transport.submit(noted(wanted, taken), lease), *unwritten]
    except Exception as error:
        # A transport answers for everything; where it breaks, what it took may be anywhere, and the rest is unsent.
        log.error("transport_failed", exc_info=error)
        broken = coded(OwnReply.TRANSPORT_FAILED, error)[:300]
        lost = [Answer(seq=seq, kind=AnswerKind.LOST, text=broken, relay_trouble=True) for seq in taken]
        answers = lost + unwritten
        if not lost:
            answers.append(Answer(seq=chunk[0].seq, kind=AnswerKind.NOT_SENT, text=broken, relay_trouble=True))
    answered = {answer.seq for answer in answers}
    return answers + [Answer(seq=d.seq, kind=AnswerKind.NOT_SENT) for d in chunk if d.seq not in answered]


def noted(messages: Iterator[OutgoingMessage], taken: set[int]) -> Iterator[OutgoingMessage]:
    """The same messages, remembering which were taken."""
    for message in messages:
        taken.add(message.seq)
        yield message


def written(
    composition: Composition, chunk: Sequence[MarkedDelivery], failures: list[Answer], addresses: Mapping[int, str]
) -> Iterator[OutgoingMessage]:
    """Render and sign as the transport asks for messages, some at a time. One that can't be written fails alone."""
    drafts: list[Draft] = []
    room = WRITTEN_BYTES
    for draft in drafted(composition, chunk, failures, addresses):
        drafts.append(draft)
        room -= len(draft.message.body)
        if room < 0 or len(drafts) == WRITTEN_TOGETHER:
            yield from sealed(composition, drafts, failures)
            drafts, room = [], WRITTEN_BYTES
    yield from sealed(composition, drafts, failures)


def sealed(composition: Composition, drafts: list[Draft], failures: list[Answer]) -> list[OutgoingMessage]:
    try:
        return composition.sealed(drafts)
    except Exception as error:
        if len(drafts) > 1:
            return [message for draft in drafts for message in sealed(composition, [draft], failures)]
        failures.append(not_rendered(drafts[0].seq, error))
        return []


def drafted(
    composition: Composition, chunk: Sequence[MarkedDelivery], failures: list[Answer], addresses: Mapping[int, str]
) -> Iterator[Draft]:
    for delivery in chunk:
        try:
            address = addresses[delivery.egress_ip_id] if delivery.egress_ip_id is not None else ""
            yield composition.draft(delivery.seq, delivery.email, delivery.name, delivery.fields, egress=address)
        except CompositionProblem as problem:
            log.warning("delivery_not_rendered", seq=delivery.seq, problem=str(problem))
            failures.append(
                Answer(seq=delivery.seq, kind=AnswerKind.NOT_RENDERED, text=coded(OwnReply.CANNOT_COMPOSE, problem))
            )
        except Exception as error:
            failures.append(not_rendered(delivery.seq, error))


def not_rendered(seq: int, error: Exception) -> Answer:
    """For what nobody foresaw."""
    log.error("delivery_not_rendered", seq=seq, exc_info=error)
    return Answer(seq=seq, kind=AnswerKind.NOT_RENDERED, text=coded(OwnReply.NOT_RENDERED, error)[:300])


def mark(session: AnySession, batch: ClaimedBatch, *, relay_id: int, grant: Grant) -> list[MarkedDelivery]:
    """The next due deliveries of the batch, marked `sending` and committed, each with the IP that it is to leave by: the
    one it had, where that one may still be used. Who may not be mailed any more is skipped here (law 5). Empty where none
    is due or the campaign isn't sending."""
    facts = marking_facts(batch, relay_id, grant)
    if session.execute(text(GUARD), facts).one_or_none() is None:
        session.rollback()
        return []
    while True:
        rows = session.execute(text(MARK), facts).all()
        if not rows:
            break
        sendable = [MarkedDelivery(*row[:-1]) for row in rows if not row.skipped]
        if sendable:
            batches.recount(session, [batch.id])
            session.commit()
            return sendable
    batches.recount(session, [batch.id])
    session.commit()
    return []


def marking_facts(batch: ClaimedBatch, relay_id: int, grant: Grant) -> dict[str, Any]:
    """The values of GUARD and MARK."""
    return {
        "frozen_on": batch.frozen_on,
        "campaign": batch.campaign_id,
        "first": batch.first_seq,
        "last": batch.last_seq,
        "claim": batch.claim,
        "batch": batch.id,
        "relay": relay_id,
        "limit": grant.count,
        "ips": grant.in_turn,
        "usable": list(grant.addresses),
    }


GUARD = """
    SELECT 1 FROM campaign c JOIN batch b ON b.campaign_id = c.id
    WHERE c.id = :campaign AND c.status = 'sending' AND b.id = :batch AND b.claim = :claim AND b.status = 'claimed'
    FOR SHARE OF c FOR UPDATE OF b
"""

MARK = """
    WITH due AS (
        SELECT d.seq, d.egress_ip_id, d.email, coalesce(c.name, '') AS name, coalesce(c.fields, '{}') AS fields,
               -- LIMIT, not EXISTS: of that PostgreSQL may make a hash table of a whole list, anew for each chunk.
               CASE WHEN c.id IS NULL THEN 'erased'
                    WHEN (SELECT true FROM suppression x WHERE x.email = d.email
                          AND (x.panel_id = d.panel_id OR x.panel_id IS NULL) LIMIT 1) THEN 'suppressed'
                    WHEN (SELECT true FROM subscription s JOIN campaign_list l ON l.list_id = s.list_id
                          WHERE l.campaign_id = :campaign AND s.contact_id = d.contact_id
                            AND s.status = 'subscribed' LIMIT 1) IS NULL THEN 'unsubscribed' END AS skip
        FROM delivery d LEFT JOIN contact c ON c.id = d.contact_id AND c.panel_id = d.panel_id
        WHERE d.frozen_on = :frozen_on AND d.campaign_id = :campaign AND d.seq BETWEEN :first AND :last
          AND (d.status = 'planned' OR (d.status = 'deferred' AND d.next_attempt_at <= now()))
        ORDER BY d.seq LIMIT :limit FOR UPDATE OF d
    ), placed AS (
        SELECT due.*, CASE WHEN due.egress_ip_id = ANY(CAST(:usable AS int[])) THEN due.egress_ip_id
                           ELSE (CAST(:ips AS int[]))[row_number() OVER (ORDER BY due.seq)] END AS ip
        FROM due
    ), marked AS (
        UPDATE delivery d SET
            status = CASE WHEN due.skip IS NULL THEN 'sending' ELSE 'skipped' END::delivery_status,
            skip_reason = due.skip, claim = :claim, next_attempt_at = NULL,
            relay_id = CASE WHEN due.skip IS NULL THEN :relay ELSE d.relay_id END,
            egress_ip_id = CASE WHEN due.skip IS NULL THEN due.ip ELSE d.egress_ip_id END,
            attempts = d.attempts + CASE WHEN due.skip IS NULL THEN 1 ELSE 0 END,
            first_attempt_at = CASE WHEN due.skip IS NULL THEN coalesce(d.first_attempt_at, now())
                                    ELSE d.first_attempt_at END,
            last_attempt_at = CASE WHEN due.skip IS NULL THEN now() ELSE d.last_attempt_at END
        -- The range is said again: without it a plan made on stale statistics reads the whole campaign for each chunk.
        FROM placed due WHERE d.frozen_on = :frozen_on AND d.campaign_id = :campaign
          AND d.seq BETWEEN :first AND :last AND d.seq = due.seq
        RETURNING d.seq, d.attempts, d.first_attempt_at, d.egress_ip_id
    )
    SELECT due.seq, due.email, due.name, due.fields, marked.attempts, marked.first_attempt_at, marked.egress_ip_id,
           due.skip IS NOT NULL AS skipped
    FROM marked JOIN due USING (seq) ORDER BY due.seq
"""


def record(
    session: AnySession,
    settings: Settings,
    batch: ClaimedBatch,
    chunk: list[MarkedDelivery],
    answers: list[Answer],
    *,
    relay_id: int = 0,
    patience_seconds: float = outcomes.RECORD_PATIENCE_SECONDS,
) -> outcomes.ChunkResult:
    """Write the answers down. The database may be away (a restart): an answer that was heard is worth waiting for,
    since without it the delivery is unknown and has to be asked after."""
    heard_at = datetime.now(UTC)
    give_up_at = time.monotonic() + patience_seconds
    while True:
        try:
            return outcomes.record(session, settings, batch, chunk, answers, relay_id=relay_id, now=heard_at)
        except DBAPIError as error:
            session.rollback()
            if time.monotonic() > give_up_at:
                raise
            log.warning("outcomes_not_recorded_yet", batch_id=batch.id, error=str(error.orig))
            time.sleep(0.5)
