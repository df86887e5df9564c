"""What administrators see of the installation, and what a person at the command line is told when it is not set up."""

import ast
import os
import subprocess
import sys
import time
from dataclasses import replace

import dramatiq
import psycopg
import pytest
from sqlalchemy import text

from app.config import CHECKOUT
from app.flow import installation
from app.version import version
from workers.broker import BROKER_NAMESPACE, make_broker


def dispatchers_lock_key() -> int:
    """Read, not imported: the dispatcher's module starts an application of its own."""
    for line in (CHECKOUT / "workers" / "dispatcher.py").read_text().splitlines():
        if line.startswith("LOCK_KEY = "):
            return ast.literal_eval(line.partition("= ")[2])
    raise AssertionError("workers/dispatcher.py has no LOCK_KEY")


def test_the_lock_and_the_heartbeats_are_those_of_the_processes():
    assert dispatchers_lock_key() == installation.DISPATCHER_LOCK
    assert f"{BROKER_NAMESPACE}:__heartbeats__" == installation.WORKER_HEARTBEATS


def test_the_dispatcher_is_active_while_it_holds_its_lock(session, settings):
    assert not installation.dispatcher_active(session)
    url = settings.database_url.replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (dispatchers_lock_key(),))
        assert installation.dispatcher_active(session)
    session.rollback()
    session.execute(text("SELECT pg_advisory_xact_lock(42)"))
    assert not installation.dispatcher_active(session)


def test_a_worker_shows_life_through_the_broker(session, settings):
    assert installation.broker_state(settings) == (True, False)
    broker = make_broker(settings)

    @dramatiq.actor(broker=broker, queue_name="sending")
    def nothing() -> None: ...

    worker = dramatiq.Worker(broker, worker_threads=1, worker_timeout=100)
    worker.start()
    try:
        for _ in range(100):
            if installation.broker_state(settings) == (True, True):
                break
            time.sleep(0.05)
        assert installation.broker_state(settings) == (True, True)
    finally:
        worker.stop()
        broker.close()


def test_a_broker_out_of_reach_is_said_and_costs_a_second_at_most(session, settings):
    away = replace(settings, broker_url="redis://127.0.0.1:1/0")
    state = installation.installation_state(session, away)
    assert (state.broker_reachable, state.workers_alive) == (False, None)
    assert state.database_version.startswith("18")
    assert state.version == version() != ""


def test_services_of_others_are_called_external(session, settings):
    state = installation.installation_state(session, settings)
    assert (state.database_embedded, state.broker_embedded) == (False, False)


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({}, "DATABASE_URL is not set"),
        ({"DATABASE_URL": "postgresql://x", "BROKER_URL": "redis://x"}, "SECRET_KEY is not set"),
        (
            {"DATABASE_URL": "x", "BROKER_URL": "redis://x", "SECRET_KEY": "x", "BATCH_SIZE": "many"},
            "BATCH_SIZE='many'",
        ),
    ],
)
@pytest.mark.parametrize("arguments", [["seed"], ["--help"], ["users", "create"]])
def test_a_missing_setting_is_one_sentence(tmp_path, environment, told, arguments):
    done = subprocess.run(
        [sys.executable, "-m", "flask", *arguments],
        cwd=CHECKOUT,
        env={"PATH": os.environ["PATH"], "CHASKI_VAR": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("Error: ")
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
