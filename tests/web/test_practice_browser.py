"""The practice mailbox in Chromium: a captured message can't run scripts, and the pages are accessible."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session, scoped_session

from app.models import Panel, User
from tests.fixtures.app import log_in
from tests.web.test_practice import MAIL, capture

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

AXE = Path(__file__).resolve().parents[2] / "node_modules/axe-core/axe.min.js"

EVIL = b"""Subject: malo\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<!doctype html>
<html><head><meta http-equiv="refresh" content="0;url=https://example.com/"></head><body>
<p id="text">Hola</p><script>document.getElementById("text").textContent = "script ran"; top.document.title = "taken";</script>
<img src="x:y" onerror="document.getElementById('text').textContent = 'handler ran'">
<form action="/p/empleo/practice/clear" method="post"><button id="send">Enviar</button></form>
<iframe src="/p/empleo/practice/"></iframe>
<a id="link" href="/p/empleo/practice/addresses">enlace</a></body></html>
"""


@pytest.fixture
def page(browser: "Browser", site: str, client: FlaskClient, alice: User) -> Iterator["Page"]:
    """A page in which Alice is logged in."""
    log_in(client, alice)
    cookie = client.get_cookie("chaski_session")
    assert cookie is not None
    context = browser.new_context(base_url=site, viewport={"width": 1280, "height": 900})
    context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": site}])
    yield context.new_page()
    context.close()


def test_captured_message_runs_no_script_and_leaves_the_page_alone(
    page: "Page", panel: Panel, session: scoped_session[Session]
):
    message_id = capture(session, panel, EVIL)
    page.goto(f"/p/empleo/practice/{message_id}")
    frame = page.frame_locator("iframe.mail-frame")
    assert frame.locator("#text").text_content() == "Hola"
    frame.locator("#send").click()
    page.wait_for_timeout(300)
    assert frame.locator("#text").text_content() == "Hola"
    assert page.title().startswith("malo")
    assert page.url.endswith(f"/practice/{message_id}")


def test_link_in_a_message_opens_beside_the_mailbox(page: "Page", panel: Panel, session: scoped_session[Session]):
    message_id = capture(session, panel, EVIL)
    page.goto(f"/p/empleo/practice/{message_id}")
    with page.context.expect_page() as opened:
        page.frame_locator("iframe.mail-frame").locator("#link").click()
    opened.value.wait_for_load_state()
    assert opened.value.title().startswith("Direcciones de práctica")
    assert page.url.endswith(f"/practice/{message_id}")


def test_width_buttons_show_the_message_as_on_a_phone(page: "Page", panel: Panel, session: scoped_session[Session]):
    page.goto(f"/p/empleo/practice/{capture(session, panel)}")
    phone = page.get_by_role("button", name="Teléfono")
    phone.click()
    box = page.locator("iframe.mail-frame").bounding_box()
    assert box is not None and round(box["width"]) == 375
    assert phone.get_attribute("aria-pressed") == "true"
    page.get_by_role("button", name="Computadora").click()
    box = page.locator("iframe.mail-frame").bounding_box()
    assert box is not None and box["width"] > 700


def test_new_messages_appear_by_themselves(page: "Page", panel: Panel, session: scoped_session[Session]):
    page.goto("/p/empleo/practice/")
    assert page.get_by_text("El buzón está vacío").is_visible()
    capture(session, panel)
    page.get_by_role("link", name="Feria de empleo en Junín").wait_for(timeout=15_000)


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize(
    "path",
    ["", "?q=nadie", "addresses", "{id}?view=html", "{id}?view=text", "{id}?view=headers", "{id}?view=source"],
)
def test_pages_are_accessible_and_fit_the_screen(
    page: "Page", panel: Panel, session: scoped_session[Session], path: str, width: int, tmp_path: Path
):
    message_id = capture(session, panel, MAIL)
    capture(session, panel, MAIL, "una.direccion.bastante.larga@oficina-descentralizada.example.pe")
    page.set_viewport_size({"width": width, "height": 800})
    page.goto("/p/empleo/practice/" + path.format(id=message_id))
    page.screenshot(path=tmp_path / "page.png", full_page=True)
    page.evaluate(AXE.read_text())
    violations = page.evaluate("async () => (await axe.run({iframes: false})).violations")
    assert [(v["id"], [n["html"] for n in v["nodes"]]) for v in violations] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
