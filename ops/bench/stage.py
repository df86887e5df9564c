"""A throw-away installation to measure on, with the mail of the design: 20 kB in text and HTML, ten merge fields, ten
tracked links and an open pixel."""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flask import Flask
from sqlalchemy import text

from app import create_app
from app.config import load_settings
from app.extensions import db
from app.flow import audience, campaigns
from app.mail.dkim import KeyKind, generate_key
from app.models import (
    Campaign,
    CustomField,
    DkimAlgorithm,
    DkimKey,
    MailingList,
    Panel,
    PanelMode,
    Relay,
    RelaySecurity,
    SendingDomain,
)
from app.secrets import seal
from ops import ports
from ops.installation import Installation
from ops.supervise import Supervisor

DOMAINS = ("example.pe", "correo.example.pe", "example.com", "example.org", "example.net")
FIELDS = tuple(f"campo{n}" for n in range(1, 9))
"""With ``nombre`` and ``email`` these make ten."""
SENDING_DOMAIN = "boletin.example.gob.pe"


@dataclass
class Stage:
    installation: Installation
    app: Flask


@contextmanager
def stage(*, environment: dict[str, str] | None = None) -> Iterator[Stage]:
    """A new installation with an empty, migrated database; nothing of it remains afterwards."""
    with tempfile.TemporaryDirectory(prefix="chaski-bench-") as directory:
        port = ports.next_free("127.0.0.1", 18025)
        environ = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "BROKER_URL", "REDIS_URL")}
        # The recipients' domains are invented: no name server is asked about them.
        environ |= {"LOG_FORMAT": "json", "DNS_SERVERS": "none", **(environment or {})}
        with Installation(Path(directory), port=port, environ=environ) as installation:
            installation.start_services()
            installation.upgrade_database()
            app = create_app(load_settings(installation.environment))
            with app.app_context():
                yield Stage(installation, app)
                db.session.remove()
                db.engine.dispose()


@contextmanager
def processes(
    installation: Installation, names: list[str], *, log: Path, environment: dict[str, str] | None = None
) -> Iterator[Supervisor]:
    """The named processes of the Procfile, their output in ``log``."""
    with log.open("wb") as output:
        supervisor = installation.start_processes(names, output=output, environment=environment)
        try:
            yield supervisor
        finally:
            supervisor.stop()


def make_panel(app: Flask, slug: str = "bench") -> Panel:
    """A panel with a signing domain and its custom fields."""
    pair = generate_key(KeyKind.RSA)
    settings = app.extensions["settings"]
    panel = Panel(slug=slug, name="Plataforma de medición", colour="blue")
    db.session.add(panel)
    db.session.flush()
    domain = SendingDomain(panel_id=panel.id, domain=SENDING_DOMAIN, return_path_domain=f"rebotes.{SENDING_DOMAIN}")
    domain.dkim_keys.append(
        DkimKey(
            selector="chaski1",
            algorithm=DkimAlgorithm.RSA_SHA256,
            private_key_encrypted=seal(settings, pair.private_pem.decode()),
            public_record=pair.public_record,
            is_published=True,
        )
    )
    db.session.add(domain)
    db.session.add_all(CustomField(panel_id=panel.id, key=key, label=key) for key in FIELDS)
    db.session.commit()
    return panel


def use_relay(panel: Panel, port: int, *, connections: int) -> None:
    """Switch the panel to a real relay on the loopback."""
    relay = Relay(
        name="sink", host="127.0.0.1", port=port, security=RelaySecurity.NONE, connections=connections,
        messages_per_connection=100_000,
    )  # fmt: skip
    db.session.add(relay)
    db.session.flush()
    panel.relay_id, panel.mode = relay.id, PanelMode.REAL
    db.session.commit()


def make_contacts(panel: Panel, count: int) -> MailingList:
    """A list of ``count`` contacts with every field filled, by one statement."""
    mailing_list = MailingList(panel_id=panel.id, name="Medición")
    db.session.add(mailing_list)
    db.session.flush()
    pairs = ", ".join(f"'{key}', 'valor {key} ' || n || ' ñandú'" for key in FIELDS)
    db.session.execute(
        text(
            f"""
            WITH made AS (
                INSERT INTO contact (panel_id, email, domain, name, fields)
                SELECT :panel, 'p' || n || '@' || d, d, 'Persona Número ' || n, jsonb_build_object({pairs})
                FROM generate_series(1, :count) n
                CROSS JOIN LATERAL (SELECT (CAST(:domains AS text[]))[1 + n % 5] AS d) x RETURNING id
            )
            INSERT INTO subscription (list_id, contact_id, status, source)
            SELECT :list, id, 'subscribed', 'bench' FROM made
            """
        ),
        {"panel": panel.id, "list": mailing_list.id, "count": count, "domains": list(DOMAINS)},
    )
    db.session.commit()
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM (ANALYZE) contact, subscription"))
    return mailing_list


def make_campaign(panel: Panel, mailing_list: MailingList) -> Campaign:
    """The mail of the design, as a draft."""
    campaign = Campaign(
        panel_id=panel.id,
        name="Medición",
        subject="{{ nombre }}: convocatorias de la semana en {{ campo1 }}",
        from_name="Bolsa de empleo",
        from_email=f"noticias@{SENDING_DOMAIN}",
        html=mail_html(),
        text=mail_text(),
    )
    campaign.lists = [mailing_list]
    db.session.add(campaign)
    db.session.commit()
    return campaign


def schedule(app: Flask, campaign: Campaign) -> None:
    """To be sent at once, the way that people do it."""
    campaigns.schedule_campaign(db.session, app.extensions["settings"], campaign.panel_id, campaign.id)


def freeze(app: Flask, campaign: Campaign) -> float:
    """Schedule, and freeze the audience in this process; seconds of the freezing."""
    schedule(app, campaign)
    audience.start_due(db.session)
    started = time.perf_counter()
    if not audience.prepare(db.session, app.extensions["settings"], campaign.id):
        raise RuntimeError(f"the audience was not frozen: {campaign.status_reason}")
    return time.perf_counter() - started


SENTENCE = (
    "El programa ofrece orientación, capacitación y vacantes para personas que buscan empleo en su región; la "
    "inscripción es gratuita y se hace en línea hasta fin de mes. "
)


def mail_html() -> str:
    sections = [
        f"<tr><td><h2>Convocatoria {n}</h2><p>{SENTENCE * 5}</p><p>Para {{{{ {field} }}}}: "
        f'<a href="https://example.pe/convocatorias/{n}?origen=correo">Ver la convocatoria {n}</a></p></td></tr>'
        for n, field in enumerate((*FIELDS, "nombre", "email"), start=1)
    ]
    return (
        "<!doctype html><html lang=\"es\"><head><title>Convocatorias</title></head><body><table role=\"presentation\">"
        f"<tr><td><h1>Hola {{{{ nombre }}}}</h1></td></tr>{''.join(sections)}"
        '<tr><td><a href="{{ enlace_baja }}">Darse de baja</a></td></tr></table></body></html>'
    )  # fmt: skip


def mail_text() -> str:
    lines = [f"Convocatoria {n}\n{SENTENCE * 4}\nPara {{{{ {field} }}}}\n" for n, field in enumerate(FIELDS, start=1)]
    return "Hola {{ nombre }} <{{ email }}>\n\n" + "\n".join(lines) + "\nDarse de baja: {{ enlace_baja }}\n"
