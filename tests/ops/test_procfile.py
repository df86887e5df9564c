"""The Procfile is read strictly, so that a slip of the pen does not silently leave a process out."""

import re
from pathlib import Path

import pytest

from ops.procfile import ProcfileError, read_procfile

ROOT = Path(__file__).resolve().parents[2]


def test_comments_and_blank_lines_are_passed_over_and_order_is_kept(tmp_path):
    path = tmp_path / "Procfile"
    path.write_text("# all\n\nweb: serve --bind :$PORT\n  sender:  send # 2\n")
    assert read_procfile(path) == {"web": "serve --bind :$PORT", "sender": "send # 2"}
    assert list(read_procfile(path)) == ["web", "sender"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("web: x\nnonsense\n", "line 2: expected `name: command`"),
        ("web:\n", "line 1: expected"),
        ("a b: x\n", "line 1: expected"),
        ("web: x\nweb: y\n", "line 2: the process 'web' is there twice"),
    ],
)
def test_line_that_is_no_process_is_named(tmp_path, text, complaint):
    path = tmp_path / "Procfile"
    path.write_text(text)
    with pytest.raises(ProcfileError, match=re.escape(complaint)):
        read_procfile(path)


def test_platform_has_its_eight_processes():
    assert list(read_procfile(ROOT / "Procfile")) == [
        "web",
        "dispatcher",
        "sender",
        "worker",
        "tracker",
        "practice",
        "follower",
        "queue_agent",
    ]
