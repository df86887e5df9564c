"""What a person does, by what is written on the screen: each verb is one step of the main job, and ends on the page where the
person then is. ``look`` is called on every page passed: a test examines it, the picture maker photographs it."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Dialog, FrameLocator, Locator, Page

Look = Callable[["Page", str], None]
"""``(page, name of the page)``."""
FIGURES = ("planned", "waiting", "accepted", "deferred", "bounced", "failed", "skipped", "unknown")


class Clerk:
    def __init__(self, page: "Page", look: Look) -> None:
        self.page = page
        self._look = look

    def look(self, name: str) -> None:
        self._look(self.page, name)

    def button(self, name: str | re.Pattern[str]) -> "Locator":
        return self.page.get_by_role("button", name=name)

    def link(self, name: str | re.Pattern[str]) -> "Locator":
        return self.page.get_by_role("link", name=name)

    def go(self, name: str) -> None:
        """By the menu, as everybody does."""
        self.page.get_by_role("navigation", name="Navegación principal").get_by_role("link", name=name).click()

    def tab(self, name: str) -> None:
        self.page.get_by_role("navigation", name="Pasos de la campaña").get_by_role("link", name=name).click()

    @contextmanager
    def saying_yes(self) -> Iterator[list[str]]:
        """To the next question; the list holds it afterwards."""
        asked: list[str] = []

        def answer(dialog: "Dialog") -> None:
            asked.append(dialog.message)
            dialog.accept()

        self.page.once("dialog", answer)
        yield asked
        self.page.wait_for_load_state()

    # Entering.

    def log_in(self, url: str, login: str, password: str) -> None:
        self.page.goto(url)
        self.look("login")
        self.page.get_by_label("Correo").fill(login)
        self.page.get_by_label("Contraseña").fill(password)
        self.button("Entrar").click()
        self.page.get_by_role("heading", level=1, name="Elegir plataforma").wait_for()
        self.look("panels")

    def enter_panel(self, name: str) -> None:
        self.page.get_by_role("article").get_by_role("link", name=name).click()
        self.page.get_by_role("heading", level=1, name="Inicio").wait_for()
        self.look("home")

    # People.

    def suppress(self, email: str) -> None:
        self.go("Supresiones")
        self.look("suppressions")
        self.link("Suprimir direcciones").first.click()
        self.look("suppress")
        self.page.get_by_label("Direcciones").fill(email)
        self.button("Suprimir").click()
        self.page.get_by_text(email).first.wait_for()

    def upload(self, path: Path) -> None:
        self.go("Importaciones")
        self.look("imports")
        self.link("Importar archivo").first.click()
        self.look("upload")
        self.page.get_by_label("Archivo CSV").set_input_files(path)
        self.button("Subir y continuar").click()

    def choose_column(self, header: str, meaning: str, *, new_key: str | None = None) -> None:
        choice = self.page.get_by_label(f"Qué contiene {header}", exact=True)
        choice.select_option(label=meaning)
        if new_key:
            column = self.page.locator(".mapping-column").filter(has=choice)
            column.get_by_label("Clave del campo nuevo").fill(new_key)

    def choose_list(self, name: str, *, is_new: bool = False) -> None:
        self.page.get_by_label("Lista", exact=True).select_option(label="Lista nueva" if is_new else name)
        if is_new:
            self.page.get_by_label("Nombre de la lista nueva").fill(name)

    def review_rows(self) -> None:
        """Until the file has been read."""
        self.button("Revisar las filas").click()
        self.page.get_by_role("heading", level=1, name=re.compile("^Revisión de ")).wait_for(timeout=60_000)
        self.look("import-review")

    def outcome_figure(self, name: str) -> int:
        card = self.page.locator(".card-sm").filter(has=self.page.get_by_text(name, exact=True))
        return figure(card.locator(".figure").inner_text())

    def rejected_rows(self) -> list[str]:
        """The invalid rows as the page lists them; and back."""
        card = self.page.locator(".card-sm").filter(has=self.page.get_by_text("Rechazados", exact=True))
        card.get_by_role("link").click()
        self.look("import-rows")
        rows = self.page.get_by_role("row").all_inner_texts()[1:]
        self.page.go_back()
        return rows

    def download(self, link: "Locator") -> str:
        with self.page.expect_download() as caught:
            link.click()
        return caught.value.path().read_text(encoding="utf-8-sig")

    def confirm_import(self) -> None:
        self.button(re.compile("^Importar .* en ")).click()
        self.page.get_by_text("Importación terminada").wait_for(timeout=60_000)
        self.look("import-result")

    # Writing.

    def begin_campaign(self, *, name: str, lists: list[str], rate_per_hour: int | None = None) -> None:
        self.go("Campañas")
        self.look("campaigns")
        self.link("Nueva campaña").first.click()
        self.page.get_by_label("Nombre de la campaña").fill(name)
        self.page.get_by_label("Nombre del remitente").fill("Bolsa de empleo")
        self.page.get_by_label("Dirección del remitente").fill("noticias")
        for one in lists:
            self.page.get_by_role("group", name="Para quién: listas").get_by_label(one).check()
        if rate_per_hour:
            self.page.get_by_text("Avanzado").click()
            self.page.get_by_label("Límite de correos por hora").fill(str(rate_per_hour))

    def write(self, *, subject: str, html: str) -> None:
        self.page.get_by_label("Asunto").fill(subject)
        self.page.get_by_label("HTML", exact=True).fill(html)

    def save(self, button: str = "Guardar") -> None:
        self.page.get_by_role("button", name=button, exact=True).click()
        self.page.wait_for_load_state()

    def refusal(self) -> str:
        """What the editor says is wrong."""
        return self.page.get_by_role("alert").filter(has_text="No se guardó nada todavía").inner_text()

    # Previews and proofs.

    def preview_as(self, email: str) -> "FrameLocator":
        self.page.get_by_label("Buscar a otra persona").fill(email)
        self.button("Buscar").click()
        self.page.locator("li").filter(has_text=email).get_by_role("link").click()
        self.page.get_by_text(email).first.wait_for()
        return self.page.frame_locator("iframe.mail-frame")

    def prove(self, address: str) -> None:
        """Until the test mail is in the practice mailbox, and shown there."""
        self.page.get_by_label("Enviar la prueba a").fill(address)
        self.button("Enviar prueba").click()
        self.link("Ver en el buzón de práctica").first.wait_for(timeout=30_000)
        self.look("proof-sent")
        self.link("Ver en el buzón de práctica").nth(-1).click()
        self.page.frame_locator("iframe.mail-frame").locator("body").wait_for()
        self.look("proof-in-mailbox")

    # Sending.

    def schedule(self, at: str) -> None:
        """``at`` as the browser's field wants it: ``2027-03-01T09:30``."""
        self.page.get_by_label("Programar para").fill(at)
        self.button("Programar").click()
        self.page.get_by_text("Se enviará el").wait_for()
        self.look("scheduled")

    def send_now(self) -> str:
        """Returns the question that was asked first."""
        with self.saying_yes() as asked:
            self.button("Enviar ahora").click()
        self.page.locator("#f-accepted").wait_for(timeout=30_000)
        return asked[0]

    def figures(self) -> dict[str, int]:
        return {name: figure(self.page.locator(f"#f-{name}").inner_text()) for name in FIGURES}

    def wait_for_status(self, status: str, seconds: float = 60) -> None:
        badge = self.page.locator(".badge").filter(has_text=re.compile(f"^{status}$"))
        badge.first.wait_for(timeout=seconds * 1000)

    def open_mail_to(self, email: str, subject: str) -> "FrameLocator":
        self.go("Buzón de práctica")
        self.look("mailbox")
        self.page.get_by_label("Buscar por dirección o asunto").fill(email)
        self.page.get_by_label("Buscar por dirección o asunto").press("Enter")
        self.page.get_by_role("row").filter(has_text=email).get_by_role("link", name=subject).first.click()
        self.look("mail")
        return self.page.frame_locator("iframe.mail-frame")


def figure(text: str) -> int:
    """``1 250`` or ``1,250`` as a number."""
    return int(re.sub(r"\D", "", text))
