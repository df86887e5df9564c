"""script/test brings Debian's programs where it may, and says in one line what is missing where it may not."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
POLICY = Path("/usr/sbin/policy-rc.d")
AT_ONCE = f"-n {len(os.sched_getaffinity(0)) + 2}"

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may forbid daemons: run script/test as root")


@pytest.fixture
def checkout(tmp_path):
    """The shell part alone; lint, assets, catalogues and pytest only say that they were called."""
    root = tmp_path / "mi copia"
    for name in ("ops", "script"):
        (root / name).mkdir(parents=True)
    shutil.copy(ROOT / "ops" / "bootstrap.sh", root / "ops")
    shutil.copy(ROOT / "script" / "test", root / "script")
    program(root / "script", "lint", "echo lint")
    for name in ("ops/assets.py", "ops/catalogues.py", "pytest.py"):
        (root / name).write_text("import sys\nprint(*sys.argv[1:])\n")
    (root / "requirements-dev.txt").write_text("# nothing\n")
    return root


def program(directory: Path, name: str, script: str) -> None:
    (directory / name).write_text(f"#!/bin/sh\n{script}\n")
    (directory / name).chmod(0o755)


@pytest.fixture
def machine(tmp_path):
    """A PATH with this machine's programs but for the browser and whatever manages packages."""
    directory = tmp_path / "bin"
    directory.mkdir()
    for place in (Path(sys.base_prefix) / "bin", Path("/usr/bin"), Path("/bin")):
        for path in place.iterdir():
            if path.name not in {"chromium", "apt-get", "id", "systemctl"} and not (directory / path.name).exists():
                (directory / path.name).symlink_to(path)
    return directory


def run(checkout: Path, machine: Path, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [checkout / "script" / "test", *arguments],
        cwd="/",
        env={"PATH": str(machine), "HOME": str(checkout.parent), "TMPDIR": str(checkout.parent)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_ordinary_user_is_told_in_one_line_what_is_skipped_and_how_to_get_it(checkout, machine):
    program(machine, "id", "echo 1000")
    program(machine, "apt-get", "echo touched >&2; exit 1")
    done = run(checkout, machine, "tests/unit", "-k", "dkim and not slow")
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stderr.splitlines() if "chromium" in line]
    assert len(told) == 1
    assert "are skipped" in told[0] and "sudo apt-get install" in told[0]
    assert "touched" not in done.stderr
    assert done.stdout.splitlines()[-2:] == [
        "lint",
        f"{AT_ONCE} --dist loadfile --no-loadscope-reorder tests/unit -k dkim and not slow",
    ]


@only_root
def test_root_installs_what_is_missing_without_starting_a_daemon(checkout, machine, tmp_path):
    program(machine, "id", "echo 0")
    asked = tmp_path / "asked"
    policy = f"[ -x {POLICY} ] && echo forbidden >>'{asked}'"
    browser = f"printf '#!/bin/sh\\n' >'{machine}/chromium'; chmod 755 '{machine}/chromium'"
    program(machine, "apt-get", f"echo \"$DEBIAN_FRONTEND $*\" >>'{asked}'\n{policy}\n{browser}")
    had_policy = POLICY.exists()
    done = run(checkout, machine)
    assert done.returncode == 0, done.stderr
    assert "noninteractive install -y --no-install-recommends chromium fonts-liberation" in asked.read_text()
    assert "forbidden" in asked.read_text()
    assert "chromium" not in done.stderr.split("Installing chromium …")[1]
    assert POLICY.exists() == had_policy


@only_root
def test_failed_installation_does_not_stop_the_tests_that_can_run(checkout, machine):
    program(machine, "id", "echo 0")
    program(machine, "apt-get", "echo 'no route to the archive'; exit 100")
    done = run(checkout, machine)
    assert done.returncode == 0, done.stderr
    assert "are skipped" in done.stderr
    assert f"{AT_ONCE} --dist loadfile" in done.stdout


def test_failed_lint_stops_before_the_tests(checkout, machine):
    program(machine, "id", "echo 1000")
    program(checkout / "script", "lint", "exit 1")
    done = run(checkout, machine)
    assert done.returncode == 1
    assert "--dist" not in done.stdout
