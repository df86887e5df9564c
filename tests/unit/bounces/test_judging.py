"""What counts more where words and codes disagree, and the same rules for a reply at send time."""

import pytest

from app.mail.bounces import Kind, Reason, classify_message, classify_reply_text


@pytest.mark.parametrize(
    "reply, reason",
    [
        ("550 5.1.1 <rosa@example.net>: user is over quota", Reason.MAILBOX_FULL),
        ("550 5.1.1 Message rejected: blocked using zen.spamhaus.org", Reason.BLOCKED),
        ("554 5.7.1 <rosa@example.net>: Relay access denied", Reason.RELAYING_DENIED),
        ("550 5.7.1 No such user", Reason.USER_UNKNOWN),
        ("550 5.7.1 rejected by policy", Reason.POLICY),
        ("550 5.2.2 something nobody has ever read", Reason.MAILBOX_FULL),
        ("550 5.0.0 mailbox unavailable", Reason.USER_UNKNOWN),
        ("550 5.7.26 something nobody has ever read", Reason.AUTHENTICATION_FAILURE),
        ("552 5.2.3 the policy of this mailbox", Reason.MESSAGE_TOO_BIG),
        ("450 4.1.8 <x@boletin.example.gob.pe>: Sender address rejected: Domain not found", Reason.SENDER_REJECTED),
        ("550 5.1.2 Host not found, try again", Reason.NETWORK),
        ("451 4.3.0 Temporary lookup failure", Reason.NETWORK),
        ("530 5.7.0 Must issue a STARTTLS command first", Reason.TLS_REQUIRED),
        ("535 nope", Reason.AUTHENTICATION_FAILURE),
        ("521 nope", Reason.NOT_ACCEPTED),
    ],
)
def test_words_that_are_exact_outweigh_codes_that_are_not(reply: str, reason: Reason):
    assert classify_reply_text(int(reply[:3]), reply[4:])[1] == reason


def test_the_name_of_a_host_or_an_address_says_nothing():
    text = "host antispam.example.net[192.0.2.25] said: 550 5.1.1 <virus@example.net>... User unknown"
    assert classify_reply_text(550, text)[1] == Reason.USER_UNKNOWN


def test_postfix_words_for_a_suspended_queue_are_no_suspended_mailbox():
    text = "delivery temporarily suspended: connect to mx.example.net[192.0.2.25]:25: Connection refused"
    assert classify_reply_text(451, text)[1] == Reason.NETWORK


def test_accents_may_be_missing():
    assert classify_reply_text(550, "El buzon de la senora esta lleno")[1] == Reason.MAILBOX_FULL
    assert classify_reply_text(550, "El buzón de la señora está lleno")[1] == Reason.MAILBOX_FULL


def test_a_temporary_reply_is_never_hard():
    assert classify_reply_text(450, "4.1.1 User unknown") == (Kind.SOFT, Reason.USER_UNKNOWN)
    assert classify_reply_text(550, "5.1.1 User unknown") == (Kind.HARD, Reason.USER_UNKNOWN)


def test_success_is_delivered():
    assert classify_reply_text(250, "2.0.0 Ok: queued, mailbox full of joy") == (Kind.DELIVERED, Reason.DELIVERED)


def test_an_unexplained_refusal_does_not_cost_the_address():
    assert classify_reply_text(554, "no") == (Kind.SOFT, Reason.UNKNOWN)


def test_a_full_or_suspended_mailbox_is_soft_even_when_permanent():
    assert classify_reply_text(552, "5.2.2 mailbox full")[0] == Kind.SOFT
    assert classify_reply_text(550, "5.2.1 mailbox disabled")[0] == Kind.SOFT


def test_a_block_is_ours_and_not_the_recipients():
    assert classify_reply_text(554, "5.7.1 Client host [192.0.2.1] blocked using bl.example.test")[0] == Kind.BLOCKED


@pytest.mark.parametrize(
    "status, text, best",
    [("5.0.0", "550 5.1.1 unknown", "5.1.1"), ("5.1.1", "552 5.2.2 full", "5.1.1"), ("", "(#5.1.2)", "5.1.2"),
     ("5.0.0", "from 5.1.1.3", "5.0.0")],
)  # fmt: skip
def test_the_most_telling_status_is_reported(status: str, text: str, best: str):
    raw = f"""From: MAILER-DAEMON@x.test
Content-Type: multipart/report; boundary=b

--b
Content-Type: message/delivery-status

Final-Recipient: rfc822; rosa@example.net
Action: failed
Status: {status}
Diagnostic-Code: smtp; {text}
--b--
"""
    (feedback,) = classify_message(raw.encode())
    assert (feedback.status, feedback.diagnostic) == (best, text)


@pytest.mark.parametrize(
    "address", ["o'brien@example.net", "ana+lista@example.net", "ana=x@example.net", '"ana maria"@example.net']
)
def test_an_unusual_address_is_named_whole(address: str):
    """Half of an address is somebody else's."""
    report = (
        f"Content-Type: message/delivery-status\n\nFinal-Recipient: rfc822; {address}\nAction: failed\nStatus: 5.1.1\n"
    )
    words = f"From: MAILER-DAEMON@x.test\nSubject: failure notice\n\nUndeliverable:\n\n<{address}>:\nuser unknown\n"
    for raw in (report, words):
        assert [feedback.recipient for feedback in classify_message(raw.encode())] == [address]
