"""Reads a Procfile: one process a line, `name: command`; `#` starts a comment line."""

from __future__ import annotations

import re
from pathlib import Path

_LINE = re.compile(r"(?P<name>[A-Za-z0-9_-]+):\s*(?P<command>\S.*)")


class ProcfileError(Exception):
    """A line that is no process; the text names file and line."""


def read_procfile(path: Path) -> dict[str, str]:
    """Name → command, in the file's order. The command still holds its `$VARIABLES`; a shell expands them."""
    commands: dict[str, str] = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        found = _LINE.fullmatch(text)
        if found is None:
            raise ProcfileError(f"{path}, line {number}: expected `name: command`, found {text!r}")
        if found["name"] in commands:
            raise ProcfileError(f"{path}, line {number}: the process {found['name']!r} is there twice")
        commands[found["name"]] = found["command"]
    return commands
