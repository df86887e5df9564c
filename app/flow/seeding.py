"""The first data of an installation: five panels, an administrator, and something to look at.

May run at every start. A panel's sample data come with the panel and never again, so that what a person changed or
deleted stays so; an administrator is made only where there is none.
"""

from dataclasses import dataclass, field
from datetime import date

from sqlalchemy import exists, select, text

from app.config import Settings
from app.flow import accounts, domains
from app.flow.sessions import AnySession
from app.mail.dkim import generate_key
from app.models import (
    Campaign,
    Contact,
    CustomField,
    FieldType,
    MailingList,
    Panel,
    Role,
    Subscription,
    SubscriptionStatus,
    User,
)

ADMINISTRATOR = ("admin@example.pe", "Administrador inicial")
PANELS = (
    ("empleo", "Empleo y ferias laborales", "blue"),
    ("fiscalizacion", "Fiscalización y derechos laborales", "purple"),
    ("capacitacion", "Capacitación laboral", "teal"),
    ("inclusion", "Inclusión laboral", "orange"),
    ("prensa", "Prensa y comunicaciones", "pink"),
)
SAMPLE_PANEL = "empleo"
SAMPLE_DOMAIN = "boletin.example.gob.pe"
SAMPLE_USERS = (
    ("gestion@example.pe", "Gestora de Ejemplo", {"empleo": Role.MANAGER, "prensa": Role.EDITOR}),
    ("lectura@example.pe", "Lector de Ejemplo", {"empleo": Role.VIEWER, "fiscalizacion": Role.VIEWER}),
)
SAMPLE_FIELDS = (
    ("region", "Región", FieldType.TEXT),
    ("documento", "Documento", FieldType.TEXT),
    ("inscrito_el", "Inscrito el", FieldType.DATE),
)
FIRST_NAMES = (
    "Alba",
    "Bruno",
    "Celia",
    "Dante",
    "Elena",
    "Fabio",
    "Greta",
    "Hugo",
    "Inés",
    "Joel",
    "Karina",
    "Luis",
    "Mara",
)
LAST_NAMES = ("Ejemplo", "Muestra", "Prueba", "Inventada", "Ficticio")
REGIONS = ("Lima", "Cusco", "Arequipa", "Piura", "Loreto", "Puno", "Tacna")
SAMPLE_CONTACTS = 25

SAMPLE_SUBJECT = "{{ nombre }}, le esperamos en la feria de empleo"
SAMPLE_HTML = """\
<h1>Feria de empleo</h1>
<p>Estimada, estimado {{ nombre }}:</p>
<p>El próximo sábado se realiza la feria de empleo de {{ region }}. La entrada es libre.</p>
<p><a href="https://example.pe/feria">Ver las empresas participantes</a></p>
<p>Este es un mensaje de ejemplo: cámbielo, envíese una prueba y mírela en el buzón de práctica.</p>
"""


@dataclass
class SeedReport:
    """What was made this time. ``login`` and ``password`` only where the administrator is new."""

    login: str | None = None
    password: str | None = None
    created: dict[str, int] = field(default_factory=dict)

    def count(self, noun: str, number: int = 1) -> None:
        self.created[noun] = self.created.get(noun, 0) + number


def seed(session: AnySession, settings: Settings, *, make_key: domains.MakeKey = generate_key) -> SeedReport:
    """Make what is missing, in one transaction."""
    session.execute(text("SELECT pg_advisory_xact_lock(hashtext('chaski.seed'))"))
    report = SeedReport()
    made = seed_panels(session, report)
    for panel in made:
        seed_domain(session, settings, panel, report, make_key)
    if not session.scalar(select(exists().where(User.is_administrator))):
        seed_people(session, report)
    for panel in made:
        if panel.slug == SAMPLE_PANEL:
            seed_samples(session, panel, report)
    session.commit()
    return report


def seed_panels(session: AnySession, report: SeedReport) -> list[Panel]:
    present = set(session.scalars(select(Panel.slug)))
    made = [Panel(slug=slug, name=name, colour=colour) for slug, name, colour in PANELS if slug not in present]
    session.add_all(made)
    session.flush()
    report.count("panels", len(made))
    return made


def seed_domain(
    session: AnySession, settings: Settings, panel: Panel, report: SeedReport, make_key: domains.MakeKey
) -> None:
    """Nothing where this installation may not send from the sample domain."""
    try:
        session.add(domains.new_domain(session, settings, panel.id, SAMPLE_DOMAIN, make_key=make_key))
    except domains.DomainProblem:
        return
    session.flush()
    report.count("domains")


def seed_people(session: AnySession, report: SeedReport) -> None:
    """The administrator; and two members, whose passwords nobody knows until an administrator gives them new ones."""
    email, name = ADMINISTRATOR
    administrator = accounts.new_user(email=email, name=name, is_administrator=True, roles={})
    panels = {panel.slug: panel.id for panel in session.scalars(select(Panel))}
    taken = set(session.scalars(select(User.email)))
    if email in taken:
        return
    session.add(administrator.user)
    report.login, report.password = email, administrator.password
    report.count("administrators")
    for sample_email, sample_name, roles in SAMPLE_USERS:
        if sample_email not in taken:
            by_id = {panels[slug]: role for slug, role in roles.items() if slug in panels}
            session.add(accounts.new_user(email=sample_email, name=sample_name, roles=by_id).user)
            report.count("users")


def seed_samples(session: AnySession, panel: Panel, report: SeedReport) -> None:
    """Fields, a list with invented people, and a draft."""
    fields = [
        CustomField(panel_id=panel.id, key=key, label=label, type=type_, position=position)
        for position, (key, label, type_) in enumerate(SAMPLE_FIELDS)
    ]
    mailing_list = MailingList(panel_id=panel.id, name="Ejemplo", description="Personas inventadas, para practicar.")
    session.add_all([*fields, mailing_list])
    session.flush()
    contacts = [sample_contact(panel.id, mailing_list.id, number) for number in range(1, SAMPLE_CONTACTS + 1)]
    session.add_all(contacts)
    campaign = Campaign(
        panel_id=panel.id,
        name="Feria de empleo (ejemplo)",
        subject=SAMPLE_SUBJECT,
        from_name="Bolsa de empleo",
        from_email=f"noticias@{SAMPLE_DOMAIN}",
        html=SAMPLE_HTML,
        lists=[mailing_list],
    )
    session.add(campaign)
    for noun, number in (("custom_fields", len(fields)), ("lists", 1), ("contacts", len(contacts)), ("campaigns", 1)):
        report.count(noun, number)


def sample_contact(panel_id: int, list_id: int, number: int) -> Contact:
    first = FIRST_NAMES[number % len(FIRST_NAMES)]
    last = LAST_NAMES[number % len(LAST_NAMES)]
    domain = "example.pe" if number % 3 else "example.com"
    contact = Contact(panel_id=panel_id, email=f"persona{number:02}@{domain}", domain=domain, name=f"{first} {last}")
    contact.fields = {
        "region": REGIONS[number % len(REGIONS)],
        "documento": f"DEMO-{number:05}",
        "inscrito_el": date(2026, 1 + number % 12, 1 + number).isoformat(),
    }
    contact.subscriptions = [Subscription(list_id=list_id, status=SubscriptionStatus.SUBSCRIBED, source="sample")]
    return contact
