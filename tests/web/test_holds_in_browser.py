"""What providers hold back and lifting it, in a browser, on a phone and on a desk."""

from datetime import UTC, datetime

import pytest

from app.flow import breaker
from app.flow.breaker import Heard
from tests import factories
from tests.e2e.everything import holds
from tests.e2e.test_every_page import enter
from tests.e2e.watch import Watch

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


@pytest.mark.parametrize("width", [360, 1280])
def test_hold_is_read_and_lifted_after_a_question(app, client, session, panel, admin, site, browser, width):
    relay = factories.relay(session, panel, 2601)
    ip = factories.egress_ip(session, factories.egress_pool(session, relay), "2001:db8:ffff:ffff:ffff:ffff:ffff:1")
    session.add_all(holds(relay, ip.id))
    replies = [Heard(ip.id, 451, "4.7.650 rate limited (S775)")] * 3
    breaker.heard(session, relay_id=relay.id, provider="outlook", replies=replies, now=datetime.now(UTC))
    session.commit()
    context = browser.new_context(base_url=site, viewport={"width": width, "height": 800}, locale="es-PE")
    enter(context, site, client, admin)
    page, watch = context.new_page(), Watch(context, site)

    page.goto(f"/relays/{relay.id}")
    page.click("a:has-text('Frenos')")
    page.locator("text=Outlook limita esta dirección por su reputación.").wait_for()
    watch.look(page)
    row = page.locator("tr", has_text="S775")
    questions: list[str] = []
    page.once("dialog", lambda dialog: (questions.append(dialog.message), dialog.accept()))
    row.locator("button:has-text('Levantar')").click()
    page.locator("text=vuelve a su ritmo completo en").wait_for()
    assert len(questions) == 1 and "su reputación puede empeorar" in questions[0]
    page.locator(f"text=Lo levantó {admin.name}").wait_for()
    watch.look(page)
    context.close()
