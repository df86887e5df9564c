"""``script/bench plot LINES.jsonl OUT.svg``: what ``script/bench send`` printed for several sizes, as a picture: how long a
campaign takes, and what a message costs, by the number of recipients."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import chain
from math import ceil, floor, log10
from pathlib import Path
from typing import Any

WIDTH, HEIGHT = 420, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 44, 44
COLOURS = ("#1f5a9e", "#b3241c", "#2f7d32", "#8a5a00", "#5b3a8e")
STYLE = (
    "text{font:12px sans-serif;fill:#333}.title{font-size:14px;font-weight:bold}.grid{stroke:#ddd}"
    ".line{fill:none;stroke-width:2}"
)

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Axis:
    """A scale between two ends, logarithmic where ``is_log``, and where its labels stand."""

    low: float
    high: float
    is_log: bool

    @classmethod
    def decades(cls, values: Sequence[float]) -> "Axis":
        return cls(10 ** floor(log10(min(values))), 10 ** ceil(log10(max(values))), is_log=True)

    @classmethod
    def from_zero(cls, values: Sequence[float]) -> "Axis":
        step = 10 ** floor(log10(max(values)))
        return cls(0, ceil(max(values) / step) * step, is_log=False)

    def share(self, value: float) -> float:
        if self.is_log:
            return (log10(value) - log10(self.low)) / (log10(self.high) - log10(self.low))
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        if self.is_log:
            return [10.0**n for n in range(round(log10(self.low)), round(log10(self.high)) + 1)]
        return [self.low + (self.high - self.low) * n / 4 for n in range(5)]


def draw(rows: Sequence[Row]) -> str:
    """The picture of at least one row, as SVG."""
    rows = sorted(rows, key=lambda row: int(row["recipients"]))
    parts = list(dict.fromkeys(part for row in rows for part in row["cpu_us_per_message"]))
    shown = [part for part in parts if max(row["cpu_us_per_message"].get(part, 0) for row in rows) >= 10]
    seconds = {"seconds": [float(row["seconds"]) for row in rows]}
    costs = {part: [float(row["cpu_us_per_message"].get(part, 0)) for row in rows] for part in shown}
    sizes = [float(row["recipients"]) for row in rows]
    pictures = [
        panel("Seconds for a campaign", sizes, seconds, Axis.decades(seconds["seconds"])),
        panel("CPU a message, in microseconds", sizes, costs, Axis.from_zero([*chain(*costs.values())])),
    ]
    both = "".join(f'<g transform="translate({WIDTH * n} 0)">{one}</g>' for n, one in enumerate(pictures))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH} {HEIGHT}" role="img" '
        f'aria-label="Seconds and CPU a message by recipients"><style>{STYLE}</style>'
        f'<rect width="100%" height="100%" fill="#fff"/>{both}</svg>\n'
    )


def panel(title: str, sizes: Sequence[float], series: Mapping[str, Sequence[float]], up: Axis) -> str:
    across = Axis.decades([*sizes, 10 * min(sizes)])
    pieces = [f'<text class="title" x="{LEFT}" y="20">{escape(title)}</text>', *grid(across, up)]
    for number, (name, values) in enumerate(series.items()):
        points = [place(across, up, size, value) for size, value in zip(sizes, values, strict=True)]
        pieces += line(name, points, COLOURS[number % len(COLOURS)], number if len(series) > 1 else None)
    return "".join(pieces)


def place(across: Axis, up: Axis, x: float, y: float) -> tuple[float, float]:
    return (
        LEFT + across.share(x) * (WIDTH - LEFT - RIGHT),
        HEIGHT - BOTTOM - up.share(y) * (HEIGHT - TOP - BOTTOM),
    )


def grid(across: Axis, up: Axis) -> list[str]:
    pieces = []
    for value in up.ticks():
        _, y = place(across, up, across.low, value)
        pieces.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        pieces.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:,g}</text>')
    for value in across.ticks():
        x, _ = place(across, up, value, up.low)
        pieces.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{short(value)}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    return [*pieces, f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">recipients</text>']


def line(name: str, points: Sequence[tuple[float, float]], colour: str, legend: int | None) -> list[str]:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    pieces = [f'<polyline class="line" stroke="{colour}" points="{path}"/>']
    pieces += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
    if legend is not None:
        x = LEFT + 8 + 78 * legend
        pieces.append(f'<rect x="{x}" y="{TOP - 14}" width="10" height="10" fill="{colour}"/>')
        pieces.append(f'<text x="{x + 14}" y="{TOP - 5}">{escape(name)}</text>')
    return pieces


def short(value: float) -> str:
    """10000 -> ``10k``, 1000000 -> ``1M``."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def run(lines: Path, out: Path) -> dict[str, object]:
    """Raises ValueError where a line isn't what ``script/bench send`` prints."""
    rows = []
    for number, one in enumerate(lines.read_text(encoding="utf-8").splitlines(), start=1):
        if not one.strip():
            continue
        row = json.loads(one)
        if not {"recipients", "seconds", "cpu_us_per_message"} <= row.keys():
            raise ValueError(f"{lines}, line {number}: not a line of script/bench send")
        rows.append(row)
    if not rows:
        raise ValueError(f"{lines} has no line")
    out.write_text(draw(rows), encoding="utf-8")
    return {"sizes": sorted(int(row["recipients"]) for row in rows), "picture": str(out)}
