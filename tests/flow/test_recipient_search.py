"""Finding a recipient: by the beginning of address or name, of large campaigns through the contacts, never another panel's."""

import pytest
from sqlalchemy import text

from app.flow import recipient_search, recipients, search
from app.flow.recipient_search import seqs_matching
from app.models import Contact
from tests import factories, ledger


@pytest.fixture
def campaign(session, panel):
    """Four recipients; one was deleted since, one has another address by now."""
    campaign = factories.campaign(session, panel)
    ledger.freeze(session, campaign, ["accepted"] * 3 + ["bounced"])
    people = [("ana@example.pe", "Ana Ñáñez"), ("a_b%c@example.pe", ""), ("nueva@example.pe", "Zoila")]
    for seq, (email, name) in enumerate(people, start=1):
        contact = factories.contact(session, panel, email, name=name)
        session.execute(text("UPDATE delivery SET contact_id = :id WHERE seq = :seq"), {"id": contact.id, "seq": seq})
        session.execute(text("UPDATE delivery SET email = :email WHERE seq = :seq"), {"email": email, "seq": seq})
    session.execute(text("UPDATE delivery SET email = 'antes@example.pe' WHERE seq = 3"))
    session.execute(text("UPDATE delivery SET email = 'borrada@example.pe' WHERE seq = 4"))
    campaign.audience_size = 4
    session.commit()
    return campaign


def found(session, campaign, wanted: str) -> list[int]:
    return sorted(seqs_matching(session, campaign, wanted)[0])


@pytest.fixture(params=["small", "large"])
def size(request, monkeypatch):
    if request.param == "large":
        monkeypatch.setattr(recipient_search, "READ_AT_ONCE", 0)
    return request.param


@pytest.mark.parametrize(
    ("wanted", "seqs"),
    [("ana", [1]), ("ANA@", [1]), ("ana nan", [1]), ("  zoila ", [3]), ("example.pe", []), ("%", []), ("_", []),
     ("a_b%", [2]), ("'; --", []), ("nueva", [3])],
)  # fmt: skip
def test_beginning_of_address_or_name_is_found_whatever_its_signs(session, campaign, size, wanted, seqs):
    assert found(session, campaign, wanted) == seqs


def test_small_campaign_also_finds_the_addresses_as_they_were(session, campaign):
    assert (found(session, campaign, "antes"), found(session, campaign, "borrada")) == ([3], [4])


def test_people_of_another_campaign_and_another_panel_are_not_found(session, panel, other_panel, campaign, size):
    other = factories.campaign(session, panel)
    ledger.freeze(session, other, ["accepted"])
    factories.contact(session, panel, "anabel@example.pe")
    factories.contact(session, other_panel, "anatol@example.pe")
    assert found(session, campaign, "ana") == [1]
    assert found(session, other, "ana") == []


def test_a_found_one_has_to_have_the_chosen_status_too(session, campaign, size):
    seqs = [1, 4]
    for chosen, expected in (("", [1, 4]), ("bounced", [4]), ("accepted", [1]), ("clicked", [])):
        rows = session.execute(recipients.recipients(session, campaign, chosen=chosen, seqs=seqs)).all()
        assert sorted(row.Delivery.seq for row in rows) == expected


def test_more_than_are_looked_at_is_said(session, panel, campaign, size, monkeypatch):
    assert not seqs_matching(session, campaign, "ana")[1]
    monkeypatch.setattr(search, "MOST_MATCHES", 2)
    session.add_all(Contact(panel_id=panel.id, email=f"ana{n}@example.pe", domain="example.pe") for n in range(5))
    session.commit()
    assert seqs_matching(session, campaign, "ana")[1]
