"""A campaign's ledger for tests: deliveries and batches as freezing and sending leave them."""

from collections import Counter
from datetime import UTC, datetime
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from sqlalchemy import text
from sqlalchemy.orm import Session, scoped_session

from app.config import Settings
from app.models import (
    Batch,
    BatchStatus,
    Campaign,
    CampaignStatus,
    Delivery,
    DeliveryStatus,
    DkimAlgorithm,
    DkimKey,
    SendingDomain,
    SkipReason,
)
from app.models.partitions import ensure_partitions
from app.secrets import seal
from tests.fixtures.laws import arrange

AnySession = Session | scoped_session[Session]


def freeze(
    session: AnySession,
    campaign: Campaign,
    statuses: list[str],
    *,
    batch_size: int = 4,
    status: CampaignStatus = CampaignStatus.SENDING,
    **values: Any,
) -> list[Delivery]:
    """One delivery per status (``skipped:reason`` gives the reason), batches over them, the campaign in ``status``."""
    today = datetime.now(UTC).date()
    arrange(session)
    ensure_partitions(session.connection(), today)
    deliveries = [_delivery(campaign, today, seq, told, values) for seq, told in enumerate(statuses, start=1)]
    session.add_all(deliveries)
    for first in range(0, len(statuses), batch_size):
        session.add(_batch(campaign, today, deliveries[first : first + batch_size]))
    campaign.status = status
    campaign.frozen_on = today
    campaign.audience_size = len(statuses)
    campaign.audience_frozen_at = campaign.started_at = datetime.now(UTC)
    session.commit()
    return deliveries


def _delivery(campaign: Campaign, today: Any, seq: int, told: str, values: dict[str, Any]) -> Delivery:
    status, _, reason = told.partition(":")
    return Delivery(
        frozen_on=today,
        campaign_id=campaign.id,
        seq=seq,
        contact_id=1000 * campaign.id + seq,
        panel_id=campaign.panel_id,
        email=f"persona{seq}@example.pe",
        status=DeliveryStatus(status),
        skip_reason=SkipReason(reason) if reason else None,
        **values,
    )


def _batch(campaign: Campaign, today: Any, deliveries: list[Delivery]) -> Batch:
    numbers = {status.value: sum(d.status is status for d in deliveries) for status in DeliveryStatus}
    is_open = numbers["planned"] + numbers["sending"] + numbers["deferred"] + numbers["unknown"] > 0
    return Batch(
        campaign_id=campaign.id,
        frozen_on=today,
        first_seq=deliveries[0].seq,
        last_seq=deliveries[-1].seq,
        status=BatchStatus.READY if is_open else BatchStatus.DONE,
        skipped_by=Counter(d.skip_reason.value for d in deliveries if d.skip_reason is not None),
        **numbers,
    )


def sending_domain_with_key(
    session: AnySession, panel_id: int, domain: str = "boletin.example.gob.pe", *, settings: Settings | None = None
) -> SendingDomain:
    """A sending domain that may sign; really, where ``settings`` are given to seal the key with."""
    row = SendingDomain(panel_id=panel_id, domain=domain, return_path_domain=f"rebotes.{domain}")
    row.dkim_keys = [
        DkimKey(
            selector="prueba",
            algorithm=DkimAlgorithm.RSA_SHA256,
            private_key_encrypted=seal(settings, private_key()) if settings else b"",
            public_record="v=DKIM1; k=rsa; p=",
        )
    ]
    session.add(row)
    session.commit()
    return row


@cache
def private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def statuses_of(session: AnySession, campaign: Campaign) -> dict[int, str]:
    """Status (``skipped:reason`` with its reason) by seq, as the database has them."""
    rows = session.execute(
        text("SELECT seq, status::text, skip_reason FROM delivery WHERE campaign_id = :id ORDER BY seq"),
        {"id": campaign.id},
    )
    return {seq: f"{status}:{reason}" if reason else status for seq, status, reason in rows}
