"""A panel that has something of everything, in every state that a page shows differently, with values as long as they get."""

from datetime import UTC, datetime, timedelta

from app.config import Settings
from app.flow import events, relay_keys, relay_outcomes
from app.flow.relay_queue import commands, snapshot
from app.flow.relay_queue.figures import QueueFilter
from app.flow.sessions import AnySession
from app.mail.postfix_queue import Listing, QueuedMail
from app.mail.relay_report import Bundle, Reading, ReadingProblem
from app.models import (
    Campaign,
    CampaignLink,
    CampaignSample,
    CampaignStatus,
    EgressPool,
    EgressState,
    EgressUse,
    Engagement,
    Event,
    EventKind,
    FieldType,
    HoldKind,
    Import,
    ImportRow,
    ImportStatus,
    MailDomain,
    MailingList,
    Panel,
    PracticeMessage,
    Proof,
    ProofStatus,
    ProviderHold,
    ProviderLimits,
    QueueAction,
    Relay,
    RelaySecurity,
    RowOutcome,
    SubscriptionStatus,
    Suppression,
    User,
)
from tests import factories, ledger

LONG_EMAIL = "direccion.general.de.promocion.del.empleo@oficina-descentralizada-de-huancavelica.example.pe"
LONG_NAME = "Convocatoria extraordinaria de la feria descentralizada de empleo y emprendimiento juvenil"
LONG_HOST = "servidores-de-salida.direccion-general-de-promocion-del-empleo.example.gob.pe"
LONG_URL = "https://www.example.pe/convocatorias/2026/feria-descentralizada-de-empleo?origen=correo&campana=11"
LONG_REPLY = (
    "452 4.2.2 The_mailbox_of_the_recipient_is_over_quota_and_cannot_take_more_messages_now <q-0123456789abcdef>"
)
OUTCOMES = ["accepted"] * 8 + ["planned"] * 3 + ["deferred", "bounced", "failed", "unknown", "skipped:suppressed"]
MAIL = b"""Subject: Feria\r\nFrom: Bolsa <noticias@boletin.example.gob.pe>\r\nDKIM-Signature: v=1; a=rsa-sha256; d=x; s=y; b=z\r
MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nHola\r
--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<!doctype html><title>x</title><h1>Hola</h1>\r\n--b--\r\n"""

Ids = dict[str, list[int] | list[str]]
"""Ids to visit, by URL parameter."""


def everything(session: AnySession, settings: Settings, panel: Panel, author: User) -> Ids:
    """Fill ``panel``; what to visit of it."""
    factories.custom_field(session, panel, "region", label="Región")
    fields = [
        factories.custom_field(session, panel, f"campo_{kind.value}", label=f"Campo de tipo {kind.value}", type=kind)
        for kind in FieldType
    ]
    domain = factories.signed_domain(session, settings, panel)
    lists = [factories.mailing_list(session, panel, LONG_NAME, description=LONG_NAME)]
    lists.append(factories.mailing_list(session, panel, "Vacía"))
    lists.append(factories.mailing_list(session, panel, "Archivada", archived_at=datetime.now(UTC)))
    contact = factories.contact(session, panel, LONG_EMAIL, lists[0], name=LONG_NAME, fields={"region": "Junín"})
    factories.contact(session, panel, "b@example.pe", lists[0], status=SubscriptionStatus.UNSUBSCRIBED)
    suppression = Suppression(panel_id=panel.id, email=LONG_EMAIL, reason="manual", source="manual:1")
    messages = [captured(panel, MAIL), captured(panel, b"\xff\xfe no mail at all")]
    relay = Relay(name="Relay de la institución", host="smtp.example.gob.pe", port=587, security=RelaySecurity.STARTTLS)
    session.add_all([suppression, *messages, relay])
    session.commit()
    pools = egress(session, relay)
    orders = queue_commands(session, settings, relay, author)
    reports(session, relay, author)
    return {
        "campaign_id": campaigns(session, panel, lists[0], contact.id),
        "command_id": orders,
        "contact_id": [contact.id],
        "domain_id": [domain.id],
        "field_id": [field.id for field in fields],
        "import_id": imports(session, panel, lists[0], author),
        "list_id": [one.id for one in lists],
        "message_id": [one.id for one in messages],
        "pool_id": [pool.id for pool in pools],
        "ip_id": [ip.id for pool in pools for ip in pool.ips],
        "provider": providers_of(session, author),
        "relay_id": [relay.id],
        "seq": [1],
        "user_id": [author.id],
    }


def egress(session: AnySession, relay: Relay) -> list[EgressPool]:
    """A pool with an IP in each state, one of them with what it sent; and an empty pool."""
    pools = [factories.egress_pool(session, relay, name) for name in ("Correo masivo de las plataformas", "Vacío")]
    today = datetime.now(UTC).date()
    for number, state in enumerate(EgressState, start=1):
        factories.egress_ip(
            session, pools[0], f"2001:db8:ffff:ffff:ffff:ffff:ffff:{number}", helo_name=f"mail-{number}.{LONG_HOST}",
            state=state, state_reason=LONG_NAME, warm_up_started_on=today - timedelta(days=3),
        )  # fmt: skip
    session.add(EgressUse(egress_ip_id=pools[0].ips[0].id, provider="google", day=today, submitted=123_456, deferred=9))
    session.commit()
    session.add_all(holds(relay, pools[0].ips[0].id))
    session.commit()
    return pools


def holds(relay: Relay, ip_id: int) -> list[ProviderHold]:
    """One in each phase, and one that is history."""
    now = datetime.now(UTC)
    ends = {"google": 30, "yahoo": -12, "zoho": 10, "gmx": 3, "apple": -600}
    return [
        ProviderHold(
            relay_id=relay.id, egress_ip_id=None if provider == "google" else ip_id, provider=provider,
            kind=HoldKind.SLOW if provider in ("zoho", "gmx") else HoldKind.SUSPENDED,
            factor={"zoho": 0.5, "gmx": 1.0}.get(provider, 0.05), rule=rule, reply=LONG_REPLY, times=1_234,
            started_at=now - timedelta(hours=11), until=now + timedelta(minutes=minutes),
            lifted_at=now - timedelta(hours=9) if provider == "apple" else None,
        )
        for (provider, minutes), rule in zip(
            ends.items(),
            ("google_unauthenticated", "yahoo_tss04", "too_many_connections", "gmx_policy", "no_longer_shipped"),
            strict=True,
        )
    ]  # fmt: skip


def reports(session: AnySession, relay: Relay, author: User) -> None:
    """A follower in trouble, and keys in every state."""
    relay_keys.make_key(session, relay.id, name=LONG_NAME, user_id=author.id)
    key = relay_keys.make_key(session, relay.id)
    relay_keys.relay_of_key(session, key, address="2001:db8:ffff:ffff:ffff:ffff:ffff:ffff")
    relay_keys.revoke_keys(session, relay.id)
    relay_keys.make_key(session, relay.id, name=LONG_HOST, user_id=author.id)
    reading = Reading(123_456_789, 12, 9_876_543_210, ReadingProblem.LOG_UNREADABLE, f"Permission denied: /{'a' * 200}")
    relay_outcomes.store(session, relay.id, Bundle(reading=reading), token_key=b"a key for tests only")


def queue_commands(session: AnySession, settings: Settings, relay: Relay, author: User) -> list[int]:
    """Mail in the relay's queue, and a command for it that nobody confirmed yet."""
    mail = QueuedMail("4XyzBC1dQzv5", "deferred", 1763750000, 20_480, LONG_EMAIL, LONG_EMAIL, 3, LONG_NAME * 3)
    snapshot.store(session, settings, relay.id, Listing([mail], total=1))
    made = commands.propose(session, relay.id, QueueAction.DELETE, chosen=QueueFilter(), user_id=author.id)
    return [made.id]


def providers_of(session: AnySession, author: User) -> list[str]:
    """One with changed limits, one as shipped, and all the others together; a domain in each state."""
    now = datetime.now(UTC)
    session.add_all(
        [
            ProviderLimits(
                provider="google", messages_per_minute=100_000, connections=1, messages_per_connection=1,
                warm_up_caps=[10 * 2**day for day in range(15)], updated_by_id=author.id,
            ),
            MailDomain(domain="gmail.com", provider="google", expires_at=now + timedelta(days=7)),
            MailDomain(domain="example.pe", provider="other", expires_at=now),
            MailDomain(
                domain=LONG_EMAIL.partition("@")[2], provider="microsoft365", mx_host=f"{'a' * 60}.mail.protection.outlook.com",
                looked_up_at=now, expires_at=now + timedelta(hours=6),
            ),
        ]
    )  # fmt: skip
    session.commit()
    return ["google", "telmex", "other"]


def captured(panel: Panel, raw: bytes) -> PracticeMessage:
    return PracticeMessage(
        panel_id=panel.id, message_id="<x@example.pe>", mail_from=LONG_EMAIL, rcpt_to=LONG_EMAIL, size_bytes=len(raw),
        raw=raw, received_at=datetime.now(UTC), subject=LONG_NAME,
    )  # fmt: skip


def campaigns(session: AnySession, panel: Panel, mailing_list: MailingList, contact_id: int) -> list[int]:
    """One in each status; drafts without content and with it, one paused by the relay, one finished with reactions."""
    soon = datetime.now(UTC) + timedelta(days=2)
    made = [factories.campaign(session, panel, name=LONG_NAME, subject="", from_name="", from_email="", html="")]
    made.append(factories.campaign(session, panel, mailing_list, name=LONG_NAME, rate_per_hour=5000))
    made.append(factories.campaign(session, panel, mailing_list, status=CampaignStatus.SCHEDULED, scheduled_at=soon))
    made.append(
        factories.campaign(session, panel, mailing_list, status=CampaignStatus.PREPARING, audience_expected=100)
    )
    for status in (CampaignStatus.SENDING, CampaignStatus.PAUSED, CampaignStatus.FINISHED, CampaignStatus.CANCELLED):
        campaign = factories.campaign(session, panel, mailing_list, name=f"{LONG_NAME} {status.value}")
        settle(session, campaign, status, contact_id)
        made.append(campaign)
    proofs = [Proof(panel_id=panel.id, campaign_id=made[1].id, email=LONG_EMAIL, status=one) for one in ProofStatus]
    session.add_all(proofs)
    session.commit()
    return [one.id for one in made]


def settle(session: AnySession, campaign: Campaign, status: CampaignStatus, contact_id: int) -> None:
    """A ledger with every outcome, reactions, and samples for the plot."""
    is_over = status in (CampaignStatus.FINISHED, CampaignStatus.CANCELLED)
    outcomes = ["accepted"] * 12 + ["bounced", "skipped:cancelled"] if is_over else OUTCOMES
    deliveries = ledger.freeze(session, campaign, outcomes, status=status, reply_text=LONG_REPLY, attempts=2)
    deliveries[0].contact_id, deliveries[0].email = contact_id, LONG_EMAIL
    now = datetime.now(UTC)
    campaign.finished_at = now if is_over else None
    campaign.status_reason = f"relay_failures:{LONG_REPLY}" if status is CampaignStatus.PAUSED else None
    session.add(CampaignLink(campaign_id=campaign.id, position=0, url=LONG_URL))
    session.add_all(
        CampaignSample(campaign_id=campaign.id, at=now - timedelta(seconds=60 - 5 * n), answered=n, accepted=n)
        for n in range(9)
    )
    session.add(
        Engagement(
            frozen_on=campaign.frozen_on, campaign_id=campaign.id, seq=1, opens=3, clicks=2, first_open_at=now,
            first_click_at=now, unsubscribed_at=now,
        )
    )  # fmt: skip
    session.flush()
    events.sum_up(session, campaign.id)
    session.add_all(
        Event(
            occurred_at=now + timedelta(seconds=n), source_id=f"{campaign.id}-{n}", panel_id=campaign.panel_id,
            campaign_id=campaign.id, seq=1, kind=kind, link=0 if kind is EventKind.CLICK else None,
        )
        for n, kind in enumerate(EventKind)
    )  # fmt: skip
    session.commit()


def imports(session: AnySession, panel: Panel, mailing_list: MailingList, author: User) -> list[int]:
    """One in each status but the one that needs its file on the disk, with rows of every outcome."""
    counts = {"total": 9, **{one.value: 1 for one in RowOutcome}, "created": 3, "updated": 2, "subscribed": 4}
    made = []
    for status in ImportStatus:
        if status is ImportStatus.UPLOADED:
            continue
        job = Import(
            panel_id=panel.id, list_id=mailing_list.id, created_by_id=author.id, status=status, counts=counts,
            filename=f"{LONG_NAME.replace(' ', '_')}.csv", stored_path="none.csv", size_bytes=123_456, encoding="cp1252",
            delimiter=";", header=["Correo", "Nombre"], mapping={"0": "email", "1": "name"}, progress_bytes=60_000,
            error='{"code": "empty"}' if status is ImportStatus.FAILED else None,
        )  # fmt: skip
        session.add(job)
        session.flush()
        session.add_all(
            ImportRow(
                import_id=job.id, line=2 + number, email=LONG_EMAIL, name=LONG_NAME, outcome=outcome, column=1,
                reason="email_missing_at" if outcome is RowOutcome.INVALID else None, cells=[LONG_EMAIL, LONG_NAME],
            )
            for number, outcome in enumerate(RowOutcome)
        )  # fmt: skip
        made.append(job.id)
    session.commit()
    return made
