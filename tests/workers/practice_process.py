"""The practice relay as a process, with the test's own database."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from app.config import Settings
from app.flow.relays import practice_password
from tests.wire import Wire

CHECKOUT = Path(__file__).resolve().parents[2]


class PracticeProcess:
    def __init__(self, settings: Settings, log: Path, **environment: str) -> None:
        self._settings = settings
        self._log = log
        self._environment = environment

    def start(self) -> Self:
        environment = {
            **os.environ,
            "DATABASE_URL": self._settings.database_url,
            "BROKER_URL": self._settings.broker_url,
            "SECRET_KEY": self._settings.secret_key,
            "PRACTICE_RELAY_PORT": "0",
            "CHASKI_VAR": self._settings.var_dir,
            **self._environment,
        }
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "workers.practice_relay"],
                cwd=CHECKOUT,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        line = self.process.stdout.readline() if self.process.stdout else ""
        assert line.strip().isdigit(), self.log
        self.port = int(line)
        return self

    @property
    def log(self) -> str:
        return self._log.read_text()

    def wire(self, slug: str = "empleo") -> Wire:
        """A connection that has logged in for this panel."""
        return Wire(self.port).greet().log_in(f"panel-{slug}", practice_password(self._settings, slug))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.kill()
        if self.process.stdout is not None:
            self.process.stdout.close()
