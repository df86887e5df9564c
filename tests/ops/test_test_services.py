"""The plugin that lends PostgreSQL and Redis to tests: shared by workers, apart per worker, gone after."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ops.services.processes import identify, wait_until_gone

ROOT = Path(__file__).resolve().parents[2]

TEST_FILE = """
import json, os, time
from pathlib import Path
from redis import Redis
import pytest

@pytest.mark.parametrize("turn", [1, 2])
def test_address(services, worker_name, redis_url, request, turn):
    with Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0, "a test before this one left something"
        client.set("mine", worker_name)
        server_pid = client.info("server")["process_id"]
    told = dict(services, worker=worker_name, redis_url=redis_url, server_pid=server_pid)
    Path({out!r}, f"{{worker_name}}-{name}-{{turn}}.json").write_text(json.dumps(told))
    time.sleep({pause})
"""


def run_pytest(tmp_path: Path, *arguments: str, pause: float = 0.3, wait: bool = True, **environment: str):
    out = tmp_path / "out"
    out.mkdir()
    for name in ("a", "b"):
        (tmp_path / f"test_{name}.py").write_text(TEST_FILE.format(out=str(out), name=name, pause=pause))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.fixtures.services",
        "-p",
        "no:cacheprovider",
        "-q",
    ]
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    started = subprocess.Popen(
        [*command, "--rootdir", str(tmp_path), "-c", os.devnull, str(tmp_path), *arguments],
        cwd=ROOT,
        env=env | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if wait:
        started.communicate(timeout=90)
    return started, out


def told(out: Path) -> list[dict]:
    import json

    return [json.loads(path.read_text()) for path in sorted(out.glob("*.json"))]


def test_workers_share_the_servers_but_no_database_and_nothing_is_left(service_dir):
    run, out = run_pytest(service_dir, "-n", "2", "--dist", "loadfile")
    assert run.returncode == 0
    answers = told(out)
    assert len(answers) == 4
    assert {answer["worker"] for answer in answers} == {"gw0", "gw1"}
    assert len({answer["postgres"] for answer in answers}) == 1
    assert len({answer["redis_url"] for answer in answers}) == 2
    assert identify(answers[0]["server_pid"]) is None
    assert not list(service_dir.glob("chaski-*"))


def test_run_without_workers_uses_the_same_fixtures(service_dir):
    run, out = run_pytest(service_dir)
    assert run.returncode == 0
    assert {answer["worker"] for answer in told(out)} == {"master"}
    assert not list(service_dir.glob("chaski-*"))


def test_killed_run_leaves_no_server_behind(service_dir):
    run, out = run_pytest(service_dir, "-n", "2", "--dist", "loadfile", pause=60, wait=False)
    deadline = time.monotonic() + 60
    while len(told_or_empty(out)) < 1 and time.monotonic() < deadline:
        time.sleep(0.1)
    server = identify(told(out)[0]["server_pid"])
    assert server is not None
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert not wait_until_gone([server], 20)
    assert not list(service_dir.glob("chaski-pg-*"))


def told_or_empty(out: Path) -> list[Path]:
    return [path for path in out.glob("*.json") if path.stat().st_size]


@pytest.mark.parametrize(("ci", "status"), [("", 0), ("true", 1)])
def test_any_skip_is_a_failure_in_ci(tmp_path, ci, status):
    (tmp_path / "test_mail.py").write_text(
        "import pytest\ndef test_it():\n    pytest.skip('not today')\ndef test_other():\n    pass\n"
    )
    command = [sys.executable, "-m", "pytest", "-p", "tests.fixtures.services", "-p", "no:cacheprovider", "-q"]
    run = subprocess.run(
        [*command, "-n", "2", "--rootdir", str(tmp_path), "-c", os.devnull, str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"CI": ci, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "1 passed, 1 skipped" in run.stdout
    assert run.returncode == status


@pytest.mark.parametrize(("ci", "outcome"), [("", "1 skipped"), ("true", "1 error")])
def test_missing_program_skips_here_and_fails_in_ci(tmp_path, ci, outcome):
    (tmp_path / "test_mail.py").write_text("import pytest\n@pytest.mark.postfix\ndef test_it():\n    assert True\n")
    (tmp_path / "conftest.py").write_text(
        "from tests.fixtures import services\nservices.PROGRAMS['postfix'] = ('no-such-program', 'postfix')\n"
        "def pytest_configure(config):\n    config.addinivalue_line('markers', 'postfix: x')\n"
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.fixtures.services",
        "-p",
        "no:cacheprovider",
        "-q",
    ]
    run = subprocess.run(
        [*command, "-rs", "--rootdir", str(tmp_path), "-c", os.devnull, str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"CI": ci, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert outcome in run.stdout
    assert "apt-get install postfix" in run.stdout
