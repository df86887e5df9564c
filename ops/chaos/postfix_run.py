"""A campaign to a real Postfix whose log is followed, while everything is killed: senders, workers, dispatcher, log follower;
Postfix itself, PostgreSQL and Redis (also flushed); the log is rotated under its reader, and the queue runs out of space.

In the end the sink behind the relay has each recipient exactly once, and the ledger says so.
"""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import text

from app.extensions import db
from app.flow import certificate, composing
from app.mail.tokens import TokenMaker, message_id
from app.models import Panel
from ops.bench import stage as stages
from ops.chaos import judging
from ops.chaos import run as practice
from ops.chaos.handovers import read_handovers
from ops.chaos.judging import Planned
from ops.chaos.relay import NAME, QUARANTINED, SMTPD_TIMEOUT_SECONDS, ChaosRelay, chaos_relay
from ops.supervise import Supervisor

ENVIRONMENT = {
    **practice.ENVIRONMENT,
    "SMTP_TIMEOUT_SECONDS": "15",
    "RELAY_SILENCE_SECONDS": str(2 * SMTPD_TIMEOUT_SECONDS + 5),
}
SERVICES = ("postfix", "redis", "database")
"""Killed once each, whatever the dice say."""
VICTIMS = ("sender", "sender", "sender", "worker", "dispatcher", "follower", "follower", "postfix", "redis", "database")
ROTATIONS = 3
WRONG = (*judging.WRONG, "certificate_findings", "never_full")
QUIET_SECONDS = 20.0
"""An outcome that did not come for so long, with nothing in the relay's queue, won't come."""


def run(recipients: int, kills: int, seed: int) -> dict[str, Any]:
    with (
        tempfile.TemporaryDirectory(prefix="chaski-chaos-") as directory,
        stages.stage(environment=ENVIRONMENT) as stage,
    ):
        chaos = PostfixChaos(stage, recipients, kills, seed, Path(directory) / "log")
        with chaos.with_relay(Path(directory)):
            result = chaos.run()
            if any(result[name] for name in WRONG):
                result["evidence"] = str(chaos.keep_evidence())
            return result


class PostfixChaos(practice.Chaos):
    """One run."""

    names = ("dispatcher", "sender", "worker", "follower")
    relay: ChaosRelay
    panel: Panel

    @contextmanager
    def with_relay(self, directory: Path) -> Iterator[None]:
        self.panel = stages.make_panel(self.stage.app)
        with chaos_relay(self.stage, self.panel, directory) as self.relay:
            self.environment = {
                **ENVIRONMENT,
                "RELAY_LOG_FILE": str(self.relay.service.log),
                "RELAY_LOG_RELAY": NAME,
                "RELAY_POSTFIX_DIR": str(self.relay.service.config_dir),
            }
            yield

    def make_panel(self) -> Panel:
        return self.panel

    # Breaking things.

    def deeds(self) -> list[practice.Deed]:
        chosen = [*SERVICES, *self.random.choices(VICTIMS, k=self.kills)][: self.kills]
        deeds: list[practice.Deed] = [self.killing(name) for name in chosen]
        deeds += [self.flush, self.flush, self.fill, *[self.rotate] * ROTATIONS]
        self.random.shuffle(deeds)
        return deeds

    def killing(self, name: str) -> practice.Deed:
        deed = {"postfix": self.kill_postfix, "redis": self.kill_redis, "database": self.restart}.get(name)
        return deed or (lambda supervisor: self.kill_one_of(supervisor, name))

    def kill_postfix(self, _supervisor: Supervisor) -> None:
        self.relay.kill()
        self.note_kill("postfix")

    def kill_redis(self, _supervisor: Supervisor) -> None:
        redis = self.stage.installation.redis
        if redis is None:
            raise RuntimeError("chaos needs the embedded Redis")
        redis.kill()
        time.sleep(0.5)
        redis.start()
        self.note_kill("redis")

    def restart(self, supervisor: Supervisor) -> None:
        super().restart(supervisor)
        self.note_kill("database")

    def note_kill(self, name: str) -> None:
        self.done["kills"] += 1
        self.done[f"killed_{name}"] += 1

    def rotate(self, _supervisor: Supervisor) -> None:
        self.relay.service.rotate()
        self.done["rotations"] += 1

    def fill(self, _supervisor: Supervisor) -> None:
        self.done["never_full"] += not self.relay.fill()

    # The end.

    def wait_for_end(self, campaign_id: int, started: float) -> None:
        """Until the campaign is finished, the relay's queue empty and every outcome told, or none came for long."""
        super().wait_for_end(campaign_id, started)
        self.done["finished_after_seconds"] = round(time.monotonic() - started)
        waiting, moved_at = -1, time.monotonic()
        while (left := self.accepted_only(campaign_id)) or self.relay.has_work():
            if left != waiting:
                waiting, moved_at = left, time.monotonic()
            if time.monotonic() - moved_at > QUIET_SECONDS and not self.relay.has_work():
                return
            self.check_time(started)
            time.sleep(0.5)

    def accepted_only(self, campaign_id: int) -> int:
        return int(self.ask("SELECT coalesce(sum(accepted), 0) FROM batch WHERE campaign_id = :id", campaign_id)[0])

    def verdict(self, campaign_id: int) -> dict[str, Any]:
        self.relay.sink.summary()
        log = read_handovers(self.relay.logs)
        quarantined = [f"127.0.1.{number}" for number in QUARANTINED]
        return {
            **judging.judge(
                self.ledger(campaign_id),
                self.relay.sink.witnessed(),
                log,
                quarantined,
                relay_kills=self.done["killed_postfix"],
            ),
            "turned_away_452": self.relay.turned_away(),
            "certificate_findings": len(self.certificate_findings(campaign_id)),
        }

    def ledger(self, campaign_id: int) -> list[Planned]:
        tokens = TokenMaker(composing.token_key(self.stage.app.extensions["settings"]), campaign_id)
        rows = db.session.execute(text(LEDGER), {"id": campaign_id})
        return [
            Planned(
                row.email, message_id(tokens.token(row.seq), stages.SENDING_DOMAIN), row.status, row.address or "",
                row.helo_name or "", row.attempts,
            )
            for row in rows
        ]  # fmt: skip

    def keep_evidence(self) -> Path:
        """What everybody said, for whoever looks for the reason. Nothing in it is secret but for the people's addresses."""
        kept = Path(tempfile.mkdtemp(prefix="chaski-chaos-evidence-"))
        for path in (self.log, self.relay.sink.record, *self.relay.logs):
            shutil.copy(path, kept)
        for name in ("delivery", "attempt", "relay_outcome", "batch", "relay_log"):
            with (kept / f"{name}.jsonl").open("w") as file:
                rows = db.session.execute(text(f"SELECT row_to_json(t)::text FROM {name} t"))  # names above
                file.writelines(f"{row[0]}\n" for row in rows)
        return kept

    def certificate_findings(self, campaign_id: int) -> list[str]:
        settings = self.stage.app.extensions["settings"]
        with tempfile.TemporaryDirectory(prefix="chaski-certificate-") as directory:
            told = certificate.write_directory(db.session, settings, campaign_id, Path(directory))
            key = certificate.public_key_text(certificate.signing_key(settings).public_key())
            findings = certificate.verify(Path(directory), key)
        return findings + ([] if told["is_final"] and told["planned"] == self.recipients else ["not final"])


LEDGER = """
    SELECT d.seq, d.email, d.status::text AS status, d.attempts, i.address, i.helo_name
    FROM delivery d LEFT JOIN egress_ip i ON i.id = d.egress_ip_id WHERE d.campaign_id = :id
"""
