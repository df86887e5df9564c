"""The demo's steps on a throw-away installation, each through ``app.flow`` and the real workers."""

import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import select, text

from app.config import Settings
from app.extensions import db
from app.flow import campaigns, imports, suppressions
from app.flow.campaign_content import CampaignContent
from app.flow.importing import store
from app.mail.addresses import domain_of
from app.models import (
    Campaign,
    CampaignStatus,
    Contact,
    CustomField,
    Import,
    ImportStatus,
    MailingList,
    Panel,
    PracticeMessage,
    SendingDomain,
    Subscription,
    SubscriptionStatus,
    SuppressionReason,
)
from ops.demo import proof
from ops.demo.people import Cast, write_csv

T = TypeVar("T")
LIST_NAME = "Convocatorias"
HTML = """<!doctype html>
<html lang="es"><head><title>Convocatorias</title></head><body>
<h1>Hola, {{ nombre }}</h1>
<p>Estas son las convocatorias abiertas en {{ region }}. Su código de inscripción es {{ codigo }}.</p>
<p><a href="https://example.pe/convocatorias?origen=correo&amp;mes=11">Ver las convocatorias</a></p>
<p><a href="https://example.pe/preguntas">Preguntas frecuentes</a></p>
<p><a href="{{ enlace_baja }}">Darme de baja</a></p>
</body></html>
"""


class DemoFailed(Exception):
    """A step did not end as it must; the message says which."""


@dataclass
class Journey:
    """One run. ``say`` gets a line per step."""

    settings: Settings
    cast: Cast
    directory: Path
    local_url: str
    say: Callable[[str], None]

    def panel(self) -> Panel:
        return db.session.scalars(select(Panel).where(Panel.slug == "empleo")).one()

    # Import.

    def prepare(self) -> MailingList:
        """What was there before: the fields, and people who left the list or must never be mailed."""
        panel = self.panel()
        known = set(db.session.scalars(select(CustomField.key).where(CustomField.panel_id == panel.id)))
        for key, label in (("region", "Región"), ("codigo", "Código")):
            if key not in known:
                db.session.add(CustomField(panel_id=panel.id, key=key, label=label))
        mailing_list = MailingList(panel_id=panel.id, name=LIST_NAME)
        db.session.add(mailing_list)
        db.session.flush()
        for address in sorted(self.cast.unsubscribed):
            contact = Contact(panel_id=panel.id, email=address, domain=domain_of(address), name="")
            contact.subscriptions = [
                Subscription(list_id=mailing_list.id, status=SubscriptionStatus.SUBSCRIBED, source="demo")
            ]
            db.session.add(contact)
        db.session.commit()
        for contact_id in db.session.scalars(
            select(Subscription.contact_id).where(Subscription.list_id == mailing_list.id)
        ).all():
            suppressions.unsubscribe(db.session, contact_id=contact_id, list_ids=[mailing_list.id], source="page:demo")
        for address in sorted(self.cast.suppressed):
            suppressions.suppress(db.session, panel.id, address, SuppressionReason.MANUAL, "demo")
        db.session.commit()
        return mailing_list

    def import_people(self, mailing_list: MailingList) -> dict[str, int]:
        """Upload, map, analyse, confirm, apply; returns the import's counts."""
        path = self.directory / "contactos.csv"
        rows = write_csv(self.cast, path)
        with path.open("rb") as file, store.part_of(self.settings, file) as part:
            job = imports.create(
                db.session, self.settings, panel_id=self.panel().id, user_id=None, filename=path.name, part=part
            )
        self.say(f"import: {rows} rows, {job.encoding}, delimiter {job.delimiter!r}")
        mapping = {"0": "email", "1": "name", "2": "field:region", "3": "field:codigo"}
        imports.save_mapping(db.session, self.settings, job, mapping=mapping, list_id=mailing_list.id)
        job = self.wait_for(lambda: self.import_in(job.id, ImportStatus.READY), "the analysis", 300)
        imports.confirm(db.session, job)
        job = self.wait_for(lambda: self.import_in(job.id, ImportStatus.DONE), "the import", 300)
        return dict(job.counts)

    def import_in(self, import_id: int, wanted: ImportStatus) -> Import | None:
        job = db.session.get_one(Import, import_id, populate_existing=True)
        if job.status in (ImportStatus.FAILED, ImportStatus.CANCELLED):
            raise DemoFailed(f"the import failed: {job.error}")
        return job if job.status is wanted else None

    # Send.

    def send(self, mailing_list: MailingList, *, patience_seconds: float) -> Campaign:
        content = CampaignContent(
            name="Demostración",
            subject="{{ nombre }}: convocatorias en {{ region }}",
            from_name="Bolsa de empleo",
            from_email="noticias@boletin.example.gob.pe",
            html=HTML,
            list_ids=(mailing_list.id,),
        )
        panel = self.panel()
        campaign = campaigns.create_campaign(db.session, self.settings, panel.id, content)
        campaigns.schedule_campaign(db.session, self.settings, panel.id, campaign.id)
        campaign_id = campaign.id
        return self.wait_for(lambda: self.finished(campaign_id), "the campaign", patience_seconds)

    def finished(self, campaign_id: int) -> Campaign | None:
        campaign = db.session.get_one(Campaign, campaign_id, populate_existing=True)
        if campaign.status in (CampaignStatus.PAUSED, CampaignStatus.CANCELLED):
            raise DemoFailed(f"the campaign is {campaign.status}: {campaign.status_reason}")
        return campaign if campaign.status is CampaignStatus.FINISHED else None

    # Look at what arrived.

    def examine(self, *, sample: int) -> proof.Findings:
        ids = list(db.session.scalars(select(PracticeMessage.id).order_by(PracticeMessage.id)))
        people = {person.email: person for person in self.cast.people}
        url = self.settings.database_url.replace("postgresql+psycopg://", "postgresql://")
        keys = self.published_keys()
        db.session.rollback()
        return proof.examine_all(url, ids, people, keys, sample=sample)

    def published_keys(self) -> dict[str, bytes]:
        """The TXT records as the platform publishes them, fetched over HTTP like anybody would."""
        domain = db.session.scalars(select(SendingDomain).where(SendingDomain.panel_id == self.panel().id)).first()
        if domain is None:
            raise DemoFailed("the panel has no sending domain")
        names = [(key.selector, domain.domain) for key in domain.dkim_keys if key.is_active]
        return {
            f"{selector}._domainkey.{name}": self.fetch(f"/.well-known/chaski/dkim/{name}/{selector}").strip()
            for selector, name in names
        }

    def fetch(self, path: str) -> bytes:
        with urllib.request.urlopen(self.local_url + path, timeout=10) as response:  # noqa: S310  # our own loopback
            return bytes(response.read())

    # Be a recipient.

    def follow(self, links: list[proof.Links], campaign: Campaign) -> dict[str, int]:
        """Open, click and unsubscribe as each of these recipients; then the report must say so."""
        for one in links:
            expect(visit(one.pixel), 200)
            expect(visit(one.click), 302, location="https://example.pe/convocatorias?origen=correo&mes=11")
            expect(visit(one.unsubscribe), 200)
        if left := self.left(campaign):
            raise DemoFailed(f"GET unsubscribed {left} people")
        for one in links:
            expect(visit(one.unsubscribe, post=b"List-Unsubscribe=One-Click"), 200)
        wanted = {"opened": len(links), "clicked": len(links), "unsubscribed": len(links)}
        return self.wait_for(lambda: self.counted(campaign, wanted), f"the events {wanted}", 60)

    def left(self, campaign: Campaign) -> int:
        return int(
            db.session.scalar(
                text("SELECT count(*) FROM subscription WHERE unsubscribe_source LIKE '%:' || :id"),
                {"id": str(campaign.id)},
            )
            or 0
        )

    def counted(self, campaign: Campaign, wanted: dict[str, int]) -> dict[str, int] | None:
        row = db.session.execute(
            text(
                """
                SELECT count(first_open_at) AS opened, count(first_click_at) AS clicked FROM engagement
                WHERE campaign_id = :id
                """
            ),
            {"id": campaign.id},
        ).one()
        found = {"opened": row.opened, "clicked": row.clicked, "unsubscribed": self.left(campaign)}
        db.session.rollback()
        return found if found == wanted else None

    @staticmethod
    def wait_for(look: Callable[[], T | None], what: str, seconds: float) -> T:
        deadline = time.monotonic() + seconds
        while (found := look()) is None:
            db.session.rollback()
            if time.monotonic() > deadline:
                raise DemoFailed(f"{what} did not end within {seconds:.0f} s")
            time.sleep(0.2)
        return found


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_arguments: Any) -> None:
        return None


def visit(url: str, *, post: bytes | None = None) -> tuple[int, str]:
    """Status and Location. No cookies, no redirects followed."""
    opener = urllib.request.build_opener(_NoRedirect)
    request = urllib.request.Request(url, data=post, headers={"User-Agent": "chaski-demo"})  # noqa: S310  # http, ours
    try:
        with opener.open(request, timeout=10) as response:
            return response.status, ""
    except urllib.error.HTTPError as answer:
        return answer.code, answer.headers.get("Location", "")


def expect(answer: tuple[int, str], status: int, *, location: str = "") -> None:
    if answer != (status, location):
        raise DemoFailed(f"expected {status} {location}, got {answer[0]} {answer[1]}")
