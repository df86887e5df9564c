"""Finding somebody among a campaign's recipients by how the address or the name begins, as among the contacts.

Small campaigns are read; the recipients of large ones are found through the contacts, whose beginnings have an index, since
the ledger has none but its keys. Either way the deliveries are known before anything sorts or pages them.
"""

from sqlalchemy import ARRAY, BigInteger, any_, literal, select, union

from app.flow import search
from app.flow.sessions import AnySession
from app.models import Campaign, Contact, Delivery

READ_AT_ONCE = 50_000
"""Deliveries that are read in a few hundredths of a second."""


def seqs_matching(session: AnySession, campaign: Campaign, wanted: str) -> tuple[list[int], bool]:
    """Numbers of the deliveries, and whether that may leave some out: more contacts match than are looked at."""
    people = select(Contact).where(Contact.panel_id == campaign.panel_id)
    contact_ids = search.first_matches(session, people, wanted)
    are_many = len(contact_ids) >= search.MOST_MATCHES
    of_campaign = select(Delivery.seq).where(
        Delivery.frozen_on == campaign.frozen_on, Delivery.campaign_id == campaign.id
    )
    found = of_campaign.where(Delivery.contact_id == any_(literal(contact_ids, ARRAY(BigInteger))))
    if campaign.audience_size > READ_AT_ONCE:
        return list(session.scalars(found)), are_many
    # Also those whose contact was deleted, or has another address by now.
    written = of_campaign.where(search.starts_with(Delivery.email, " ".join(wanted.split()).lower()))
    return list(session.scalars(union(found, written.limit(search.MOST_MATCHES)))), are_many
