"""Numbers, times and sizes as people read them; template filters and globals."""

from datetime import UTC, datetime, timedelta

from babel.numbers import format_decimal
from flask import Flask
from flask_babel import format_datetime, format_timedelta, get_locale
from flask_babel import gettext as _

from app.models import Role
from app.web.locale import language_tag, number_locale
from app.web.scope import here, may


def when(moment: datetime | None) -> str:
    """``21 nov 2026, 14:05`` in the panel's zone; a dash for none."""
    return format_datetime(moment, "d MMM y, HH:mm") if moment else "—"


def when_exactly(moment: datetime | None) -> str:
    """``21 nov 2026, 14:05:09``."""
    return format_datetime(moment, "d MMM y, HH:mm:ss") if moment else "—"


def ago(moment: datetime | None) -> str:
    """``hace 5 minutos``."""
    return format_timedelta(moment - datetime.now(UTC), add_direction=True) if moment else "—"


def number(value: float | None) -> str:
    return format_decimal(value, locale=number_locale()) if value is not None else "—"


def percent(part: float | None, whole: float | None) -> str:
    """``12.3 %``; a dash where there is nothing to divide by."""
    return f"{number(round(100 * (part or 0) / whole, 1))} %" if whole else "—"


def file_size(size_bytes: int | None) -> str:
    """``512 MB``, of 1024 kB each, as the limit is set and as people's computers count."""
    value = float(size_bytes or 0)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1024 or unit == "GB":
            return f"{number(round(value, 1 if value < 10 and unit != 'B' else 0))} {unit}"
        value /= 1024
    raise AssertionError("unreachable")


def duration(seconds: float | None) -> str:
    """``3 minutos``; a dash for none."""
    return format_timedelta(timedelta(seconds=seconds), threshold=1.2) if seconds is not None else "—"


def span(seconds: float) -> str:
    """``1 minuto``, ``1 hora``: a length that was chosen, in the largest unit of which it is at least one."""
    return format_timedelta(timedelta(seconds=seconds), threshold=1)


def register(app: Flask) -> None:
    for filter_ in (when, when_exactly, ago, number, percent, file_size, duration, span):
        app.add_template_filter(filter_)

    # `{% trans %}` over several lines has the same msgid here as in the catalogue (babel.cfg says `trimmed`, too).
    app.jinja_env.policies["ext.i18n.trimmed"] = True
    # Globals of the environment, not of the context: macros that are imported see them too.
    app.jinja_env.globals.update(
        {
            "may": may,
            "Role": Role,
            "here": here,
            "_": _,
            "get_locale": get_locale,
            "language_tag": language_tag,
        }
    )
