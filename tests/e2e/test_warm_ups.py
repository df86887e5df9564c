"""The dispatcher ends a warm-up by itself."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.extensions import db
from app.models import EgressState
from ops.bench import stage as stages
from tests import factories


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_ip_that_is_through_with_every_schedule_becomes_active(tmp_path: Path) -> None:
    with stages.stage() as place:
        panel = stages.make_panel(place.app)
        pool = factories.egress_pool(db.session, factories.relay(db.session, panel, 2601))
        long_ago = datetime.now(UTC).date() - timedelta(days=200)
        warm, cold = (
            factories.egress_ip(
                db.session, pool, address, state=EgressState.WARMING, warm_up_started_on=since
            )
            for address, since in (("192.0.2.1", long_ago), ("192.0.2.2", datetime.now(UTC).date()))
        )  # fmt: skip
        with stages.processes(place.installation, ["dispatcher"], log=tmp_path / "log"):
            deadline = time.monotonic() + 60
            while warm.state is not EgressState.ACTIVE:
                assert time.monotonic() < deadline, "nobody ended the warm-up"
                time.sleep(0.1)
                db.session.rollback()
        assert cold.state is EgressState.WARMING
