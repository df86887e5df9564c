"""A throw-away installation with all its processes, as a person meets it in a browser."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ops.bench.stage import Stage, processes, stage

# Everything that waits for a time waits shorter, so that a person sees the end of it within seconds; small chunks, so
# that a pause is seen to act. One process of each kind: the test shares the machine with others.
ENVIRONMENT = {
    "LEASE_SECONDS": "12",
    "RING_AGAIN_SECONDS": "3",
    "RECONCILE_GRACE_SECONDS": "2",
    "FIRST_RETRY_SECONDS": "3",
    "MAX_RETRY_WAIT_SECONDS": "5",
    "BATCH_SIZE": "100",
    "CHUNK_SIZE": "10",
    "SENDER_PROCESSES": "1",
    "SENDER_THREADS": "2",
    "WEB_PROCESSES": "1",
}
PROCESSES = ["web", "dispatcher", "sender", "worker", "tracker", "practice"]
START_SECONDS = 60


@dataclass(frozen=True)
class Place:
    url: str
    login: str
    password: str
    stage: Stage
    log: Path
    """What the processes said."""


@contextmanager
def running_place(directory: Path, environment: dict[str, str] | None = None) -> Iterator[Place]:
    """All processes answer; nothing of it remains afterwards but the log in ``directory``."""
    log = directory / "processes.log"
    with stage(environment=ENVIRONMENT | (environment or {})) as made:
        first = made.installation.seed()
        with processes(made.installation, PROCESSES, log=log):
            if not made.installation.wait_until_healthy(START_SECONDS):
                raise RuntimeError(f"the web did not answer:\n{log.read_text(errors='replace')[-4000:]}")
            yield Place(made.installation.local_url, first["login"], first["password"], made, log)
