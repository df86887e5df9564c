"""What the practice relay answered 250 is stored exactly once, whoever is killed when."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session, scoped_session

from app.config import Settings
from app.models import Panel, PracticeMessage
from ops.migrate import upgrade
from ops.services import EmbeddedPostgres
from tests.wire import Wire, content, envelope
from tests.workers.practice_process import PracticeProcess
from workers.practice.collector import MessageCollector

CLIENTS = 6


@pytest.fixture(scope="module")
def server(module_service_dir: Path) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL of this file's own, to be stopped and killed."""
    postgres = EmbeddedPostgres(module_service_dir / "data", durable=True)
    url = postgres.start()
    upgrade({"DATABASE_URL": url, "BROKER_URL": "redis://127.0.0.1:1/0", "SECRET_KEY": "only-for-the-migration"})
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(
            "INSERT INTO panel (slug, name, colour, mode, timezone)"
            " VALUES ('empleo', 'Empleo', 'blue', 'practice', 'America/Lima')"
        )
    yield postgres
    postgres.discard()


@pytest.fixture
def relay(server: EmbeddedPostgres, tmp_path: Path) -> Iterator[PracticeProcess]:
    settings = Settings(
        database_url=server.url,
        broker_url="redis://127.0.0.1:1/0",
        redis_url="redis://127.0.0.1:1/0",
        secret_key="a key for tests only",
        var_dir=str(tmp_path),
    )
    with psycopg.connect(server.url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("TRUNCATE practice_message")
    with PracticeProcess(settings, tmp_path / "relay.log") as process:
        yield process
        assert "Traceback" not in process.log


def stored_message_ids(server: EmbeddedPostgres) -> Counter[str]:
    with psycopg.connect(server.url.replace("+psycopg", "")) as connection:
        return Counter(row[0] for row in connection.execute("SELECT message_id FROM practice_message").fetchall())


class Traffic:
    """Clients that send without pause until told to stop or cut off; what each message was answered."""

    def __init__(self, relay: PracticeProcess) -> None:
        self._relay = relay
        self._stop = threading.Event()
        self.answers: dict[str, str] = {}
        self.farewells: list[str] = []
        self._threads = [threading.Thread(target=self._send, args=(number,)) for number in range(CLIENTS)]

    def _send(self, client: int) -> None:
        number = 0
        try:
            with self._relay.wire() as wire:
                while not self._stop.is_set():
                    number += 1
                    message_id = f"<{client}.{number}@x>"
                    heard = self._send_one(wire, message_id)
                    if heard.startswith("421"):
                        self.farewells.append(heard)
                        return
                    self.answers[message_id] = heard
        except (EOFError, ConnectionError):
            return

    def _send_one(self, wire: Wire, message_id: str) -> str:
        """The deciding reply: to the content, or the first one that is no success."""
        wire.say(envelope("ana@example.pe"))
        replies = [wire.hear()]
        if replies[0].startswith("421"):
            return replies[0]
        replies += [wire.hear(), wire.hear()]
        if not replies[2].startswith("354"):
            return replies[0]
        return wire.say(content(message_id, "Hola a todos\r\n" * 100)).hear()

    def run(self, disturb: Callable[[], None], *, before_seconds: float = 0.7, after_seconds: float = 0.7) -> None:
        for thread in self._threads:
            thread.start()
        time.sleep(before_seconds)
        disturb()
        time.sleep(after_seconds)
        self._stop.set()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()

    def accepted(self) -> set[str]:
        return {message_id for message_id, reply in self.answers.items() if reply.startswith("250")}


def test_killed_relay_has_stored_everything_it_answered(relay: PracticeProcess, server: EmbeddedPostgres):
    traffic = Traffic(relay)
    traffic.run(relay.kill)
    stored = stored_message_ids(server)
    assert len(traffic.accepted()) > 50
    assert traffic.accepted() <= set(stored)
    assert max(stored.values()) == 1
    # What was stored without an answer was in flight: at most one message per client.
    assert len(stored) - len(traffic.accepted()) <= CLIENTS


def test_stopped_relay_ends_transactions_and_says_421(relay: PracticeProcess, server: EmbeddedPostgres):
    traffic = Traffic(relay)
    codes: list[int] = []
    traffic.run(lambda: codes.append(relay.stop()))
    assert codes == [0]
    assert len(traffic.accepted()) > 50
    assert Counter(traffic.accepted()) == stored_message_ids(server)
    assert traffic.farewells


@pytest.mark.parametrize("disturbance", ["restart", "kill"])
def test_restarted_database_loses_and_repeats_nothing(
    relay: PracticeProcess, server: EmbeddedPostgres, disturbance: str
):
    def disturb() -> None:
        if disturbance == "kill":
            server.kill()
        else:
            server.stop()
        server.start()

    traffic = Traffic(relay)
    traffic.run(disturb, after_seconds=3)
    stored = stored_message_ids(server)
    assert len(traffic.accepted()) > 50
    assert traffic.accepted() <= set(stored)
    assert max(stored.values()) == 1
    refused = set(traffic.answers.values()) - {
        reply for reply in traffic.answers.values() if reply.startswith("250 2.0.0")
    }
    assert all(reply.startswith("451 4.3.0") for reply in refused)
    with relay.wire() as wire:
        wire.say(envelope("ana@example.pe"))
        assert wire.hear_codes(3) == ["250", "250", "354"]
        assert wire.say(content("<after@x>")).hear().startswith("250")


def test_database_away_gets_451_until_it_is_back(relay: PracticeProcess, server: EmbeddedPostgres):
    with relay.wire() as wire:
        wire.say(envelope("ana@example.pe"))
        wire.hear_codes(3)
        wire.say(content("<before@x>")).hear()
        server.stop()
        try:
            wire.say(envelope("ana@example.pe"))
            assert wire.hear_codes(3) == ["250", "250", "354"]
            began = time.monotonic()
            assert wire.say(content("<away@x>")).hear().startswith("451 4.3.0")
            assert time.monotonic() - began < 10
            with relay.wire() as newcomer:
                assert newcomer.ask(b"MAIL FROM:<a@example.pe>").startswith("451 4.3.0")
            assert relay.process.poll() is None
        finally:
            server.start()
        wire.say(envelope("ana@example.pe"))
        assert wire.hear_codes(3) == ["250", "250", "354"]
        assert wire.say(content("<back@x>")).hear().startswith("250")
    assert sorted(stored_message_ids(server)) == ["<back@x>", "<before@x>"]


def test_message_the_database_refuses_harms_no_other(relay: PracticeProcess, server: EmbeddedPostgres):
    with psycopg.connect(server.url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(
            "INSERT INTO panel (slug, name, colour, mode, timezone) VALUES ('fugaz', 'Fugaz', 'red', 'practice', 'UTC')"
        )
        with relay.wire("fugaz") as doomed, relay.wire() as other:
            doomed.say(envelope("ana@example.pe"))
            other.say(envelope("ana@example.pe"))
            assert [doomed.hear_codes(3), other.hear_codes(3)] == [["250", "250", "354"]] * 2
            connection.execute("DELETE FROM panel WHERE slug = 'fugaz'")
            doomed.say(content("<doomed@x>"))
            other.say(content("<other@x>"))
            assert doomed.hear().startswith("550 5.6.0")
            assert other.hear().startswith("250")
    assert list(stored_message_ids(server)) == ["<other@x>"]


def test_oldest_messages_beyond_the_limit_are_pruned(
    session: scoped_session[Session], settings: Settings, panel: Panel
):
    for number in range(7):
        session.add(
            PracticeMessage(
                panel_id=panel.id,
                message_id=f"<{number}@x>",
                mail_from="",
                rcpt_to="ana@example.pe",
                size_bytes=0,
                raw=b"",
            )
        )
        session.flush()
    session.commit()
    collector = MessageCollector(settings.database_url.replace("+psycopg", ""), keep_messages=3)
    assert asyncio.run(collector.prune()) == 0, "reconciling may still ask for them"
    session.execute(update(PracticeMessage).values(received_at=datetime.now(UTC) - timedelta(minutes=16)))
    session.commit()
    assert asyncio.run(collector.prune()) == 4
    assert asyncio.run(collector.prune()) == 0
    assert session.scalars(select(PracticeMessage.message_id).order_by(PracticeMessage.id)).all() == [
        "<4@x>",
        "<5@x>",
        "<6@x>",
    ]
    assert session.scalar(select(func.count()).select_from(PracticeMessage)) == 3
