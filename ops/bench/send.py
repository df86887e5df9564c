"""``script/bench send``: the real workers, PostgreSQL and Redis against a sink in a process of its own; then the raw
limit, the same number of pre-built messages through the same pipelining client."""

import multiprocessing
import os
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import text

from app.extensions import db
from app.flow import composing
from app.flow.relays import RelayEndpoint
from app.flow.submission import OutgoingMessage
from app.models import Campaign, RelaySecurity
from ops.bench import stage as stages
from ops.bench.cpu import CpuMeter, Pids, with_children
from ops.installation import Installation
from ops.sink_process import SinkProcess
from ops.supervise import Supervisor
from workers.smtp.pool import ConnectionPool
from workers.smtp.transport import SmtpTransport

START_SECONDS = 60
STALL_SECONDS = 120
LOOK_EVERY = 8
"""Of the looks at the campaign one in so many is at the processes, which costs more."""


@dataclass(frozen=True)
class Shape:
    """How many senders there are and how they connect. One process more than cores, as in the Procfile: some wait, and
    threads of one process would wait for one another."""

    processes: int = 3
    threads: int = 1
    connections: int = 2


def run(recipients: int, *, shape: Shape | None = None) -> dict[str, Any]:
    """Send a campaign to ``recipients`` contacts and measure. Raises where it stalls."""
    shape = shape or Shape()
    with tempfile.TemporaryDirectory(prefix="chaski-sink-") as directory, stages.stage() as stage:
        panel = stages.make_panel(stage.app)
        mailing_list = stages.make_contacts(panel, recipients)
        campaign = stages.make_campaign(panel, mailing_list)
        with SinkProcess(record=Path(directory) / "limit") as sink:
            limit = measure_limit(stage, campaign, sink.port, recipients, shape)
        with SinkProcess(record=Path(directory) / "real") as sink:
            stages.use_relay(panel, sink.port, connections=shape.connections)
            real = measure_real(stage, campaign, shape, Path(directory) / "log", sink)
            sink.summary()
            taken = Counter(sink.records())
        counts = outcome_counts(campaign.id)
        return {
            "recipients": recipients,
            "seconds": round(real.seconds, 2),
            "messages_per_second": round(recipients / real.seconds),
            "limit_messages_per_second": round(limit),
            "ratio_to_limit": round(recipients / real.seconds / limit, 3),
            "per_core": round(recipients / real.seconds / (os.cpu_count() or 1)),
            "cpu_seconds_per_1000": round(1000 * (real.cpu["senders"] + real.cpu["dispatcher"]) / recipients, 3),
            "cpu_us_per_message": {part: round(1e6 * used / recipients) for part, used in real.cpu.items()},
            "peak_rss_mb": round(real.peak_rss_mb),
            "accepted": counts.get("accepted", 0),
            "message_bytes": message_bytes(stage, campaign),
            "lost": recipients - len(taken),
            "duplicated": sum(n - 1 for n in taken.values()),
        }


@dataclass(frozen=True)
class Measured:
    seconds: float
    """From the frozen audience to the last recorded outcome."""
    cpu: Mapping[str, float]
    """CPU seconds by part."""
    peak_rss_mb: float
    """The largest resident set of a sender."""


def measure_real(stage: stages.Stage, campaign: Campaign, shape: Shape, log: Path, sink: SinkProcess) -> Measured:
    environment = {"SENDER_PROCESSES": str(shape.processes), "SENDER_THREADS": str(shape.threads)}
    names = ["dispatcher", "sender", "worker"]
    with stages.processes(stage.installation, names, log=log, environment=environment) as supervisor:
        meter = CpuMeter(parts_of(stage.installation, supervisor, sink))
        wait_for_senders(supervisor, shape)
        stages.schedule(stage.app, campaign)
        wait_until_frozen(campaign.id)
        meter.begin()
        peak = watch(campaign.id, supervisor, meter, log)
        last_attempt_seconds = db.session.scalar(
            text(
                """
                SELECT extract(epoch FROM (SELECT max(last_attempt_at) FROM delivery WHERE campaign_id = c.id)
                       - c.audience_frozen_at) FROM campaign c WHERE c.id = :id
                """
            ),
            {"id": campaign.id},
        )
        seconds = watched_seconds(campaign.id, float(last_attempt_seconds or 0))
        return Measured(seconds, meter.used(), peak)


def parts_of(installation: Installation, supervisor: Supervisor, sink: SinkProcess) -> dict[str, Pids]:
    parts: dict[str, Pids] = {
        "senders": lambda: supervisor.pids("sender"),
        "dispatcher": lambda: supervisor.pids("dispatcher"),
        "sink": lambda: [sink.pid],
        "bench": lambda: [os.getpid()],
    }
    for name, service in (("database", installation.postgres), ("redis", installation.redis)):
        if service is not None:
            parts[name] = lambda pid=service.pid: with_children(pid)  # type: ignore[misc]  # mypy knows no defaults there
    return parts


def wait_until_frozen(campaign_id: int) -> None:
    frozen = text("SELECT audience_frozen_at IS NOT NULL FROM campaign WHERE id = :id")
    deadline = time.monotonic() + STALL_SECONDS
    while not db.session.scalar(frozen, {"id": campaign_id}):
        db.session.rollback()
        if time.monotonic() > deadline:
            raise RuntimeError("the audience was not frozen")
        time.sleep(0.02)
    db.session.rollback()


_finished_at: dict[int, float] = {}


def watch(campaign_id: int, supervisor: Supervisor, meter: CpuMeter, log: Path) -> float:
    """Until every batch is done. Returns the largest resident set of a sender in MB."""
    peak, done, looks, moved_at = 0.0, -1, 0, time.monotonic()
    while True:
        row = db.session.execute(
            text(
                """
                SELECT c.audience_frozen_at IS NOT NULL AS frozen, extract(epoch FROM now() - c.audience_frozen_at) AS age,
                       coalesce(sum(b.accepted + b.bounced + b.failed), 0) AS done,
                       count(*) FILTER (WHERE b.status <> 'done') AS open, c.status
                FROM campaign c LEFT JOIN batch b ON b.campaign_id = c.id WHERE c.id = :id GROUP BY c.id
                """
            ),
            {"id": campaign_id},
        ).one()
        db.session.rollback()
        if row.frozen and not row.open:
            _finished_at[campaign_id] = float(row.age)
            return peak
        if row.done != done:
            done, moved_at = row.done, time.monotonic()
        if time.monotonic() - moved_at > STALL_SECONDS:
            raise RuntimeError(f"no progress for {STALL_SECONDS} s ({dict(row._mapping)}):\n{tail(log)}")
        if looks % LOOK_EVERY == 0:
            peak = max(peak, *(rss_mb(pid) for pid in supervisor.pids("sender")), 0.0)
            meter.look()
        looks += 1
        time.sleep(0.25)


def watched_seconds(campaign_id: int, last_attempt_seconds: float) -> float:
    """From the frozen audience to the last batch's end, as the watcher saw it (0.25 s late at most)."""
    return max(_finished_at.pop(campaign_id), last_attempt_seconds)


def wait_for_senders(supervisor: Supervisor, shape: Shape) -> None:
    """Until all sender processes have been up for a moment, so that imports aren't measured."""
    deadline = time.monotonic() + START_SECONDS
    while len(supervisor.pids("sender")) < shape.processes + 1 and time.monotonic() < deadline:
        time.sleep(0.2)
    settled, last = 0, -1.0
    while settled < 5 and time.monotonic() < deadline:
        now = cpu_seconds_of(supervisor)
        settled = settled + 1 if now - last < 0.05 else 0
        last = now
        time.sleep(0.3)


def cpu_seconds_of(supervisor: Supervisor) -> float:
    total = 0.0
    for name in ("sender", "dispatcher"):
        for pid in supervisor.pids(name):
            try:
                times = psutil.Process(pid).cpu_times()
            except psutil.Error:
                continue
            total += times.user + times.system
    return total


def rss_mb(pid: int) -> float:
    try:
        return float(psutil.Process(pid).memory_info().rss) / 1e6
    except psutil.Error:
        return 0.0


def outcome_counts(campaign_id: int) -> dict[str, int]:
    rows = db.session.execute(
        text("SELECT status::text, count(*) FROM delivery WHERE campaign_id = :id GROUP BY 1"), {"id": campaign_id}
    )
    return {status: int(total) for status, total in rows}


def message_bytes(stage: stages.Stage, campaign: Campaign) -> int:
    return len(sample_message(stage, campaign).content)


def sample_message(stage: stages.Stage, campaign: Campaign) -> OutgoingMessage:
    composition = composing.compile_for(db.session, stage.app.extensions["settings"], campaign)
    fields = {key: f"valor {key} 12345 ñandú" for key in stages.FIELDS}
    return composition.write(1, "p12345@example.pe", "Persona Número 12345", fields)


# The raw limit.


class AlwaysHeld:
    """A lease that nobody can take."""

    def holds(self) -> bool:
        return True

    def keep(self) -> None:
        return


def measure_limit(stage: stages.Stage, campaign: Campaign, port: int, count: int, shape: Shape) -> float:
    """Messages per second of pre-built bytes through the same client, with as many processes and threads."""
    message = sample_message(stage, campaign)
    db.session.commit()
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(shape.processes + 1)
    workers = [
        context.Process(target=push, args=(ready, message, port, count // shape.processes, shape))
        for _ in range(shape.processes)
    ]
    for worker in workers:
        worker.start()
    ready.wait(START_SECONDS)
    started = time.perf_counter()
    for worker in workers:
        worker.join()
    seconds = time.perf_counter() - started
    if any(worker.exitcode for worker in workers):
        raise RuntimeError("a process of the raw limit failed")
    return count / seconds


def push(ready: Any, message: OutgoingMessage, port: int, count: int, shape: Shape) -> None:
    """One process of the raw limit."""
    endpoint = RelayEndpoint(
        key="limit", host="127.0.0.1", port=port, security=RelaySecurity.NONE, verify_certificate=False, username="",
        password="", connections=shape.connections, messages_per_connection=10**9, timeout_seconds=60,
    )  # fmt: skip

    def work() -> None:
        pool = ConnectionPool("[127.0.0.1]")
        messages = (
            OutgoingMessage(seq, message.mail_from, message.rcpt_to, message.content)
            for seq in range(count // shape.threads)
        )
        answers = SmtpTransport(endpoint, pool).submit(messages, AlwaysHeld())
        if any(answer.code != 250 for answer in answers):
            raise RuntimeError("the sink refused")

    threads = [threading.Thread(target=work) for _ in range(shape.threads)]
    ready.wait(START_SECONDS)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def tail(log: Path, characters: int = 3000) -> str:
    return log.read_text(errors="replace")[-characters:] if log.exists() else ""
