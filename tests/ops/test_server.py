"""script/server as a person meets it: from a path with spaces, as root and not, twice, killed, stopped.

It runs in a copy of this checkout that borrows the virtual environment. Root runs it once more as an ordinary user.
"""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from ops.assets import install_assets
from ops.services.account import Account, give, let_pass, popen_account, service_account
from ops.services.processes import ProcessIdentity, children_of, identify, is_alive, wait_until_gone

ROOT = Path(__file__).resolve().parents[2]
NOT_COPIED = shutil.ignore_patterns(".git", ".venv", "node_modules", "var", "__pycache__", ".*_cache", ".hypothesis")
START_SECONDS = 150

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def whole():
    """Not below pytest's own directory, which other users may not enter."""
    install_assets(ROOT)
    parent = Path(tempfile.mkdtemp(prefix="chaski una copia "))
    parent.chmod(0o755)
    copy = parent / "mi Chaski (1)"
    shutil.copytree(ROOT, copy, ignore=NOT_COPIED)
    (copy / ".venv").symlink_to((ROOT / ".venv").resolve())
    yield copy
    shutil.rmtree(parent)


@pytest.fixture(scope="module")
def checkout(whole):
    """With two processes in its Procfile: most tests would only wait while the others start."""
    copy = whole.with_name("mi Chaski (2)")
    shutil.copytree(whole, copy, symlinks=True)
    lines = (whole / "Procfile").read_text().splitlines()
    (copy / "Procfile").write_text("".join(f"{line}\n" for line in lines if line.startswith(("web:", "practice:"))))
    return copy


class Server:
    """One start of the platform, its output, and everybody that it started."""

    def __init__(self, command: list, var: Path, *, account: Account | None = None, cwd: Path | str = "/", **env: str):
        self.log = Path(tempfile.mkstemp(prefix="chaski-server-", suffix=".log")[1])
        self.var = var
        own = {"CHASKI_VAR": str(var), "WEB_PROCESSES": "1", "SENDER_PROCESSES": "1"}
        inherited = {name: value for name, value in os.environ.items() if name not in FOREIGN}
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [str(part) for part in command],
                cwd=cwd,
                env=inherited | own | env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **popen_account(account),
            )

    @property
    def text(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def url(self) -> str:
        return re.search(r"Chaski is running: (http://\S+)", self.text)[1]

    def wait_for(self, words: str, seconds: float = START_SECONDS) -> "Server":
        deadline = time.monotonic() + seconds
        while words not in self.text:
            assert self.process.poll() is None, f"ended with {self.process.returncode}:\n{self.text}"
            assert time.monotonic() < deadline, f"never said {words!r}:\n{self.text}"
            time.sleep(0.05)
        return self

    def everybody(self) -> list[ProcessIdentity]:
        found = [identify(self.process.pid)]
        for process in found:
            found.extend(children_of(process.pid))
        return found

    def instance(self) -> dict:
        return json.loads((self.var / "instance.json").read_text())

    def get(self, path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=20)
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read().decode(errors="replace")
        connection.close()
        return answer.status, body

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


# What would lead a server under test to somebody else's services.
FOREIGN = {"DATABASE_URL", "BROKER_URL", "REDIS_URL", "SECRET_KEY", "PUBLIC_URL", "PORT", "WEB_HOST", "VAR_DIR"}


@pytest.fixture
def start(checkout, service_dir):
    """`start(*arguments, var=…)` runs script/server of the copy, or of `of`; what still runs afterwards is ended."""
    started = []

    def run(*arguments: str, var: Path, through: tuple[str, ...] = (), of: Path = checkout, **options) -> Server:
        server = Server([*through, of / "script" / "server", *arguments], var, **options)
        started.append(server)
        return server

    yield run
    for server in started:
        with suppress(ProcessLookupError, subprocess.TimeoutExpired):
            if server.process.poll() is None:
                server.stop()
        with suppress(FileNotFoundError):
            shutil.rmtree((server.var / "postgres.socket").read_text().strip(), ignore_errors=True)
        server.log.unlink()


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return str(probe.getsockname()[1])


def test_first_start_shows_address_and_login_and_the_second_neither_makes_nor_tells_anything_new(
    start, whole, service_dir
):
    port = free_port()
    first = start("--port", port, var=service_dir / "mis datos", of=whole).wait_for("Ctrl-C stops it.")
    assert first.url == f"http://127.0.0.1:{port}"
    assert re.search(r"Account: +admin@example.pe *│\n│ Password: +\S{8,} *│", first.text)
    assert first.get("/healthz")[0] == 200
    time.sleep(3)
    assert first.text.rstrip().endswith("┘"), "something was said behind the box with the log-in"
    assert "alembic" not in first.text
    assert not re.search(r"^practice +\| \d+$", first.text, re.MULTILINE)
    assert [line for line in first.text.splitlines() if re.match(r"\d/6 ", line)] == [
        "1/6 Python packages",
        "2/6 Browser assets",
        "3/6 Translations",
        "4/6 Services",
        "5/6 Database",
        "6/6 Processes",
    ]
    assert first.get("/healthz")[0] == 200
    assert first.get("/static/vendor/tabler/tabler.min.css")[0] == 200
    secret, database = first.instance()["SECRET_KEY"], first.instance()["DATABASE_URL"]
    assert stat.S_IMODE((first.var / "instance.json").stat().st_mode) == 0o600
    everybody = first.everybody()
    assert len(everybody) > 8
    assert first.stop() == 0
    assert first.text.rstrip().splitlines()[-1].startswith("Stopped: nothing of this installation is running any more")
    assert not [process for process in everybody if is_alive(process)]
    assert not (first.var / "instance.json").exists()

    began = time.monotonic()
    second = start("--port", port, var=first.var).wait_for("Ctrl-C stops it.")
    assert time.monotonic() - began < 60
    assert re.search(r"Account: +admin@example.pe *│\n│ Password: as first shown, or as you set it since", second.text)
    assert "shown this once" not in second.text
    assert second.instance()["SECRET_KEY"] == secret
    assert second.instance()["DATABASE_URL"] == database


def test_two_installations_run_side_by_side_and_one_never_twice(start, service_dir):
    port = free_port()
    one = start(var=service_dir / "one", PORT=port)
    two = start(var=service_dir / "two", PORT=port)  # both take what is free, at the same moment
    one.wait_for("Ctrl-C stops it.")
    two.wait_for("Ctrl-C stops it.")
    assert one.get("/healthz")[0] == two.get("/healthz")[0] == 200
    for name in ("DATABASE_URL", "BROKER_URL", "SECRET_KEY", "PUBLIC_URL", "PRACTICE_RELAY_PORT"):
        assert one.instance()[name] != two.instance()[name]

    again = start(var=service_dir / "one")
    assert again.process.wait(60) == 1
    assert f"already in use by the running process {one.process.pid}" in again.text
    assert one.get("/healthz")[0] == 200

    assert two.stop(signal.SIGTERM) == 0
    assert one.get("/healthz")[0] == 200


def test_taken_port_is_an_error_when_asked_for_and_passed_over_when_not(start, service_dir):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        asked = start("--port", port, var=service_dir / "one")
        assert asked.process.wait(60) == 1
        assert f"Port {port} on 127.0.0.1 is taken" in asked.text
        assert "Choose another with --port" in asked.text.splitlines()[-1]
        other = start(var=service_dir / "one", PORT=port).wait_for("Ctrl-C stops it.")
        assert f"Port {port} is taken: using {other.url.rsplit(':', 1)[1]}." in other.text
        assert other.get("/healthz")[0] == 200


def test_database_that_cannot_start_is_told_with_its_words_and_a_remedy(start, service_dir):
    var = service_dir / "var"
    assert start("--setup-only", "--port", free_port(), var=var).process.wait(START_SECONDS) == 0
    (var / "postgres" / "local.conf").write_text("shared_buffers = 'mucho'\n")
    server = start("--port", free_port(), var=var)
    assert server.process.wait(60) == 1
    assert f"PostgreSQL did not start in {var / 'postgres'}" in server.text
    assert 'invalid value for parameter "shared_buffers"' in server.text
    assert "set DATABASE_URL" in server.text.splitlines()[-1]
    assert "Traceback" not in server.text


def test_database_of_ones_own_that_does_not_answer_is_told_in_a_line(start, service_dir):
    nobody = "postgresql://nobody@127.0.0.1:1/chaski"
    server = start("--port", free_port(), var=service_dir / "var", DATABASE_URL=nobody)
    assert server.process.wait(60) == 1
    assert "127.0.0.1" in server.text and "DATABASE_URL" in server.text
    assert "Traceback" not in server.text


def test_killed_server_takes_everything_with_it_and_the_next_start_is_sound(start, whole, service_dir):
    first = start("--port", free_port(), var=service_dir / "var", of=whole).wait_for("Ctrl-C stops it.")
    everybody = first.everybody()
    first.process.kill()
    first.process.wait()
    assert not wait_until_gone(everybody, 45)
    second = start("--port", free_port(), var=service_dir / "var").wait_for("Ctrl-C stops it.")
    assert second.get("/healthz")[0] == 200


def test_killed_process_is_started_again_and_the_rest_goes_on(start, service_dir):
    server = start("--port", free_port(), var=service_dir / "var").wait_for("Ctrl-C stops it.")
    leader = next(process for process in server.everybody() if b"gunicorn" in arguments_of(process))
    family = [leader, *children_of(leader.pid)]
    os.kill(leader.pid, signal.SIGKILL)
    server.wait_for("web was ended by SIGKILL; it starts again in")
    assert not wait_until_gone(family, 20)
    deadline = time.monotonic() + START_SECONDS
    while not healthy(server) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert healthy(server)


def healthy(server: Server) -> bool:
    try:
        return server.get("/healthz")[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def arguments_of(process: ProcessIdentity) -> bytes:
    return Path(f"/proc/{process.pid}/cmdline").read_bytes()


def test_services_named_by_the_environment_are_used_and_none_is_started(start, service_dir, services, worker_redis_url):
    name = f"named_{os.getpid()}"
    with psycopg.connect(services["postgres"].replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    database = services["postgres"].replace("/chaski?", f"/{name}?")
    given = {"DATABASE_URL": database, "BROKER_URL": worker_redis_url}
    server = start("--port", free_port(), var=service_dir / "var", **given).wait_for("Ctrl-C stops it.")
    assert server.instance()["DATABASE_URL"] == database
    assert server.instance()["BROKER_URL"] == worker_redis_url
    assert not (server.var / "postgres").exists()
    assert not (server.var / "redis").exists()
    assert server.get("/healthz")[0] == 200
    with psycopg.connect(database.replace("+psycopg", "")) as connection:
        assert connection.execute("SELECT count(*) FROM panel").fetchone() == (5,)


def test_setup_alone_leaves_nothing_running_and_the_start_after_it_nothing_to_make(start, service_dir):
    done = start("--setup-only", "--port", free_port(), var=service_dir / "var")
    assert done.process.wait(START_SECONDS) == 0
    assert "Chaski is set up" in done.text and "Password" in done.text
    assert not (done.var / "instance.json").exists()
    assert "6/6" not in done.text


# As a script's `script/server &` starts it.
IN_THE_BACKGROUND = ("bash", "-c", 'trap "" INT; exec "$@"', "bash")


@pytest.mark.parametrize("through", [(), IN_THE_BACKGROUND], ids=["foreground", "background"])
def test_interrupt_while_setting_up_leaves_nothing_behind(start, service_dir, through):
    server = start("--port", free_port(), var=service_dir / "var", through=through).wait_for("5/6 Database")
    everybody = server.everybody()
    assert server.stop() == 130
    assert not wait_until_gone(everybody, 5)
    assert not (server.var / "instance.json").exists()
    start("--port", free_port(), var=service_dir / "var").wait_for("Ctrl-C stops it.")


def test_ordinary_user_runs_it_and_what_is_his_stays_his(checkout, start, service_dir):
    account = service_account(service_dir)
    home = service_dir / "una persona"
    home.mkdir()
    give(home, account)
    # The interpreter may live in root's home; this account passes there as the embedded PostgreSQL's does.
    for path in (Path(sys.executable).resolve(), (ROOT / ".venv").resolve() / "bin", checkout / "ops"):
        let_pass(path, account)
    command = [checkout / ".venv" / "bin" / "python", "-m", "ops.server", "--port", free_port()]
    server = Server(command, home / "var", account=account, cwd=checkout, HOME=str(home))
    try:
        server.wait_for("Ctrl-C stops it.")
        assert server.get("/healthz")[0] == 200
        owners = {Path(f"/proc/{process.pid}").stat().st_uid for process in server.everybody()}
        assert owners == {account.uid if account else os.geteuid()}
        assert server.stop() == 0
    finally:
        server.process.kill()
        server.process.wait()
        server.log.unlink()
