import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mail.replies import MAX_TEXT, Outcome, RelayTrouble, Stage, Verdict, classify_reply
from app.mail.reply_rules import BY_WORDS, Reason

ACCEPTED, DEFERRED, BOUNCED, FAILED = Verdict.ACCEPTED, Verdict.DEFERRED, Verdict.BOUNCED, Verdict.FAILED

CONNECT, EHLO, AUTH, MAIL, RCPT, DATA, BODY = Stage

# Replies about the recipient or the message, as Postfix, Exchange and large providers word them.
JUDGES_RECIPIENT = [
    (250, "2.0.0 Ok: queued as 4XyZ", BODY, ACCEPTED, Reason.ACCEPTED),
    (250, "2.1.5 Ok", RCPT, ACCEPTED, Reason.ACCEPTED),
    (251, "User not local; will forward", RCPT, ACCEPTED, Reason.ACCEPTED),
    (354, "End data with <CR><LF>.<CR><LF>", DATA, ACCEPTED, Reason.ACCEPTED),
    (451, "4.7.1 Greylisting in action, please come back later", RCPT, DEFERRED, Reason.GREYLISTED),
    (450, "4.2.0 <a@example.pe>: Recipient address rejected: Greylisted", RCPT, DEFERRED, Reason.GREYLISTED),
    (452, "4.2.2 The account that you tried to reach is over quota", RCPT, DEFERRED, Reason.MAILBOX_FULL),
    (450, "4.1.1 <a@example.pe>: unverified address", RCPT, DEFERRED, Reason.MAILBOX_UNKNOWN),
    (451, "4.4.3 temporary lookup failure", RCPT, DEFERRED, Reason.ROUTING),
    (450, "Requested mail action not taken", RCPT, DEFERRED, Reason.OTHER),
    (421, "4.7.28 unusual rate of mail", RCPT, DEFERRED, Reason.RELAY_CLOSING),
    (450, "4.7.28 unusual rate of unsolicited mail", BODY, DEFERRED, Reason.RATE_LIMITED),
    (451, "Too many messages, slow down", RCPT, DEFERRED, Reason.RATE_LIMITED),
    (550, "5.1.1 <a@example.pe>: Recipient rejected: User unknown", RCPT, BOUNCED, Reason.MAILBOX_UNKNOWN),
    (550, "No such user here", RCPT, BOUNCED, Reason.MAILBOX_UNKNOWN),
    (550, "Requested action not taken: mailbox unavailable", RCPT, BOUNCED, Reason.MAILBOX_UNKNOWN),
    (550, "5.1.10 RESOLVER.ADR.RecipientNotFound", RCPT, BOUNCED, Reason.DOMAIN_UNKNOWN),
    (550, "5.2.1 The account that you tried to reach is disabled", RCPT, BOUNCED, Reason.MAILBOX_DISABLED),
    (552, "5.2.2 mailbox full", RCPT, BOUNCED, Reason.MAILBOX_FULL),
    (552, "Quota exceeded", RCPT, BOUNCED, Reason.MAILBOX_FULL),
    (556, "5.1.10 recipient domain has a null MX", RCPT, BOUNCED, Reason.DOMAIN_UNKNOWN),
    (550, "5.7.1 this message is likely spam", BODY, BOUNCED, Reason.SPAM_CONTENT),
    (554, "5.7.1 Message contains a virus", BODY, BOUNCED, Reason.SPAM_CONTENT),
    (550, "5.7.26 unauthenticated sender, DMARC policy", BODY, BOUNCED, Reason.SENDER_AUTHENTICATION),
    (554, "5.7.1 listed at zen.spamhaus.org", RCPT, BOUNCED, Reason.BLOCKLISTED),
    (550, "5.7.1 rejected by local policy", RCPT, BOUNCED, Reason.POLICY),
    (550, "", RCPT, BOUNCED, Reason.OTHER),
    (554, "Transaction failed", BODY, BOUNCED, Reason.OTHER),
    # Our own fault, found in the message itself: nobody else's mail would pass either, yet the relay is well.
    (552, "5.3.4 Message size exceeds fixed limit", MAIL, FAILED, Reason.MESSAGE_TOO_BIG),
    (552, "5.3.4 Error: message file too big", BODY, FAILED, Reason.MESSAGE_TOO_BIG),
    (554, "5.6.0 Message is not RFC 5322 compliant", BODY, FAILED, Reason.MESSAGE_REFUSED),
]  # fmt: skip

# Replies about the relay, or about us in its eyes.
JUDGES_RELAY = [
    (421, "4.3.2 Service shutting down", CONNECT, DEFERRED, Reason.RELAY_CLOSING),
    (421, "closing", BODY, DEFERRED, Reason.RELAY_CLOSING),
    (454, "4.7.0 TLS not available due to local problem", EHLO, DEFERRED, Reason.RELAY_LOGIN),
    (530, "5.7.0 Must issue a STARTTLS command first", MAIL, FAILED, Reason.RELAY_LOGIN),
    (530, "5.7.0 Authentication required", RCPT, FAILED, Reason.RELAY_LOGIN),
    (535, "5.7.8 Error: authentication failed", AUTH, FAILED, Reason.RELAY_LOGIN),
    (535, "anything", AUTH, FAILED, Reason.RELAY_LOGIN),
    (454, "4.7.0 Temporary authentication failure", AUTH, DEFERRED, Reason.RELAY_LOGIN),
    (550, "5.7.1 Sender address rejected: not owned by user", MAIL, FAILED, Reason.SENDER_REFUSED),
    (553, "5.1.8 Sender address rejected: Domain not found", MAIL, FAILED, Reason.SENDER_REFUSED),
    (553, "5.1.8 Sender address rejected: Domain not found", RCPT, FAILED, Reason.SENDER_REFUSED),
    (554, "5.7.1 <a@example.pe>: Relay access denied", RCPT, FAILED, Reason.RELAY_DENIED),
    (550, "5.7.54 SMTP; Unable to relay recipient", RCPT, FAILED, Reason.RELAY_DENIED),
    (554, "5.7.1 Client host [192.0.2.1] blocked using bl.pe", RCPT, FAILED, Reason.BLOCKLISTED),
    (452, "4.3.1 Insufficient system storage", MAIL, DEFERRED, Reason.RELAY_BUSY),
    (452, "4.3.1 Insufficient system storage", RCPT, DEFERRED, Reason.RELAY_BUSY),
    (451, "4.3.0 queue file write error", BODY, DEFERRED, Reason.RELAY_BUSY),
    (503, "5.5.1 Error: need MAIL command", RCPT, FAILED, Reason.PROTOCOL),
    (502, "Error: command not recognized", DATA, FAILED, Reason.PROTOCOL),
    (554, "No SMTP service here", CONNECT, FAILED, Reason.OTHER),
    (354, "go ahead", RCPT, DEFERRED, Reason.PROTOCOL),
    (0, "", RCPT, DEFERRED, Reason.PROTOCOL),
    (999, "?", BODY, DEFERRED, Reason.PROTOCOL),
]  # fmt: skip


def summary(code: int, text: str, stage: Stage) -> tuple[type, Verdict, Reason]:
    outcome = classify_reply(code, text, stage)
    return type(outcome), outcome.verdict, outcome.reason


@pytest.mark.parametrize("code, text, stage, verdict, reason", JUDGES_RECIPIENT)
def test_reply_that_judges_the_recipient(code: int, text: str, stage: Stage, verdict: Verdict, reason: Reason):
    kind = RelayTrouble if code == 421 else Outcome
    assert summary(code, text, stage) == (kind, verdict, reason)


@pytest.mark.parametrize("code, text, stage, verdict, reason", JUDGES_RELAY)
def test_reply_that_judges_the_relay(code: int, text: str, stage: Stage, verdict: Verdict, reason: Reason):
    assert summary(code, text, stage) == (RelayTrouble, verdict, reason)


@pytest.mark.parametrize(
    "code, text, enhanced",
    [
        (550, "5.1.1 User unknown", "5.1.1"),
        (550, "#5.1.1 User unknown", "5.1.1"),
        (550, "5.1.10 x", "5.1.10"),
        (550, "4.1.1 class of another reply", ""),
        (550, "5.1.1.7 is an address", ""),
        (550, "User unknown 5.1.1", ""),
        (250, "2.0.0 Ok", "2.0.0"),
        (550, "5.1", ""),
    ],
)
def test_enhanced_code_is_taken_from_the_start_of_the_text(code: int, text: str, enhanced: str):
    assert classify_reply(code, text).enhanced == enhanced


def test_text_is_fit_to_be_stored_and_shown():
    outcome = classify_reply(550, "5.1.1 a\r\n5.1.1 b\x00\ud800" + "x" * 10_000)
    assert outcome.text.startswith("5.1.1 a 5.1.1 b xxx")
    assert len(outcome.text) == MAX_TEXT
    assert outcome.text.encode("utf-8").isascii()


@given(st.integers(-10, 1200), st.text(max_size=200), st.sampled_from(Stage))
def test_any_reply_has_a_verdict_that_agrees_with_its_class(code: int, text: str, stage: Stage):
    verdict = classify_reply(code, text, stage).verdict
    if 200 <= code <= 299:
        assert verdict is ACCEPTED
    elif 400 <= code <= 499:
        assert verdict is DEFERRED
    elif 500 <= code <= 599:
        assert verdict in (BOUNCED, FAILED)
    else:
        assert verdict in (ACCEPTED, DEFERRED)


@given(
    st.integers(500, 599),
    st.text(max_size=100),
    st.sampled_from([Stage.CONNECT, Stage.EHLO, Stage.AUTH, Stage.MAIL_FROM]),
)
def test_refusal_before_the_recipient_is_named_never_bounces_anybody(code: int, text: str, stage: Stage):
    assert classify_reply(code, text, stage).verdict is FAILED


def test_every_reason_by_words_is_named_once():
    reasons = [reason for reason, _ in BY_WORDS]
    assert len(reasons) == len(set(reasons))


def test_hostile_text_is_classified_quickly():
    for text in ("mailbox " * 60, "message" + "size" * 120, "client host " * 40, "user" * 120):
        for _ in range(200):
            classify_reply(550, text * 10)
