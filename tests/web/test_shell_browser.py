"""The look in Chromium: accessible and without sideways scrolling on a phone and on a desk, by mouse and by keyboard."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from app.flow import accounts, domains
from app.models import (
    CampaignStatus,
    Contact,
    Panel,
    PanelMode,
    Relay,
    RelaySecurity,
    SendingDomain,
    SubscriptionStatus,
)
from tests import factories
from tests.factories import PASSWORD
from tests.pages import FreshClient

pytestmark = pytest.mark.browser

AXE = Path(__file__).resolve().parents[2] / "node_modules/axe-core/axe.min.js"
SIZES = ((1280, 900), (360, 760))


@pytest.fixture
def page(browser, site):
    """A page that remembers what the console said: with a strict policy, a refused style or script stands there."""
    context = browser.new_context(base_url=site, locale="es-PE", viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.told = []
    page.on("console", lambda message: page.told.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.told.append(str(error)))
    yield page
    context.close()


@pytest.fixture
def installation(app, session, settings, panel, other_panel, admin, alice):
    """Something on every page: relay, domain, campaigns in each state, an alarm."""
    app.test_client_class = FreshClient
    session.add(Relay(name="Relay de prueba", host="127.0.0.1", port=1, security=RelaySecurity.NONE))
    domains.add_domain(session, settings, panel.id, "boletin.example.gob.pe")
    factories.campaign(session, panel, name="Una campaña con un nombre largo", status=CampaignStatus.SENDING)
    factories.campaign(session, panel, status=CampaignStatus.PAUSED, status_reason="relay_failures:421 4.3.2 busy")
    factories.campaign(session, panel, status=CampaignStatus.SCHEDULED, name="Programada")
    other = session.get(Panel, other_panel.id)
    other.relay_id, other.mode, other.colour = 1, PanelMode.REAL, "orange"
    accounts.create_user(session, email="dora@example.pe", name="Dora", roles={})
    session.commit()


def enter(page, email="admin@example.pe"):
    page.goto("/login")
    page.fill("#email", email)
    page.fill("#password", PASSWORD)
    page.click("main button[type=submit]:has-text('Entrar')")
    page.wait_for_url("**/")


def look(page, path):
    """What a demanding visitor finds wrong with the page, on a desk and on a phone."""
    faults = []
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        page.goto(path)
        page.evaluate(AXE.read_text())
        found = page.evaluate("axe.run()")["violations"]
        faults += [f"{width}: {one['id']} {one['nodes'][0]['target']}" for one in found]
        too_wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        faults += [f"{width}: {too_wide} px too wide"] if too_wide > 0 else []
    return faults


PAGES = [
    "/",
    "/profile",
    "/users",
    "/users/new",
    "/users/1",
    "/relays",
    "/relays/new",
    "/relays/1",
    "/p/empleo/",
    "/p/empleo/settings",
    "/p/fiscalizacion/settings",
    "/p/empleo/domains",
    "/p/empleo/domains/1",
    "/p/fiscalizacion/domains",
]


def test_every_page_is_accessible_fits_and_keeps_the_policy(page, installation):
    page.goto("/login")
    assert look(page, "/login") == []
    enter(page)
    assert {path: faults for path in PAGES if (faults := look(page, path))} == {}
    assert page.told == []


def test_a_page_that_is_not_there_is_accessible_too(page, installation):
    assert look(page, "/nowhere") == []


def test_the_menu_opens_on_a_phone_and_the_panel_stays_in_sight(page, installation):
    enter(page, "alice@example.pe")
    page.set_viewport_size({"width": 360, "height": 760})
    page.goto("/p/empleo/")
    link = page.get_by_role("link", name="Dominios", exact=True)
    assert not link.is_visible()
    page.get_by_role("button", name="Abrir o cerrar el menú").click()
    page.locator(".navbar-collapse.show:not(.collapsing)").wait_for()  # Open, and no longer moving.
    link.click()
    page.wait_for_url("**/domains")
    page.mouse.wheel(0, 2000)
    assert page.get_by_text("Práctica", exact=True).first.is_visible()
    box = page.locator(".panel-bar").bounding_box()
    assert box["y"] >= 0


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (1280, 480), (360, 720)])
def test_who_one_is_and_the_way_out_are_always_in_sight(page, installation, width, height):
    enter(page)
    page.set_viewport_size({"width": width, "height": height})
    page.goto("/relays")
    page.goto("/p/empleo/")
    for own in (page.locator(".navbar-account").get_by_role("link"), page.get_by_role("button", name="Salir")):
        box = own.bounding_box()
        assert box["y"] >= 0 and box["y"] + box["height"] <= height
        assert box["x"] >= 0 and box["x"] + box["width"] <= width
        assert own.evaluate(  # Nothing lies over it.
            "e => { const r = e.getBoundingClientRect();"
            " return e.contains(document.elementFromPoint(r.x + r.width / 2, r.y + r.height / 2)) }"
        )
    page.evaluate(AXE.read_text())
    assert page.evaluate("axe.run()")["violations"] == []
    page.get_by_role("button", name="Salir").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/login*")


def test_menu_that_scrolls_says_so_and_shows_the_pages_own_item(page, installation):
    enter(page)
    page.set_viewport_size({"width": 1280, "height": 600})
    page.goto("/p/empleo/settings")
    page.wait_for_load_state("load")
    menu = page.locator("#menu")
    assert menu.evaluate("e => e.scrollHeight > e.clientHeight"), "else this test sees nothing"
    assert "gradient" in menu.evaluate("e => getComputedStyle(e).backgroundImage")
    own, frame = menu.locator("[aria-current]").bounding_box(), menu.bounding_box()
    assert frame["y"] <= own["y"] and own["y"] + own["height"] <= frame["y"] + frame["height"]


def test_buttons_of_a_persons_row_keep_their_words_whole_on_a_phone(page, session, panel, installation):
    feria = factories.mailing_list(session, panel)
    long_name = factories.mailing_list(session, panel, "Personas inscritas en la feria de noviembre")
    person = factories.contact(session, panel, "ana.con.una.direccion.larga@example.pe", feria, name="Ana Ñahui")
    factories.contact(session, panel, "ida@example.pe", long_name, status=SubscriptionStatus.UNSUBSCRIBED)
    gone = session.scalar(select(Contact).where(Contact.email == "ida@example.pe"))
    enter(page)
    page.set_viewport_size({"width": 360, "height": 760})
    for path, words in (
        (f"/p/empleo/lists/{feria.id}", "Dar de baja"),
        (f"/p/empleo/contacts/{person.id}", "Dar de baja"),
        (f"/p/empleo/contacts/{gone.id}", "Nuevo consentimiento"),
    ):
        page.goto(path)
        button = page.locator("td .btn", has_text=words)
        assert button.evaluate("e => e.getBoundingClientRect().height") < 40, f"{path}: more than one line"
        assert button.evaluate("e => e.scrollWidth <= e.clientWidth"), f"{path}: cut"


def test_the_practice_banner_breaks_its_lines_on_a_phone_instead_of_scrolling(page, installation):
    enter(page, "alice@example.pe")
    page.set_viewport_size({"width": 360, "height": 760})
    page.goto("/p/empleo/")
    banner = page.locator(".practice-banner")
    assert banner.evaluate(
        "e => [e, ...e.querySelectorAll('*')].every(one => one.scrollWidth <= one.clientWidth || !one.clientWidth)"
    )
    box = banner.bounding_box()
    assert (box["x"], box["width"]) == (0, 360)
    link = banner.get_by_role("link").bounding_box()
    assert link["x"] >= 0 and link["x"] + link["width"] <= 360


def test_domains_and_their_last_check_fit_and_are_accessible(page, session, installation):
    for row in session.scalars(select(SendingDomain)):
        row.dns_states = {
            "return_path_mx": "missing",
            "return_path_spf": "several",
            "dmarc": "unreachable",
        }
        asked = {"name": row.domain, "found": ["v=spf1 a", "v=spf1 mx"], "detail": ""}
        row.dns_details = {
            "keys": {str(key.id): asked | {"status": "different", "testing": True} for key in row.dkim_keys},
            "records": {"return_path_spf": asked | {"status": "several"}, "dmarc": asked | {"status": "missing"}},
        }
        row.dns_checked_at = datetime.now(UTC)
    session.commit()
    enter(page)
    paths = ["/p/empleo/domains", "/p/empleo/domains/1"]
    assert {path: faults for path in paths if (faults := look(page, path))} == {}
    assert page.get_by_text("MX: falta").is_visible()


def test_the_keyboard_reaches_the_content_first(page, installation):
    enter(page, "alice@example.pe")
    page.goto("/p/empleo/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent").strip() == "Ir al contenido"
    assert page.locator(".skip-link").bounding_box()["y"] >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "contenido"


def test_the_monitor_follows_what_happens(page, session, panel, installation):
    enter(page, "alice@example.pe")
    page.goto("/p/empleo/")
    factories.campaign(session, panel, name="Recién llegada", status=CampaignStatus.SENDING)
    page.get_by_text("Recién llegada").wait_for(timeout=6000)
    assert page.told == []


def test_a_session_that_ended_leads_to_the_log_in(page, session, alice, installation):
    enter(page, "alice@example.pe")
    page.goto("/p/empleo/")
    accounts.end_sessions(session, alice)
    page.wait_for_url("**/login?next=**", timeout=8000)
    assert page.get_by_role("heading", name="Entrar").is_visible()


def test_a_server_that_went_away_is_told(page, installation):
    enter(page, "alice@example.pe")
    page.goto("/p/empleo/")
    page.context.set_offline(True)
    page.locator("#connection-lost").wait_for(state="visible", timeout=8000)
    page.context.set_offline(False)
    page.locator("#connection-lost").wait_for(state="hidden", timeout=8000)


def test_the_language_switch_of_the_log_in_page_works(page, installation):
    page.goto("/login")
    page.get_by_role("button", name="English").click()
    assert page.locator("html").get_attribute("lang") == "en"
    page.get_by_role("button", name="Español").click()
    assert page.locator("html").get_attribute("lang") == "es-PE"


def test_a_record_is_copied(page, installation):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    enter(page, "alice@example.pe")
    page.goto("/p/empleo/domains/1")
    page.get_by_role("button", name="Copiar: valor de DKIM: la firma").click()
    page.get_by_text("Copiado").first.wait_for(timeout=3000)
    assert page.evaluate("navigator.clipboard.readText()").startswith("v=DKIM1; k=rsa; p=")


def test_a_double_click_sends_a_form_once(page, session, installation):
    enter(page)
    page.goto("/users/new")
    sent = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    page.fill("#email", "eva@example.pe")
    page.fill("#name", "Eva")
    page.locator("main button[type=submit]").dblclick()
    page.get_by_text("No se volverá a mostrar").wait_for(timeout=5000)
    assert len(sent) == 1
