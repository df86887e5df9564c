"""``script/bench cluster``: one campaign, three hosts, and two accidents.

Hosts are network namespaces on a bridge; PostgreSQL, Redis and the practice relay listen on this machine's side of it. Host
a has dispatcher, worker and sender, b a dispatcher that stands by and a sender, c a sender. In mid-campaign the active
dispatcher is killed (SIGKILL, and not started again), and c's cable pulled for longer than its leases last. Counted at the
relay by Message-ID and recipient.
"""

import secrets
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import text

from app.extensions import db
from app.flow import composing
from app.models import Campaign
from ops.bench import stage as stages
from ops.bench.ledgers import against_the_relay
from ops.bench.network import Network
from ops.installation import Installation
from ops.procfile import read_procfile
from ops.services import EmbeddedPostgres, EmbeddedRedis
from ops.services.instance import CHECKOUT
from ops.services.postgres import DATABASE, PORT, SUPERUSER
from ops.services.rabbitmq import RabbitService
from ops.supervise import BackOff, Supervisor

HOSTS = {"a": ("dispatcher", "worker", "sender"), "b": ("dispatcher", "sender"), "c": ("sender",)}
ENVIRONMENT = {
    "LEASE_SECONDS": "12",
    "RING_AGAIN_SECONDS": "3",
    "RECONCILE_GRACE_SECONDS": "4",
    "SMTP_TIMEOUT_SECONDS": "10",
    "BATCH_SIZE": "200",
    "CHUNK_SIZE": "50",
    "SENDER_PROCESSES": "1",
    "SENDER_THREADS": "2",
    "PRACTICE_RELAY_PORT": "2525",
}
CUT_SECONDS = 25.0
"""Twice as long as a lease."""
STALL_SECONDS = 180.0


def run(recipients: int, broker: str = "redis") -> dict[str, Any]:
    """``broker``: `redis`, or `rabbitmq` with Redis beside it."""
    with (
        Network(list(HOSTS)) as network,
        tempfile.TemporaryDirectory(prefix="chaski-cluster-") as directory,
        services(network, Path(directory), broker) as environment,
        stages.stage(environment=environment) as stage,
    ):
        return Cluster(network, stage, Path(directory) / "log").run(recipients)


@contextmanager
def services(network: Network, directory: Path, broker: str) -> Iterator[dict[str, str]]:
    """PostgreSQL, Redis and perhaps RabbitMQ for the hosts, with a password; what the processes' environment says of them."""
    password = secrets.token_urlsafe(24)
    rules = directory / "pg_hba.conf"
    rules.write_text(f"local all all trust\nhost all all {network.gateway}/24 scram-sha-256\n")
    rules.chmod(0o644)
    directory.chmod(0o755)
    postgres = EmbeddedPostgres(directory / "postgres")
    postgres.settings = postgres.settings | {"listen_addresses": network.gateway, "hba_file": str(rules)}
    redis = EmbeddedRedis(directory / "redis", address=network.gateway)
    with ExitStack() as stack:
        stack.callback(postgres.close)
        stack.callback(redis.close)
        with psycopg.connect(postgres.start().replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute(f"ALTER ROLE {SUPERUSER} PASSWORD '{password}'")
        redis_url = redis.start()
        yield {
            **ENVIRONMENT,
            "DATABASE_URL": f"postgresql://{SUPERUSER}:{password}@{network.gateway}:{PORT}/{DATABASE}",
            "BROKER_URL": rabbit(network, directory, stack) if broker == "rabbitmq" else redis_url,
            "REDIS_URL": redis_url,
            "PRACTICE_RELAY_HOST": network.gateway,
        }


def rabbit(network: Network, directory: Path, stack: ExitStack) -> str:
    service = RabbitService(directory / "rabbitmq", address=network.gateway)
    stack.callback(service.close)
    return service.start()


class Cluster:
    """One run."""

    def __init__(self, network: Network, stage: stages.Stage, log: Path) -> None:
        self.network = network
        self.stage = stage
        self.log = log

    def run(self, recipients: int) -> dict[str, Any]:
        panel = stages.make_panel(self.stage.app)
        campaign = stages.make_campaign(panel, stages.make_contacts(panel, recipients))
        with self.log.open("wb") as output:
            supervisor = Supervisor(
                commands_of(self.network),
                cwd=CHECKOUT,
                env=self.environment(self.stage.installation),
                output=output,
                back_off=BackOff(first_seconds=0.2, longest_seconds=1.0),
            )
            supervisor.start()
            try:
                return self.measure(supervisor, campaign, recipients)
            finally:
                supervisor.stop()

    @staticmethod
    def environment(installation: Installation) -> dict[str, str]:
        return {**installation.environment, "LOG_FORMAT": "json"}

    def measure(self, supervisor: Supervisor, campaign: Campaign, recipients: int) -> dict[str, Any]:
        active = self.wait_for_dispatcher(not_at="")
        stages.schedule(self.stage.app, campaign)
        started = time.monotonic()
        self.wait_for(campaign.id, recipients // 5)
        took_over_after = self.kill_dispatcher(supervisor, active)
        self.wait_for(campaign.id, 2 * recipients // 5)
        self.network.cut("c")
        cut_at = time.monotonic()
        accepted_before = self.accepted(campaign.id)
        time.sleep(CUT_SECONDS)
        while_cut = self.accepted(campaign.id) - accepted_before
        self.network.mend("c")
        self.wait_for_end(campaign.id)
        seconds = time.monotonic() - started
        settings = self.stage.app.extensions["settings"]
        return {
            "recipients": recipients,
            "hosts": len(HOSTS),
            "broker": "rabbitmq" if self.stage.app.extensions["settings"].broker_is_rabbit else "redis",
            "seconds": round(seconds, 1),
            "dispatcher_took_over_after_seconds": round(took_over_after, 1),
            "cut_seconds": round(CUT_SECONDS, 1),
            "accepted_while_cut": while_cut,
            "finished_after_cut_seconds": round(time.monotonic() - cut_at - CUT_SECONDS, 1),
            "senders_by_host": self.senders(campaign.id),
            **against_the_relay(db.session, composing.token_key(settings), campaign.id),
        }

    # Accidents.

    def kill_dispatcher(self, supervisor: Supervisor, active: str) -> float:
        """Kill the one that is active, for good; seconds until the other one is."""
        host = next(host for host in HOSTS if self.network.address(host) == active)
        name = f"{host}-dispatcher"
        supervisor.retire(name)
        supervisor.kill(name)
        killed_at = time.monotonic()
        self.wait_for_dispatcher(not_at=active)
        return time.monotonic() - killed_at

    def wait_for_dispatcher(self, *, not_at: str) -> str:
        """The address from which the active dispatcher holds its lock."""
        deadline = time.monotonic() + STALL_SECONDS
        while time.monotonic() < deadline:
            address = db.session.scalar(text(ACTIVE_DISPATCHER))
            db.session.rollback()
            if address and address != not_at:
                return str(address)
            time.sleep(0.1)
        raise RuntimeError(f"no dispatcher became active:\n{self.last_words()}")

    # Watching.

    def accepted(self, campaign_id: int) -> int:
        accepted = db.session.scalar(
            text("SELECT coalesce(sum(accepted), 0) FROM batch WHERE campaign_id = :id"), {"id": campaign_id}
        )
        db.session.rollback()
        return int(accepted)

    def wait_for(self, campaign_id: int, wanted: int) -> None:
        deadline = time.monotonic() + STALL_SECONDS
        while self.accepted(campaign_id) < wanted:
            if time.monotonic() > deadline:
                raise RuntimeError(f"no {wanted} mails in {STALL_SECONDS:.0f} s:\n{self.last_words()}")
            time.sleep(0.1)

    def wait_for_end(self, campaign_id: int) -> None:
        deadline = time.monotonic() + STALL_SECONDS
        while (
            status := db.session.scalar(text("SELECT status FROM campaign WHERE id = :id"), {"id": campaign_id})
        ) != "finished":
            db.session.rollback()
            if status != "sending" or time.monotonic() > deadline:
                raise RuntimeError(f"the campaign is {status}:\n{self.last_words()}")
            time.sleep(0.3)
        db.session.rollback()

    def senders(self, campaign_id: int) -> dict[str, int]:
        """How many batches each host's sender claimed last."""
        rows = db.session.execute(
            text("SELECT claimed_by, count(*) FROM batch WHERE campaign_id = :id GROUP BY 1"), {"id": campaign_id}
        )
        return {str(name): int(batches) for name, batches in rows}

    def last_words(self) -> str:
        return self.log.read_text(errors="replace")[-4000:]


ACTIVE_DISPATCHER = """
    SELECT host(a.client_addr) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'advisory' AND l.granted AND a.application_name = 'chaski-dispatcher'
"""


def commands_of(network: Network) -> dict[str, str]:
    """Of the Procfile, each on its host; the practice relay on this side."""
    procfile = read_procfile(CHECKOUT / "Procfile")
    # Each host has a name of its own, by which its claims are told apart.
    hosts = {
        f"{host}-{name}": network.inside(host, f"unshare --uts sh -c 'hostname host-{host}; exec {procfile[name]}'")
        for host, names in HOSTS.items()
        for name in names
    }
    return {"practice": procfile["practice"], **hosts}
