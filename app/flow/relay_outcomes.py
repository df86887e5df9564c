"""What a dedicated relay's log tells of deliveries: kept once however often it is told, and put into their statuses.

Storing and applying are two steps with a commit each. The log may be faster than the sender, which records its answers chunk
by chunk: an outcome waits (``is_applied`` is false) until its delivery is out of `sending`, and every later bundle, an empty
one too, applies what waits. So neither a crash in between nor the order of the lines matters.
"""

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert

from app.flow import batches, bell, breaker
from app.flow.breaker import Heard
from app.flow.egress.using import count_told_use
from app.flow.sessions import AnySession
from app.logs import get_logger
from app.mail.blame import is_about_us
from app.mail.mailbox_providers import OTHER as OTHER_PROVIDER
from app.mail.relay_report import ARRIVAL_SIGHTINGS, FINAL_SIGHTINGS, Bundle, Seen, Sighting
from app.mail.tokens import DeliveryRef, TokenPurpose, TokenReader
from app.models import OwnReply, RelayOutcome

log = get_logger(__name__)

SLICE = 1000
OPEN_STATUSES = ("planned", "sending", "deferred", "unknown")
LARGEST_INTEGER = 2**31 - 1


@dataclass(frozen=True)
class Stored:
    """``foreign``: tokens that are not ours, and deliveries that this relay never had."""

    known: int
    foreign: int
    applied: int


Row = tuple[DeliveryRef, Seen, Any, str]
"""With the month that the delivery was frozen on, and its status."""


class News(NamedTuple):
    """A sighting that was not known before."""

    campaign_id: int
    seq: int
    egress_ip_id: int | None
    reply: str
    at: datetime
    status: str
    frozen_on: date


def store(session: AnySession, relay_id: int, bundle: Bundle, *, token_key: bytes, malformed: int = 0) -> Stored:
    """Keep a bundle and apply what waits. The same bundle again changes nothing, and the breaker hears each refusal once."""
    refs = _verified(bundle.seen, token_key)
    proofs = TokenReader(token_key, TokenPurpose.PROOF)
    standing = _standing(session, relay_id, [ref for ref, _seen in refs])
    rows = [(ref, seen, *standing[ref]) for ref, seen in refs if ref in standing]
    kept = [row for row in rows if _is_worth_keeping(row[1], row[3])]
    news, now = _insert(session, kept, _about_us(session, kept)), datetime.now(UTC)
    count_told_use(session, relay_id, [one for one in news if one.egress_ip_id is not None], now=now)
    _tell_breaker(session, relay_id, [one for one in news if one.status in REFUSALS], now)
    stored = {seen.token for _ref, seen, *_standing in rows}
    foreign = sum(1 for one in bundle.seen if one.token not in stored and proofs.read(one.token) is None)
    _note_reading(session, relay_id, bundle, foreign, malformed)
    session.commit()
    if foreign:
        log.warning("relay_outcomes_foreign", relay_id=relay_id, sightings=foreign)
    return Stored(len(rows), foreign, apply_waiting(session))


def _tell_breaker(session: AnySession, relay_id: int, refusals: Sequence[News], now: datetime) -> None:
    """What was said lately: a log that is read again after hours says nothing about this moment."""
    fresh = [one for one in refusals if now - one.at < STILL_TRUE and REPLY_CODE.search(one.reply)]
    if not fresh:
        return
    replies: dict[str, list[Heard]] = {}
    providers = _providers(session, fresh)
    for one in sorted(fresh, key=lambda one: one.at):
        code = REPLY_CODE.search(one.reply)
        provider = providers.get(DeliveryRef(one.campaign_id, one.seq))
        if code and provider:
            replies.setdefault(provider, []).append(Heard(one.egress_ip_id, int(code[1]), one.reply[code.end() :]))
    for provider in sorted(replies):
        breaker.heard(session, relay_id=relay_id, provider=provider, replies=replies[provider], now=now)


def _about_us(session: AnySession, rows: Sequence[Row]) -> set[Seen]:
    """The refusals among them that judge our IP or domain, whoever the recipient is."""
    refused = [(ref, seen) for ref, seen, *_standing in rows if seen.sighting in REFUSALS]
    providers = _providers(session, [ref for ref, _seen in refused]) if refused else {}
    return {
        seen
        for ref, seen in refused
        if (code := REPLY_CODE.search(seen.reply))
        and is_about_us(providers.get(ref, OTHER_PROVIDER), int(code[1]), seen.reply[code.end() :])
    }


def _providers(session: AnySession, refusals: Sequence[News | DeliveryRef]) -> dict[DeliveryRef, str]:
    """That of the batch."""
    rows = session.execute(
        text(
            """
            SELECT v.campaign_id, v.seq, b.provider
            FROM (SELECT DISTINCT * FROM unnest(CAST(:campaigns AS int[]), CAST(:seqs AS int[])) AS v(campaign_id, seq)) v
            CROSS JOIN LATERAL (
                SELECT provider FROM batch WHERE campaign_id = v.campaign_id AND first_seq <= v.seq
                ORDER BY first_seq DESC LIMIT 1
            ) b
            """
        ),
        {"campaigns": [one.campaign_id for one in refusals], "seqs": [one.seq for one in refusals]},
    )
    return {DeliveryRef(row.campaign_id, row.seq): row.provider for row in rows}


def _verified(seen: Iterable[Seen], token_key: bytes) -> list[tuple[DeliveryRef, Seen]]:
    read = TokenReader(token_key).read
    found = [(read(one.token), one) for one in seen]
    return [
        (ref, one)
        for ref, one in found
        if ref is not None and ref.seq <= LARGEST_INTEGER and ref.campaign_id <= LARGEST_INTEGER
    ]


def _standing(session: AnySession, relay_id: int, refs: Sequence[DeliveryRef]) -> Mapping[DeliveryRef, tuple[Any, str]]:
    """Ledger date and status of each of these deliveries that was handed to this relay."""
    if not refs:
        return {}
    rows = session.execute(
        text(
            """
            SELECT d.campaign_id, d.seq, d.frozen_on, d.status::text
            FROM (SELECT DISTINCT * FROM unnest(CAST(:campaigns AS int[]), CAST(:seqs AS int[])) AS v(campaign_id, seq)) v
            JOIN campaign c ON c.id = v.campaign_id
            JOIN delivery d ON d.frozen_on = c.frozen_on AND d.campaign_id = v.campaign_id AND d.seq = v.seq
            WHERE d.relay_id = :relay
            """
        ),
        {"campaigns": [ref.campaign_id for ref in refs], "seqs": [ref.seq for ref in refs], "relay": relay_id},
    )
    return {DeliveryRef(campaign_id, seq): (frozen_on, status) for campaign_id, seq, frozen_on, status in rows}


def _is_worth_keeping(seen: Seen, status: str) -> bool:
    """Its arrival matters only while it isn't known whether the relay took the message; millions of rows are spared."""
    return seen.sighting not in ARRIVAL_SIGHTINGS or status in OPEN_STATUSES


def _insert(session: AnySession, rows: Sequence[Row], about_us: Container[Seen]) -> list[News]:
    """Returns those that are new: what is told twice is heard and counted once."""
    if not rows:
        return []
    table = RelayOutcome.__table__
    statement = insert(RelayOutcome).on_conflict_do_nothing().returning(
        table.c.campaign_id, table.c.seq, table.c.egress_ip_id, table.c.reply, table.c.at, table.c.status, table.c.frozen_on
    )  # fmt: skip
    # In the order of the key, so that two who tell the same don't wait for each other crosswise.
    values = sorted(
        (_values(*row, is_about_us=row[1] in about_us) for row in rows),
        key=lambda row: tuple(row[name] for name in KEY),
    )
    return [News(*row) for row in session.execute(statement, values)]


REFUSALS = (Sighting.DEFERRED, Sighting.BOUNCED)
STILL_TRUE = timedelta(minutes=10)
REPLY_CODE = re.compile(r"(?:^|said: |refused to talk to me: )([245][0-9][0-9])[ -]")
"""Of a reply as Postfix' log tells it; none where the provider could not be reached."""
KEY = ("frozen_on", "campaign_id", "seq", "at", "queue_id", "status")


def _values(ref: DeliveryRef, seen: Seen, frozen_on: Any, _status: str, *, is_about_us: bool) -> dict[str, Any]:
    return {
        "frozen_on": frozen_on,
        "campaign_id": ref.campaign_id,
        "seq": ref.seq,
        "at": seen.at,
        "queue_id": seen.queue_id,
        "status": seen.sighting.value,
        "dsn": seen.dsn,
        "remote_host": seen.remote_host,
        "remote_address": seen.remote_address,
        "egress_ip_id": seen.egress_ip_id,
        "delay_ms": seen.delay_ms,
        "reply": seen.reply,
        "is_about_us": is_about_us,
        "is_applied": seen.sighting not in FINAL_SIGHTINGS,
    }


def _note_reading(session: AnySession, relay_id: int, bundle: Bundle, foreign: int, malformed: int) -> None:
    """How far the log was read; never a time that is still to come, and never backwards."""
    session.execute(
        text(
            """
            INSERT INTO relay_log AS l (relay_id, complete_since, read_until, heard_at, foreign_count, malformed_count,
                                        lines_count, lost_count, behind_bytes, problem, problem_detail)
            -- Nothing is known where nothing was said: `least` alone would pass over the NULL, and take the present for it.
            VALUES (:relay, clock_timestamp(), CASE WHEN CAST(:read_until AS timestamptz) IS NOT NULL
                        THEN least(CAST(:read_until AS timestamptz), clock_timestamp()) END, now(), :foreign,
                    :malformed, :lines, :lost, :behind, :problem, :detail)
            ON CONFLICT (relay_id) DO UPDATE SET
                complete_since = CASE WHEN :gap THEN clock_timestamp() ELSE l.complete_since END,
                read_until = greatest(l.read_until, excluded.read_until),
                heard_at = excluded.heard_at,
                foreign_count = l.foreign_count + excluded.foreign_count,
                malformed_count = l.malformed_count + excluded.malformed_count,
                lines_count = l.lines_count + excluded.lines_count,
                lost_count = l.lost_count + excluded.lost_count,
                behind_bytes = excluded.behind_bytes, problem = excluded.problem,
                problem_detail = excluded.problem_detail
            """
        ),
        {
            "relay": relay_id,
            "read_until": bundle.read_until,
            "gap": bundle.has_gap,
            "foreign": foreign,
            "malformed": malformed,
            "lines": bundle.reading.lines,
            "lost": bundle.reading.lost,
            "behind": bundle.reading.behind_bytes,
            "problem": bundle.reading.problem or "",
            "detail": bundle.reading.detail,
        },
    )


# Applying.


def apply_waiting(session: AnySession) -> int:
    """Put the outcomes that wait into the statuses of their deliveries, where those are known by now. Returns of how many
    deliveries."""
    total = 0
    while rows := session.execute(text(WAITING), {"slice": SLICE}).all():
        _apply_slice(session, rows)
        total += len(rows)
    session.commit()
    return total


WAITING = """
    SELECT o.frozen_on, o.campaign_id, o.seq, b.id AS batch_id
    FROM (SELECT DISTINCT frozen_on, campaign_id, seq FROM relay_outcome WHERE NOT is_applied) o
    JOIN delivery d ON d.frozen_on = o.frozen_on AND d.campaign_id = o.campaign_id AND d.seq = o.seq
    CROSS JOIN LATERAL (
        SELECT id FROM batch WHERE campaign_id = o.campaign_id AND first_seq <= o.seq ORDER BY first_seq DESC LIMIT 1
    ) b
    WHERE d.status NOT IN ('planned', 'sending', 'deferred')
    LIMIT :slice
"""
"""A delivery that the platform itself means to send (again) keeps its outcomes waiting."""


def _apply_slice(session: AnySession, rows: Sequence[Any]) -> None:
    batch_ids = sorted({row.batch_id for row in rows})
    batches.lock(session, batch_ids)
    keys = {
        "dates": [row.frozen_on for row in rows],
        "campaigns": [row.campaign_id for row in rows],
        "seqs": [row.seq for row in rows],
    }
    settled = session.execute(text(SETTLE_UNKNOWN), {**keys, "found": OwnReply.FOUND_AT_RELAY}).all()
    session.execute(text(APPLY), {**keys, "for_us": OwnReply.REFUSED_FOR_US})
    session.execute(text(MARK_APPLIED), keys)
    batches.recount(session, batch_ids)
    batches.close_finished(session, batch_ids)
    if settled:
        bell.ring_dispatcher(session)
    session.commit()


KEYS = """
    SELECT * FROM unnest(CAST(:dates AS date[]), CAST(:campaigns AS int[]), CAST(:seqs AS int[]))
        AS k(frozen_on, campaign_id, seq)
"""
SAME = "{0}.frozen_on = k.frozen_on AND {0}.campaign_id = k.campaign_id AND {0}.seq = k.seq"

SETTLE_UNKNOWN = f"""
    UPDATE delivery d SET status = 'accepted', reply_code = 250, reply_text = :found || ':' || o.queue_id
    FROM ({KEYS}) k CROSS JOIN LATERAL (
        SELECT queue_id FROM relay_outcome o WHERE {SAME.format("o")} AND NOT o.is_applied ORDER BY at LIMIT 1) o
    WHERE {SAME.format("d")} AND d.status = 'unknown' RETURNING d.seq
"""  # noqa: S608  # parts of statements from above
APPLY = f"""
    UPDATE delivery d SET
        status = CASE WHEN o.is_ours THEN 'failed' WHEN o.is_refused THEN 'bounced' ELSE 'delivered' END::delivery_status,
        -- What refused it is the answer that counts from now on; of an expired one, the last deferral says why.
        reply_text = CASE WHEN o.is_ours THEN left(:for_us || ':' || o.reply, 500)
            WHEN o.is_refused THEN left(o.reply, 500) ELSE d.reply_text END,
        reply_code = CASE WHEN o.is_refused
            THEN CAST(substring(o.reply FROM '(?:^|said: |refused to talk to me: )([245][0-9][0-9])[ -]') AS smallint)
            ELSE d.reply_code END
    FROM ({KEYS}) k CROSS JOIN LATERAL (
        SELECT o.status <> 'sent' AS is_refused,
               o.is_about_us OR (o.status = 'expired' AND coalesce(last.is_about_us, false)) AS is_ours,
               coalesce(nullif(o.reply, ''), last.reply, '') AS reply
        FROM relay_outcome o LEFT JOIN LATERAL (
            SELECT last.reply, last.is_about_us FROM relay_outcome last
            WHERE {SAME.format("last")} AND last.status = 'deferred' ORDER BY last.at DESC LIMIT 1) last ON true
        WHERE {SAME.format("o")} AND NOT o.is_applied
        -- Whichever line comes first, a refusal outweighs a delivery: from bounced and failed nothing leads back. What judges
        -- the recipient outweighs what judges us.
        ORDER BY o.status = 'sent', o.is_about_us, o.at DESC LIMIT 1) o
    WHERE {SAME.format("d")} AND (d.status = 'accepted' OR (d.status = 'delivered' AND o.is_refused))
"""  # noqa: S608
MARK_APPLIED = f"""
    UPDATE relay_outcome o SET is_applied = true FROM ({KEYS}) k, delivery d
    WHERE {SAME.format("o")} AND NOT o.is_applied AND {SAME.format("d")}
      AND d.status NOT IN ('planned', 'sending', 'deferred')
"""  # noqa: S608
