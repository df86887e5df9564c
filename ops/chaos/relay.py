"""A real Postfix with 48 egress IPs, configured by ``flask relay render`` as an administrator does it, in a directory of its own;
a sink behind it stands for the world and remembers by which IP each message came."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.extensions import db
from app.models import EgressIp, EgressPool, EgressState, Panel, PanelMode, Relay, RelaySecurity
from ops import ports
from ops.bench.stage import Stage
from ops.services.postfix import PostfixService
from ops.sink_process import SinkProcess

NAME = "Relay dedicado"
IPS = 48
QUARANTINED = (47, 48)
"""Of these nothing may leave."""
FIRST_PORT = 25970
SMTPD_TIMEOUT_SECONDS = 10
MESSAGES_PER_CONNECTION = 100
"""A process of Postfix that serves a connection knows its configuration as of the connection's beginning."""
MORE_THAN_ANY_DISK_BYTES = 2**60
NO_SPACE = " 452 4.3.1 "
FULL_SECONDS = 4.0
FULL_PATIENCE_SECONDS = 30.0


class ChaosRelay:
    """The platform's row of it, the running Postfix, and what is behind it."""

    def __init__(self, service: PostfixService, sink: SinkProcess) -> None:
        self.service = service
        self.sink = sink

    @property
    def logs(self) -> list[Path]:
        """All files of its log, the oldest first."""
        log = self.service.log
        rotated = sorted(log.parent.glob(f"{log.name}.*"), key=lambda path: int(path.suffix[1:]))
        return [*rotated, log]

    def kill(self) -> None:
        """SIGKILL to the master and all its children, then it is started again. What it had accepted lies on its disk."""
        self.service.kill()
        time.sleep(0.5)
        self.service.start()

    def fill(self) -> bool:
        """For a while there is less space for its queue than it wants (smtpd's own check at MAIL FROM). Returns whether it
        turned mail away for that."""
        began = self.service.log_size()
        self.service.set("queue_minfree", str(MORE_THAN_ANY_DISK_BYTES))
        self.service.reload()
        deadline = time.monotonic() + FULL_PATIENCE_SECONDS
        while not (is_full := NO_SPACE in self.service.words_since(began)) and time.monotonic() < deadline:
            time.sleep(0.3)
        time.sleep(FULL_SECONDS)
        self.service.set("queue_minfree", "100000000")
        self.service.reload()
        return is_full

    def has_work(self) -> bool:
        """Whether a message in its queue still has somebody to reach. One that was delivered while Postfix was reloaded is left
        over without recipients, until the queue is next looked through."""
        return any(mail["recipients"] for mail in self.service.queue())

    def turned_away(self) -> int:
        """How often it said that there is no space."""
        return sum(log.read_bytes().count(NO_SPACE.encode()) for log in self.logs)


@contextmanager
def chaos_relay(stage: Stage, panel: Panel, directory: Path) -> Iterator[ChaosRelay]:
    """The panel's relay from now on."""
    directory.chmod(0o755)  # Postfix' account passes.
    reservation = ports.reserve_next("127.0.0.1", FIRST_PORT)
    make_relay(panel, reservation.port)
    with SinkProcess(record=directory / "captured", is_witness=True) as sink:
        service = PostfixService(directory / "postfix", rendered(stage, directory), overrides(sink.port))
        try:
            service.start()
            yield ChaosRelay(service, sink)
        finally:
            service.kill()
            reservation.release()


def make_relay(panel: Panel, port: int) -> None:
    row = Relay(
        name=NAME, host="127.0.0.1", port=port, security=RelaySecurity.NONE, connections=2,
        messages_per_connection=MESSAGES_PER_CONNECTION,
    )  # fmt: skip
    db.session.add(row)
    db.session.flush()
    pool = EgressPool(relay_id=row.id, name="Masivo")
    db.session.add(pool)
    db.session.flush()
    db.session.add_all(egress_ip(row, pool, number) for number in range(1, IPS + 1))
    panel.relay_id, panel.mode = row.id, PanelMode.REAL
    db.session.commit()


def egress_ip(relay: Relay, pool: EgressPool, number: int) -> EgressIp:
    state = EgressState.QUARANTINED if number in QUARANTINED else EgressState.ACTIVE
    return EgressIp(
        relay_id=relay.id, pool_id=pool.id, address=f"127.0.1.{number}", helo_name=f"mx{number}.example.pe", state=state
    )


def rendered(stage: Stage, directory: Path) -> dict[str, str]:
    """What ``flask relay render`` writes: path below Postfix' directory -> text."""
    out = directory / "rendered"
    told = ["--submitter", "127.0.0.1/32", "--hostname", "relay.example.pe"]
    done = stage.installation.flask("relay", "render", "--relay", NAME, "--out", str(out), *told, "--json")
    if done.returncode:
        raise RuntimeError(f"flask relay render failed:\n{done.stdout}{done.stderr}")
    files = [path for path in (out / "postfix").rglob("*") if path.is_file()]
    return {str(path.relative_to(out / "postfix")): path.read_text() for path in files}


def overrides(sink_port: int) -> dict[str, str]:
    """Everything goes to the sink; and whatever waits for a time waits shorter."""
    sink = f"[127.0.0.1]:{sink_port}"
    return {
        "default_filter_nexthop": sink,
        "relayhost": sink,
        "minimal_backoff_time": "2s",
        "maximal_backoff_time": "5s",
        "queue_run_delay": "2s",
        "smtpd_timeout": f"{SMTPD_TIMEOUT_SECONDS}s",
    }
