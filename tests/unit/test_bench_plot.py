"""The picture of the bench's figures."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ops.bench import plot


def printed(recipients: int, seconds: float) -> dict[str, Any]:
    cost = {"senders": 490, "sink": 48, "database": 45, "redis": 3}
    return {"recipients": recipients, "seconds": seconds, "cpu_us_per_message": cost, "lost": 0}


def test_every_run_is_a_point_of_every_line(tmp_path: Path) -> None:
    lines, out = tmp_path / "lines.jsonl", tmp_path / "out.svg"
    rows = [printed(10_000, 3.9), printed(1_000_000, 320), printed(100_000, 32)]
    lines.write_text("\n".join(map(json.dumps, rows)))
    assert plot.run(lines, out)["sizes"] == [10_000, 100_000, 1_000_000]
    drawn = out.read_text()
    assert [len(points.split()) for points in re.findall(r'points="([^"]+)"', drawn)] == [3, 3, 3, 3]
    assert "redis" not in drawn, "what costs next to nothing is only clutter"


def test_linear_growth_is_a_straight_line(tmp_path: Path) -> None:
    drawn = plot.draw([printed(10_000, 4), printed(100_000, 40), printed(1_000_000, 400)])
    first = re.findall(r'points="([^"]+)"', drawn)[0]
    (x1, y1), (x2, y2), (x3, y3) = (map(float, point.split(",")) for point in first.split())
    assert (y2 - y1) / (x2 - x1) == pytest.approx((y3 - y2) / (x3 - x2), rel=0.01)


def test_line_of_another_command_is_named(tmp_path: Path) -> None:
    lines = tmp_path / "lines.jsonl"
    lines.write_text(json.dumps(printed(10, 1)) + '\n{"requests_per_second": 3}\n')
    with pytest.raises(ValueError, match="line 2: not a line of"):
        plot.run(lines, tmp_path / "out.svg")
