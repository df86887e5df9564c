"""The tracker as a real process: killed at any moment it loses nothing and counts nothing twice; what is away comes back."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import text

from app.config import Settings
from app.flow.hit_spool import HitSpool
from app.flow.hit_stream import ASIDE, GROUP, STREAM, HitOutbox, HitStream
from app.flow.hits import encode_hit
from app.flow.sessions import AnySession
from app.models import EventKind
from ops.services import EmbeddedPostgres, EmbeddedRedis
from tests.fixtures.tracking import Sent

ROOT = Path(__file__).resolve().parents[2]


def environment(settings: Settings, **changes: str) -> dict[str, str]:
    return os.environ | {
        "CHASKI_VAR": settings.var_dir,
        "DATABASE_URL": settings.database_url,
        "BROKER_URL": settings.broker_url,
        "SECRET_KEY": settings.secret_key,
        "LOG_FORMAT": "json",
        **changes,
    }


@contextmanager
def tracker(settings: Settings, **changes: str) -> Iterator[subprocess.Popen[bytes]]:
    with (Path(settings.var_dir) / "tracker.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "workers.tracker"],
            cwd=ROOT, env=environment(settings, TRACKER_TAKEOVER_SECONDS="1", **changes), stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def said(settings: Settings, event: str) -> int:
    """How often the trackers of this test logged it."""
    return (Path(settings.var_dir) / "tracker.log").read_text().count(f'"{event}"')


def counts(session: AnySession) -> tuple[int, int, int]:
    """Events, distinct events, opens and clicks counted."""
    row = session.execute(
        text(
            "SELECT (SELECT count(*) FROM event) AS events, (SELECT count(DISTINCT user_agent) FROM event) AS distinct_events, "
            "(SELECT coalesce(sum(opens + clicks), 0) FROM engagement) AS counted"
        )
    ).one()
    session.rollback()
    return row.events, row.distinct_events, int(row.counted)


@pytest.fixture
def put(settings: Settings, sent: Sent) -> Callable[[int], None]:
    """Hands a numbered hit over, as the endpoint does."""
    outbox = HitOutbox(settings.redis_url, HitSpool(settings.spool_dir), backlog=1_000_000)

    def put_one(number: int) -> None:
        outbox.put(
            encode_hit(EventKind.OPEN, sent.campaign_id, 1 + number % 2, ip="192.0.2.1", user_agent=f"hit/{number}")
        )

    return put_one


def test_hits_become_events_within_two_seconds_and_leave_the_stream(
    session: AnySession, settings: Settings, broker: Redis, put: Callable[[int], None]
) -> None:
    with tracker(settings):
        wait_until(lambda: broker.exists(STREAM) == 1)
        for number in range(500):
            put(number)
        wait_until(lambda: counts(session) == (500, 500, 500), seconds=2)
        wait_until(lambda: broker.xlen(STREAM) == 0)
        assert broker.xpending(STREAM, GROUP)["pending"] == 0


@pytest.mark.slow
def test_killed_again_and_again_it_loses_nothing_and_counts_nothing_twice(
    session: AnySession, settings: Settings, broker: Redis, put: Callable[[int], None]
) -> None:
    stop, pushed = threading.Event(), 0

    def generate() -> None:
        nonlocal pushed
        while not stop.is_set():
            put(pushed)
            pushed += 1
            time.sleep(0.0003)

    generator = threading.Thread(target=generate)
    generator.start()
    for life in range(12):
        with tracker(settings) as process:
            wait_until(lambda: said(settings, "tracker_started") == life + 1)  # noqa: B023 - called at once
            time.sleep(0.05 * (life % 8))
            process.send_signal(signal.SIGKILL)
            process.wait()
    stop.set()
    generator.join()
    assert counts(session)[0] > 0, "the tracker lived long enough to write something between the kills"
    with tracker(settings):
        wait_until(lambda: broker.xlen(STREAM) == 0, seconds=60)
    assert pushed > 1000
    assert counts(session) == (pushed, pushed, pushed)


def test_what_a_dead_tracker_had_read_is_taken_over(
    session: AnySession, settings: Settings, broker: Redis, put: Callable[[int], None]
) -> None:
    for number in range(10):
        put(number)
    dead = HitStream(broker, "dead")
    dead.ensure_group()
    assert len(dead.read(10, block_seconds=0.1)) == 10
    with tracker(settings):
        wait_until(lambda: counts(session) == (10, 10, 10))
        wait_until(lambda: broker.xlen(STREAM) == 0)


def test_killed_between_commit_and_settling_counts_once(
    session: AnySession, settings: Settings, broker: Redis, put: Callable[[int], None]
) -> None:
    from app.flow.events import record_lines

    for number in range(10):
        put(number)
    dead = HitStream(broker, "dead")
    dead.ensure_group()
    assert record_lines(session, [entry.hit for entry in dead.read(10, block_seconds=0.1)]) == []
    with tracker(settings):
        wait_until(lambda: broker.xlen(STREAM) == 0)
    assert counts(session) == (10, 10, 10)


def test_two_trackers_share_the_work(
    session: AnySession, settings: Settings, broker: Redis, put: Callable[[int], None]
) -> None:
    with tracker(settings), tracker(settings):
        for number in range(3000):
            put(number)
        wait_until(lambda: counts(session) == (3000, 3000, 3000))


def test_flushall_under_its_feet_makes_a_new_group(
    session: AnySession, settings: Settings, broker: Redis, put: Callable[[int], None]
) -> None:
    with tracker(settings):
        put(0)
        wait_until(lambda: counts(session)[0] == 1)
        broker.flushdb()
        for number in range(1, 20):
            put(number)
        wait_until(lambda: counts(session) == (20, 20, 20))


def test_poison_is_put_aside_with_its_reason_and_blocks_nothing(
    session: AnySession, settings: Settings, broker: Redis, sent: Sent, put: Callable[[int], None]
) -> None:
    poison = {
        "no_json": {"hit": b"\x00\xff rubbish"},
        "bad_kind": {"hit": b'{"k": ["x"]}'},
        "campaign_unknown": {"hit": encode_hit(EventKind.OPEN, sent.campaign_id + 999, 1)},
        "too_long": {"hit": b"x" * 50_000},
    }
    put(0)
    for fields in poison.values():
        broker.xadd(STREAM, fields)
    broker.xadd(STREAM, {"something": "else"})
    put(1)
    with tracker(settings):
        wait_until(lambda: counts(session) == (2, 2, 2))
        wait_until(lambda: broker.xlen(STREAM) == 0)
    aside = [fields for _id, fields in broker.xrange(ASIDE)]
    assert sorted(fields[b"reason"].decode() for fields in aside) == sorted([*poison, "no_json"])
    assert max(len(fields[b"hit"]) for fields in aside) <= 2000


def test_spooled_hits_are_written_even_while_redis_is_away(
    session: AnySession, settings: Settings, broker: Redis, put: Callable[[int], None]
) -> None:
    spool = HitSpool(settings.spool_dir)
    away = HitOutbox("redis://127.0.0.1:1/0", spool, backlog=10)
    campaign = session.scalar(text("SELECT id FROM campaign"))
    for number in range(50):
        away.put(encode_hit(EventKind.CLICK, campaign, 1, link=0, user_agent=f"hit/{number}"))
    with tracker(settings, REDIS_URL="redis://127.0.0.1:1/0"):
        wait_until(lambda: counts(session) == (50, 50, 50))
        wait_until(lambda: not list(settings.spool_dir.iterdir()))


def test_a_hit_both_in_the_stream_and_in_the_spool_counts_once(
    session: AnySession, settings: Settings, broker: Redis, sent: Sent
) -> None:
    """Redis took it, and its answer was lost."""
    hit = encode_hit(EventKind.OPEN, sent.campaign_id, 1, user_agent="hit/0")
    HitSpool(settings.spool_dir).append(hit)
    broker.xadd(STREAM, {"hit": hit})
    broker.xadd(STREAM, {"hit": hit})
    with tracker(settings):
        wait_until(lambda: broker.xlen(STREAM) == 0 and not list(settings.spool_dir.iterdir()))
    assert counts(session) == (1, 1, 1)


def test_a_full_backlog_goes_to_the_spool(settings: Settings, broker: Redis, sent: Sent) -> None:
    broker.xadd(STREAM, {"hit": b"x"})
    spool = HitSpool(settings.spool_dir)
    HitOutbox(settings.redis_url, spool, backlog=1).put(encode_hit(EventKind.OPEN, sent.campaign_id, 1))
    assert broker.xlen(STREAM) == 1
    assert len(spool.take()) == 1


def test_sigterm_ends_it_after_the_bulk_in_hand(settings: Settings, broker: Redis, sent: Sent) -> None:
    with tracker(settings) as process:
        wait_until(lambda: broker.exists(STREAM) == 1)
        process.terminate()
        assert process.wait(10) == 0


def test_sigterm_ends_it_while_redis_is_away(settings: Settings, sent: Sent) -> None:
    with tracker(settings, BROKER_URL="redis://127.0.0.1:1/0") as process:
        wait_until(lambda: said(settings, "tracker_waits") > 0)
        process.terminate()
        assert process.wait(10) == 0


@pytest.mark.slow
def test_postgres_and_redis_restarting_lose_nothing(service_dir: Path, tmp_path: Path) -> None:
    """On services of its own, since these are stopped under the tracker's and the endpoint's feet."""
    postgres, redis = EmbeddedPostgres(service_dir / "postgres", durable=False), EmbeddedRedis(service_dir / "redis")
    try:
        settings = own_installation(tmp_path, postgres.start(), redis.start())
        campaign_id = frozen_campaign(settings)
        outbox = HitOutbox(settings.redis_url, HitSpool(settings.spool_dir), backlog=1_000_000)
        with tracker(settings):
            for number in range(900):
                outbox.put(encode_hit(EventKind.OPEN, campaign_id, 1, user_agent=f"hit/{number}"))
                if number == 300:
                    postgres.kill()
                if number == 500:
                    redis.stop()
                if number == 700:
                    redis.start()
                    postgres.start()
                time.sleep(0.002)
            wait_until(lambda: event_count(settings) == 900, seconds=40)
        assert not list(settings.spool_dir.iterdir())
    finally:
        redis.discard()
        postgres.discard()


def own_installation(tmp_path: Path, database_url: str, redis_url: str) -> Settings:
    from ops.migrate import upgrade

    urls = {"DATABASE_URL": database_url, "BROKER_URL": redis_url, "SECRET_KEY": "only for this test"}
    upgrade(urls)
    return Settings(
        database_url=database_url, broker_url=redis_url, redis_url=redis_url, secret_key=urls["SECRET_KEY"],
        var_dir=str(tmp_path),
    )  # fmt: skip


def run_sql(settings: Settings, statement: str) -> int:
    from sqlalchemy import create_engine

    engine = create_engine(settings.database_url)
    with engine.begin() as connection:
        found: int = connection.scalar(text(statement))
    engine.dispose()
    return found


def frozen_campaign(settings: Settings) -> int:
    run_sql(
        settings,
        "INSERT INTO panel (slug, name, colour, mode, timezone) VALUES ('p', 'P', 'blue', 'practice', 'UTC') RETURNING id",
    )
    return run_sql(
        settings,
        "INSERT INTO campaign (panel_id, name, status, frozen_on, audience_size) "
        "SELECT id, 'C', 'finished', current_date, 1 FROM panel RETURNING id",
    )


def event_count(settings: Settings) -> int:
    return run_sql(settings, "SELECT count(*) FROM event")
