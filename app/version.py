"""The version of this checkout, from pyproject.toml: one place, also read by the packaging tools."""

import tomllib
from functools import cache

from app.config import CHECKOUT


@cache
def version() -> str:
    return str(tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"])
