"""Every program in script/ tells what it does, its options and how long it takes: at once, and without doing anything."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = sorted(path.name for path in (ROOT / "script").iterdir() if path.is_file())
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")


@pytest.fixture
def bare_checkout(tmp_path):
    """Fresh from a clone: no virtual environment, and no package index within reach."""
    root = tmp_path / "una copia (1)"
    (root / "ops").mkdir(parents=True)
    shutil.copytree(ROOT / "script", root / "script")
    shutil.copy(ROOT / "ops" / "bootstrap.sh", root / "ops")
    return root


def everything_in(root: Path) -> list[Path]:
    return sorted(root.rglob("*"))


def help_of(program: Path, flag: str = "--help") -> str:
    done = subprocess.run(
        [program, flag],
        cwd="/",
        env={"PATH": os.defpath, "HOME": str(program.parent)},
        capture_output=True,
        text=True,
        timeout=5,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("flag", ["--help", "-h"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_help_comes_at_once_from_a_fresh_clone_and_does_nothing(bare_checkout, name, flag):
    before = everything_in(bare_checkout)
    told = help_of(bare_checkout / "script" / name, flag)
    assert everything_in(bare_checkout) == before
    assert 3 <= len(told.splitlines()) <= 15
    assert not told.startswith(("!", "#"))
    assert f"  script/{name}" in told, "no example"
    assert re.search(r"(?i)\btakes? .*(second|minute|need)", told), "how long it takes"
    assert all(len(line) <= 130 for line in told.splitlines())


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("server", ["ops.server"]),
        ("messages", ["ops.messages"]),
        ("demo", ["ops.demo"]),
        ("chaos", ["ops.chaos"]),
        ("bench", ["ops.bench", "send"]),
        ("bench", ["ops.bench", "audience"]),
        ("bench", ["ops.bench", "track"]),
    ],
)
def test_help_names_every_option_that_there_is_and_no_other(name, command):
    done = subprocess.run(
        [sys.executable, "-m", *command, "--help"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    there_are = set(OPTION.findall(done.stdout)) - {"--help"}
    told = set(OPTION.findall(help_of(ROOT / "script" / name)))
    assert there_are <= told
    if name != "bench":  # its options belong to one measurement each
        assert told == there_are
