"""The shell part of script/server: finds Python, makes the environment once, says what is missing and how to get it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

ENTRY = "import os, sys\nprint('started', sys.prefix, os.environ.get('CHASKI_VAR'), os.getcwd(), *sys.argv[1:], sep='\\n')\n"


@pytest.fixture
def checkout(tmp_path):
    """A checkout of the shell part alone, whose ops.server only tells how it was called."""
    root = tmp_path / "mi copia (1)"
    for name in ("ops", "script"):
        (root / name).mkdir(parents=True)
    shutil.copy(ROOT / "ops" / "bootstrap.sh", root / "ops")
    shutil.copy(ROOT / "script" / "server", root / "script")
    (root / "ops" / "server.py").write_text(ENTRY)
    (root / "requirements.txt").write_text("# nothing\n")
    return root


@pytest.fixture
def programs(tmp_path):
    """An empty directory to put first on the PATH; `programs(name, script)` adds a program."""
    directory = tmp_path / "bin"
    directory.mkdir()

    def add(name: str, script: str) -> None:
        (directory / name).write_text(f"#!/bin/sh\n{script}\n")
        (directory / name).chmod(0o755)

    return add


def run(checkout: Path, *arguments: str, cwd: Path | str = "/", program: Path | None = None, **env: str):
    path = f"{checkout.parent / 'bin'}:{Path(sys.base_prefix) / 'bin'}:{os.defpath}"
    clean = {"PATH": path, "HOME": str(checkout.parent), "PYTHON": ""}
    pip = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))}
    return subprocess.run(
        [program or checkout / "script" / "server", *arguments],
        cwd=cwd,
        env=pip | clean | env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_environment_is_made_once_and_packages_again_only_when_their_list_changed(checkout):
    first = run(checkout, "--port", "1 2")
    assert first.returncode == 0, first.stderr
    assert first.stdout.splitlines() == ["started", str(checkout / ".venv"), "None", str(checkout), "--port", "1 2"]
    assert "Installing requirements.txt" in first.stderr
    assert "Installing" not in run(checkout).stderr
    (checkout / "requirements.txt").write_text("# something else\n")
    assert "Installing requirements.txt" in run(checkout).stderr


def test_starts_from_anywhere_through_a_link_and_takes_a_relative_var_from_where_the_user_stands(checkout, tmp_path):
    link = tmp_path / "start"
    link.symlink_to(checkout / "script" / "server")
    done = run(checkout, cwd=tmp_path, program=link, CHASKI_VAR="mis datos")
    assert done.stdout.splitlines()[2:4] == [str(tmp_path / "mis datos"), str(checkout)]


def test_moved_checkout_gets_a_new_environment(checkout, tmp_path):
    run(checkout)
    moved = checkout.rename(tmp_path / "moved")
    done = run(moved)
    assert "making it anew" in done.stderr
    assert done.stdout.splitlines()[1] == str(moved / ".venv")


def test_package_that_does_not_match_its_hash_stops_the_start(checkout):
    (checkout / "requirements.txt").write_text("flask==3.1.3\n")  # no hash at all
    done = run(checkout)
    assert done.returncode == 1
    assert "the packages of requirements.txt could not be installed" in done.stderr
    assert "started" not in done.stdout


def test_python_that_is_too_old_is_named(checkout, programs):
    for name in ("python3", "python3.11", "python3.12", "python3.13", "python3.14"):
        programs(name, 'case "$2" in *platform*) echo 3.9.2 ;; *) exit 1 ;; esac')
    done = run(checkout)
    assert done.returncode == 1
    assert "Python 3.11 or newer is needed" in done.stderr
    assert "(python3 is 3.9.2)" in done.stderr


WITHOUT_VENV = """case "$2" in
*ensurepip*) exit 1 ;;
*'%d.%d-venv'*) echo python3.11-venv ;;
*) exit 0 ;;
esac"""


def test_ordinary_user_without_the_venv_module_is_told_the_package(checkout, programs):
    programs("python3", WITHOUT_VENV)
    programs("id", "echo 1000")
    done = run(checkout)
    assert done.returncode == 1
    assert "apt install python3-venv (or python3.11-venv)" in done.stderr


def test_root_without_the_venv_module_gets_it_from_apt(checkout, programs, tmp_path):
    programs("python3", f"[ -e '{tmp_path}/installed' ] && exec '{sys.executable}' \"$@\"\n{WITHOUT_VENV}")
    programs("id", "echo 0")
    programs("apt-get", f"echo \"$DEBIAN_FRONTEND $*\" >>'{tmp_path}/installed'")
    done = run(checkout)
    assert done.returncode == 0, done.stderr
    asked = (tmp_path / "installed").read_text()
    assert asked == "noninteractive install -y --no-install-recommends python3.11-venv\n"
