"""A recipient called a campaign's mail spam: noted as an event, once, and never mailed again.

Whoever hears of it (a person with a letter, a feedback loop) calls :func:`note_complaint`; everything that counts complaints
counts these events.
"""

from datetime import UTC, datetime

from sqlalchemy import text

from app.flow import suppressions
from app.flow.sessions import AnySession
from app.models import Campaign, EventKind, SuppressionReason
from app.models.partitions import ensure_partitions


def note_complaint(
    session: AnySession, campaign: Campaign, seq: int, *, source: str, at: datetime | None = None
) -> bool:
    """Of the recipient ``seq``. ``source``: who told, at most 40 characters. Whether it is new. Commits."""
    now = at or datetime.now(UTC)
    ensure_partitions(session.connection(), now.date())
    session.commit()
    email = session.scalar(
        text(NOTE),
        {"campaign": campaign.id, "day": campaign.frozen_on, "seq": seq, "source": source, "now": now,
         "kind": EventKind.COMPLAINT.value},
    )  # fmt: skip
    if email is None:
        session.rollback()
        return False
    suppressions.suppress(session, campaign.panel_id, email, SuppressionReason.COMPLAINT, f"complaint:{campaign.id}")
    return True


NOTE = """
    WITH complainer AS (
        SELECT d.email, d.seq, d.panel_id FROM delivery d
        WHERE d.frozen_on = :day AND d.campaign_id = :campaign AND d.seq = :seq
          AND NOT EXISTS (SELECT FROM event e WHERE e.campaign_id = :campaign AND e.seq = :seq AND e.kind = 'complaint')
    ), noted AS (
        INSERT INTO event (occurred_at, source_id, panel_id, campaign_id, seq, kind)
        SELECT :now, :source, panel_id, :campaign, seq, :kind FROM complainer
        ON CONFLICT DO NOTHING RETURNING seq
    )
    SELECT email FROM complainer JOIN noted USING (seq)
"""


def seq_of(session: AnySession, campaign: Campaign, email: str) -> int | None:
    """Which recipient of the campaign has this address; None where nobody has."""
    found: int | None = session.scalar(
        text(
            """
            SELECT d.seq FROM delivery d JOIN contact c ON c.id = d.contact_id AND c.panel_id = d.panel_id
            WHERE c.email = :email AND c.panel_id = :panel AND d.frozen_on = :day AND d.campaign_id = :campaign
            """
        ),
        {
            "email": email.strip().lower(),
            "panel": campaign.panel_id,
            "day": campaign.frozen_on,
            "campaign": campaign.id,
        },
    )
    return found
