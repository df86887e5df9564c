"""A test send, from the request to the relay: through the real transport, once, and never to whom must not be mailed."""

import time

import pytest
from sqlalchemy import text

from app.flow import composing, previews, proofs, smtp_opening
from app.mail.tokens import TokenPurpose, read_token, token_of_message_id
from app.models import Campaign, OwnReply, Panel, Proof, ProofStatus, Suppression
from tests import factories
from tests.flow.streets import street
from tests.scripted_relay import Behaviour, ScriptedRelay
from workers.smtp import transport

AUTHOR = "autora@example.pe"


@pytest.fixture
def campaign(session, settings, panel) -> Campaign:
    factories.signed_domain(session, settings, panel)
    mailing_list = factories.mailing_list(session, panel)
    factories.contact(session, panel, "rosa@example.pe", mailing_list, name="Rosa Huamán")
    return factories.campaign(session, panel, mailing_list)


@pytest.fixture
def relay(session, panel):
    with ScriptedRelay({"no@example.pe": Behaviour(rcpt="550 5.1.1 no such user")}) as relay:
        factories.relay(session, panel, relay.port)
        yield relay


def requested(session, panel: Panel, campaign: Campaign, email: str = AUTHOR) -> Proof:
    (proof,) = previews.request_proofs(session, panel.id, campaign.id, [email])
    return proof


def test_proof_is_the_contacts_mail_to_the_authors_address(session, settings, panel, campaign, relay):
    proof = requested(session, panel, campaign)
    assert proofs.due(session) == [proof.id]
    assert proofs.send_proof(session, street(settings), proof.id) is ProofStatus.ACCEPTED
    [stored] = relay.stored
    assert stored.rcpt_to == AUTHOR
    assert b"Rosa" in stored.content
    assert proof.status is ProofStatus.ACCEPTED
    assert proofs.due(session) == []


def test_proof_is_sent_once_however_often_it_is_rung(session, settings, panel, campaign, relay):
    proof = requested(session, panel, campaign)
    own = street(settings)
    assert [proofs.send_proof(session, own, proof.id) for _ in range(3)] == [ProofStatus.ACCEPTED, None, None]
    assert len(relay.stored) == 1


@pytest.mark.parametrize("everywhere", [False, True])
def test_address_suppressed_after_the_request_gets_no_proof(session, settings, panel, campaign, relay, everywhere):
    proof = requested(session, panel, campaign)
    session.add(Suppression(panel_id=None if everywhere else panel.id, email=AUTHOR, reason="complaint"))
    session.commit()
    assert proofs.send_proof(session, street(settings), proof.id) is ProofStatus.FAILED
    assert proof.reply == f"cannot_compose:address_suppressed:{AUTHOR}"
    assert relay.connections == 0


def test_address_suppressed_in_another_panel_gets_its_proof(session, settings, panel, campaign, relay, other_panel):
    proof = requested(session, panel, campaign)
    session.add(Suppression(panel_id=other_panel.id, email=AUTHOR, reason="complaint"))
    session.commit()
    assert proofs.send_proof(session, street(settings), proof.id) is ProofStatus.ACCEPTED


def test_refusal_of_the_relay_is_quoted(session, settings, panel, campaign, relay):
    proof = requested(session, panel, campaign, "no@example.pe")
    assert proofs.send_proof(session, street(settings), proof.id) is ProofStatus.FAILED
    assert proof.reply == "550 5.1.1 no such user"


def test_connection_that_the_relay_dropped_is_a_note_of_the_platform(session, settings, panel, campaign, relay):
    relay.script = {AUTHOR: Behaviour(drop="rcpt")}
    proof = requested(session, panel, campaign)
    assert proofs.send_proof(session, street(settings), proof.id) is ProofStatus.FAILED
    assert proof.reply == OwnReply.RELAY_CLOSED


def test_mail_that_can_not_be_made_says_why(session, settings, panel, campaign, relay):
    proof = requested(session, panel, campaign)
    session.execute(text("UPDATE dkim_key SET is_active = false"))
    session.commit()
    assert proofs.send_proof(session, street(settings), proof.id) is ProofStatus.FAILED
    assert proof.reply == "cannot_compose:no_dkim_key:boletin.example.gob.pe"
    assert relay.connections == 0


def test_proof_whose_worker_is_gone_is_unknown_and_not_sent_again(session, settings, panel, campaign, relay):
    proof = requested(session, panel, campaign)
    assert proofs.claim(session, proof.id) is not None
    session.execute(text("UPDATE proof SET lease_expires_at = now() - interval '1 second'"))
    session.commit()
    assert proofs.due(session) == []
    assert session.get_one(Proof, proof.id, populate_existing=True).status is ProofStatus.UNKNOWN
    assert proofs.send_proof(session, street(settings), proof.id) is None
    assert relay.stored == []


def test_proof_ends_before_its_lease_however_long_the_relay_takes(
    session, settings, panel, campaign, relay, monkeypatch
):
    monkeypatch.setattr(proofs, "LEASE_SECONDS", proofs.CLEARANCE_SECONDS + 1)
    relay.script = {AUTHOR: Behaviour(delay_seconds=12)}
    proof = requested(session, panel, campaign)
    begun = time.monotonic()
    assert proofs.send_proof(session, street(settings), proof.id) is ProofStatus.UNKNOWN
    assert time.monotonic() - begun < 8
    assert proof.reply == "lease_ended"


def test_proof_whose_lease_is_over_before_it_is_on_the_wire_is_not_sent(
    session, settings, panel, campaign, relay, monkeypatch
):
    monkeypatch.setattr(proofs, "LEASE_SECONDS", proofs.CLEARANCE_SECONDS)
    proof = requested(session, panel, campaign)
    assert proofs.send_proof(session, street(settings), proof.id) is ProofStatus.FAILED
    assert proof.reply == "lease_ended"
    assert relay.stored == []


def test_what_a_transport_finishes_without_asking_fits_into_the_clearance():
    unasked = smtp_opening.CONNECT_SECONDS + smtp_opening.HANDSHAKE_SECONDS + transport.HEAR_OUT_SECONDS
    assert unasked + 5 < proofs.CLEARANCE_SECONDS


def test_token_of_a_proof_is_none_of_a_delivery(session, settings, panel, campaign, relay):
    proof = requested(session, panel, campaign)
    proofs.send_proof(session, street(settings), proof.id)
    key, token = composing.token_key(settings), token_of_message_id(relay.stored[0].message_id)
    assert read_token(key, token) is None
    assert read_token(key, token, purpose=TokenPurpose.PROOF) == (campaign.id, proof.id)
