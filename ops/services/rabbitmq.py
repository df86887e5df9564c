"""Debian's RabbitMQ as a private instance: its own node, name server, cookie, data, log and ports; for tests, bench and chaos.

Nothing of the machine's own RabbitMQ is read or touched. Everything listens on the loopback, unless hosts of a bench are to
reach it. Erlang finds nodes by a name server (epmd) that it would start by itself and leave behind: here it is a child like
the node.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ops import ports
from ops.services import processes
from ops.services.errors import ServiceError
from ops.services.private_files import write_private

PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""Not the one on the PATH, which becomes the user `rabbitmq` and knows the machine's own node only."""
LOOPBACK = "127.0.0.1"
USER = "chaski"
VIRTUAL_HOST = "chaski"
START_SECONDS = 90.0
STOP_SECONDS = 30.0
FIRST_PORT = 25700
GREETING, METHOD_FRAME = b"AMQP\x00\x00\x09\x01", b"\x01"
"""AMQP 0-9-1 begins with the client's greeting (§4.2.2); a broker that is ready answers with a method (§4.2.3)."""

# One scheduler that doesn't spin while it waits: a small node on a machine with other work.
_ERLANG = "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}"


class RabbitService:
    """One node below ``directory``, with one user and one virtual host. The URL stays the same over kills and restarts.

    Parameters:
      address: where clients reach it; the loopback unless other hosts are to. Erlang's own ports stay on the loopback.
    """

    def __init__(self, directory: Path, *, address: str = LOOPBACK) -> None:
        self.directory = directory
        self.address = address
        self._reservations = [ports.reserve_next(where, FIRST_PORT) for where in (address, LOOPBACK, LOOPBACK)]
        self._port, self._epmd_port, self._distribution_port = (kept.port for kept in self._reservations)
        self.password = secrets.token_urlsafe(18)
        self._node: subprocess.Popen[bytes] | None = None
        self._epmd: subprocess.Popen[bytes] | None = None
        for name in ("data", "log", "home"):
            (directory / name).mkdir(parents=True, exist_ok=True)
        self._configure()

    def _configure(self) -> None:
        lines = [
            f"listeners.tcp.local = {self.address}:{self._port}",
            f"default_user = {USER}",
            f"default_pass = {self.password}",
            f"default_vhost = {VIRTUAL_HOST}",
            "log.file.level = info",
            "disk_free_limit.absolute = 10MB",
            "",
        ]
        write_private(self.directory / "rabbitmq.conf", "\n".join(lines))
        write_private(self.directory / "home" / ".erlang.cookie", secrets.token_hex(16))
        (self.directory / "home" / ".erlang.cookie").chmod(0o400)
        (self.directory / "enabled_plugins").write_text("[].\n")

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        return f"amqp://{USER}:{self.password}@{self.address}:{self._port}/{VIRTUAL_HOST}"

    @property
    def pid(self) -> int:
        """The node's."""
        if self._node is None:
            raise ServiceError(f"The RabbitMQ in {self.directory} is not running.")
        return self._node.pid

    @property
    def running(self) -> bool:
        return self._node is not None and self._node.poll() is None

    @property
    def epmd_pid(self) -> int:
        if self._epmd is None:
            raise ServiceError(f"The RabbitMQ in {self.directory} is not running.")
        return self._epmd.pid

    @property
    def environment(self) -> dict[str, str]:
        """What the node, and `rabbitmqctl` for it, want to know."""
        place = self.directory
        return {
            "PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin",
            "HOME": str(place / "home"),
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "RABBITMQ_NODENAME": f"chaski{self._port}@localhost",
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_CONF_ENV_FILE": str(place / "none.conf"),
            "RABBITMQ_CONFIG_FILE": str(place / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(place / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(place / "data"),
            "RABBITMQ_LOG_BASE": str(place / "log"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": _ERLANG,
            # The Erlang machine in place of its shell script: what we started is what we kill.
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    def start(self) -> str:
        """Raises ServiceError with the end of its log; returns the URL."""
        if not PROGRAM.exists():
            raise ServiceError("rabbitmq-server is missing: apt-get install rabbitmq-server")
        try:
            self._start()
        except BaseException:
            self.kill()
            raise
        return self.url

    def _start(self) -> None:
        epmd = shutil.which("epmd", path=self.environment["PATH"]) or "epmd"
        command = [epmd, "-port", self._epmd_port, "-address", LOOPBACK]
        with (self.directory / "log" / "console.log").open("ab") as output:
            self._epmd = processes.spawn(command, cwd=self.directory, env=self.environment, output=output)
            self._wait(lambda: _listens(self._epmd_port), self._epmd)
            self._node = processes.spawn([PROGRAM], cwd=self.directory, env=self.environment, output=output)
        self._wait(lambda: speaks_amqp(self._port, self.address), self._node)

    def _wait(self, is_ready: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not is_ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise ServiceError(f"RabbitMQ did not start in {self.directory}: {self.words()[-8000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """In good order: SIGTERM, on which the node closes its connections and ends."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to the node and all that it started, and wait until they are gone."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        node, self._node = self._node, None
        epmd, self._epmd = self._epmd, None
        if node is not None:
            _end_process(node, number)
        if epmd is not None:
            _end_process(epmd, signal.SIGKILL)  # It keeps nothing.

    def close(self) -> None:
        """Stop it for good, and leave its ports to others."""
        self.stop()
        for reservation in self._reservations:
            reservation.release()

    def control(self, *arguments: str) -> str:
        """What `rabbitmqctl` says."""
        ran = subprocess.run(
            [PROGRAM.with_name("rabbitmqctl"), *arguments], env=self.environment, capture_output=True, text=True,
            check=False, timeout=60,
        )  # fmt: skip
        if ran.returncode:
            raise ServiceError(f"rabbitmqctl {' '.join(arguments)}: {ran.stderr.strip() or ran.stdout.strip()}")
        return ran.stdout

    def words(self) -> str:
        """What it said so far."""
        files = sorted((self.directory / "log").glob("*.log"))
        return "\n".join(path.read_text(errors="replace") for path in files)


def speaks_amqp(port: int, address: str = LOOPBACK) -> bool:
    with suppress(OSError), socket.create_connection((address, port), timeout=1) as connection:
        connection.sendall(GREETING)
        return connection.recv(1) == METHOD_FRAME
    return False


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1):
        return True
    return False


def _end_process(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """SIGTERM reaches the leader, which ends its children; SIGKILL everybody."""
    family = _family(process.pid)
    processes.send(family if number == signal.SIGKILL else family[:1], number)
    left = processes.wait_until_gone(family, STOP_SECONDS)
    processes.send(left, signal.SIGKILL)
    processes.wait_until_gone(left, STOP_SECONDS)
    process.wait()


def _family(pid: int) -> list[processes.ProcessIdentity]:
    """Itself first, then whatever it started, in whichever group."""
    leader = processes.identify(pid)
    family = [leader] if leader else []
    for member in family:
        family += processes.children_of(member.pid)
    return family
