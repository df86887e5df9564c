"""The whole main job, as a person does it in Chromium, on an installation of its own with all its processes. Each fixture is a
station of the way and leaves the person where the next one begins; every page passed is examined (tests/e2e/watch.py)."""

import csv
import io
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

from tests.e2e import people
from tests.e2e.clerk import Clerk, figure
from tests.e2e.people import Sheet, write_sheet
from tests.e2e.place import Place, running_place
from tests.e2e.watch import Watch

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(400)]

T = TypeVar("T")
LIST = "Feria de Huancayo 2026"
CAMPAIGN = "Invitación a la feria"
SUBJECT = "{{ nombre }}, su turno en la feria de {{ region }}"
HTML = """<!doctype html>
<html lang="es"><head><title>Feria de empleo</title></head><body>
<h1>Hola, {{ nombre }}</h1>
<p>En la feria de {{ region }} hay 120 vacantes de {{ oficio|default("su oficio") }}.</p>
<p><a href="https://example.pe/feria?origen=correo&amp;mes=11">Ver las vacantes</a></p>
<p><a href="{{ enlace_baja }}">Darme de baja</a></p>
</body></html>"""
BROKEN_HTML = "<p>Hola</p>\n<p>{{ nombre }</p>"
UNKNOWN_FIELD_HTML = "<p>Hola</p>\n<p>Su región: {{ regoin }}</p>"
RATE_PER_HOUR = 7200
"""Two a second, twenty at once at the beginning: slow enough to be watched."""
READER = people.person(1)


def eventually(look: Callable[[], T], wanted: Callable[[T], bool], seconds: float = 60) -> T:
    """What ``look`` sees as soon as it is what we want; the last sight where it never is."""
    deadline = time.monotonic() + seconds
    while not wanted(seen := look()) and time.monotonic() < deadline:
        time.sleep(0.3)
    return seen


# Stations.


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with running_place(tmp_path_factory.mktemp("place")) as made:
        yield made


@dataclass
class Visit:
    """A browser of its own, with what it must not do."""

    context: "BrowserContext"
    page: "Page"
    watch: Watch

    def look(self, page: "Page", _name: str) -> None:
        self.watch.look(page)


@pytest.fixture(scope="module")
def visit(browser: "Browser", place: Place) -> Iterator[Callable[[], Visit]]:
    """Makes browsers without cookies."""
    made: list[Visit] = []

    def make() -> Visit:
        context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="es-PE", accept_downloads=True)
        context.set_default_timeout(20_000)
        made.append(Visit(context, context.new_page(), Watch(context, place.url)))
        return made[-1]

    yield make
    for one in made:
        one.context.close()


@pytest.fixture(scope="module")
def clerk(place: Place, visit: Callable[[], Visit]) -> Clerk:
    """Logged in, in a panel."""
    own = visit()
    clerk = Clerk(own.page, own.look)
    clerk.log_in(place.url, place.login, place.password)
    clerk.enter_panel("Empleo y ferias laborales")
    return clerk


@dataclass(frozen=True)
class Imported:
    sheet: Sheet
    reviewed: dict[str, int]
    rows: list[str]
    """The invalid rows as the page lists them."""
    rejects: list[dict[str, str]]
    result: str


@pytest.fixture(scope="module")
def imported(clerk: Clerk, tmp_path_factory: pytest.TempPathFactory) -> Imported:
    sheet = write_sheet(tmp_path_factory.mktemp("sheet") / "inscritos.csv", ordinary=40)
    clerk.suppress(people.SUPPRESSED)
    clerk.upload(sheet.path)
    clerk.page.get_by_role("heading", level=2, name="¿Qué contiene cada columna?").wait_for()
    clerk.choose_column("Correo electrónico", "Correo")
    clerk.choose_column("Nombres y apellidos", "Nombre")
    clerk.choose_column("Región", "Región")
    clerk.choose_column("Ocupación", "Campo nuevo", new_key="oficio")
    clerk.choose_list(LIST, is_new=True)
    clerk.look("mapping")
    clerk.review_rows()
    names = ("Nuevos", "Rechazados", "Repetidos", "Suprimidos")
    reviewed = {name: clerk.outcome_figure(name) for name in names}
    rows = clerk.rejected_rows()
    answer = clerk.download(clerk.link("Descargar las filas rechazadas, con su motivo"))
    rejects = list(csv.DictReader(io.StringIO(answer), delimiter=";" if ";" in answer.splitlines()[0] else ","))
    clerk.confirm_import()
    return Imported(sheet, reviewed, rows, rejects, clerk.page.locator("main").inner_text())


@dataclass(frozen=True)
class Written:
    refusals: list[str]
    kept: list[str]
    """The author's text in the editor after each refusal."""


@pytest.fixture(scope="module")
def written(clerk: Clerk, imported: Imported) -> Written:
    """A saved campaign, after a broken template and an unknown field; on its preview."""
    clerk.begin_campaign(name=CAMPAIGN, lists=[LIST], rate_per_hour=RATE_PER_HOUR)
    clerk.look("editor-new")
    written = Written([], [])
    for wrong in (BROKEN_HTML, UNKNOWN_FIELD_HTML):
        clerk.write(subject=SUBJECT, html=wrong)
        clerk.save()
        clerk.look("editor-refused")
        written.refusals.append(clerk.refusal())
        written.kept.append(clerk.page.get_by_label("HTML", exact=True).input_value())
    clerk.write(subject=SUBJECT, html=HTML)
    clerk.save()
    clerk.page.get_by_text("Guardado.").wait_for()
    clerk.look("editor")
    clerk.save("Guardar y probar")
    clerk.look("preview")
    return written


@dataclass(frozen=True)
class Proved:
    preview: str
    subject: str
    proof: str


@pytest.fixture(scope="module")
def proved(clerk: Clerk, written: Written) -> Proved:
    """Previewed as one person, tested with their data; on the campaign's preview again."""
    frame = clerk.preview_as(READER.email)
    clerk.look("preview-person")
    preview, subject = frame.locator("body").inner_text(), clerk.page.locator(".mail-head").first.inner_text()
    campaign = clerk.page.url
    clerk.prove("yo@example.pe")
    proof = clerk.page.frame_locator("iframe.mail-frame").locator("body").inner_text()
    assert "yo@example.pe" in clerk.page.locator("main").inner_text()
    clerk.page.goto(campaign)
    return Proved(preview, subject, proof)


@dataclass
class Sent:
    question: str = ""
    scheduled: str = ""
    seen: list[dict[str, int]] = field(default_factory=list)
    """Figures while it went out."""
    at_pause: dict[str, int] = field(default_factory=dict)
    after_pause: dict[str, int] = field(default_factory=dict)
    final: dict[str, int] = field(default_factory=dict)
    address: str = ""


@pytest.fixture(scope="module")
def sent(clerk: Clerk, proved: Proved, imported: Imported) -> Sent:
    """Scheduled and taken back, then sent now, paused, resumed, and over."""
    sent = Sent()
    clerk.tab("Revisar y enviar")
    clerk.look("review")
    # The panel's clock is five hours behind UTC: two days ahead is future by any clock.
    clerk.schedule((datetime.now(UTC) + timedelta(days=2)).strftime("%Y-%m-%dT09:30"))
    sent.scheduled = clerk.page.locator("main").inner_text()
    clerk.button("Volver a borrador").click()
    clerk.tab("Revisar y enviar")
    sent.question = clerk.send_now()
    sent.address = clerk.page.url
    everybody = len(imported.sheet.people)
    sent.seen.append(eventually(clerk.figures, lambda now: now["accepted"] > 0))
    clerk.look("sending")
    sent.seen.append(eventually(clerk.figures, lambda now: now["accepted"] > sent.seen[0]["accepted"]))
    clerk.button("Pausar").click()
    clerk.wait_for_status("Pausada")
    clerk.page.wait_for_timeout(2000)
    sent.at_pause = clerk.figures()
    clerk.look("paused")
    clerk.page.wait_for_timeout(4000)
    sent.after_pause = clerk.figures()
    clerk.button("Reanudar").click()
    clerk.wait_for_status("Terminada")
    sent.final = eventually(clerk.figures, lambda now: now["accepted"] == everybody - len(people.BOUNCING))
    clerk.look("finished")
    return sent


@dataclass
class Read:
    pixel: tuple[int, str] = (0, "")
    click: tuple[int, str] = (0, "")
    asked: str = ""
    left_by_get: int = -1
    answer: str = ""
    report: dict[str, int] = field(default_factory=dict)
    timeline: str = ""


def report_figure(clerk: Clerk, name: str) -> int:
    card = clerk.page.locator(".figures .card").filter(has=clerk.page.get_by_text(name, exact=True))
    return figure(card.locator(".figure").inner_text())


@pytest.fixture(scope="module")
def read(clerk: Clerk, sent: Sent, visit: Callable[[], Visit]) -> Read:
    """One recipient reads the captured mail, follows its links in a browser without cookies, and leaves."""
    read = Read()
    mail = clerk.open_mail_to(READER.email, "su turno en la feria")
    image = mail.locator("img").last.get_attribute("src") or ""
    link = mail.get_by_role("link", name="Ver las vacantes").get_attribute("href") or ""
    leave = mail.get_by_role("link", name="Darme de baja").get_attribute("href") or ""
    reader = visit()
    answer = reader.context.request.get(image)
    read.pixel = answer.status, answer.headers["content-type"]
    answer = reader.context.request.get(link, max_redirects=0)
    read.click = answer.status, answer.headers["location"]
    reader.page.goto(leave)
    reader.look(reader.page, "leave")
    read.asked = reader.page.locator("main").inner_text()
    report = f"{sent.address}/report"
    clerk.page.goto(report)
    read.left_by_get = report_figure(clerk, "Se dieron de baja")
    reader.page.get_by_role("button", name="Darme de baja", exact=True).click()
    reader.page.get_by_role("heading", level=1, name="Listo: le dimos de baja").wait_for()
    reader.look(reader.page, "left")
    read.answer = reader.page.locator("main").inner_text()
    assert reader.context.cookies() == []

    def figures() -> dict[str, int]:
        clerk.page.goto(report)
        return {name: report_figure(clerk, name) for name in ("Abrieron", "Hicieron clic", "Se dieron de baja")}

    read.report = eventually(figures, lambda seen: all(seen.values()))
    clerk.page.get_by_role("heading", name="Por dominio del destinatario").wait_for()
    clerk.look("report")
    clerk.tab("Destinatarios")
    clerk.look("recipients")
    clerk.link(READER.email).click()
    clerk.page.get_by_role("heading", level=2, name="Qué pasó").wait_for()
    clerk.look("person")
    read.timeline = clerk.page.locator(".timeline-list").inner_text()
    return read


# What must be so at each station.


def test_log_in_offers_the_five_panels(place: Place, visit: Callable[[], Visit]) -> None:
    own = visit()
    Clerk(own.page, own.look).log_in(place.url, place.login, place.password)
    assert own.page.get_by_role("article").count() == 5
    own.context.close()


def test_review_of_the_file_counts_each_kind_of_row(imported: Imported) -> None:
    assert imported.reviewed == {
        "Nuevos": len(imported.sheet.people),
        "Rechazados": imported.sheet.invalid,
        "Repetidos": imported.sheet.duplicates,
        "Suprimidos": 1,
    }


def test_rejected_rows_say_where_and_why(imported: Imported) -> None:
    told = "\n".join(imported.rows)
    for reason in ("le falta la arroba", "Falta la dirección", "tiene espacios", "más celdas que el encabezado"):
        assert reason in told
    assert "Correo electrónico" in told, "the column is named"
    reasons = [row["Motivo del rechazo"] for row in imported.rejects]
    assert len(reasons) == imported.sheet.invalid + imported.sheet.duplicates
    assert all(reasons)
    assert {row["Nombres y apellidos"] for row in imported.rejects} >= {"Sin Arroba", "Demás", "Otra Vez"}


def test_import_says_what_it_did(imported: Imported) -> None:
    # The suppressed person is kept on the list, too, and never mailed.
    assert f"Agregados a la lista: {len(imported.sheet.people) + 1}." in imported.result


def test_broken_template_and_unknown_field_are_refused_with_their_place_and_the_text_is_kept(written: Written) -> None:
    assert "Línea 2, columna 14: No se entiende lo escrito cerca de «}</p>»." in written.refusals[0]
    assert "Línea 2, columna 18: No existe el campo «regoin». ¿Quiso decir «region»?" in written.refusals[1]
    assert [text.replace("\r\n", "\n") for text in written.kept] == [BROKEN_HTML, UNKNOWN_FIELD_HTML]


def test_preview_and_test_mail_carry_the_chosen_persons_data(proved: Proved) -> None:
    assert f"{READER.name}, su turno en la feria de {READER.region}" in proved.subject
    for text in (proved.preview, proved.proof):
        assert f"Hola, {READER.name}" in text
        assert f"hay 120 vacantes de {READER.trade}" in text


def test_schedule_says_when_and_can_be_taken_back(sent: Sent) -> None:
    assert "09:30" in sent.scheduled
    assert LIST in sent.scheduled
    assert sent.final, "sent after it was taken back"


def test_sending_asks_first_with_the_number_of_people(sent: Sent, imported: Imported) -> None:
    assert f"Se enviará ahora a {len(imported.sheet.people)} personas." in sent.question
    assert "nadie real lo recibe" in sent.question


def test_live_page_moves_without_being_reloaded(sent: Sent, imported: Imported) -> None:
    first, second = sent.seen
    assert 0 < first["accepted"] < second["accepted"] < len(imported.sheet.people)
    assert first["planned"] == second["planned"] == len(imported.sheet.people) + 1, (
        "the suppressed person is accounted for"
    )


def test_pause_holds_every_mail_back_until_resumed(sent: Sent, imported: Imported) -> None:
    assert sent.at_pause["waiting"] > 0
    assert sent.after_pause["accepted"] == sent.at_pause["accepted"]
    assert sent.final["waiting"] == 0


def test_every_planned_person_is_accounted_for_at_the_end(sent: Sent, imported: Imported) -> None:
    expected = dict.fromkeys(sent.final, 0) | {
        "planned": len(imported.sheet.people) + 1,
        "accepted": len(imported.sheet.people) - len(people.BOUNCING),
        "bounced": len(people.BOUNCING),
        "skipped": 1,
    }
    assert sent.final == expected
    assert any(seen["deferred"] or seen["bounced"] for seen in (*sent.seen, sent.at_pause, sent.after_pause))


def test_refusals_and_retries_are_told_of_each_recipient(clerk: Clerk, sent: Sent) -> None:
    clerk.page.goto(f"{sent.address}/recipients?status=bounced")
    clerk.look("bounced")
    rows = clerk.page.get_by_role("row").all_inner_texts()[1:]
    assert len(rows) == len(people.BOUNCING)
    assert sum("550 5.1.1 No such user here" in row for row in rows) == 2
    clerk.page.goto(f"{sent.address}/recipients?q={people.DEFERRED_TWICE[0]}")
    clerk.link(people.DEFERRED_TWICE[0]).click()
    clerk.look("deferred-person")
    tries = clerk.page.locator(".timeline-list li").all_inner_texts()
    assert [("Diferido" in one, "Aceptado" in one) for one in tries] in (
        [(True, False), (True, False), (False, True)],
        [(False, True), (True, False), (True, False)],
    )


def test_pixel_and_link_of_a_captured_mail_work_without_cookies(read: Read) -> None:
    assert read.pixel == (200, "image/gif")
    assert read.click == (302, "https://example.pe/feria?origen=correo&mes=11")


def test_looking_at_the_unsubscribe_page_changes_nothing_and_its_button_does(read: Read) -> None:
    assert "¿Quiere dejar de recibir estos correos?" in read.asked
    assert LIST in read.asked
    assert READER.email not in read.asked, "mails are forwarded: the address is masked"
    assert read.left_by_get == 0
    assert LIST in read.answer


def test_report_and_timeline_show_what_the_reader_did(read: Read) -> None:
    assert read.report == {"Abrieron": 1, "Hicieron clic": 1, "Se dieron de baja": 1}
    for told in ("Aceptado", "Abrió el correo", "Hizo clic", "https://example.pe/feria", "Se dio de baja"):
        assert told in read.timeline


def test_importing_the_file_again_brings_nobody_back(clerk: Clerk, read: Read, imported: Imported) -> None:
    clerk.upload(imported.sheet.path)
    clerk.choose_list(LIST)
    clerk.review_rows()
    assert clerk.outcome_figure("Dados de baja") == 1
    assert clerk.outcome_figure("Nuevos") == 0
    with clerk.saying_yes() as asked:
        clerk.button("Cancelar importación").first.click()
    assert "No se importará nada" in asked[0]
    clerk.page.get_by_text("Importación cancelada").wait_for()
    clerk.look("import-cancelled")


def test_cancelling_says_how_many_people_do_not_get_it_and_keeps_the_ledger(
    clerk: Clerk, read: Read, imported: Imported
) -> None:
    clerk.begin_campaign(name="Recordatorio", lists=[LIST], rate_per_hour=360)
    clerk.write(subject="Mañana empieza la feria", html="<p>Hola, {{ nombre }}</p>")
    clerk.save("Guardar y revisar")
    people_left = len(imported.sheet.people) - 1
    assert figure(clerk.page.locator("[data-recipients]").inner_text()) == people_left
    clerk.look("second-review")
    clerk.send_now()
    with clerk.saying_yes() as asked:
        clerk.button("Cancelar la campaña").click()
    assert re.search(r"\d+ personas no lo recibirán", asked[0])
    clerk.wait_for_status("Cancelada")
    final = eventually(clerk.figures, lambda now: now["waiting"] == now["deferred"] == 0)
    clerk.look("cancelled")
    assert final["planned"] == people_left + 2
    assert final["skipped"] > 2
    assert sum(final[name] for name in final if name != "planned") == final["planned"]


def test_upload_that_is_no_table_gets_a_sentence_and_leaves_nothing(clerk: Clerk, tmp_path: Path) -> None:
    workbook = tmp_path / "personas.xlsx"
    workbook.write_bytes(b"PK\x03\x04" + bytes(range(256)) * 8)
    clerk.upload(workbook)
    told = clerk.page.get_by_role("alert").inner_text()
    assert "Guardar como" in told or "no es un archivo de texto" in told.lower()
    clerk.look("upload-refused")
