"""The real processes on a throw-away installation: a dispatcher that stands by takes over, and a small run of chaos."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from app.extensions import db
from app.models import Contact, MailDomain, RemovedField
from ops.bench import stage as stages
from ops.chaos import run as chaos

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 60


@pytest.fixture
def place() -> Iterator[stages.Stage]:
    with stages.stage(environment=chaos.ENVIRONMENT) as place:
        yield place


class DispatcherProcess:
    def __init__(self, place: stages.Stage, log: Path) -> None:
        self.log = log
        self.process = subprocess.Popen(
            [sys.executable, "-m", "workers.dispatcher"],
            cwd=ROOT,
            env=place.installation.environment,
            stdout=log.open("wb"),
            stderr=subprocess.STDOUT,
        )

    @property
    def is_active(self) -> bool:
        return "dispatcher_active" in self.log.read_text()

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


def wait_until(look, what: str) -> None:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not look():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


@pytest.mark.slow
def test_standing_by_dispatcher_takes_over_when_the_active_one_is_killed(place: stages.Stage, tmp_path: Path) -> None:
    first = DispatcherProcess(place, tmp_path / "first")
    try:
        wait_until(lambda: first.is_active, "the first dispatcher never became active")
        second = DispatcherProcess(place, tmp_path / "second")
        try:
            time.sleep(4)
            assert not second.is_active, "two dispatchers at once"
            first.end()
            wait_until(lambda: second.is_active, "the second one did not take over")
            panel = stages.make_panel(place.app)
            campaign = stages.make_campaign(panel, stages.make_contacts(panel, 10))
            stages.schedule(place.app, campaign)
            started = text("SELECT status FROM campaign WHERE id = :id")

            def is_preparing() -> bool:
                status = db.session.scalar(started, {"id": campaign.id})
                db.session.rollback()
                return status == "preparing"

            wait_until(is_preparing, "the new dispatcher does not work")
        finally:
            second.end()
    finally:
        first.end()


@pytest.mark.slow
def test_dispatcher_ends_the_emptying_that_a_page_began(place: stages.Stage, tmp_path: Path) -> None:
    with place.app.app_context():
        panel = stages.make_panel(place.app)
        db.session.add(Contact(panel_id=panel.id, email="ana@example.pe", domain="example.pe", fields={"edad": 30}))
        db.session.add(RemovedField(panel_id=panel.id, key="edad"))
        db.session.commit()
        dispatcher = DispatcherProcess(place, tmp_path / "log")

        def is_empty() -> bool:
            held = db.session.scalar(text("SELECT fields FROM contact WHERE email = 'ana@example.pe'"))
            db.session.rollback()
            return held == {}

        try:
            wait_until(is_empty, "the dispatcher left the values of a deleted field")
        finally:
            dispatcher.end()


@pytest.mark.slow
def test_expired_mail_domains_are_refreshed_in_the_background(place: stages.Stage, tmp_path: Path) -> None:
    with place.app.app_context():
        db.session.add(MailDomain(domain="gmail.com", provider="other", expires_at=datetime.now(UTC)))
        db.session.commit()

        def is_found() -> bool:
            provider = db.session.scalar(text("SELECT provider FROM mail_domain WHERE expires_at > now()"))
            db.session.rollback()
            return provider == "google"

        with stages.processes(place.installation, ["dispatcher", "worker"], log=tmp_path / "log"):
            wait_until(is_found, "nobody looked the domain up")


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_kills_flushes_and_a_database_crash_lose_and_double_nobody(place: stages.Stage, tmp_path: Path) -> None:
    result = chaos.Chaos(
        place, recipients=600, kills=4, seed=int(os.environ.get("CHAOS_SEED", "7")), log=tmp_path / "log"
    ).run()
    assert result["captured"] == result["accepted"] == result["planned"] == 600
    assert [result[name] for name in ("lost", "duplicated", "foreign", "unknown")] == [0, 0, 0, 0]
    assert (result["kills"], result["flushes"], result["restarts"]) == (4, 2, 1)


@pytest.mark.slow
def test_first_seed_tells_the_log_in_and_later_ones_nothing(place: stages.Stage) -> None:
    login = place.installation.seed()
    assert "@" in login["login"]
    assert len(login["password"]) >= 12
    assert place.installation.seed() == {}
