"""What a message makes a worker do: an id in, one call into ``app.flow``. A message that comes twice, late or for nothing
finds nothing to claim. Every queue named here is served in the Procfile (a test looks)."""

from typing import Any

import dramatiq

from app.current import current_settings
from app.extensions import db
from app.flow import audience, imports, mail_domains, proofs, reconciling, report_details, sending
from workers.broker import RING_EXPIRES_MS, start_worker_application
from workers.street import ask_relay, message_ids, street_of

app = start_worker_application()

DOORBELL: dict[str, Any] = {"max_retries": 0, "max_age": RING_EXPIRES_MS, "time_limit": 24 * 3600 * 1000}
"""Never retried by the broker; no time limit that matters,
since Dramatiq would raise into the middle of the work: leases are what bounds it here."""


@dramatiq.actor(queue_name="urgent", priority=0, **DOORBELL)
def send_urgent_batch(batch_id: int) -> None:
    """A queue of its own, so that what is urgent overtakes what is on the broker; and the first that a free thread takes of
    what its process has fetched already (lower priorities go first)."""
    sending.send_batch(db.session, street_of(current_settings()), batch_id)


@dramatiq.actor(queue_name="sending", priority=10, **DOORBELL)
def send_batch(batch_id: int) -> None:
    sending.send_batch(db.session, street_of(current_settings()), batch_id)


@dramatiq.actor(queue_name="preparing", **DOORBELL)
def prepare_campaign(campaign_id: int) -> None:
    audience.prepare(db.session, current_settings(), campaign_id)


@dramatiq.actor(queue_name="imports", **DOORBELL)
def analyse_import(import_id: int) -> None:
    imports.analyse(db.session, current_settings(), import_id)


@dramatiq.actor(queue_name="imports", **DOORBELL)
def apply_import(import_id: int) -> None:
    imports.apply(db.session, current_settings(), import_id)


@dramatiq.actor(queue_name="reports", **DOORBELL)
def make_report_details(campaign_id: int) -> None:
    report_details.make_wanted(db.session, campaign_id)


@dramatiq.actor(queue_name="proofs", **DOORBELL)
def send_proof(proof_id: int) -> None:
    proofs.send_proof(db.session, street_of(current_settings()), proof_id)


@dramatiq.actor(queue_name="reconciling", **DOORBELL)
def reconcile_campaign(campaign_id: int) -> None:
    settings = current_settings()
    reconciling.settle(
        db.session,
        campaign_id,
        message_id_of=message_ids(db.session, settings, campaign_id),
        ask=ask_relay,
        grace_seconds=settings.reconcile_grace_seconds,
    )


@dramatiq.actor(queue_name="lookups", **DOORBELL)
def refresh_mail_domains() -> None:
    mail_domains.refresh(db.session, current_settings())
