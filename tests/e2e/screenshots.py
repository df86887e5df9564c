"""``python -m tests.e2e.screenshots``: the pictures of the README, in ``docs/images``, taken on a throw-away installation by the
same steps as tests/e2e/test_main_job.py. Everybody in them is invented."""

import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select, text

from app.extensions import db
from app.flow import campaigns, events
from app.flow.campaign_content import CampaignContent
from app.flow.hits import Hit
from app.models import Campaign, CampaignStatus, EventKind, MailingList, Panel
from tests.e2e import people
from tests.e2e.clerk import Clerk
from tests.e2e.people import write_sheet
from tests.e2e.place import Place, running_place
from tests.fixtures.services import CHROMIUM_ARGUMENTS, program_path

if TYPE_CHECKING:
    from playwright.sync_api import Page

PICTURES = Path(__file__).resolve().parents[2] / "docs" / "images"
MAX_BYTES = 150_000
"""Per picture: a README with ten of them still opens at once."""
DESK = {"width": 1280, "height": 720}
PHONE = {"width": 360, "height": 740}

LIST = "Feria de empleo de Junín 2026"
CAMPAIGN = "Invitación a la feria de empleo"
SUBJECT = "{{ nombre }}, 120 vacantes le esperan en {{ region }}"
RATE_PER_HOUR = 180_000
PEOPLE = 4_800
ELSEWHERE = {"fiscalizacion": 12_480, "capacitacion": 3_150, "inclusion": 860}
"""Who is on a list of the other panels."""
LAST = "Convocatoria de noviembre"
MAIL = Path(__file__).with_name("sample_mail.html")


def main() -> int:
    from playwright.sync_api import sync_playwright

    chromium = program_path("browser")
    if chromium is None:
        print("chromium is missing", file=sys.stderr)  # noqa: T201
        return 1
    PICTURES.mkdir(parents=True, exist_ok=True)
    # Batches and chunks as in production; the retries are to be seen waiting.
    environment = {
        "BATCH_SIZE": "500",
        "CHUNK_SIZE": "25",
        "FIRST_RETRY_SECONDS": "60",
        "MAX_RETRY_WAIT_SECONDS": "600",
    }
    with (
        tempfile.TemporaryDirectory(prefix="chaski-pictures-") as directory,
        running_place(Path(directory), environment | {"ORGANISATION_NAME": "Ministerio de Ejemplo"}) as place,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGUMENTS)
        page = browser.new_page(viewport=DESK, locale="es-PE", timezone_id="America/Lima")
        Photographer(page, place, Path(directory)).work()
        browser.close()
    return 0


class Photographer:
    def __init__(self, page: "Page", place: Place, directory: Path) -> None:
        self.page = page
        self.place = place
        self.directory = directory
        self.clerk = Clerk(page, lambda _page, _name: None)

    def shoot(self, name: str, height: int = DESK["height"]) -> None:
        if self.page.viewport_size != PHONE:
            self.page.set_viewport_size({**DESK, "height": height})
        self.page.wait_for_load_state("networkidle")
        self.page.mouse.move(0, 0)
        self.page.evaluate("document.activeElement.blur()")
        picture = PICTURES / f"{name}.png"
        self.page.screenshot(path=picture, animations="disabled")
        if self.page.viewport_size != PHONE:
            self.page.set_viewport_size(DESK)
        size = picture.stat().st_size
        print(f"{picture.name}: {size // 1000} kB")  # noqa: T201
        if size > MAX_BYTES:
            raise RuntimeError(f"{picture.name} has {size} bytes, more than {MAX_BYTES}")

    @contextmanager
    def phone(self) -> Iterator[None]:
        self.page.set_viewport_size(PHONE)
        yield
        self.page.set_viewport_size(DESK)

    def work(self) -> None:
        furnish(self.place)
        self.clerk.log_in(self.place.url, self.place.login, self.place.password)
        self.clerk.enter_panel("Empleo y ferias laborales")
        self.import_people()
        send_in_the_past(self.place)
        self.write()
        self.send()
        self.read()

    def import_people(self) -> None:
        sheet = write_sheet(self.directory / "inscritos-feria-junin.csv", ordinary=PEOPLE)
        self.clerk.suppress(people.SUPPRESSED)
        self.clerk.upload(sheet.path)
        self.clerk.choose_column("Ocupación", "Campo nuevo", new_key="oficio")
        self.clerk.choose_list(LIST, is_new=True)
        self.clerk.review_rows()
        self.shoot("importacion-revision")
        self.clerk.confirm_import()

    def write(self) -> None:
        self.clerk.begin_campaign(name=CAMPAIGN, lists=[LIST], rate_per_hour=RATE_PER_HOUR)
        self.clerk.write(subject=SUBJECT, html=MAIL.read_text(encoding="utf-8"))
        self.clerk.save()
        self.page.get_by_text("Guardado.").wait_for()
        self.page.get_by_role("button", name="Cerrar").click()
        self.page.get_by_label("Asunto").scroll_into_view_if_needed()
        self.page.evaluate(
            "window.scrollTo(0, document.getElementById('subject').getBoundingClientRect().top + scrollY - 190)"
        )
        self.shoot("editor")
        self.clerk.save("Guardar y revisar")
        self.page.get_by_role("button", name="Cerrar").click()
        self.shoot("revision-antes-de-enviar")

    def send(self) -> None:
        self.clerk.send_now()
        self.page.get_by_role("button", name="Cerrar").click()
        deadline = time.monotonic() + 180
        while self.clerk.figures()["accepted"] < PEOPLE * 0.6 and time.monotonic() < deadline:
            time.sleep(0.5)
        self.shoot("en-vivo", height=960)
        with self.phone():
            self.page.evaluate("window.scrollTo(0, 172)")
            self.shoot("celular-envio")
            self.clerk.page.goto(f"{self.place.url}/p/empleo/")
            self.shoot("celular-inicio")
        self.page.reload()
        self.shoot("inicio")
        self.page.goto(self.place.url)
        self.shoot("elegir-plataforma")

    def read(self) -> None:
        self.page.goto(f"{self.place.url}/p/empleo/campaigns")
        self.clerk.link(LAST).click()
        self.clerk.tab("Informe")
        self.page.get_by_role("heading", name="Por dominio del destinatario").wait_for()
        self.shoot("informe")
        self.page.get_by_role("heading", name="Aperturas y clics en el tiempo").scroll_into_view_if_needed()
        self.page.evaluate(
            "window.scrollTo(0, document.querySelector('[data-plot]').getBoundingClientRect().top + scrollY - 380)"
        )
        self.shoot("informe-en-el-tiempo")
        self.clerk.open_mail_to(people.person(7).email, "vacantes le esperan")
        self.shoot("buzon-de-practica", height=900)


# What was there before.


def furnish(place: Place) -> None:
    """The first log-in has been put right, and the other panels have had their day."""
    db.session.execute(
        text("UPDATE user_account SET name = 'Elena Muestra', password_is_generated = false WHERE is_administrator")
    )
    db.session.execute(text("DELETE FROM campaign_list; DELETE FROM campaign"))
    db.session.commit()
    settings = place.stage.app.extensions["settings"]
    for slug, size in ELSEWHERE.items():
        panel = db.session.scalars(select(Panel).where(Panel.slug == slug)).one()
        mailing_list = crowd(panel, size)
        send_through(settings, panel, mailing_list, name="Boletín de la semana")
    panel = db.session.scalars(select(Panel).where(Panel.slug == "prensa")).one()
    content = content_of(crowd(panel, 420), "Nota de prensa")
    campaign = campaigns.create_campaign(db.session, settings, panel.id, content)
    campaigns.schedule_campaign(db.session, settings, panel.id, campaign.id, at=ten_o_clock(days=1))
    db.session.commit()


def ten_o_clock(*, days: int) -> datetime:
    """In Lima."""
    return (datetime.now(UTC) + timedelta(days=days)).replace(hour=15, minute=0, second=0, microsecond=0)


def crowd(panel: Panel, size: int) -> MailingList:
    mailing_list = MailingList(panel_id=panel.id, name="Suscriptores")
    db.session.add(mailing_list)
    db.session.flush()
    db.session.execute(
        text(
            """
            WITH made AS (
                INSERT INTO contact (panel_id, email, domain, name)
                SELECT :panel, 'vecino' || n || '@' || d, d, '' FROM generate_series(1, :size) n
                CROSS JOIN LATERAL (SELECT (CAST(:domains AS text[]))[1 + n % 4] AS d) x RETURNING id
            )
            INSERT INTO subscription (list_id, contact_id, status, source)
            SELECT :list, id, 'subscribed', 'form:1' FROM made
            """
        ),
        {"panel": panel.id, "size": size, "list": mailing_list.id, "domains": list(people.DOMAINS)},
    )
    db.session.commit()
    return mailing_list


def content_of(mailing_list: MailingList, name: str) -> CampaignContent:
    return CampaignContent(
        name=name,
        subject="Convocatorias y ferias de esta semana",
        from_name="Bolsa de empleo",
        from_email="noticias@boletin.example.gob.pe",
        html='<h1>Novedades</h1><p><a href="https://example.pe/convocatorias">Ver las convocatorias</a></p>'
        '<p><a href="https://example.pe/ferias/junin">Ferias en Junín</a> · <a href="{{ enlace_baja }}">Darme de baja</a></p>',
        list_ids=(mailing_list.id,),
    )


def send_through(settings: object, panel: Panel, mailing_list: MailingList, *, name: str) -> Campaign:
    """Sent to the practice relay, to the end."""
    campaign = campaigns.create_campaign(db.session, settings, panel.id, content_of(mailing_list, name))  # type: ignore[arg-type]
    campaigns.schedule_campaign(db.session, settings, panel.id, campaign.id)  # type: ignore[arg-type]
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        db.session.rollback()
        if db.session.get_one(Campaign, campaign.id, populate_existing=True).status is CampaignStatus.FINISHED:
            return campaign
        time.sleep(0.3)
    raise RuntimeError(f"{name} was not sent in time")


def send_in_the_past(place: Place) -> None:
    """A campaign of two days ago to the same people, with two days of opens and clicks; and one for next week."""
    settings = place.stage.app.extensions["settings"]
    panel = db.session.scalars(select(Panel).where(Panel.slug == "empleo")).one()
    mailing_list = db.session.scalars(select(MailingList).where(MailingList.name == LIST)).one()
    campaign = send_through(settings, panel, mailing_list, name=LAST)
    age = timedelta(hours=46)
    began = datetime.now(UTC) - age
    db.session.execute(
        text(
            "UPDATE campaign SET started_at = started_at - :age, finished_at = started_at - :age + interval '9 minutes', "
            "created_at = created_at - :age WHERE id = :id"
        ),
        {"age": age, "id": campaign.id},
    )
    db.session.execute(text("DELETE FROM campaign_sample WHERE campaign_id = :id"), {"id": campaign.id})
    db.session.commit()
    accepted = db.session.scalars(
        text("SELECT seq FROM delivery WHERE campaign_id = :id AND status = 'accepted' ORDER BY seq"),
        {"id": campaign.id},
    ).all()
    events.record_hits(db.session, list(reactions(campaign.id, list(accepted), began)))
    db.session.execute(
        text(
            "UPDATE engagement SET unsubscribed_at = first_click_at + interval '1 minute' "
            "WHERE campaign_id = :id AND first_click_at IS NOT NULL AND seq % 43 = 0"
        ),
        {"id": campaign.id},
    )
    events.sum_up(db.session, campaign.id)
    later = campaigns.create_campaign(db.session, settings, panel.id, content_of(mailing_list, "Taller de currículum"))
    campaigns.schedule_campaign(db.session, settings, panel.id, later.id, at=ten_o_clock(days=5))
    db.session.commit()


def reactions(campaign_id: int, sequence: list[int], began: datetime) -> Iterator[Hit]:
    """Four in ten open, most within hours and by day; one in five of those clicks."""
    chance = random.Random(7)
    for seq in sequence:
        if chance.random() > 0.41:
            continue
        at = began + timedelta(hours=min(45.5, chance.expovariate(1 / 9)))
        if (at - timedelta(hours=5)).hour < 6 and chance.random() < 0.85:
            at = min(at + timedelta(hours=7), datetime.now(UTC))
        for _again in range(chance.choice((1, 1, 1, 2, 3))):
            yield hit(campaign_id, seq, EventKind.OPEN, at, chance)
        if chance.random() < 0.22:
            link = 0 if chance.random() < 0.7 else 1
            yield hit(campaign_id, seq, EventKind.CLICK, at + timedelta(seconds=chance.randint(5, 90)), chance, link)


def hit(
    campaign_id: int, seq: int, kind: EventKind, at: datetime, chance: random.Random, link: int | None = None
) -> Hit:
    return Hit(f"{chance.getrandbits(96):024x}", kind, campaign_id, seq, link, at, None, "")


if __name__ == "__main__":
    sys.exit(main())
