"""Hits become events once, engagement counts them once, and what can't be written holds nothing up."""

import json
import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.config import Settings
from app.flow.events import (
    CAMPAIGN_UNKNOWN,
    REFUSED_BY_DATABASE,
    forget_unsubscribe,
    load_campaign_facts,
    note_unsubscribe,
    record_hits,
    record_lines,
    sum_up,
)
from app.flow.hits import Hit
from app.flow.sessions import AnySession
from app.models import EventKind
from tests.fixtures.tracking import Sent, events_of

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def line(sent: Sent) -> Callable[..., bytes]:
    def make(**changes: object) -> bytes:
        fields = {
            "h": os.urandom(12).hex(), "k": "open", "c": sent.campaign_id, "s": 1, "n": None,
            "t": int(NOW.timestamp() * 1_000_000), "i": "192.0.2.1", "u": "Mail/1.0",
        }  # fmt: skip
        return json.dumps(fields | changes).encode()

    return make


def engagement(session: AnySession) -> list[tuple[int, int, int, datetime | None, datetime | None]]:
    rows = session.execute(
        text("SELECT seq, opens, clicks, first_open_at, first_click_at FROM engagement ORDER BY seq")
    ).all()
    session.rollback()
    return [tuple(row) for row in rows]


def sums(session: AnySession) -> list[tuple[int, ...]]:
    """As they are kept, after a look that they are what adding up again would give."""
    kept = "SELECT campaign_id, openers, opens, clickers, clicks, leavers FROM campaign_reactions ORDER BY 1"
    before = [tuple(row) for row in session.execute(text(kept))]
    for campaign_id in session.scalars(text("SELECT DISTINCT campaign_id FROM engagement")).all():
        sum_up(session, campaign_id)
    assert [tuple(row) for row in session.execute(text(kept))] == before
    session.rollback()
    return [row[1:] for row in before]


def test_people_are_counted_once_however_often_they_come_back(
    session: AnySession, sent: Sent, line: Callable[..., bytes]
) -> None:
    first = [line(), line(), line(s=2, k="click", n=0), line(s=3)]
    for lines in (first, first, [line(), line(k="click", n=0)], [line(s=2), line(s=2, k="click", n=1)]):
        assert record_lines(session, lines, now=NOW) == []
    assert sums(session) == [(3, 5, 2, 3, 0)]


def test_trackers_at_once_count_each_person_once(session: AnySession, sent: Sent, line: Callable[..., bytes]) -> None:
    """Several trackers with hits of the same people, and each bulk twice, as after a takeover."""
    bulks = [
        [line(s=1 + n % 3, k=k, n=link) for n in range(20) for k, link in (("open", None), ("click", 0))]
        for _ in range(4)
    ]
    engine = session.get_bind()

    def track(lines: list[bytes]) -> None:
        with Session(engine) as own:
            record_lines(own, lines, now=NOW)

    threads = [threading.Thread(target=track, args=(bulk,)) for bulk in bulks * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sums(session) == [(3, 80, 3, 80, 0)]


def test_leaving_is_counted_once_and_taken_back_once(session: AnySession, sent: Sent) -> None:
    frozen_on = session.scalar(text("SELECT frozen_on FROM campaign WHERE id = :id"), {"id": sent.campaign_id})
    who = {"frozen_on": frozen_on, "campaign_id": sent.campaign_id, "seq": 1}
    for number in range(2):
        note_unsubscribe(
            session, **who, panel_id=sent.panel_id, source_id=f"u{number}", ip=None, user_agent="", now=NOW
        )
    session.commit()
    assert sums(session) == [(0, 0, 0, 0, 1)]
    for _ in range(2):
        forget_unsubscribe(session, **who)
    session.commit()
    assert sums(session) == [(0, 0, 0, 0, 0)]


def test_events_and_engagement_of_a_bulk(session: AnySession, sent: Sent, line: Callable[..., bytes]) -> None:
    later = int((NOW + timedelta(minutes=5)).timestamp() * 1_000_000)
    lines = [line(t=later), line(), line(k="click", n=1), line(s=2, k="click", n=0), line(s=2, k="click", n=0, t=later)]
    assert record_lines(session, lines, now=NOW) == []
    assert sorted(events_of(session, sent.campaign_id), key=str) == sorted(
        [("open", 1, None), ("open", 1, None), ("click", 1, 1), ("click", 2, 0), ("click", 2, 0)], key=str
    )
    assert engagement(session) == [(1, 2, 1, NOW, NOW), (2, 0, 2, None, NOW)]
    row = session.execute(text("SELECT panel_id, host(ip) AS ip, user_agent, verdict FROM event LIMIT 1")).one()
    assert tuple(row) == (sent.panel_id, "192.0.2.1", "Mail/1.0", None)


def test_replays_whole_partial_and_within_one_bulk_count_once(session: AnySession, line: Callable[..., bytes]) -> None:
    lines = [line() for _ in range(10)]
    record_lines(session, lines, now=NOW)
    record_lines(session, lines, now=NOW + timedelta(days=2))
    record_lines(session, [*lines[5:], line(k="click", n=0)], now=NOW)
    record_lines(session, [lines[0]] * 3, now=NOW)
    assert engagement(session) == [(1, 10, 1, NOW, NOW)]


def test_first_open_is_the_earliest_whatever_the_order(session: AnySession, line: Callable[..., bytes]) -> None:
    early = NOW - timedelta(hours=3)
    record_lines(session, [line()], now=NOW)
    record_lines(session, [line(t=int(early.timestamp() * 1_000_000))], now=NOW)
    assert engagement(session) == [(1, 2, 0, early, None)]


def test_a_hit_of_a_month_without_partition_makes_one(
    session: AnySession, sent: Sent, line: Callable[..., bytes]
) -> None:
    moment = datetime(2027, 9, 30, 23, 59, 59, tzinfo=UTC)
    session.execute(text("DROP TABLE IF EXISTS event_2027_09"))
    session.commit()
    assert record_lines(session, [line(t=int(moment.timestamp() * 1_000_000))], now=moment) == []
    assert session.scalar(text("SELECT count(*) FROM event_2027_09")) == 1


def test_month_borders_are_in_utc_whatever_the_sessions_zone(
    session: AnySession, settings: Settings, sent: Sent, line: Callable[..., bytes]
) -> None:
    session.rollback()  # Making a partition waits for whoever reads the table.
    midnight = datetime(2027, 11, 1, tzinfo=UTC)
    lines = [line(t=int((midnight + timedelta(seconds=s)).timestamp() * 1_000_000)) for s in (-1, 0, 1)]
    in_lima = create_engine(settings.database_url, connect_args={"options": "-c timezone=America/Lima"})
    with Session(in_lima) as elsewhere:
        assert record_lines(elsewhere, lines, now=midnight) == []
    in_lima.dispose()
    assert [session.scalar(text(f"SELECT count(*) FROM event_2027_{month}")) for month in (10, 11)] == [1, 2]


def test_unreadable_and_unknown_are_returned_and_the_rest_is_written(
    session: AnySession, sent: Sent, line: Callable[..., bytes]
) -> None:
    unknown = line(c=sent.campaign_id + 1)
    refused = record_lines(session, [line(), b"rubbish", unknown, line(n=-1, k="click"), line()], now=NOW)
    assert {(one.hit[:7], one.reason) for one in refused} >= {(b"rubbish", "no_json"), (unknown[:7], CAMPAIGN_UNKNOWN)}
    assert sorted(one.reason for one in refused) == ["bad_link", CAMPAIGN_UNKNOWN, "no_json"]
    assert engagement(session) == [(1, 2, 0, NOW, None)]


def test_what_the_database_refuses_is_found_by_halving(session: AnySession, sent: Sent) -> None:
    def hit(number: int, ip: str | None = None) -> Hit:
        return Hit(f"{number:024x}", EventKind.OPEN, sent.campaign_id, 1, None, NOW, ip, "Mail/1.0")

    hits = [hit(n, "no address" if n in (3, 77) else "192.0.2.1") for n in range(100)]
    assert record_hits(session, hits) == {hits[3].hit_id: REFUSED_BY_DATABASE, hits[77].hit_id: REFUSED_BY_DATABASE}
    assert engagement(session) == [(1, 98, 0, NOW, None)]


def test_a_database_that_is_not_ready_is_an_error_and_not_a_refusal(
    session: AnySession, settings: Settings, sent: Sent, line: Callable[..., bytes]
) -> None:
    impatient = create_engine(settings.database_url, connect_args={"options": "-c lock_timeout=50"})
    with session.get_bind().connect() as other, other.begin():
        other.execute(text("LOCK TABLE event IN ACCESS EXCLUSIVE MODE"))
        with Session(impatient) as waiting, pytest.raises(OperationalError):
            record_lines(waiting, [line()], now=NOW)
    impatient.dispose()
    assert engagement(session) == []


def test_facts_of_a_campaign(session: AnySession, sent: Sent) -> None:
    facts = load_campaign_facts(session, sent.campaign_id)
    assert facts is not None
    assert (facts.panel_id, facts.audience_size, facts.complete) == (sent.panel_id, 2, True)
    assert facts.frozen_on is not None and abs(facts.frozen_on - datetime.now(UTC).date()) <= timedelta(days=1)
    assert facts.links == dict(enumerate(sent.links))
    assert load_campaign_facts(session, sent.campaign_id + 1) is None
