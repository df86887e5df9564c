"""Over real workers: an urgent campaign goes before a large one, and two panels share by weight."""

import time
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import text

from app.extensions import db
from app.models import Campaign, MailStream, Panel
from ops.bench import stage as stages
from ops.sink_process import SinkProcess
from tests import factories

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

URGENT_SECONDS = 5.0
PROCESSES = ["dispatcher", "sender", "worker"]
THREADS = {"SENDER_PROCESSES": "1", "SENDER_THREADS": "2", "LEASE_SECONDS": "12", "RING_AGAIN_SECONDS": "15"}


def wait_until(look, seconds, what):
    deadline = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def accepted(*campaigns: Campaign) -> list[int]:
    rows = db.session.execute(text("SELECT campaign_id, sum(accepted) FROM batch GROUP BY 1")).all()
    db.session.rollback()
    by_campaign = dict(tuple(row) for row in rows)
    return [int(by_campaign.get(campaign_id, 0)) for campaign_id in (c.id for c in campaigns)]


def large_campaign(panel: Panel, recipients: int) -> Campaign:
    return stages.make_campaign(panel, stages.make_contacts(panel, recipients))


def test_urgent_campaign_starts_within_five_seconds_while_every_thread_is_busy(tmp_path: Path) -> None:
    urgent_starts_while_bulk_runs(THREADS, tmp_path)


def urgent_starts_while_bulk_runs(environment: dict[str, str], tmp_path: Path) -> None:
    # A batch takes a thread a minute: without yielding, the urgent one would wait for the end of one.
    environment = environment | {"BATCH_SIZE": "2000", "CHUNK_SIZE": "500"}
    with (
        stages.stage(environment=environment) as place,
        SinkProcess(record=tmp_path / "taken", latency_ms=30) as sink,
    ):
        panel = stages.make_panel(place.app)
        stages.use_relay(panel, sink.port, connections=1)
        bulk = large_campaign(panel, 8000)
        few = factories.mailing_list(db.session, panel, name="Urgente")
        factories.contacts(db.session, panel, few, 40, "urgente.example.pe")
        urgent = stages.make_campaign(panel, few)
        urgent.stream = MailStream.URGENT
        db.session.commit()

        def urgent_ones() -> int:
            return sum(1 for recipient, _ in sink.records() if recipient.endswith("@urgente.example.pe"))

        with stages.processes(place.installation, PROCESSES, log=tmp_path / "log"):
            stages.schedule(place.app, bulk)
            claimed = text("SELECT count(*) FROM batch WHERE status = 'claimed'")
            wait_until(lambda: db.session.scalar(claimed) == 2 or db.session.rollback(), 60, "bulk never began")
            wait_until(lambda: accepted(bulk)[0] == 0 and len(list(sink.records())) > 50, 60, "nothing goes out")
            begun = time.monotonic()
            stages.schedule(place.app, urgent)
            wait_until(urgent_ones, URGENT_SECONDS, "the urgent campaign waited")
            waited = time.monotonic() - begun
            wait_until(lambda: urgent_ones() == 40, 30, "the urgent campaign never ended")
            at_its_end = len(list(sink.records()))
            wait_until(lambda: len(list(sink.records())) > at_its_end + 100, 30, "bulk never went on")
        assert waited < URGENT_SECONDS
        taken = Counter(message_id for _, message_id in sink.records())
        assert max(taken.values()) == 1, "somebody got it twice"


def test_two_panels_that_send_at_once_share_by_weight(tmp_path: Path) -> None:
    environment = THREADS | {"BATCH_SIZE": "10", "CHUNK_SIZE": "10"}
    with (
        stages.stage(environment=environment) as place,
        SinkProcess(record=tmp_path / "taken", latency_ms=4) as sink,
    ):
        heavy, light = stages.make_panel(place.app, "pesada"), stages.make_panel(place.app, "ligera")
        heavy.weight, light.weight = 3, 1
        stages.use_relay(heavy, sink.port, connections=1)
        light.relay_id, light.mode = heavy.relay_id, heavy.mode
        db.session.commit()
        campaigns = [large_campaign(panel, 3000) for panel in (heavy, light)]
        for campaign in campaigns:
            stages.freeze(place.app, campaign)
        with stages.processes(place.installation, ["dispatcher", "sender"], log=tmp_path / "log"):
            wait_until(lambda: min(accepted(*campaigns)) > 100, 60, "one of them doesn't send")
            begin = accepted(*campaigns)
            wait_until(lambda: accepted(*campaigns)[0] > begin[0] + 1500, 90, "the heavy one stands still")
            end = accepted(*campaigns)
        gone = [end[n] - begin[n] for n in (0, 1)]
        assert gone[0] / sum(gone) == pytest.approx(0.75, rel=0.1), gone
        assert gone[1] / sum(gone) == pytest.approx(0.25, rel=0.1), gone
