"""Without a mouse: logging in, choosing a panel, and the first step of an import. Only keys are pressed; where the focus
is must be visible at every stop."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy.orm import Session, scoped_session

from app.models import Panel, User
from tests import factories

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]

MANY_STOPS = 60
FOCUSED = """() => {
    const one = document.activeElement;
    const style = getComputedStyle(one);
    const name = one.ariaLabel || one.labels?.[0]?.innerText || one.innerText || one.value || "";
    const shown = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0 || style.boxShadow !== "none";
    return {name: name.trim(), role: one.tagName, shown, box: one.getBoundingClientRect().toJSON()};
}"""


@pytest.fixture
def page(browser: "Browser", site: str) -> Iterator["Page"]:
    context = browser.new_context(base_url=site, viewport={"width": 1280, "height": 900}, locale="es-PE")
    yield context.new_page()
    context.close()


def log_in(page: "Page", user: User) -> None:
    page.goto("/login")
    page.get_by_label("Correo").fill(user.email)
    page.get_by_label("Contraseña").fill(factories.PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_role("heading", level=1, name="Elegir plataforma").wait_for()


def tab_to(page: "Page", name: str) -> None:
    """Press Tab until ``name`` has the focus; every stop on the way shows that it has it."""
    passed = []
    for _stop in range(MANY_STOPS):
        page.keyboard.press("Tab")
        focused = page.evaluate(FOCUSED)
        passed.append(focused["name"])
        assert focused["shown"] or focused["role"] == "BODY", f"no visible focus on {focused}"
        if focused["name"].startswith(name):
            assert focused["box"]["width"] > 0
            return
    raise AssertionError(f"Tab never comes to «{name}»; it passes {passed}")


def test_log_in_panel_and_upload_without_a_mouse(
    page: "Page", session: scoped_session[Session], panel: Panel, other_panel: Panel, alice: User, tmp_path: Path
) -> None:
    table = tmp_path / "personas.csv"
    table.write_text("Correo;Nombre\nana@example.pe;Ana Ñahui\n", encoding="utf-8")
    page.goto("/")
    tab_to(page, "Correo")
    page.keyboard.type(alice.email)
    tab_to(page, "Contraseña")
    page.keyboard.type(factories.PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_role("heading", level=1, name="Elegir plataforma").wait_for()
    tab_to(page, "Empleo")
    page.keyboard.press("Enter")
    page.get_by_role("heading", level=1, name="Inicio").wait_for()
    tab_to(page, "Importar contactos")
    page.keyboard.press("Enter")
    page.get_by_role("heading", level=1, name="Importar archivo").wait_for()
    tab_to(page, "Archivo CSV")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Space")
    chooser.value.set_files(table)
    tab_to(page, "Subir y continuar")
    page.keyboard.press("Enter")
    page.get_by_role("heading", level=1, name="Columnas de personas.csv").wait_for()
    tab_to(page, "Qué contiene Correo")
    page.keyboard.press("End")
    assert page.get_by_label("Qué contiene Correo").input_value() == "skip"
    page.keyboard.press("Home")
    assert page.get_by_label("Qué contiene Correo").input_value() == "email"


def test_first_stop_of_a_page_jumps_over_the_menu(
    page: "Page", session: scoped_session[Session], panel: Panel, alice: User
) -> None:
    log_in(page, alice)
    page.goto("/p/empleo/lists")
    tab_to(page, "Ir al contenido")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('main').contains(document.activeElement)")


def test_menu_of_a_phone_opens_and_closes_with_the_keyboard(
    page: "Page", session: scoped_session[Session], panel: Panel, alice: User
) -> None:
    page.set_viewport_size({"width": 360, "height": 800})
    log_in(page, alice)
    page.goto("/p/empleo/lists")
    campaigns = page.get_by_role("link", name="Campañas", exact=True)
    assert not campaigns.is_visible()
    tab_to(page, "Abrir o cerrar el menú")
    page.keyboard.press("Enter")
    campaigns.wait_for(state="visible")
    tab_to(page, "Campañas")
    page.keyboard.press("Enter")
    page.get_by_role("heading", level=1, name="Campañas").wait_for()
