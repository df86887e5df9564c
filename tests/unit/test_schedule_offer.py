"""The moment that the schedule offers first."""

from datetime import UTC, datetime

import pytest

from app.web.campaigns.forms import next_hour


@pytest.mark.parametrize(
    ("now", "offered"),
    [
        ("2026-11-21T15:00", "2026-11-21T11:00"),  # 10:00 in Lima
        ("2026-11-21T15:29", "2026-11-21T11:00"),
        ("2026-11-21T15:30", "2026-11-21T12:00"),
        ("2026-11-22T04:45", "2026-11-22T01:00"),  # around midnight in Lima
    ],
)
def test_full_hour_of_the_panels_clock_at_least_half_an_hour_away_is_offered(now, offered):
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert next_hour(moment, "America/Lima") == datetime.fromisoformat(offered)
