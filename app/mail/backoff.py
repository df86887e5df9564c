"""What a provider's reply asks of the sending IP: nothing, to slow down, or to stay away for a time. Pure.

The rules stand as ordered data in ``backoff_rules.toml``, each with its source; the first that fits is the one. What becomes
of a delivery is another question, which :mod:`app.mail.replies` answers.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import cache
from importlib.resources import files
from math import ceil, log2
from typing import Any

from app.mail.mailbox_providers import providers

MAX_READ = 2000
"""Characters of a reply that are looked at."""
_ENHANCED = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.])")
_ADDRESS = re.compile(r"[^\s<>@:]+@[^\s<>@:]+")
_NOTHING = re.compile("")


class BackOff(StrEnum):
    """What a reply asks for."""

    NONE = "none"
    SLOW = "slow"
    SUSPEND_IP = "suspend_ip"
    SUSPEND_PROVIDER = "suspend_provider"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    key: str
    providers: frozenset[str]
    """Empty: any."""
    codes: frozenset[str]
    """Whole codes, or classes as ``4xx``."""
    enhanced: re.Pattern[str]
    words: re.Pattern[str]
    action: BackOff
    factor: float
    minutes: int
    most_minutes: int
    at_least: int
    within_minutes: int
    source: str

    def fits(self, provider: str, code: int, enhanced: str, words: str) -> bool:
        return (
            (not self.providers or provider in self.providers)
            and bool(self.codes & {str(code), f"{code // 100}xx"})
            and (self.enhanced is _NOTHING or self.enhanced.fullmatch(enhanced) is not None)
            and self.words.search(words) is not None
        )

    @property
    def suspends(self) -> bool:
        return self.action in (BackOff.SUSPEND_IP, BackOff.SUSPEND_PROVIDER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """How a hold ends; see the data."""

    restart_factor: float
    step: timedelta
    slowest_factor: float
    settle: timedelta
    remembered: timedelta

    def steps_from(self, factor: float) -> int:
        """Doublings until ``factor`` is whole."""
        return ceil(log2(1 / factor) - 1e-9)

    def factor_after(self, factor: float, passed: timedelta) -> float:
        """What ``factor`` has grown to so long after recovery began."""
        steps = min(passed // self.step, self.steps_from(factor))
        return min(1.0, factor * 2.0**steps)


def rule_for(provider: str, code: int, text: str) -> Rule | None:
    """The rule that holds the IP back for this reply; ``None`` where it says nothing about us. Never raises.

    text: the reply without its code; what stands around it in a log does no harm
    """
    if not 400 <= code <= 599:
        return None
    read = text[:MAX_READ].lower()
    enhanced = next((found[0] for found in _ENHANCED.finditer(read) if found[1] == str(code)[0]), "")
    words = " ".join(_ENHANCED.sub(" ", read).split())
    rule = next((rule for rule in rules() if rule.fits(provider, code, enhanced, words)), None)
    return None if rule is None or rule.action is BackOff.NONE else rule


def without_addresses(text: str, *, longest: int) -> str:
    """A reply as it may be kept: no mail addresses, no line ends, no more than ``longest`` characters."""
    printable = "".join(c if c.isprintable() else " " for c in text[:MAX_READ])
    return _ADDRESS.sub("…@…", " ".join(printable.split()))[:longest]


@cache
def rules() -> tuple[Rule, ...]:
    """In their order. Raises ValueError where the data are wrong."""
    found = tuple(_rule(row) for row in _table()["rule"])
    if len({rule.key for rule in found}) != len(found):
        raise ValueError("two rules share a key")
    if unknown := {key for rule in found for key in rule.providers} - providers().keys():
        raise ValueError(f"no such providers: {sorted(unknown)}")
    return found


@cache
def rules_by_key() -> Mapping[str, Rule]:
    return {rule.key: rule for rule in rules()}


@cache
def recovery() -> Recovery:
    row = _table()["recovery"]
    return Recovery(
        restart_factor=row["restart_factor"],
        step=timedelta(minutes=row["step_minutes"]),
        slowest_factor=row["slowest_factor"],
        settle=timedelta(seconds=row["settle_seconds"]),
        remembered=timedelta(hours=row["remembered_hours"]),
    )


def _table() -> dict[str, Any]:
    return tomllib.loads(files("app.mail").joinpath("backoff_rules.toml").read_text(encoding="utf-8"))


def _rule(row: Mapping[str, Any]) -> Rule:
    return Rule(
        key=row["key"],
        providers=frozenset(row.get("providers", ())),
        codes=frozenset(row["codes"]),
        enhanced=_any_of(row.get("enhanced", ())),
        words=_any_of(row.get("words", ())),
        action=BackOff(row["action"]),
        factor=row.get("factor", 1.0),
        minutes=row.get("minutes", 0),
        most_minutes=row.get("most_minutes", row.get("minutes", 0)),
        at_least=row.get("at_least", 1),
        within_minutes=row.get("within_minutes", 1),
        source=row["source"],
    )


def _any_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns)) if patterns else _NOTHING
