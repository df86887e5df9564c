"""The installed configuration against the plan. Both are read by Postfix' own ``postconf``, so that spelling (order, blanks,
continued lines) makes no difference; the files that Postfix looks things up in are compared line by line."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from app.flow.relay_config import postconf
from app.flow.relay_config.plan import RelayPlan
from app.flow.relay_config.rendering import CHOICES_FILE, render_postfix

LOOKUP_FILES = ("egress_header_checks", "drop_egress_header", "sasl/smtpd.conf")


class DifferenceKind(StrEnum):
    PARAMETER = "parameter"  # of main.cf
    SERVICE = "service"  # a line of master.cf
    OPTION = "option"  # of a service: -o in master.cf
    FILE = "file"  # a line of a lookup file


@dataclass(frozen=True, kw_only=True)
class Difference:
    """``expected`` empty: it should not be there. ``found`` empty: it is missing."""

    kind: DifferenceKind
    name: str
    expected: str
    found: str


def differences(plan: RelayPlan, config_dir: Path) -> list[Difference]:
    """All, in the order of the files. Raises :class:`RelayConfigProblem` where ``config_dir`` can't be read at all."""
    texts = render_postfix(plan)
    with tempfile.TemporaryDirectory(prefix="chaski-relay-") as directory:
        ours = Path(directory)
        for name in ("main.cf", "master.cf"):
            (ours / name).write_text(texts[name], encoding="utf-8")
        return [
            *_parameters(ours, config_dir),
            *_compared(DifferenceKind.SERVICE, postconf.services(ours), postconf.services(config_dir)),
            *_options(ours, config_dir),
            *_files(texts, config_dir),
        ]


def installed_choices(config_dir: Path) -> str:
    """What was chosen when the installed configuration was rendered; empty where that is not known."""
    try:
        return (config_dir / CHOICES_FILE).read_text(encoding="utf-8")
    except (OSError, UnicodeError):
        return ""


def _parameters(ours: Path, config_dir: Path) -> list[Difference]:
    """Those that we render. What else main.cf sets (its directories, say) is the administrator's."""
    expected = postconf.parameters(ours)
    expected.pop("config_directory", None)  # which postconf adds by itself
    return _compared(DifferenceKind.PARAMETER, expected, postconf.parameters(config_dir, expected))


def _options(ours: Path, config_dir: Path) -> list[Difference]:
    """Of services that are there; a missing or a foreign one is told once, by its line."""
    there = postconf.services(ours).keys() & postconf.services(config_dir).keys()
    expected, found = (
        {name: value for name, value in postconf.service_parameters(place).items() if _service(name) in there}
        for place in (ours, config_dir)
    )
    return _compared(DifferenceKind.OPTION, expected, found)


def _service(option: str) -> str:
    return option.rpartition("/")[0]


def _files(texts: Mapping[str, str], config_dir: Path) -> list[Difference]:
    return [one for name in LOOKUP_FILES for one in _file(name, texts[name], config_dir / name)]


def _file(name: str, text: str, installed: Path) -> list[Difference]:
    try:
        there = _lines(installed.read_text(encoding="utf-8", errors="replace"))
    except OSError as error:
        return [Difference(kind=DifferenceKind.FILE, name=name, expected=str(installed), found=error.strerror or "")]
    wanted = _lines(text)
    missing = [line for line in wanted if line not in there]
    foreign = [line for line in there if line not in wanted]
    told = [_line(name, expected=line) for line in missing] + [_line(name, found=line) for line in foreign]
    # In a lookup file the first match wins, so the same lines in another order mean something else.
    return told or ([] if wanted == there else [_line(name, expected=" … ".join(wanted), found=" … ".join(there))])


def _line(name: str, *, expected: str = "", found: str = "") -> Difference:
    return Difference(kind=DifferenceKind.FILE, name=name, expected=expected, found=found)


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def _compared(kind: DifferenceKind, expected: Mapping[str, str], found: Mapping[str, str]) -> list[Difference]:
    return [
        Difference(kind=kind, name=name, expected=expected.get(name, ""), found=found.get(name, ""))
        for name in [*expected, *(name for name in found if name not in expected)]
        if expected.get(name) != found.get(name)
    ]
