"""Many addresses in a row, written as the sheet that an import reads: so they pass the same review. Pure."""

import csv
import io
import re
from dataclasses import dataclass

from app.flow.egress.addresses import IpAddress, parsed_address
from app.flow.egress.problems import EgressProblem, SheetProblem
from app.flow.egress.sheet import COLUMNS
from app.models import EgressState

MAX_ADDRESSES = 1024
NUMBER = "{n}"
BETWEEN = re.compile(r"\s*[-–—]\s*|\s+(?:a|al|to)\s+")
LAST_NUMBER = re.compile(r"\d{1,3}\Z")


@dataclass(frozen=True, kw_only=True)
class Range:
    """What administrators write: ``192.0.2.1–192.0.2.48`` (or ``192.0.2.1-48``) and ``mail-{n}.example.gob.pe``."""

    addresses: str
    helo_pattern: str
    pool: str
    state: EgressState
    weight: int = 1
    rate_per_hour: int | None = None
    """Of each address; none: without limit."""
    first_number: int = 1
    """What ``{n}`` is for the first address."""


def sheet_of_range(wanted: Range) -> str:
    """Raises :class:`SheetProblem`."""
    addresses = addresses_between(wanted.addresses)
    if NUMBER not in wanted.helo_pattern and len(addresses) > 1:
        raise SheetProblem("pattern_without_number")
    text = io.StringIO()
    writer = csv.writer(text, delimiter=";")
    writer.writerow(COLUMNS)
    for number, address in enumerate(addresses, start=wanted.first_number):
        helo = wanted.helo_pattern.replace(NUMBER, str(number))
        rate = "" if wanted.rate_per_hour is None else wanted.rate_per_hour
        writer.writerow([address, helo, wanted.pool, wanted.state.value, wanted.weight, rate])
    return text.getvalue()


def addresses_between(typed: str) -> list[IpAddress]:
    """Both ends included. Raises ``range_invalid``, ``range_backwards``, ``range_too_long``."""
    ends = BETWEEN.split(typed.strip())
    try:
        first, last = parsed_address(ends[0]), parsed_address(_full(ends[0], ends[-1]))
    except EgressProblem as error:
        raise SheetProblem("range_invalid") from error
    if len(ends) > 2 or first.version != last.version:
        raise SheetProblem("range_invalid")
    if int(last) < int(first):
        raise SheetProblem("range_backwards")
    if int(last) - int(first) >= MAX_ADDRESSES:
        raise SheetProblem("range_too_long", limit=MAX_ADDRESSES)
    return [first + step for step in range(int(last) - int(first) + 1)]


def _full(first: str, last: str) -> str:
    """``48`` behind ``192.0.2.1`` means ``192.0.2.48``."""
    return f"{first.rpartition('.')[0]}.{last}" if "." in first and LAST_NUMBER.match(last) else last
