"""RabbitMQ as the doorbell: over a real one, which is killed, frozen, wiped and asked with wrong passwords."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import dramatiq
import pytest
from dramatiq.errors import ConnectionClosed

from app import amqp, create_app
from app.config import Settings
from app.flow import installation
from ops.services.rabbitmq import RabbitService
from tests.fixtures.app import log_in
from tests.fixtures.services import ROOT
from workers.broker import make_broker, tend
from workers.rabbit import RabbitDoorbell

pytestmark = pytest.mark.rabbitmq

SILENT_SECONDS = 0.5


@pytest.fixture(autouse=True)
def everybody_tries_again_soon(monkeypatch):
    """Workers every three seconds, who rings every two, otherwise."""
    monkeypatch.setattr("dramatiq.worker.CONSUMER_RESTART_DELAY_SECS", 0.2)
    monkeypatch.setattr("workers.rabbit.SILENT_SECONDS", SILENT_SECONDS)


@pytest.fixture
def impatient(here: Settings):
    """One that waits for an answer for a second and a half."""
    broker = RabbitDoorbell(
        amqp.parameters(here.broker_url, stack_timeout=1.5), expires_ms=60_000, middleware=[], answer_seconds=1.5
    )
    yield broker
    broker.close()


@pytest.fixture
def here(settings: Settings, rabbit: RabbitService) -> Settings:
    return replace(settings, broker_url=rabbit.url)


@pytest.fixture
def broker(here: Settings):
    broker = make_broker(here)
    assert isinstance(broker, RabbitDoorbell)
    yield broker
    broker.close()


def serve(broker, *queues: str, prefetch: int = 1):
    """An actor on each queue, and a worker of one thread; what came, in its order."""
    came: list[tuple[str, int]] = []
    actors = [
        dramatiq.actor(
            lambda number, queue=queue: came.append((queue, number)),
            broker=broker, queue_name=queue, actor_name=queue, priority=0 if queue == "urgent" else 10,
        )
        for queue in queues
    ]  # fmt: skip
    return came, actors, dramatiq.Worker(broker, worker_threads=1, worker_timeout=100)


def wait_for(look, what: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def waiting(rabbit: RabbitService, queue: str) -> int:
    with amqp.channel(amqp.parameters(rabbit.url)) as channel:
        return channel.queue_declare(queue, passive=True).method.message_count


def rings(ring, number: int) -> bool:
    with suppress(ConnectionClosed):
        ring.send(number)
        return True
    return False


def states_of_threads(pid: int) -> set[str]:
    """As proc(5) has them; T: stopped by a signal."""
    return {path.read_text().rpartition(")")[2].split()[0] for path in Path(f"/proc/{pid}/task").glob("*/stat")}


def test_a_ring_reaches_a_worker_and_is_gone(broker, rabbit):
    came, (ring,), worker = serve(broker, "sending")
    ring.send(7)
    assert waiting(rabbit, "sending") == 1
    worker.start()
    try:
        wait_for(lambda: came == [("sending", 7)], "nothing came")
        wait_for(lambda: waiting(rabbit, "sending") == 0, "the ring was not taken back")
    finally:
        worker.stop()
    assert waiting(rabbit, "sending") == 0


def test_what_is_urgent_is_served_next_though_much_else_was_rung_before(broker, rabbit):
    came, may_go_on = [], threading.Event()

    @dramatiq.actor(broker=broker, queue_name="sending", priority=10)
    def bulk(number: int) -> None:
        came.append(number)
        may_go_on.wait(20)

    @dramatiq.actor(broker=broker, queue_name="urgent", priority=0)
    def urgent() -> None:
        came.append("urgent")

    worker = dramatiq.Worker(broker, worker_threads=1, worker_timeout=100)
    for number in range(40):
        bulk.send(number)
    worker.start()
    try:
        wait_for(lambda: came, "nothing came")
        urgent.send()
        wait_for(lambda: waiting(rabbit, "urgent") == 0, "nobody fetched it")
        time.sleep(0.2)
        may_go_on.set()
        wait_for(lambda: len(came) == 41, "something did not come")
    finally:
        worker.stop()
    assert came[1] == "urgent"


def test_a_ring_that_failed_is_neither_repeated_nor_kept(broker, rabbit):
    tries = []

    @dramatiq.actor(broker=broker, queue_name="sending", max_retries=0)
    def fail(number: int) -> None:
        tries.append(number)
        raise RuntimeError("on purpose")

    worker = dramatiq.Worker(broker, worker_threads=1, worker_timeout=100)
    fail.send(1)
    worker.start()
    try:
        wait_for(lambda: tries, "nothing came")
    finally:
        worker.stop()
    assert tries == [1]
    with amqp.channel(amqp.parameters(rabbit.url)) as channel:
        assert channel.queue_declare("sending", passive=True).method.message_count == 0
        for extra in ("sending.XQ", "sending.DQ"):
            with pytest.raises(amqp.ChannelClosedByBroker):
                channel.connection.channel().queue_declare(extra, passive=True)


def test_a_ring_for_later_is_refused(broker):
    _, (ring,), _ = serve(broker, "sending")
    with pytest.raises(ValueError, match="column in the database"):
        ring.send_with_options(args=(1,), delay=1000)


def test_rabbitmq_forgets_a_ring_that_nobody_came_for(here, rabbit):
    broker = RabbitDoorbell(amqp.parameters(here.broker_url), expires_ms=200, middleware=[])
    _, (ring,), _ = serve(broker, "sending")
    ring.send(1)
    assert waiting(rabbit, "sending") == 1
    wait_for(lambda: waiting(rabbit, "sending") == 0, "it is kept")
    broker.close()


def test_workers_and_rings_come_back_after_a_kill_of_rabbitmq(broker, rabbit):
    came, (ring,), worker = serve(broker, "sending")
    worker.start()
    try:
        ring.send(1)
        wait_for(lambda: len(came) == 1, "nothing came")
        rabbit.kill()
        begun = time.monotonic()
        with pytest.raises(ConnectionClosed):
            ring.send(2)
        assert time.monotonic() - begun < 2, "who rings in vain hears so at once"
        rabbit.start()
        wait_for(lambda: rings(ring, 3), "nobody can ring")
        wait_for(lambda: ("sending", 3) in came, "the worker did not come back")
    finally:
        worker.stop()
    assert ("sending", 2) not in came


def test_work_goes_on_while_rabbitmq_is_away(broker, rabbit):
    """A thread that ended its work can't say so; it takes what its process has fetched already all the same."""
    begun, may_end = [], threading.Event()

    @dramatiq.actor(broker=broker, queue_name="sending", max_retries=0)
    def work(number: int) -> None:
        begun.append(number)
        may_end.wait(20)

    worker = dramatiq.Worker(broker, worker_threads=1, worker_timeout=100)
    for number in (1, 2):
        work.send(number)
    worker.start()
    try:
        wait_for(lambda: begun, "nothing came")
        time.sleep(0.3)  # The second one is fetched.
        rabbit.kill()
        time.sleep(0.3)
        may_end.set()
        wait_for(lambda: begun == [1, 2], "the thread waits for RabbitMQ", seconds=2)
    finally:
        worker.stop()


def test_what_came_over_an_old_connection_is_not_answered_over_a_new_one(broker, rabbit):
    """Each connection counts its rings from 1: the answer would be taken for another ring's."""
    _, (ring,), _ = serve(broker, "sending")
    first = broker.consume("sending", timeout=2000)
    ring.send(1)
    old = next(first)
    second = broker.consume("sending", timeout=2000)
    ring.send(2)
    new = next(second)
    assert (old.args, new.args, old._tag) == ((1,), (2,), new._tag)
    second.ack(old)
    second.nack(old)
    second.close()
    assert waiting(rabbit, "sending") == 1, "the second ring was answered by the first one's number"
    first.ack(old)
    first.close()
    assert waiting(rabbit, "sending") == 1


def test_a_ring_outlives_a_kill_and_reaches_a_worker_that_started_while_rabbitmq_was_away(broker, rabbit):
    came, (ring,), worker = serve(broker, "sending")
    ring.send(1)
    rabbit.kill()
    worker.start()
    try:
        rabbit.start()
        wait_for(lambda: came == [("sending", 1)], "the worker did not connect")
    finally:
        worker.stop()


def test_queues_that_vanished_are_made_anew_by_who_rings_and_who_listens(broker, rabbit):
    came, (ring,), worker = serve(broker, "sending")
    worker.start()
    try:
        ring.send(1)
        wait_for(lambda: len(came) == 1, "nothing came")
        with amqp.channel(amqp.parameters(rabbit.url)) as channel:
            channel.queue_delete("sending")
        ring.send(2)
        wait_for(lambda: ("sending", 2) in came, "the worker did not come back")
    finally:
        worker.stop()


def test_a_frozen_rabbitmq_holds_nobody_up_for_long(impatient, rabbit):
    _, (ring,), _ = serve(impatient, "sending")
    ring.send(1)
    os.kill(rabbit.pid, signal.SIGSTOP)
    try:
        wait_for(lambda: states_of_threads(rabbit.pid) == {"T"}, "it goes on")
        begun = time.monotonic()
        with pytest.raises(ConnectionClosed):
            ring.send(2)
        assert time.monotonic() - begun < 6
        begun = time.monotonic()
        for _ in range(10):  # The other steps of a sweep.
            with pytest.raises(ConnectionClosed, match="a moment ago"):
                ring.send(2)
        assert time.monotonic() - begun < 1
    finally:
        os.kill(rabbit.pid, signal.SIGCONT)
    wait_for(lambda: rings(ring, 3), "it does not come back")


def test_a_rabbitmq_short_of_memory_holds_nobody_up_for_long(impatient, rabbit):
    _, (ring,), _ = serve(impatient, "sending")
    ring.send(1)
    rabbit.control("set_vm_memory_high_watermark", "absolute", "1")
    try:
        wait_for(lambda: "memory resource limit alarm set" in rabbit.words(), "no alarm")
        begun = time.monotonic()
        with pytest.raises(ConnectionClosed, match="short of memory"):
            ring.send(2)
        assert time.monotonic() - begun < 6
    finally:
        rabbit.control("set_vm_memory_high_watermark", "0.9")
    wait_for(lambda: rings(ring, 3), "it does not come back")


def test_an_idle_connection_is_kept_by_tending_it(here, rabbit):
    broker = make_broker(replace(here, broker_url=f"{here.broker_url}?heartbeat=1"))
    _, (ring,), _ = serve(broker, "sending")
    ring.send(1)
    connection = broker.connection
    for _ in range(16):
        time.sleep(0.2)
        tend(broker)
    assert broker.connection is connection and connection.is_open
    time.sleep(3.5)  # Not tended: RabbitMQ hangs up, and the next ring goes over a new connection.
    ring.send(2)
    assert broker.connection is not connection
    assert waiting(rabbit, "sending") == 2
    broker.close()


def test_each_thread_rings_over_a_connection_of_its_own(broker, rabbit):
    _, (ring,), _ = serve(broker, "sending")
    threads = [threading.Thread(target=lambda: [ring.send(n) for n in range(20)]) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert waiting(rabbit, "sending") == 120


def test_nothing_is_connected_before_the_first_ring(broker):
    """A process forks after the broker was made; a connection is not for two."""
    serve(broker, "sending")
    assert not broker.connections and not broker.channels


def test_overview_tells_broker_redis_and_workers_apart(session, here, rabbit):
    assert installation.broker_state(here) == (True, False)
    broker = make_broker(here)
    _, _, worker = serve(broker, *amqp.QUEUES[1:])
    worker.start()
    try:
        served = lambda: [n for n in amqp.consumers(here.broker_url, patience_seconds=1).values() if n]  # noqa: E731
        wait_for(lambda: len(served()) == len(amqp.QUEUES) - 1, "a queue has no consumer")
        assert installation.broker_state(here) == (True, False), "nobody serves what is urgent"
    finally:
        worker.stop()
        broker.close()
    state = installation.installation_state(session, replace(here, redis_url="redis://127.0.0.1:1/0"))
    assert (state.broker_reachable, state.redis_reachable, state.broker_is_rabbit) == (True, False, True)
    assert not state.broker_embedded
    rabbit.kill()
    begun = time.monotonic()
    state = installation.installation_state(session, here)
    assert (state.broker_reachable, state.redis_reachable, state.workers_alive) == (False, True, None)
    assert time.monotonic() - begun < 4


def test_overview_page_names_rabbitmq_and_shows_nothing_of_its_address(app, admin, here, rabbit):
    client = log_in(create_app(here).test_client(), admin)
    page = client.get("/").text
    assert "RabbitMQ" in page and "Ritmos y seguimiento" in page
    rabbit.kill()
    begun = time.monotonic()
    broken = client.get("/")
    assert broken.status_code == 200 and "No responde" in broken.text
    assert time.monotonic() - begun < 4
    for text in (page, broken.text):
        assert rabbit.password not in text and str(rabbit.port) not in text


def test_all_queues_served_is_life(here):
    broker = make_broker(here)
    _, _, worker = serve(broker, *amqp.QUEUES)
    worker.start()
    try:
        wait_for(lambda: installation.broker_state(here) == (True, True), "no life")
    finally:
        worker.stop()
        broker.close()


# What is wrong, in a sentence.


def test_a_good_address_has_no_problem_and_its_queues_stand(rabbit):
    assert amqp.problem(rabbit.url) is None
    assert {waiting(rabbit, queue) for queue in amqp.QUEUES} == {0}


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda url: url.replace("chaski:", "chaski:no-es-", 1), "refuses the user 'chaski'"),
        (lambda url: url + "-otro", "no virtual host 'chaski-otro'"),
        (lambda url: url.replace("127.0.0.1", "rabbit.invalid"), "does not answer at rabbit.invalid"),
        (lambda url: url.replace("amqp:", "amqps:"), "No TLS with RabbitMQ"),
        (lambda url: url + "?heartbeat=mucho", "heartbeat"),
    ],
)
def test_a_wrong_address_is_one_sentence_without_the_password(rabbit, wrong, told):
    said = amqp.problem(wrong(rabbit.url))
    assert said and told in said and "BROKER_URL" in said
    assert rabbit.url.split(":")[2].split("@")[0] not in said


def test_a_worker_with_a_wrong_password_says_so_without_saying_it_and_goes_on_trying(here, rabbit, tmp_path):
    wrong = "no-es-la-clave"
    environment = os.environ | {
        "BROKER_URL": rabbit.url.replace(rabbit.password, wrong), "REDIS_URL": here.redis_url,
        "DATABASE_URL": here.database_url, "SECRET_KEY": here.secret_key, "CHASKI_VAR": str(tmp_path),
    }  # fmt: skip
    command = [sys.executable, "-m", "dramatiq", "workers.actors", "--queues", "urgent", "--processes", "1"]
    log = tmp_path / "log"
    with log.open("wb") as output:
        worker = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
    try:
        wait_for(lambda: log.read_text().count("refuses the user 'chaski': correct user or password") > 1, "it gave up")
        assert worker.poll() is None
    finally:
        worker.terminate()
        worker.wait(20)
    said = log.read_text()
    assert "Traceback" not in said
    assert wrong not in said and rabbit.password not in said


def test_nobody_a_silent_one_and_a_stranger_are_told_apart():
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.create_server(("127.0.0.1", 0)) as stranger:

        def answer() -> None:
            connection, _ = stranger.accept()
            with connection:
                connection.sendall(b"220 correo.example.pe ESMTP\r\n")
                connection.recv(100)

        threading.Thread(target=answer, daemon=True).start()

        def said(port: int) -> str:
            return amqp.problem(f"amqp://a:b@127.0.0.1:{port}/x?stack_timeout=1") or ""

        assert "Connection refused" in said(1)
        assert "in time" in said(silent.getsockname()[1])
        assert "does not speak with us" in said(stranger.getsockname()[1])


def test_queues_of_somebody_else_are_not_taken_for_ours(rabbit):
    with amqp.channel(amqp.parameters(rabbit.url)) as channel:
        channel.queue_delete("sending")
        channel.queue_declare("sending", durable=False, auto_delete=True)
        assert "virtual host of its own" in (amqp.problem(rabbit.url) or "")
