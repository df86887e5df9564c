"""The relay's queue as an administrator uses it in a browser, on a phone and on a desk; every page passed is looked at."""

# ruff: noqa: F401, F811  # the fixtures of the flow's tests, imported and asked for

import pytest

from app.flow.relay_queue import commands
from app.models import CampaignStatus, QueueOutcome
from tests import factories, ledger
from tests.e2e.test_every_page import enter
from tests.e2e.watch import Watch
from tests.flow.relay_queue.conftest import campaign, queued, sender_of, tell

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


@pytest.mark.parametrize("width", [360, 1280])
def test_queue_is_filtered_held_and_reported(
    app, client, session, admin, site, browser, width, relay, campaign, queued, tell
):
    context = browser.new_context(base_url=site, viewport={"width": width, "height": 800}, locale="es-PE")
    enter(context, site, client, admin)
    page, watch = context.new_page(), Watch(context, site)
    home = f"/relays/{relay.id}/queue"
    page.goto(home)
    page.locator("text=Nadie ha contado todavía").wait_for()
    watch.look(page)
    tell()
    page.goto(home)
    page.locator("text=La cola está vacía").wait_for()
    tell(*(queued(campaign, seq, age=seq * 4000) for seq in range(1, 6)), queued(campaign, 6, queue="hold"))
    page.goto(home)
    page.locator("h2:has-text('Por antigüedad')").wait_for()
    watch.look(page)
    page.check("[aria-label='Elegir el correo QUEUE0002']")
    page.check("[aria-label='Elegir el correo QUEUE0003']")
    page.click("button:has-text('Borrar…')")
    page.locator("button:has-text('Borrar 2 correos')").wait_for()
    watch.look(page)
    page.click("button:has-text('Borrar 2 correos')")
    page.locator("text=esperando al relay").wait_for()
    order = commands.next_order(session, relay.id)
    commands.report(session, relay.id, order.command_id, {mail.queue_id: QueueOutcome.DONE for mail in order.mails})
    page.locator("text=hechos: 2").wait_for()  # By itself.
    watch.look(page)
    page.goto(f"/p/empleo/campaigns/{campaign.id}")
    page.locator("text=están todavía en la cola del relay").wait_for()
    watch.look(page)
    context.close()


@pytest.mark.parametrize("width", [360, 1280])
def test_certificate_and_follow_up(app, client, session, panel, admin, site, browser, width):
    mailing_list = factories.mailing_list(session, panel)
    person = factories.contact(session, panel, "persona2@example.pe", mailing_list)
    row = factories.campaign(session, panel, mailing_list)
    statuses = ["accepted", "failed", "bounced", "skipped:suppressed"]
    ledger.freeze(session, row, statuses, status=CampaignStatus.FINISHED)[1].contact_id = person.id
    session.commit()
    context = browser.new_context(base_url=site, viewport={"width": width, "height": 800}, locale="es-PE")
    enter(context, site, client, admin)
    page, watch = context.new_page(), Watch(context, site)
    page.goto(f"/p/empleo/campaigns/{row.id}/report")
    watch.look(page)
    with page.expect_download() as download:
        page.click("text=Certificado (ZIP)")
    assert download.value.suggested_filename == f"campana-{row.id}-certificado.zip"
    page.click("main a:has-text('A quienes no les llegó'), .page-header a:has-text('A quienes no les llegó')")
    page.locator("text=Hoy la recibiría 1 persona.").wait_for()
    watch.look(page)
    page.click("text=Preparar el borrador")
    page.locator("text=Este es el borrador").wait_for()
    watch.look(page)
    context.close()
