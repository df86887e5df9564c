"""What the relay did afterwards, on the recipient's page in Chromium: nothing wider than the screen, nothing axe objects to."""

from datetime import UTC, datetime, timedelta

import pytest

from app.models import RelayOutcome
from tests import factories, ledger
from tests.web.test_campaigns_in_browser import AXE, page

__all__ = ["page"]
pytestmark = pytest.mark.browser


@pytest.mark.parametrize("width", [360, 1280])
def test_long_replies_stay_within_the_page(session, panel, page, width):
    campaign = factories.campaign(session, panel)
    at = datetime.now(UTC) - timedelta(hours=1)
    (delivery,) = ledger.freeze(session, campaign, ["delivered"], attempts=1, last_attempt_at=at, reply_code=250)
    for second, status in enumerate(("deferred", "sent"), start=1):
        session.add(
            RelayOutcome(
                frozen_on=delivery.frozen_on, campaign_id=campaign.id, seq=1, at=at + timedelta(seconds=second),
                queue_id="4dDcHs3Vqlz9tGx", status=status, reply="451 4.7.1 " + "x" * 300, delay_ms=61_250,
                remote_host="a-very-long-host-name.of-a-mail-exchanger.example.pe", remote_address="2001:db8::1:2:3:4",
            )
        )  # fmt: skip
    session.commit()
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"campaigns/{campaign.id}/recipients/1")
    assert page.locator(".timeline-list .ti-server").count() == 2
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.evaluate(AXE.read_text())
    assert page.evaluate("axe.run().then(found => found.violations.map(one => one.id))") == []
