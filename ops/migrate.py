"""Bring a database to the newest schema."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]


class MigrationError(Exception):
    """The schema could not be upgraded; the text says why."""


def upgrade(settings: Mapping[str, str]) -> None:
    """Apply every missing migration; `settings` are environment variables that win over ours.

    In a process of its own: no connection stays open, and the caller's settings can't leak in.
    """
    done = subprocess.run(
        [sys.executable, "-m", "flask", "--app", "app", "db", "upgrade"],
        cwd=CHECKOUT,
        env=os.environ | dict(settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise MigrationError(_explanation(done.stdout.strip()))


def _explanation(said: str) -> str:
    """A server that does not answer is no defect of ours: its driver's line says it better than our traceback."""
    unanswered = [line for line in said.splitlines() if line.startswith("psycopg.OperationalError: ")]
    if not unanswered:
        return f"The database could not be upgraded:\n{said}"
    words = unanswered[0].partition(": ")[2]
    return (
        f"The database does not answer: {words}\nStart it, or correct DATABASE_URL (without it Chaski brings its own)."
    )
