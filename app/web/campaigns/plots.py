"""Figures as the plots and the live page want them."""

from collections.abc import Iterable
from datetime import datetime

from flask_babel import to_user_timezone

from app.flow.reports import Point
from app.web.formats import number


def plot_moment(moment: datetime) -> int:
    """Milliseconds for an axis that shows UTC: shifted, so that it shows the panel's clock."""
    local = to_user_timezone(moment)
    offset = local.utcoffset()
    return int((local.timestamp() + (offset.total_seconds() if offset else 0)) * 1000)


def plot_points(points: Iterable[Point]) -> list[list[int]]:
    return [[plot_moment(point.at), point.accepted] for point in points]


def rate(per_second: float | None) -> str:
    """``1.250``, ``3,4``; a dash where it isn't known."""
    return "—" if per_second is None else number(round(per_second, 1 if per_second < 100 else 0))
