"""The real processes over a real RabbitMQ: a campaign goes out, also where the broker is killed in the middle of it."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from app.extensions import db
from app.flow import composing
from app.flow.installation import broker_state
from app.models import Campaign
from ops.bench import stage as stages
from ops.bench.ledgers import against_the_relay
from ops.chaos import run as chaos
from ops.services.rabbitmq import RabbitService
from tests.e2e.test_lanes import THREADS, urgent_starts_while_bulk_runs

pytestmark = [pytest.mark.slow, pytest.mark.rabbitmq, pytest.mark.timeout(240)]

RECIPIENTS = 1000
PER_HOUR = 50 * 3600
"""Ten seconds' worth go at once, the rest takes a while: the campaign is in mid-flight when RabbitMQ dies."""
AWAY_SECONDS = 4
PROCESSES = ["practice", "dispatcher", "sender", "worker"]
ENVIRONMENT = chaos.ENVIRONMENT | {"BATCH_SIZE": "20", "CHUNK_SIZE": "10", "SENDER_PROCESSES": "1"}


@pytest.fixture
def place(rabbit: RabbitService) -> Iterator[stages.Stage]:
    with stages.stage(environment=ENVIRONMENT | {"BROKER_URL": rabbit.url}) as place:
        yield place


def wait_until(look, what: str, seconds: float = 90) -> None:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def accepted(campaign: Campaign) -> int:
    count = db.session.scalar(text("SELECT coalesce(sum(accepted), 0) FROM batch"))
    db.session.rollback()
    return int(count or 0)


def is_finished(campaign: Campaign) -> bool:
    db.session.rollback()
    return db.session.scalar(text("SELECT status FROM campaign")) == "finished"


def test_killed_rabbitmq_loses_and_doubles_nobody(place: stages.Stage, rabbit: RabbitService, tmp_path: Path) -> None:
    settings = place.app.extensions["settings"]
    assert settings.broker_is_rabbit and settings.redis_url.startswith("redis://")
    panel = stages.make_panel(place.app)
    campaign = stages.make_campaign(panel, stages.make_contacts(panel, RECIPIENTS))
    campaign.rate_per_hour = PER_HOUR
    stages.schedule(place.app, campaign)
    log = tmp_path / "log"
    with stages.processes(place.installation, PROCESSES, log=log):
        wait_until(lambda: accepted(campaign) > 100, "nothing goes out")
        assert broker_state(settings) == (True, True)
        rabbit.kill()
        at_kill = accepted(campaign)
        time.sleep(AWAY_SECONDS)
        assert broker_state(settings) == (False, None)
        rabbit.start()
        wait_until(lambda: is_finished(campaign), "the campaign never ended")
    assert at_kill < RECIPIENTS - 100
    told = against_the_relay(db.session, composing.token_key(settings), campaign.id)
    assert (told["planned"], told["accepted"], told["captured"]) == (RECIPIENTS, RECIPIENTS, RECIPIENTS)
    assert [told[name] for name in ("lost", "duplicated", "foreign", "unknown")] == [0, 0, 0, 0]
    said = log.read_text()
    assert "RabbitMQ does not answer at 127.0.0.1" in said
    assert "Traceback" not in said
    assert rabbit.password not in said


def test_urgent_campaign_starts_within_five_seconds_over_rabbitmq(rabbit: RabbitService, tmp_path: Path) -> None:
    urgent_starts_while_bulk_runs(THREADS | {"BROKER_URL": rabbit.url}, tmp_path)
