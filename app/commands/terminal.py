"""What all commands share: naming a panel, and how an answer or a refusal is said.

People get a sentence or an aligned table with headers; scripts, by ``--json``, one line of JSON. Refusals go to standard
error, as a sentence or as JSON. Exit codes: 0 done, 1 refused (nothing was done), 2 used wrongly (click's own).
"""

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

import click

from app.extensions import db
from app.flow import accounts
from app.models import Panel

Cell = str | int | None
panel_option = click.option("--panel", "slug", required=True, help="Slug of the panel, such as empleo.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print one line of JSON, for scripts.")
COLUMN_GAP = "  "


def find_panel(slug: str, *, option: str = "--panel") -> Panel:
    """Raises a usage error that names the panels there are."""
    known = {panel.slug: panel for panel in accounts.all_panels(db.session)}
    if slug not in known:
        raise click.BadParameter(f"no panel {slug!r}; there are: {', '.join(known) or 'none'}", param_hint=option)
    return known[slug]


def say(facts: Any, as_json: bool, text: str) -> None:
    """``facts`` as JSON, or ``text``."""
    click.echo(json.dumps(facts, ensure_ascii=False) if as_json else text)


def refuse(code: str, sentence: str, as_json: bool, *, text: str = "", **more: Any) -> NoReturn:
    """Says why nothing was done and ends with exit code 1. ``text`` tells people more than the sentence does, ``more``
    the same to scripts."""
    facts = {"error": code, "message": sentence, **more}
    click.echo(json.dumps(facts, ensure_ascii=False) if as_json else text or sentence, err=True)
    sys.exit(1)


def local_times(panel: Panel, *moments: datetime | None) -> list[str | None]:
    """As the panel's people read them: ``2026-11-21 14:05``."""
    zone = ZoneInfo(panel.timezone)
    return [f"{moment.astimezone(zone):%Y-%m-%d %H:%M}" if moment else None for moment in moments]


def table(headers: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """Columns as wide as their widest cell; numbers to the right, a dash for nothing."""
    rows = list(rows)
    columns: list[tuple[Cell, ...]] = list(zip(*rows, strict=True)) if rows else [()] * len(headers)
    aligned = [_column(header, cells) for header, cells in zip(headers, columns, strict=True)]
    return "\n".join(COLUMN_GAP.join(line).rstrip() for line in zip(*aligned, strict=True))


def pairs(facts: Iterable[tuple[str, Cell]]) -> str:
    """One fact a line, the values under each other."""
    told = [(name, _text(value)) for name, value in facts]
    width = max((len(name) for name, _value in told), default=0)
    return "\n".join(f"{name:<{width}}{COLUMN_GAP}{value}" for name, value in told)


def _column(header: str, cells: Sequence[Cell]) -> list[str]:
    texts = [header, *map(_text, cells)]
    width = max(map(len, texts))
    is_number = bool(cells) and all(isinstance(cell, int) for cell in cells)
    return [text.rjust(width) if is_number else text.ljust(width) for text in texts]


def _text(cell: Cell) -> str:
    """Control characters would move what stands beside them, or speak to the terminal."""
    text = "-" if cell is None or cell == "" else str(cell)
    return "".join(character if character.isprintable() else " " for character in text)
