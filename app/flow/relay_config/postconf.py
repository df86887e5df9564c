"""What Postfix itself reads out of a configuration directory, by ``postconf``: its parser, not one of ours."""

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from app.flow.relay_config.plan import RelayConfigProblem

SECONDS = 30
_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin"


def parameters(config_dir: Path, names: Iterable[str] = ()) -> dict[str, str]:
    """``name -> value`` as main.cf has it, before anything is expanded; all that main.cf sets where no names are given."""
    wanted = list(names)
    return _pairs(_postconf(config_dir, *(wanted or ["-n"])))


def services(config_dir: Path) -> dict[str, str]:
    """``smtp-7/unix`` -> its line without the options: limits, and the program."""
    found = {}
    for line in _postconf(config_dir, "-Mf").splitlines():
        if line[:1].strip():
            name, kind, *columns = line.split()
            found[f"{name}/{kind}"] = " ".join(columns)
    return found


def service_parameters(config_dir: Path) -> dict[str, str]:
    """``smtp-7/unix/smtp_helo_name -> value``: the ``-o`` of each service."""
    return _pairs(_postconf(config_dir, "-P"))


def _pairs(output: str) -> dict[str, str]:
    pairs = (line.partition(" =") for line in output.splitlines() if " =" in line)
    return {name: " ".join(value.split()) for name, _, value in pairs}


def _postconf(config_dir: Path, *arguments: str) -> str:
    program = shutil.which("postconf", path=_PATH)
    if program is None:
        raise RelayConfigProblem("postconf_failed", value="postconf: command not found")
    ran = subprocess.run(
        [program, "-c", str(config_dir), *arguments],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=SECONDS,
    )
    if ran.returncode:
        raise RelayConfigProblem("postconf_failed", value=ran.stderr.strip()[-300:])
    return ran.stdout
