"""Rows for tests: each function makes one, with sensible defaults, and commits."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from argon2 import PasswordHasher
from sqlalchemy import text
from sqlalchemy.orm import Session, scoped_session

from app.config import Settings
from app.mail.addresses import domain_of
from app.mail.dkim import KeyKind, generate_key
from app.models import (
    Campaign,
    Contact,
    CustomField,
    DkimAlgorithm,
    DkimKey,
    EgressIp,
    EgressPool,
    EgressState,
    MailingList,
    Membership,
    Panel,
    PanelMode,
    ProviderLimits,
    Relay,
    RelaySecurity,
    Role,
    SendingDomain,
    Subscription,
    SubscriptionStatus,
    User,
)
from app.secrets import seal

AnySession = Session | scoped_session[Session]
PASSWORD = "una clave larga de prueba"


@cache
def password_hash() -> str:
    """Of `PASSWORD`; cheap parameters, since tests log in often."""
    return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)


def panel(session: AnySession, slug: str, **values: Any) -> Panel:
    row = Panel(slug=slug, **{"name": slug.capitalize(), "colour": "blue", **values})
    session.add(row)
    session.commit()
    return row


def user(
    session: AnySession, email: str, panel: Panel | None = None, role: str = "viewer", *, is_administrator: bool = False
) -> User:
    row = User(email=email, name=email.partition("@")[0].capitalize(), password_hash=password_hash(), locale="es")
    row.is_administrator = is_administrator
    if panel is not None:
        row.memberships.append(Membership(panel_id=panel.id, role=Role(role)))
    session.add(row)
    session.commit()
    return row


def mailing_list(session: AnySession, panel: Panel, name: str = "Feria laboral", **values: Any) -> MailingList:
    row = MailingList(panel_id=panel.id, name=name, **values)
    session.add(row)
    session.commit()
    return row


def custom_field(session: AnySession, panel: Panel, key: str, **values: Any) -> CustomField:
    row = CustomField(panel_id=panel.id, key=key, **{"label": key.capitalize(), **values})
    session.add(row)
    session.commit()
    return row


def contact(
    session: AnySession,
    panel: Panel,
    email: str,
    *lists: MailingList,
    status: SubscriptionStatus = SubscriptionStatus.SUBSCRIBED,
    **values: Any,
) -> Contact:
    row = Contact(panel_id=panel.id, email=email, domain=domain_of(email), **values)
    row.subscriptions = [Subscription(list_id=one.id, status=status, source="manual:test") for one in lists]
    session.add(row)
    session.commit()
    return row


def sending_domain(session: AnySession, panel: Panel, domain: str = "boletin.example.gob.pe") -> SendingDomain:
    row = SendingDomain(panel_id=panel.id, domain=domain, return_path_domain=f"rebotes.{domain}")
    session.add(row)
    session.commit()
    return row


def campaign(session: AnySession, panel: Panel, *lists: MailingList, **values: Any) -> Campaign:
    row = Campaign(
        panel_id=panel.id,
        **{
            "name": "Feria de empleo",
            "subject": "Hola {{ nombre }}",
            "from_name": "Bolsa de empleo",
            "from_email": "noticias@boletin.example.gob.pe",
            "html": '<p>Hola {{ nombre }}</p><p><a href="https://example.pe/feria">Inscríbase</a></p>',
            **values,
        },
    )
    row.lists = list(lists)
    session.add(row)
    session.commit()
    return row


def relay(session: AnySession, panel: Panel, port: int, **values: Any) -> Relay:
    """A relay on the loopback, with the panel switched to it."""
    row = Relay(
        name=f"relay {port}",
        **{"host": "127.0.0.1", "port": port, "security": RelaySecurity.NONE, "connections": 2, **values},
    )
    session.add(row)
    session.flush()
    panel.relay_id, panel.mode = row.id, PanelMode.REAL
    session.commit()
    return row


def egress_pool(session: AnySession, relay: Relay, name: str = "Masivo") -> EgressPool:
    row = EgressPool(relay_id=relay.id, name=name)
    session.add(row)
    session.commit()
    return row


def egress_ip(session: AnySession, pool: EgressPool, address: str, **values: Any) -> EgressIp:
    last = address.rpartition(".")[2]
    row = EgressIp(
        relay_id=pool.relay_id,
        pool_id=pool.id,
        address=address,
        **{"helo_name": f"mail-{last}.example.gob.pe", "state": EgressState.ACTIVE, **values},
    )
    session.add(row)
    session.commit()
    return row


def provider_limits(
    session: AnySession, provider: str = "google", *, per_minute: int = 60_000, caps: Sequence[int] = ()
) -> None:
    """What people set of a provider's limits; far from holding anything back where not told otherwise."""
    session.merge(
        ProviderLimits(
            provider=provider, messages_per_minute=per_minute, connections=10, messages_per_connection=100,
            warm_up_caps=list(caps),
        )
    )  # fmt: skip
    session.commit()


def signed_domain(
    session: AnySession, settings: Settings, panel: Panel, domain: str = "boletin.example.gob.pe"
) -> SendingDomain:
    """A sending domain with an active RSA key."""
    row = sending_domain(session, panel, domain)
    pair = generate_key(KeyKind.RSA)
    row.dkim_keys.append(
        DkimKey(
            selector="chaski202611",
            algorithm=DkimAlgorithm.RSA_SHA256,
            private_key_encrypted=seal(settings, pair.private_pem.decode()),
            public_record=pair.public_record,
        )
    )
    session.commit()
    return row


def contacts(session: AnySession, panel: Panel, mailing_list: MailingList, count: int, *domains: str) -> None:
    """``count`` subscribed contacts ``p<n>@<domain>``, domains in turn, by one statement each."""
    session.execute(
        text(
            """
            WITH made AS (
                INSERT INTO contact (panel_id, email, domain, name, fields)
                SELECT :panel, 'p' || n || '@' || d, d, 'Persona ' || n, jsonb_build_object('region', 'Región ' || n % 25)
                FROM generate_series(1, :count) n
                CROSS JOIN LATERAL (SELECT (CAST(:domains AS text[]))[1 + n % :kinds] AS d) x RETURNING id
            )
            INSERT INTO subscription (list_id, contact_id, status, source) SELECT :list, id, 'subscribed', 'test' FROM made
            """
        ),
        {
            "panel": panel.id,
            "list": mailing_list.id,
            "count": count,
            "domains": list(domains or ("example.pe",)),
            "kinds": len(domains) or 1,
        },
    )
    session.commit()
