"""Debian's Postfix as a private instance: its own configuration, queue, log and ports; for chaos runs and tests.

It needs root, as Postfix does. Nothing of the machine's own Postfix is read or touched.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ops.services import processes
from ops.services.errors import ServiceError

CHECKOUT = Path(__file__).resolve().parents[2]
READY = re.compile(r"daemon started")
START_SECONDS = 20.0
STOP_SECONDS = 15.0
RELOAD_SECONDS = 2.0
_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin"


class PostfixService:
    """One instance below ``directory``.

    Parameters:
      directory: made when missing; every directory above it must let the account `postfix` pass.
      files: what `app.flow.relay_config.rendering.render_postfix` makes.
      overrides: parameters that a private instance has otherwise, above all where its mail goes:
        ``default_filter_nexthop`` and ``relayhost`` (``[127.0.0.1]:2525``).
    """

    def __init__(self, directory: Path, files: Mapping[str, str], overrides: Mapping[str, str]) -> None:
        self.directory = directory
        self.config_dir = directory / "etc"
        self.log = directory / "log" / "postfix.log"
        self._overrides = dict(overrides)
        self._process: subprocess.Popen[bytes] | None = None
        for name in ("etc", "log", "queue", "data"):
            (directory / name).mkdir(parents=True, exist_ok=True)
        shutil.chown(directory / "data", "postfix")
        self.configure(files)

    def configure(self, files: Mapping[str, str]) -> None:
        """Write the configuration; a running instance reads it at the next :meth:`reload`."""
        for name, text in files.items():
            path = self.config_dir / name
            path.parent.mkdir(exist_ok=True)
            fresh = path.with_name(f".{path.name}")  # a process that starts now reads the old text or the new one
            fresh.write_text(self._own(text) if name == "main.cf" else text)
            fresh.replace(path)

    def _own(self, main_cf: str) -> str:
        """With the places of this instance; each parameter once, since Postfix complains of the second."""
        places = {
            "queue_directory": self.directory / "queue",
            "data_directory": self.directory / "data",
            "maillog_file": self.log,
            "maillog_file_prefixes": self.log.parent,
            "inet_interfaces": "127.0.0.1",
            "inet_protocols": "ipv4",
        }
        settings = {**places, **self._overrides}
        kept = [line for line in main_cf.splitlines() if line.partition(" =")[0] not in settings]
        return "\n".join([*kept, *(f"{name} = {value}" for name, value in settings.items()), ""])

    @property
    def pid(self) -> int:
        """The master's."""
        note = self.directory / "queue" / "pid" / "master.pid"
        if self._process is None or not note.exists():
            raise ServiceError(f"The Postfix in {self.directory} is not running.")
        return int(note.read_text())

    def start(self) -> None:
        """Raises ServiceError with the end of its log."""
        if os.geteuid() != 0:
            raise ServiceError("Postfix starts as root only.")
        self._run("postfix", "check")
        seen = self.log_size()
        program = self._run("postconf", "-h", "daemon_directory").strip()
        command = [sys.executable, "-m", "ops.services.guard", f"{program}/master", "-c", self.config_dir, "-d"]
        self._process = processes.spawn(command, cwd=CHECKOUT)
        deadline = time.monotonic() + START_SECONDS
        while not READY.search(self.words_since(seen)):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise ServiceError(f"Postfix did not start in {self.directory}: {self.words_since(seen)[-2000:]}")
            time.sleep(0.02)

    def reload(self) -> None:
        """As `postfix reload`; waits for the master to say that it has read its files. The line may be lost, since the
        process that writes the log is renewed as well."""
        seen = self.log_size()
        self._run("postfix", "reload")
        deadline = time.monotonic() + RELOAD_SECONDS
        while "reload -- version" not in self.words_since(seen) and time.monotonic() < deadline:
            time.sleep(0.02)

    def stop(self) -> None:
        """SIGTERM to the master, which ends its children."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to the master and all its children, and wait until they are gone."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        guard, self._process = self._process, None
        if guard is None:
            return
        masters = processes.children_of(guard.pid)
        family = [one for master in masters for one in processes.members_of_group(master.pid)]
        processes.send(family if number == signal.SIGKILL else masters, number)
        left = processes.wait_until_gone(family, STOP_SECONDS)
        processes.send(left, signal.SIGKILL)
        processes.wait_until_gone(left, STOP_SECONDS)
        guard.wait()

    # What administrators do.

    def set(self, name: str, value: str) -> None:
        """A parameter of main.cf, in force from the next :meth:`reload` on."""
        self._run("postconf", "-e", f"{name}={value}")

    def rotate(self) -> Path:
        """The log's file gets another name, as by logrotate, and Postfix begins a new one. Returns the old one's place."""
        numbers = [int(path.suffix[1:]) for path in self.log.parent.glob(f"{self.log.name}.*")]
        old = self.log.with_name(f"{self.log.name}.{max(numbers, default=0) + 1}")
        self.log.rename(old)
        self.reload()
        return old

    def flush(self) -> None:
        """Try the whole queue now."""
        self._run("postqueue", "-f")

    def requeue(self, *queues: str) -> None:
        """`postsuper -r ALL`: header_checks choose the IP anew. ``queues``: `deferred`, `hold`."""
        self._run("postsuper", "-r", "ALL", *queues)
        self._run("postkick", "public", "pickup", "W")  # By itself it looks once a minute.

    def delete(self, *queues: str) -> None:
        """`postsuper -d ALL`: what waits there is gone, and nobody is told."""
        self._run("postsuper", "-d", "ALL", *queues)

    def queue(self) -> list[dict[str, Any]]:
        """As `postqueue -j` tells it."""
        return [json.loads(line) for line in self._run("postqueue", "-j").splitlines()]

    def words(self) -> str:
        """The log so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def log_size(self) -> int:
        return self.log.stat().st_size if self.log.exists() else 0

    def words_since(self, offset: int) -> str:
        """What the log says behind ``offset``, in bytes: of a long campaign it is large. All of a log that was begun anew."""
        size = self.log_size()
        if not size:
            return ""
        with self.log.open("rb") as file:
            file.seek(offset if offset <= size else 0)
            return file.read().decode(errors="replace")

    def _run(self, program: str, *arguments: str) -> str:
        found = shutil.which(program, path=_PATH)
        if found is None:
            raise ServiceError(f"{program} is missing: apt-get install postfix")
        ran = subprocess.run(
            [found, "-c", str(self.config_dir), *arguments], capture_output=True, text=True, check=False, timeout=60
        )
        if ran.returncode:
            raise ServiceError(f"{program} {' '.join(arguments)}: {ran.stderr.strip() or ran.stdout.strip()}")
        return ran.stdout
