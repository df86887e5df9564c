"""The pages that recipients see, in Chromium: without script, at 360 and 1280 px, light and dark; axe finds nothing."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from app.config import Settings
from app.web.public import create_tracking_application
from tests.fixtures.app import served
from tests.fixtures.tracking import Sent

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parents[3]
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
ARTIFACTS = ROOT / "tests" / "artifacts"

pytestmark = pytest.mark.browser


@pytest.fixture
def base_url(app: object, settings: Settings, sent: Sent) -> Iterator[str]:
    import dataclasses

    named = dataclasses.replace(settings, organisation_name="Ministerio de Ejemplo")
    with served(create_tracking_application(named)) as address:
        yield address


def check(page: "Page", name: str) -> None:
    """No violation, nothing wider than the window; a picture for people."""
    ARTIFACTS.mkdir(exist_ok=True)
    for width in (360, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        page.screenshot(path=str(ARTIFACTS / f"public-{name}-{width}.png"))
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        # Through the debugger: the page's own policy allows no script at all.
        page.evaluate(AXE.read_text())
        violations = page.evaluate("axe.run().then(found => found.violations.map(v => v.id + ': ' + v.nodes[0].html))")
        assert violations == [], name


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_leaving_and_coming_back(browser: "Browser", base_url: str, sent: Sent, scheme: str) -> None:
    context = browser.new_context(locale="es-PE", color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.goto(f"{base_url}/u/{sent.token()}")
    check(page, f"ask-{scheme}")
    page.get_by_role("button", name="Darme de baja", exact=True).click()
    assert page.get_by_role("heading", level=1).inner_text() == "Listo: le dimos de baja"
    check(page, f"done-{scheme}")
    page.get_by_role("button", name="Fue un error, volver a suscribirme").click()
    assert page.get_by_role("heading", level=1).inner_text() == "Listo: su suscripción sigue activa"
    check(page, f"undone-{scheme}")
    page.goto(f"{base_url}/u/{sent.token()}")
    page.get_by_role("button", name="Darme de baja de todos los envíos de esta plataforma").click()
    check(page, f"everything-{scheme}")
    page.goto(f"{base_url}/u/{sent.token()}")
    check(page, f"suppressed-{scheme}")
    assert {url.split("/")[2] for url in requested} == {base_url.split("/")[2]}
    assert context.cookies() == []
    context.close()


def test_without_javascript_and_by_keyboard(browser: "Browser", base_url: str, sent: Sent) -> None:
    context = browser.new_context(locale="es-PE", java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{base_url}/u/{sent.token()}")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Listo: le dimos de baja").wait_for()
    context.close()


def test_proof_and_wrong_link(browser: "Browser", base_url: str, sent: Sent) -> None:
    context = browser.new_context(locale="es-PE")
    page = context.new_page()
    page.goto(f"{base_url}/u/{sent.proof_token}")
    check(page, "proof")
    page.goto(f"{base_url}/u/nothing")
    assert page.get_by_role("heading", level=1).inner_text() == "No encontramos esta página"
    check(page, "not-found")
    context.close()
