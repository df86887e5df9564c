"""Custom fields' values: what people write in a cell or a form becomes text, number, boolean or an ISO date."""

import re
from collections.abc import Callable
from datetime import date, datetime

from app.models import FieldType

FieldValue = str | int | float | bool
MAX_VALUE_CHARACTERS = 1000
FIRST_YEAR, LAST_YEAR = 1900, 2100

NUMBER = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{1,10})?$")
THOUSANDS = re.compile(r"[+-]?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?$")
THOUSANDS_WITH_POINTS = re.compile(r"[+-]?[0-9]{1,3}(\.[0-9]{3})+,[0-9]+$|[+-]?[0-9]{1,3}(\.[0-9]{3}){2,}$")
DATE_FORMATS = ("%Y-%m-%d", "%d/%m/%Y", "%d-%m-%Y", "%d.%m.%Y", "%Y/%m/%d")
TIME_OF_DAY = re.compile(r"[ T]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?$")
WORDS = {
    **dict.fromkeys(("sí", "si", "s", "verdadero", "v", "true", "t", "yes", "y", "1", "x"), True),
    **dict.fromkeys(("no", "n", "falso", "f", "false", "0"), False),
}


class UnreadableValue(ValueError):
    """The text is no value of its field's type."""

    def __init__(self, type_: FieldType, text: str) -> None:
        super().__init__(f"{text!r} is no {type_}")
        self.type = type_


def read_value(type_: FieldType, text: str) -> FieldValue:
    """``text`` (stripped, not empty) as a value of ``type_``; :class:`UnreadableValue` where it is none."""
    try:
        return READERS[type_](text)
    except (ValueError, KeyError, OverflowError):
        raise UnreadableValue(type_, text) from None


def _number(text: str) -> int | float:
    """Decimal point, as Peru writes it; thousands with commas. ``1.234,5`` and ``12,5`` are read as well."""
    plain = text.replace(" ", "").replace("\xa0", "")
    if THOUSANDS.match(plain):
        plain = plain.replace(",", "")
    elif THOUSANDS_WITH_POINTS.match(plain):
        plain = plain.replace(".", "").replace(",", ".")
    else:
        plain = plain.replace(",", ".")
    if not NUMBER.match(plain):
        raise ValueError(text)
    return float(plain) if "." in plain else int(plain)


def _date(text: str) -> str:
    """Day before month, as Spanish writes it; a time of day, which spreadsheets add, is dropped."""
    plain = TIME_OF_DAY.sub("", text)
    for pattern in DATE_FORMATS:
        try:
            day = datetime.strptime(plain, pattern).date()  # noqa: DTZ007  # a calendar day has no zone
        except ValueError:
            continue
        if FIRST_YEAR <= day.year <= LAST_YEAR:
            return day.isoformat()
    raise ValueError(text)


def _boolean(text: str) -> bool:
    return WORDS[text.casefold()]


READERS: dict[FieldType, Callable[[str], FieldValue]] = {
    FieldType.TEXT: str,
    FieldType.NUMBER: _number,
    FieldType.DATE: _date,
    FieldType.BOOLEAN: _boolean,
}


def as_text(value: object) -> str:
    """A stored value as a cell of an export or a form holds it; reading that back gives the value."""
    if isinstance(value, bool):
        return "sí" if value else "no"
    return "" if value is None else str(value)


def as_date(value: object) -> date | None:
    """A stored date; none where it is something else (the field's type was another when it was stored)."""
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        return None
