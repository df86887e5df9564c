"""Who tells what a relay does, in a browser, on a phone and on a desk: a key is made, copied and revoked."""

import pytest
from sqlalchemy import text

from app.flow import relay_keys, relay_outcomes
from app.mail.relay_report import Bundle, Reading
from tests import factories
from tests.e2e.test_every_page import enter
from tests.e2e.watch import Watch

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


@pytest.mark.parametrize("width", [360, 1280])
def test_key_is_made_copied_and_revoked_while_the_follower_comes_back(
    app, client, session, panel, admin, site, browser, width, tmp_path
):
    relay = factories.relay(session, panel, 2601)
    context = browser.new_context(base_url=site, viewport={"width": width, "height": 800}, locale="es-PE")
    enter(context, site, client, admin)
    page, watch = context.new_page(), Watch(context, site)

    page.goto(f"/relays/{relay.id}")
    page.click("a:has-text('Informes y claves')")
    page.locator("text=Nadie ha leído todavía el registro").wait_for()
    watch.look(page)
    page.fill("[name=name]", "Máquina de salida")
    page.click("button:has-text('Crear clave')")
    key = page.locator(".copyable-text").first.inner_text()
    watch.look(page)
    assert relay_keys.relay_of_key(session, key, address="192.0.2.10") == relay.id
    page.click("text=Ya la guardé")
    page.locator("text=desde 192.0.2.10").wait_for()
    relay_outcomes.store(session, relay.id, Bundle(reading=Reading(1200, 0, 0)), token_key=b"a key for tests only")
    page.locator("text=al día").wait_for()  # By itself.
    watch.look(page)
    session.execute(text("UPDATE relay_log SET heard_at = now() - interval '2 hours'"))
    session.commit()
    page.locator("text=Calla desde").wait_for()
    watch.look(page)
    page.once("dialog", lambda dialog: dialog.accept())
    page.click("button:has-text('Anular')")
    page.locator("text=Se anuló la clave").wait_for()
    assert relay_keys.relay_of_key(session, key) is None
    watch.look(page)
    context.close()
