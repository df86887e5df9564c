"""Forty-eight IPs at once, as an administrator does it in a browser, on a phone and on a desk; every page passed is looked at."""

import pytest

from app.models import EgressState
from tests import factories
from tests.e2e.test_every_page import enter
from tests.e2e.watch import Watch

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


@pytest.mark.parametrize("width", [360, 1280])
def test_range_review_move_quarantine_and_release(app, client, session, panel, admin, site, browser, width):
    relay = factories.relay(session, panel, 2601)
    factories.egress_ip(session, factories.egress_pool(session, relay, "Urgente"), "198.51.100.1", weight=3)
    home = f"/relays/{relay.id}/egress"
    context = browser.new_context(base_url=site, viewport={"width": width, "height": 800}, locale="es-PE")
    enter(context, site, client, admin)
    page, watch = context.new_page(), Watch(context, site)

    page.goto(f"{home}/import")
    page.fill("#rows", "ip;helo;peso;estado\n198.51.100.1;;9;cuarentena\n192.0.2.9;;;\n192.0.2.300;x.example.pe;;\n")
    page.click("main button[type=submit]")
    page.locator("h2:has-text('Filas por corregir')").wait_for()
    watch.look(page)

    page.goto(f"{home}/range")
    page.fill("#addresses", "192.0.2.1–192.0.2.48")
    page.fill("#helo_pattern", "mail-{n}.example.gob.pe")
    page.fill("#pool", "Masivo")
    page.click("main button[type=submit]")
    page.locator("button:has-text('Importar 48 direcciones')").wait_for()
    watch.look(page)
    page.click("button:has-text('Importar 48 direcciones')")
    page.locator("text=Se agregaron 48 direcciones.").wait_for()
    assert page.locator("input[name=ip]").count() == 49
    watch.look(page)

    page.check("[aria-label='Elegir 192.0.2.48']")
    page.select_option("#move-to", label="Urgente")
    page.click("button:has-text('Mover')")
    page.locator("text=Se movió 1 dirección a «Urgente».").wait_for()

    page.goto(home)
    page.click("a:text-is('192.0.2.3')")
    page.fill("#reason", "En una lista negra")
    page.click("button:has-text('Poner en cuarentena')")
    page.locator("text=Las otras 46 de su grupo «Masivo» toman su parte.").wait_for()
    watch.look(page)
    page.click("button:has-text('Devolver al envío')")
    page.locator("text=está en calentamiento: envía poco").wait_for()
    watch.look(page)
    page.goto(f"{home}?state={EgressState.QUARANTINED.value}")
    watch.look(page)
    context.close()
