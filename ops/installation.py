"""One installation, from nothing to running: services, schema, first data, processes. Used by `script/server` and by
every program that needs the real platform around it.

    with Installation(var_dir()) as installation:      # one owner per var directory
        installation.start_services()                  # PostgreSQL and Redis, unless given by the environment
        installation.upgrade_database()
        login = installation.seed()                    # {} unless this was the first time
        installation.start_processes()
        installation.wait_until_healthy(seconds=60)

Leaving the block stops the processes first and the services last. `var/instance.json` tells `flask …` how to reach
it for as long as it runs.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from ops import migrate, ports
from ops.procfile import read_procfile
from ops.services import EmbeddedPostgres, EmbeddedRedis
from ops.services.custody import Custody
from ops.services.instance import CHECKOUT, remove_instance, secret_key, write_instance
from ops.supervise import BackOff, Supervisor

PRACTICE_RELAY_PORT = 2525
_LOOPBACK = "127.0.0.1"
_RABBIT = ("amqp://", "amqps://")


class InstallationError(Exception):
    """A step failed; the text says which and why."""


def usable_broker(broker: str, redis: str | None) -> dict[str, str]:
    """BROKER_URL and REDIS_URL as they are to be; InstallationError with what is wrong with one of them."""
    from app import amqp  # The application takes a second to import.
    from app.config import ConfigurationError, redis_beside

    try:
        beside = redis_beside(broker, redis)
    except ConfigurationError as error:
        raise InstallationError(str(error)) from error
    problem = amqp.problem(broker) if broker.startswith(_RABBIT) else None
    if problem:
        raise InstallationError(problem)
    return {"BROKER_URL": broker, "REDIS_URL": beside}


class Installation:
    """The platform over one `var` directory.

    Parameters:
      var: where it keeps everything that it writes.
      host, port: where the web listens. `take_port` and `take_next_port` change the port until the services start.
      durable: False makes the embedded PostgreSQL faster and forgetful in a power cut (tests).
      environ: settings given here win over what would be started or made (DATABASE_URL, BROKER_URL, SECRET_KEY, …).
    """

    def __init__(
        self,
        var: Path,
        *,
        host: str = _LOOPBACK,
        port: int = 8025,
        durable: bool = True,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self.var = var
        self.host = host
        self.port = port
        self.postgres: EmbeddedPostgres | None = None
        self.redis: EmbeddedRedis | None = None
        self.supervisor: Supervisor | None = None
        self.administrator: str | None = None
        """An account to log in with; known after `seed()`, none where no active one administers."""
        self._durable = durable
        self._given = environ
        self._reservations: list[ports.Reservation] = []
        self._custody = Custody(var / "instance.lock", what=f"The installation in {var}")

    def __enter__(self) -> Self:
        """Raises AlreadyRunningError when another process runs this installation."""
        self._custody.take()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop_processes()
        finally:
            remove_instance(self.var)
            for service in (self.redis, self.postgres):
                if service is not None:
                    service.close()
            for reservation in self._reservations:
                reservation.release()
            self._custody.release()

    # Addresses.

    @property
    def local_url(self) -> str:
        """Where this machine reaches the web, whatever its public name."""
        host = _LOOPBACK if self.host in ("0.0.0.0", "") else "[::1]" if self.host == "::" else self.host  # noqa: S104  # compared
        return f"http://{host}:{self.port}"

    @property
    def public_url(self) -> str:
        return self._given.get("PUBLIC_URL") or self.local_url

    @property
    def environment(self) -> dict[str, str]:
        """For the processes. Addresses and secrets are not in it: they read `var/instance.json`."""
        programs = str(Path(sys.executable).parent)
        return {
            **self._given,
            "CHASKI_VAR": str(self.var),
            "PATH": f"{programs}{os.pathsep}{self._given.get('PATH', os.defpath)}",
            "WEB_HOST": self.host,
            "PORT": str(self.port),
            "PYTHONUNBUFFERED": "1",
        }

    def take_port(self, port: int) -> None:
        """The web listens on this very port; raises PortError where it is taken."""
        self.port = self._keep(ports.reserve(self.host, port))

    def take_next_port(self, port: int) -> None:
        """The web listens on this port or the next free one."""
        self.port = self._keep(ports.reserve_next(self.host, port))

    def _keep(self, reservation: ports.Reservation) -> int:
        self._reservations.append(reservation)
        return reservation.port

    # Steps.

    def start_services(self) -> None:
        """PostgreSQL and Redis, each unless the environment names one; then `var/instance.json`."""
        broker = self._broker_settings()
        settings: dict[str, str | int] = {
            "DATABASE_URL": self._given.get("DATABASE_URL") or self._start_postgres(),
            "SECRET_KEY": self._given.get("SECRET_KEY") or secret_key(self.var),
            "PUBLIC_URL": self.public_url,
            "VAR_DIR": str(self.var),
            "PRACTICE_RELAY_PORT": self._practice_relay_port(),
        }
        write_instance(self.var, settings | broker)

    def _start_postgres(self) -> str:
        self.postgres = EmbeddedPostgres(self.var / "postgres", durable=self._durable)
        return self.postgres.start()

    def _start_redis(self) -> str:
        self.redis = EmbeddedRedis(self.var / "redis")
        return self.redis.start()

    def _broker_settings(self) -> dict[str, str]:
        """Beside RabbitMQ the embedded Redis keeps the limits, unless other hosts could share the work: then each would
        keep limits of its own, and together they would send too fast."""
        broker = self._given.get("BROKER_URL") or self._start_redis()
        redis = self._given.get("REDIS_URL")
        if not redis and broker.startswith(_RABBIT) and not self._given.get("DATABASE_URL"):
            redis = self._start_redis()
        return usable_broker(broker, redis)

    def _practice_relay_port(self) -> int:
        given = self._given.get("PRACTICE_RELAY_PORT")
        return int(given) if given else self._keep(ports.reserve_next(_LOOPBACK, PRACTICE_RELAY_PORT))

    def upgrade_database(self) -> None:
        migrate.upgrade(self.environment)

    def seed(self) -> dict[str, str]:
        """Panels, administrator and sample data, where they are missing. Returns `login` and `password` when it made
        the administrator, else nothing."""
        done = self.flask("seed", "--json")
        if done.returncode != 0:
            raise InstallationError(f"The first data could not be written:\n{done.stdout}{done.stderr}")
        said = [line for line in done.stdout.splitlines() if line.startswith("{")]
        told = json.loads(said[-1]) if said else {}
        self.administrator = told.get("administrator")
        return {name: str(told[name]) for name in ("login", "password")} if told.get("password") else {}

    def flask(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one of the platform's commands on this installation."""
        return subprocess.run(
            [sys.executable, "-m", "flask", "--app", "app", *arguments],
            cwd=CHECKOUT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    # Processes.

    def start_processes(
        self,
        only: Iterable[str] | None = None,
        *,
        output: IO[bytes] | None = None,
        back_off: BackOff | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Supervisor:
        """All processes of the Procfile, or those named; `environment` is added to theirs."""
        commands = read_procfile(CHECKOUT / "Procfile")
        wanted = commands if only is None else {name: commands[name] for name in only}
        env = {**self.environment, **(environment or {})}
        self.supervisor = Supervisor(wanted, cwd=CHECKOUT, env=env, output=output, back_off=back_off)
        self.supervisor.start()
        return self.supervisor

    def stop_processes(self) -> None:
        if self.supervisor is not None:
            self.supervisor.stop()

    def wait_until_healthy(self, seconds: float) -> bool:
        """True as soon as `/healthz` answers 200; False when time is over or a stop was asked for."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.supervisor is not None and self.supervisor.stop_requested:
                return False
            if self._is_healthy():
                return True
            time.sleep(0.1)
        return False

    def _is_healthy(self) -> bool:
        connection = http.client.HTTPConnection(self.local_url.removeprefix("http://"), timeout=5)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
