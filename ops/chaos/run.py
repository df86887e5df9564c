"""A campaign to the practice relay while workers and the dispatcher are killed (SIGKILL) at random moments, Redis is flushed
twice and PostgreSQL restarted once. Counted at the relay by Message-ID and recipient."""

import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from redis import Redis
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.extensions import db
from app.flow import composing
from app.models import Campaign, Panel
from ops.bench import stage as stages
from ops.bench.ledgers import against_the_relay
from ops.supervise import BackOff, Supervisor

# Everything that waits for a time waits shorter, so that a run takes minutes; the order of things is the same.
ENVIRONMENT = {
    "LEASE_SECONDS": "12",
    "RING_AGAIN_SECONDS": "3",
    "RECONCILE_GRACE_SECONDS": "4",
    "FIRST_RETRY_SECONDS": "2",
    "MAX_RETRY_WAIT_SECONDS": "10",
    "BATCH_SIZE": "200",
    "CHUNK_SIZE": "50",
    "SENDER_PROCESSES": "2",
    "SENDER_THREADS": "2",
}
VICTIMS = ("sender", "sender", "sender", "worker", "dispatcher")
"""What a kill may hit, as often as its weight; within a process group any member may be it."""

WRONG = ("lost", "duplicated", "foreign", "unknown", "not_accepted")
"""Of these none may be."""

LIMIT_SECONDS = 1800
PATIENCE_SECONDS = 20.0
"""How long the next deed waits for its share of the campaign to go out: what was killed comes back meanwhile."""


Deed = Callable[[Supervisor], None]


class Chaos:
    """One run. ``seed`` decides moments and victims, as far as the machine's timing lets it."""

    names = ("practice", "dispatcher", "sender", "worker")
    environment = ENVIRONMENT

    def __init__(self, stage: stages.Stage, recipients: int, kills: int, seed: int, log: Path) -> None:
        self.stage = stage
        self.recipients = recipients
        self.kills = kills
        self.random = random.Random(seed)
        self.log = log
        self.done = Counter[str]()
        self.redis = Redis.from_url(stage.app.extensions["settings"].redis_url)

    def run(self) -> dict[str, Any]:
        panel = self.make_panel()
        campaign = stages.make_campaign(panel, stages.make_contacts(panel, self.recipients))
        campaign.rate_per_hour = self.rate_per_hour()
        stages.schedule(self.stage.app, campaign)
        campaign_id = campaign.id
        started = time.monotonic()
        quick = BackOff(first_seconds=0.2, longest_seconds=1.0)
        with self.log.open("wb") as output:
            supervisor = self.stage.installation.start_processes(
                list(self.names), output=output, environment=self.environment, back_off=quick
            )
            try:
                self.wreck(supervisor, campaign_id, started)
                self.lift_limit(campaign_id)
                self.wait_for_end(campaign_id, started)
            finally:
                supervisor.stop()
        return {**self.verdict(campaign_id), **self.done, "seconds": round(time.monotonic() - started, 1)}

    def make_panel(self) -> Panel:
        return stages.make_panel(self.stage.app)

    def rate_per_hour(self) -> int:
        """Slow enough that the campaign is in mid-flight for the whole run of kills."""
        return max(3600, int(self.recipients / (self.kills * 1.5) * 3600))

    # Breaking things.

    def deeds(self) -> list[Deed]:
        """All kills, the flushes and the restart, in any order."""
        deeds: list[Deed] = [*[self.kill] * self.kills, self.flush, self.flush, self.restart]
        self.random.shuffle(deeds)
        return deeds

    def wreck(self, supervisor: Supervisor, campaign_id: int, started: float) -> None:
        """All deeds, spread over the whole campaign."""
        self.wait_for_mail(campaign_id, started, 1)
        deeds = self.deeds()
        for number, deed in enumerate(deeds, start=1):
            time.sleep(self.random.uniform(0.1, 1.0))
            self.wait_for_mail(campaign_id, started, self.recipients * number // (len(deeds) + 2), PATIENCE_SECONDS)
            deed(supervisor)

    def kill(self, supervisor: Supervisor) -> None:
        self.kill_one_of(supervisor, self.random.choice(VICTIMS))

    def kill_one_of(self, supervisor: Supervisor, name: str) -> None:
        """Any process of this line of the Procfile; one that was just killed is waited for."""
        while not (pids := supervisor.pids(name)):
            time.sleep(0.1)
        supervisor.kill(name, pid=self.random.choice(pids))
        self.done["kills"] += 1
        self.done[f"killed_{name}"] += 1

    def flush(self, _supervisor: Supervisor) -> None:
        self.redis.flushall()
        self.done["flushes"] += 1

    def restart(self, _supervisor: Supervisor) -> None:
        """A crash, not a shutdown: SIGKILL to the postmaster, then recovery from the log."""
        postgres = self.stage.installation.postgres
        if postgres is None:
            raise RuntimeError("chaos needs the embedded PostgreSQL")
        db.session.remove()
        db.engine.dispose()
        postgres.kill()
        time.sleep(1.0)
        postgres.start()
        self.done["restarts"] += 1

    # Watching.

    def ask(self, statement: str, campaign_id: int) -> Any:
        """One row; patient with a database that is coming back."""
        while True:
            try:
                row = db.session.execute(text(statement), {"id": campaign_id}).one()
                db.session.rollback()
                return row
            except DBAPIError:
                db.session.remove()
                time.sleep(0.3)

    def wait_for_mail(self, campaign_id: int, started: float, wanted: int, seconds: float = LIMIT_SECONDS) -> None:
        """Until so many are accepted, or for so long."""
        until = time.monotonic() + seconds
        while self.accepted(campaign_id) < wanted and time.monotonic() < until:
            self.check_time(started)
            time.sleep(0.1)

    def accepted(self, campaign_id: int) -> int:
        taken = "SELECT coalesce(sum(accepted + delivered + bounced), 0) FROM batch WHERE campaign_id = :id"
        return int(self.ask(taken, campaign_id)[0])

    def lift_limit(self, campaign_id: int) -> None:
        campaign = db.session.get_one(Campaign, campaign_id, populate_existing=True)
        self.done["accepted_while_wrecking"] = self.accepted(campaign_id)
        campaign.rate_per_hour = None
        db.session.commit()

    def wait_for_end(self, campaign_id: int, started: float) -> None:
        while True:
            row = self.ask("SELECT status, status_reason FROM campaign WHERE id = :id", campaign_id)
            if row.status == "finished":
                return
            if row.status == "paused":
                raise RuntimeError(f"the campaign paused itself: {row.status_reason}")
            self.check_time(started)
            time.sleep(0.5)

    def check_time(self, started: float) -> None:
        if time.monotonic() - started > LIMIT_SECONDS:
            raise RuntimeError(f"not finished after {LIMIT_SECONDS} s; the log ends:\n{self.log.read_text()[-4000:]}")

    # Counting.

    def verdict(self, campaign_id: int) -> dict[str, Any]:
        """What the relay holds against who was planned."""
        return against_the_relay(db.session, composing.token_key(self.stage.app.extensions["settings"]), campaign_id)


def run(recipients: int, kills: int, seed: int) -> dict[str, Any]:
    """What was found in the end, and what was done."""
    with (
        tempfile.TemporaryDirectory(prefix="chaski-chaos-") as directory,
        stages.stage(environment=ENVIRONMENT) as stage,
    ):
        return Chaos(stage, recipients, kills, seed, Path(directory) / "log").run()
