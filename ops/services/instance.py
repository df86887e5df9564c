"""How to reach the running instance: `var/instance.json`, readable by its owner only.

`app/config.py` reads it, so that `flask …` in the same checkout talks to what `script/server` runs.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from ops.services.private_files import write_private

CHECKOUT = Path(__file__).resolve().parents[2]


def var_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """Where this instance writes: `CHASKI_VAR`, else `var` in the checkout. Made when missing."""
    chosen = environ.get("CHASKI_VAR")
    directory = Path(chosen).expanduser().absolute() if chosen else CHECKOUT / "var"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return directory


def secret_key(var: Path) -> str:
    """The installation's secret, made once and kept: sessions, tokens and stored secrets depend on it."""
    path = var / "secret_key"
    if not path.exists() or not path.read_text().strip():
        write_private(path, secrets.token_urlsafe(48))
    return path.read_text().strip()


def write_instance(var: Path, settings: Mapping[str, str | int]) -> None:
    write_private(var / "instance.json", json.dumps(dict(settings), indent=2))


def remove_instance(var: Path) -> None:
    (var / "instance.json").unlink(missing_ok=True)
