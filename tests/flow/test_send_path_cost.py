"""What a chunk may cost, and what writing many messages together must not change."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select, text

from app.config import Settings
from app.flow import audience, batches, composing, sending
from app.flow.rates.reserving import Grant
from app.flow.sending import MarkedDelivery
from app.flow.sessions import AnySession
from app.flow.submission import Answer, OutgoingMessage
from app.mail.dkim import DkimSigner, Header
from app.models import Batch, Campaign, CampaignStatus, Panel
from tests import factories
from tests.flow.streets import street
from tests.scripted_relay import ScriptedRelay
from workers.smtp.connection import SmtpConnection

PEOPLE = 5000


@pytest.fixture
def frozen(session: AnySession, settings: Settings, panel: Panel) -> Campaign:
    """A campaign of 40 recipients in one batch, sending."""
    factories.signed_domain(session, settings, panel)
    mailing_list = factories.mailing_list(session, panel)
    factories.contacts(session, panel, mailing_list, 40)
    campaign = factories.campaign(session, panel, mailing_list, status=CampaignStatus.PREPARING)
    assert audience.prepare(session, settings, campaign.id)
    return session.get_one(Campaign, campaign.id, populate_existing=True)


def statuses(session: AnySession) -> Counter[str]:
    return Counter(dict(session.execute(text("SELECT status::text, count(*) FROM delivery GROUP BY 1")).all()))


def test_marking_a_chunk_never_reads_a_list_or_the_suppressions_as_a_whole(
    session: AnySession, settings: Settings, panel: Panel
) -> None:
    factories.signed_domain(session, settings, panel)
    mailing_list = factories.mailing_list(session, panel)
    factories.contacts(session, panel, mailing_list, PEOPLE)
    session.execute(
        text(
            "INSERT INTO suppression (panel_id, email, reason, source) "
            "SELECT :panel, 's' || n || '@example.pe', 'manual', 'test' FROM generate_series(1, 5000) AS n"
        ),
        {"panel": panel.id},
    )
    campaign = factories.campaign(session, panel, mailing_list, status=CampaignStatus.PREPARING)
    assert audience.prepare(session, settings, campaign.id)
    session.execute(text("ANALYZE"))
    session.commit()
    batch_id = session.scalars(select(Batch.id).order_by(Batch.id)).first() or 0
    batch = batches.claim(session, batch_id, worker="test", lease_seconds=60)
    assert batch is not None
    facts = sending.marking_facts(batch, 0, Grant(250))
    plan = "\n".join(session.scalars(text(f"EXPLAIN {sending.MARK}"), facts))
    session.rollback()
    assert "Index Scan using ix_subscription_contact_id" in plan
    assert "Seq Scan on subscription" not in plan
    assert "Seq Scan on suppression" not in plan


class FailsFor:
    """A signer that breaks at one recipient, as a hardware module might."""

    def __init__(self, signer: DkimSigner, address: str) -> None:
        self._signer = signer
        self._address = address

    def sign_hashed(self, headers: Sequence[Header], body_hash_base64: str, timestamp: int) -> Header:
        if any(name == "To" and self._address in value for name, value in headers):
            raise RuntimeError("no signature")
        return self._signer.sign_hashed(headers, body_hash_base64, timestamp)


def test_message_that_cannot_be_signed_fails_alone(
    session: AnySession, settings: Settings, panel: Panel, frozen: Campaign
) -> None:
    def compose(session: AnySession, campaign_id: int) -> composing.Composition:
        composition = composing.compile_for(session, settings, frozen)
        signers = (FailsFor(composition.signers[0], "<p7@"),)
        return replace(composition, signers=signers)  # type: ignore[arg-type]  # it quacks

    with ScriptedRelay() as relay:
        factories.relay(session, panel, relay.port)
        for batch_id in session.scalars(select(Batch.id)).all():
            sending.send_batch(session, replace(street(settings), compose=compose), batch_id)
        assert {"p7@example.pe"} == {f"p{n}@example.pe" for n in range(1, 41)} - {s.rcpt_to for s in relay.stored}
    assert statuses(session) == {"accepted": 39, "failed": 1}


def test_content_travels_with_the_envelope_of_the_message_behind_it(
    session: AnySession, settings: Settings, panel: Panel, frozen: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[int] = []
    hand_over = SmtpConnection.on_writable

    def counting(self: SmtpConnection) -> None:
        writes.append(1)
        hand_over(self)

    monkeypatch.setattr(SmtpConnection, "on_writable", counting)
    with ScriptedRelay() as relay:
        factories.relay(session, panel, relay.port, connections=1)
        for batch_id in session.scalars(select(Batch.id)).all():
            sending.send_batch(session, street(settings), batch_id)
        assert len(relay.stored) == 40
    # One for each message, one for the first envelope.
    assert len(writes) <= 42


def marked(seq: int) -> MarkedDelivery:
    return MarkedDelivery(seq, f"p{seq}@example.pe", "", {}, 1, None, None)  # type: ignore[arg-type]  # not looked at


def test_large_messages_are_written_a_few_at_a_time(
    session: AnySession, settings: Settings, frozen: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen.html = "<p>" + "x " * 200_000 + "</p>"
    composition = composing.compile_for(session, settings, frozen)
    together: list[int] = []
    sealed = composing.Composition.sealed

    def noting(self: composing.Composition, drafts: Any) -> list[OutgoingMessage]:
        together.append(len(drafts))
        return sealed(self, drafts)

    monkeypatch.setattr(composing.Composition, "sealed", noting)
    failures: list[Answer] = []
    written: Iterator[OutgoingMessage] = sending.written(composition, [marked(n) for n in range(1, 6)], failures, {})
    assert [message.seq for message in written] == [1, 2, 3, 4, 5]
    assert max(together) <= 2
