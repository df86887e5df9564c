"""48 IPs behind one real Postfix: each mail leaves by the IP that its header names, or not at all.

One Postfix serves the whole file. Each test has recipients of its own.
"""

import dataclasses
import smtplib
import time
from email import message_from_bytes

import pytest

from app.flow.relay_config.checking import differences
from app.flow.relay_config.succession import heir_of
from app.mail.dkim import assemble
from app.mail.egress_header import EGRESS_HEADER
from tests.egress_sink import wait_for
from tests.fixtures.relay import IPS, PASSWORD, USERNAME, EgressRelay, address_of, helo_of
from tests.unit.mail import samples
from tests.unit.mail.parsing import dkim_verifies

pytestmark = pytest.mark.postfix
SIGNED_AT = int(samples.SENT_AT.timestamp())


@pytest.fixture
def relay(egress_relay: EgressRelay):
    """All IPs able to send again afterwards, nothing left in the queue."""
    yield egress_relay
    egress_relay.sink.forgive()
    egress_relay.service.delete("hold", "deferred")
    if any(ip.is_quarantined for ip in egress_relay.plan.egress):
        egress_relay.quarantine()


def mail_by(address: str | None, recipient: str) -> tuple[str, bytes]:
    """A mail of the product's own making, with the header in front of its signature as the send path puts it."""
    rendered = samples.campaign().render(samples.recipient(email=recipient), samples.SENT_AT)
    signature = samples.signer().sign(rendered.headers, rendered.body, SIGNED_AT)
    content = assemble(rendered.headers, [signature], rendered.body)
    header = f"{EGRESS_HEADER}: {address}\r\n".encode() if address else b""
    return recipient, header + content


def test_each_mail_leaves_by_the_ip_that_its_header_names_and_says_its_helo(relay):
    numbers = [*range(1, IPS + 1)] * 2
    mails = [mail_by(address_of(number), f"p{turn}@example.pe") for turn, number in enumerate(numbers)]
    relay.submit(*mails)
    wait_for(lambda: all(relay.sink.to(recipient) for recipient, _ in mails), "all mails")
    for (recipient, _), number in zip(mails, numbers, strict=True):
        (mail,) = relay.sink.to(recipient)
        assert (mail.source, mail.helo) == (address_of(number), helo_of(number))


def test_header_is_gone_and_the_signature_still_verifies(relay):
    relay.submit(mail_by(address_of(5), "firma@example.pe"))
    wait_for(lambda: relay.sink.to("firma@example.pe"), "the mail")
    content = relay.sink.to("firma@example.pe")[0].content
    assert EGRESS_HEADER.lower().encode() not in content.lower()
    assert message_from_bytes(content)["Received"], "Postfix handled it"
    assert dkim_verifies(content, samples.records())


def test_retries_after_a_4xx_keep_the_ip(relay):
    recipients = {f"tarde{number}@example.pe": number for number in (7, 23, 48)}
    for recipient in recipients:
        relay.sink.refuse(recipient, times=2)
    relay.submit(*(mail_by(address_of(number), recipient) for recipient, number in recipients.items()))
    wait_for(lambda: all(relay.sink.to(recipient) for recipient in recipients), "the retries")
    for recipient, number in recipients.items():
        attempts = [one for one in relay.sink.attempts if one.rcpt_to == recipient]
        assert [one.reply[:3] for one in attempts] == ["451", "451", "250"]
        assert {(one.source, one.helo) for one in attempts} == {(address_of(number), helo_of(number))}


def test_quarantined_ip_sends_nothing_and_its_new_mail_leaves_by_its_heir(relay):
    relay.quarantine(9)
    heir = heir_of(relay.plan.egress[8], relay.plan.egress)
    mails = [mail_by(address_of(9), f"cuarentena{turn}@example.pe") for turn in range(5)]
    relay.submit(*mails)
    wait_for(lambda: all(relay.sink.to(recipient) for recipient, _ in mails), "the heir's mails")
    sources = {relay.sink.to(recipient)[0].source for recipient, _ in mails}
    assert sources == {heir.address} and heir.pool_id == 1 and heir.number != 9


def test_queue_of_a_quarantined_ip_waits_even_when_flushed_and_moves_when_requeued(relay):
    relay.sink.refuse("cola@example.pe", times=1000)
    relay.submit(mail_by(address_of(11), "cola@example.pe"))
    wait_for(lambda: attempts_of(relay, "cola@example.pe"), "the first attempt")
    relay.quarantine(11)
    time.sleep(0.5)  # A delivery on its way when Postfix is reloaded comes to its end.
    relay.sink.forgive()
    for _ in range(4):
        relay.service.flush()
        time.sleep(0.5)
    assert {one.source for one in attempts_of(relay, "cola@example.pe")} == {address_of(11)}
    assert not relay.sink.to("cola@example.pe"), "nothing leaves by a quarantined IP"
    relay.service.requeue("deferred")
    wait_for(lambda: relay.sink.to("cola@example.pe"), "the requeued mail")
    heir = heir_of(relay.plan.egress[10], relay.plan.egress)
    assert [mail.source for mail in relay.sink.to("cola@example.pe")] == [heir.address]


def attempts_of(relay: EgressRelay, recipient: str):
    return [one for one in relay.sink.attempts if one.rcpt_to == recipient]


def test_mail_of_a_pool_of_which_nobody_is_left_is_held_until_one_is_back(relay):
    pool = [ip.number for ip in relay.plan.egress if ip.pool_id == 2]
    relay.quarantine(*pool)
    relay.submit(mail_by(address_of(pool[0]), "nadie@example.pe"))
    wait_for(lambda: held(relay, "nadie@example.pe"), "the mail on hold")
    relay.service.flush()
    assert not attempts_of(relay, "nadie@example.pe")
    relay.quarantine(*pool[1:])
    relay.service.requeue("hold")
    wait_for(lambda: relay.sink.to("nadie@example.pe"), "the mail, released")
    assert relay.sink.to("nadie@example.pe")[0].source == address_of(pool[0])


@pytest.mark.parametrize(
    "value", ["192.0.2.7", "127.0.1.1 127.0.1.2", "127.0.1.10x", "127.0.11", "", "smtp-1:", "127a0b1c1"]
)
def test_unknown_ip_is_held(relay, value):
    recipient = f"desconocida{abs(hash(value))}@example.pe"
    _, content = mail_by(None, recipient)
    relay.submit((recipient, f"{EGRESS_HEADER}: {value}\r\n".encode() + content))
    wait_for(lambda: held(relay, recipient), "the mail on hold")
    assert not attempts_of(relay, recipient)


def held(relay: EgressRelay, recipient: str) -> bool:
    return any(
        one["queue_name"] == "hold" and one["recipients"][0]["address"] == recipient for one in relay.service.queue()
    )


def test_header_of_a_message_that_is_attached_chooses_nothing(relay):
    _, inner = mail_by(address_of(30), "adjunto@example.pe")
    outer = (
        f"{EGRESS_HEADER}: {address_of(31)}\r\nFrom: a@example.pe\r\nSubject: x\r\nMIME-Version: 1.0\r\n"
        "Content-Type: message/rfc822\r\n\r\n"
    ).encode()
    relay.submit(("adjunto@example.pe", outer + inner))
    wait_for(lambda: relay.sink.to("adjunto@example.pe"), "the mail")
    assert relay.sink.to("adjunto@example.pe")[0].source == address_of(31)


def test_mail_without_header_leaves_by_the_first_ip_that_may_send(relay):
    relay.submit(mail_by(None, "sin@example.pe"))
    wait_for(lambda: relay.sink.to("sin@example.pe"), "the mail")
    assert relay.sink.to("sin@example.pe")[0].source == address_of(1)
    relay.quarantine(1)
    relay.submit(mail_by(None, "sin2@example.pe"))
    wait_for(lambda: relay.sink.to("sin2@example.pe"), "the mail")
    assert relay.sink.to("sin2@example.pe")[0].source == address_of(2)


def test_who_is_neither_listed_nor_logged_in_is_refused_for_every_recipient(relay):
    with relay.client(source="127.0.2.1") as client:
        for recipient in (
            "x@example.pe",
            f"root@{relay.plan.hostname}",
            "root",
            "a%b@relay.example.pe",
            "@a,@b:c@d.pe",
        ):
            client.rset()
            client.mail("a@example.pe")
            assert client.rcpt(recipient)[0] in (501, 504, 554), recipient


def test_unencrypted_submission_is_refused_also_from_a_listed_network(relay):
    with relay.client(encrypt=False) as client:
        assert client.ehlo()[0] == 250
        assert not client.has_extn("auth")
        assert client.mail("a@example.pe")[0] == 530


def test_log_in_opens_the_way_from_anywhere_and_a_wrong_password_does_not(relay):
    with relay.client(source="127.0.2.1") as client:
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login(USERNAME, PASSWORD + "x")
        client.login(USERNAME, PASSWORD)
        recipient, content = mail_by(address_of(3), "clave@example.pe")
        client.sendmail("b-x@rebotes.boletin.example.gob.pe", recipient, content)
    wait_for(lambda: relay.sink.to("clave@example.pe"), "the mail")
    assert relay.sink.to("clave@example.pe")[0].source == address_of(3)


def test_ip_that_this_machine_does_not_have_is_deferred_and_never_replaced_by_another_one(relay):
    plan = relay.plan
    ips = tuple(dataclasses.replace(ip, address="192.0.2.40") if ip.number == 40 else ip for ip in plan.egress)
    relay.configure(dataclasses.replace(plan, egress=ips))
    try:
        relay.submit(mail_by("192.0.2.40", "ajena@example.pe"))
        wait_for(
            lambda: "ajena@example.pe" in str(relay.service.queue()) and "4.4.0" in relay.service.words(), "a defer"
        )
        assert not attempts_of(relay, "ajena@example.pe")
    finally:
        relay.configure(plan)


def test_check_of_the_running_relay_names_what_was_set_otherwise_and_nothing_else(relay):
    told = differences(relay.plan, relay.service.config_dir)
    assert {one.name for one in told} == {
        *("default_filter_nexthop", "relayhost", "minimal_backoff_time", "maximal_backoff_time", "queue_run_delay"),
        *("inet_interfaces", "inet_protocols", "maillog_file"),
    }


def test_log_names_the_service_of_each_ip_and_complains_of_nothing(relay):
    """Apart from what the tests above provoke: addresses that can't be bound, a wrong password, a wrong recipient."""
    relay.submit(mail_by(address_of(17), "bitacora@example.pe"))
    wait_for(lambda: relay.sink.to("bitacora@example.pe"), "the mail")
    wait_for(lambda: "to=<bitacora@example.pe>, relay=" in relay.service.words(), "its line in the log")
    lines = relay.service.words().splitlines()
    (line,) = [line for line in lines if "to=<bitacora@example.pe>" in line and "status=sent" in line]
    assert " postfix/smtp-17/smtp[" in line
    provoked = ("bind 192.0.2.", "authentication failed", "SASL authentication failure", "Illegal address syntax")
    odd = [line for line in lines if ("warning:" in line or "fatal:" in line or "error:" in line)]
    assert [line for line in odd if not any(words in line for words in provoked)] == []
