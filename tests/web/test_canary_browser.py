"""What people see of a part that goes first, in Chromium on a phone and on a desk: form, settings, live page, hold, search."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from app.flow import complaining
from app.models import CampaignStatus, CanaryStage, HoldKind, ProviderHold
from tests import factories, ledger
from tests.e2e.test_every_page import enter
from tests.e2e.watch import Watch

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


@pytest.fixture
def campaign(session, panel):
    """Its part is being watched: 400 tried, one complained."""
    row = factories.campaign(session, panel, canary_percent=10)
    ledger.freeze(
        session, row, ["accepted"] * 400 + ["deferred"] * 3 + ["bounced"] * 2 + ["planned"] * 5, batch_size=405
    )
    session.execute(text("UPDATE batch SET is_canary = first_seq = 1"))
    row.canary_stage, row.canary_until = CanaryStage.WATCHING, datetime.now(UTC) + timedelta(minutes=20)
    session.commit()
    complaining.note_complaint(session, row, 1, source="letter:1")
    return row


@pytest.mark.parametrize("width", [360, 1280])
def test_pages_of_a_part_that_goes_first(
    session, settings, client, panel, relay, admin, site, browser, campaign, width
):  # fmt: skip
    people = factories.mailing_list(session, panel)
    factories.contacts(session, panel, people, 30, "gmail.com")
    factories.signed_domain(session, settings, panel).dkim_keys[0].is_published = True
    now = datetime.now(UTC)
    session.add(
        ProviderHold(
            relay_id=relay.id, provider="google", kind=HoldKind.SUSPENDED, factor=0.1, rule="test", started_at=now,
            until=now + timedelta(hours=5),
        )
    )  # fmt: skip
    session.commit()
    draft = factories.campaign(session, panel, people, canary_percent=5, canary_bounced_percent=2.5)
    context = browser.new_context(base_url=site, viewport={"width": width, "height": 800}, locale="es-PE")
    enter(context, site, client, admin)
    page, watch = context.new_page(), Watch(context, site)

    page.goto(f"/p/empleo/campaigns/{draft.id}/edit")
    assert page.input_value("#canary_bounced_percent") == "2.5"
    assert page.get_attribute("#canary_complained_percent", "placeholder") == "0.3"
    watch.look(page)
    page.fill("#canary_complained_percent", "0.1")
    page.click("button[type=submit]:has-text('Guardar') >> nth=0")
    page.goto(f"/p/empleo/campaigns/{draft.id}/edit")
    assert page.input_value("#canary_complained_percent") == "0.1"

    page.goto(f"/p/empleo/campaigns/{draft.id}/review?whole=1")
    page.locator("#forecast >> text=pidió esperar o ir más despacio").wait_for()
    watch.look(page)

    page.goto("/p/empleo/settings")
    page.locator("text=Campañas que salen primero a una parte").wait_for()
    watch.look(page)

    page.goto(f"/p/empleo/campaigns/{campaign.id}")
    page.locator("#part >> text=De 405 probados").wait_for()
    watch.look(page)
    page.goto(f"/p/empleo/campaigns/{campaign.id}/recipients/1")
    page.locator("text=Reclamó: lo marcó como correo no deseado").wait_for()
    watch.look(page)
    page.goto(f"/p/empleo/campaigns/{campaign.id}/recipients?q=persona40")
    assert page.locator("tbody tr").count() == 11
    watch.look(page)

    campaign.status, campaign.canary_stage = CampaignStatus.PAUSED, CanaryStage.HELD
    campaign.status_reason = "canary:bounced 62 800 5; complained 4 730 0.3"
    session.commit()
    page.goto(f"/p/empleo/campaigns/{campaign.id}")
    page.locator("text=rebotaron 62 de 800 (7.8 %; el límite es 5 %)").wait_for()
    watch.look(page)
    page.click("#to-remedy")
    page.wait_for_url("**/recipients?status=bounced")
    context.close()
