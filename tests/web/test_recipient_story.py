"""What happened to one recipient: in the order in which it can only have happened, to the second, to the next try."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from app.flow import composing, practice, recipients
from app.flow.recipients import Moment, in_order
from app.mail.tokens import make_token, message_id
from app.models import Attempt, CampaignStatus, Event, EventKind, Panel, PracticeMessage, RelayOutcome
from app.models.partitions import ensure_partitions
from tests import factories, ledger
from tests.web.test_campaigns import BASE, domain, draft, manager, no_csrf, people

__all__ = ["domain", "draft", "manager", "no_csrf", "people"]
AT = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)


def attempt(session, delivery, number, at, outcome, reply):
    session.add(
        Attempt(
            frozen_on=delivery.frozen_on, campaign_id=delivery.campaign_id, seq=delivery.seq, attempt=number, at=at,
            outcome=outcome, stage="body", reply_code=None, reply_text=reply,
        )
    )  # fmt: skip
    session.commit()


def told(page, *sentences):
    """Where each sentence stands in the story."""
    story = page[page.index("timeline-list") :]
    return [story.index(sentence) for sentence in sentences]


def test_within_one_second_an_open_follows_the_try_and_a_click_the_open():
    moments = [
        Moment(AT, "unsubscribe"),
        Moment(AT + timedelta(milliseconds=1), "click"),
        Moment(AT + timedelta(milliseconds=2), "open"),
        Moment(AT + timedelta(milliseconds=900), "try", "deferred"),
        Moment(AT + timedelta(milliseconds=800), "try", "accepted"),
        Moment(AT - timedelta(seconds=1), "try", "deferred"),
    ]
    kinds = [(moment.kind, moment.what) for moment in sorted(moments, key=in_order)]
    assert kinds == [
        ("try", "deferred"), ("try", "deferred"), ("try", "accepted"), ("open", ""), ("click", ""), ("unsubscribe", "")
    ]  # fmt: skip


def test_what_was_settled_with_the_relay_stands_behind_the_try_that_was_lost(session, manager, draft):
    (delivery,) = ledger.freeze(
        session, draft, ["accepted"], attempts=1, last_attempt_at=AT, reply_code=250, reply_text="found_at_relay:P7"
    )
    attempt(session, delivery, 1, AT + timedelta(seconds=30), "unknown", "relay_closed")
    draft.started_at = AT
    ensure_partitions(session.connection(), AT.date())
    opened_at = AT + timedelta(seconds=30)
    session.add(
        Event(
            occurred_at=opened_at, source_id="1", panel_id=draft.panel_id, campaign_id=draft.id, seq=1, kind=EventKind.OPEN
        )
    )  # fmt: skip
    session.commit()
    page = manager.get(f"{BASE}/{draft.id}/recipients/1").text
    order = told(page, "El relay cerró la conexión", "con el número P7", "Abrió el correo")
    assert order == sorted(order)
    assert re.search(r"\d\d:\d\d:\d\d</time>", page), "seconds are shown"


def test_deferred_says_when_it_is_tried_again(session, manager, draft):
    later = datetime.now(UTC) + timedelta(minutes=30)
    (delivery,) = ledger.freeze(session, draft, ["deferred"], attempts=1, last_attempt_at=AT, next_attempt_at=later)
    url = f"{BASE}/{draft.id}/recipients/1"
    assert re.search(r"Se reintenta solo el .*\d\d:\d\d:\d\d \(dentro de 30 minutos\)", manager.get(url).text)
    delivery.next_attempt_at = AT
    session.commit()
    assert "Se reintenta en cuanto le llegue el turno." in manager.get(url).text
    draft.status = CampaignStatus.PAUSED
    session.commit()
    assert "Se reintentará cuando la campaña se reanude." in manager.get(url).text


@pytest.mark.parametrize("status", ["accepted", "bounced", "planned"])
def test_what_is_not_deferred_is_not_said_to_be_tried_again(session, manager, draft, status):
    ledger.freeze(session, draft, [status])
    assert "next-try" not in manager.get(f"{BASE}/{draft.id}/recipients/1").text


@pytest.mark.parametrize(
    ("relay_id", "owner", "is_linked"), [(0, "mine", True), (7, "mine", False), (0, "theirs", False)]
)
def test_story_leads_to_the_message_in_the_practice_mailbox(
    session, settings, manager, panel, other_panel, draft, relay_id, owner, is_linked
):
    ledger.freeze(session, draft, ["accepted"], relay_id=relay_id)
    token = make_token(composing.token_key(settings), draft.id, 1)
    message = PracticeMessage(
        panel_id=panel.id if owner == "mine" else other_panel.id, mail_from="a@example.pe", rcpt_to="persona1@example.pe",
        message_id=message_id(token, "boletin.example.gob.pe"), size_bytes=1, raw=b"x", received_at=AT,
    )  # fmt: skip
    session.add(message)
    session.commit()
    page = manager.get(f"{BASE}/{draft.id}/recipients/1").text
    assert (f'href="/p/empleo/practice/{message.id}"' in page) is is_linked


def test_message_that_was_caught_twice_is_the_same_one_everywhere(session, settings, panel, draft):
    ledger.freeze(session, draft, ["accepted"], relay_id=0)
    wanted = message_id(make_token(composing.token_key(settings), draft.id, 1), "boletin.example.gob.pe")
    messages = [
        PracticeMessage(
            panel_id=panel.id, mail_from="a@example.pe", rcpt_to="persona1@example.pe",
            message_id=wanted, size_bytes=1, raw=b"x", received_at=AT,
        )
        for _ in range(2)
    ]  # fmt: skip
    session.add_all(messages)
    session.commit()
    delivery = recipients.recipient(session, draft, 1).delivery
    found = recipients.captured_message(session, settings, draft, delivery)
    assert practice.known_message_ids(session, panel.id, [wanted]) == {wanted: practice.queue_id(found)}


# The report says the commonest reasons of all of them.


def test_report_gathers_refusals_that_differ_by_the_address_only(session, manager, draft):
    deliveries = ledger.freeze(session, draft, ["bounced"] * 3 + ["failed", "accepted", "deferred"], reply_code=550)
    for delivery in deliveries:
        delivery.reply_text = f"5.1.1 <{delivery.email}>: unknown <b>user</b>"
    deliveries[3].reply_code, deliveries[3].reply_text = None, "not_rendered:no"
    session.commit()
    page = manager.get(f"{BASE}/{draft.id}/report?whole=1").text
    table = re.findall(r"<tr><td class=\"break\">(.*?)</td><td>(\w+)</td><td class=\"figure\">(\d+)</td>", page)
    assert table == [
        ("550 5.1.1 …: unknown &lt;b&gt;user&lt;/b&gt;", "Rebotado", "3"),
        ("El mensaje de esta persona no se pudo armar (no).", "Fallido", "1"),
    ]
    assert "persona1@" not in page


def test_report_says_from_whom_to_whom_and_when(session, manager, draft):
    ledger.freeze(session, draft, ["accepted"], status=CampaignStatus.FINISHED)
    draft.started_at, draft.finished_at = AT, AT + timedelta(minutes=10)
    session.commit()
    page = manager.get(f"{BASE}/{draft.id}/report").text
    for expected in ("Bolsa de empleo &lt;noticias@boletin.example.gob.pe&gt;", "Feria laboral", "(duró 10 minutos)"):
        assert expected in page
    assert "Por qué se rechazaron" not in manager.get(f"{BASE}/{draft.id}/report/detail").text
    draft.finished_at = None
    session.commit()
    assert "Todavía no termina" in manager.get(f"{BASE}/{draft.id}/report").text


def test_what_the_relay_did_afterwards_is_told_with_host_ip_delay_and_reply(session, manager, draft):
    deliveries = ledger.freeze(session, draft, ["delivered", "bounced"], attempts=1, last_attempt_at=AT, reply_code=250)
    relay = factories.relay(session, session.get_one(Panel, draft.panel_id), 25873)
    ip = factories.egress_ip(session, factories.egress_pool(session, relay), "192.0.2.44")
    lines = [
        (deliveries[0], "queued", 1, ""),
        (deliveries[0], "deferred", 2, "451 4.7.1 greylisted <b>"),
        (deliveries[0], "sent", 3, "250 2.0.0 taken"),
        (deliveries[1], "bounced", 2, "550 5.1.1 nobody"),
    ]
    for delivery, status, second, reply in lines:
        session.add(
            RelayOutcome(
                frozen_on=delivery.frozen_on, campaign_id=delivery.campaign_id, seq=delivery.seq, status=status,
                at=AT + timedelta(seconds=second), queue_id="4dDcHs3Vqlz9tGx", reply=reply, delay_ms=1250,
                remote_host="mx.example.pe", remote_address="192.0.2.7", egress_ip_id=ip.id,
            )
        )  # fmt: skip
    session.commit()
    page = manager.get(f"{BASE}/{draft.id}/recipients/1").text
    order = told(page, "Aceptado", "lo aplazó", "451 4.7.1 greylisted &lt;b&gt;", "lo recibió", "250 2.0.0 taken")
    assert order == sorted(order)
    assert page.count("mx.example.pe [192.0.2.7]") == 2, "that it was queued is no news"
    assert "Salió por 192.0.2.44" in page and "1.25 s" in page
    refused = manager.get(f"{BASE}/{draft.id}/recipients/2").text
    told(refused, "Aceptado", "lo rechazó", "550 5.1.1 nobody")
    assert "1 entregado al servidor" in manager.get(f"{BASE}/{draft.id}/live").text
