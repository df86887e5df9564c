"""Whom a refusal judges: replies as providers publish or give them, and those that are about a person."""

import pytest

from app.mail.backoff import BackOff, rule_for
from app.mail.blame import is_about_us
from app.mail.replies import classify_reply
from app.mail.reply_rules import Reason

SPAMHAUS = "5.7.1 Service unavailable; client [192.0.2.1] blocked using Spamhaus"
S3140 = (
    "5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. Please contact your Internet service provider since part "
    "of their network is on our block list (S3140)."
)
BANNED = "5.7.606 Access denied, banned sending IP [192.0.2.1]. To request removal from this list please visit"
LOW = "5.7.1 [192.0.2.1] Our system has detected that this message is likely suspicious due to the very low reputation of "
BLOCKING_OUR_IP = [
    ("yahoo", 550, SPAMHAUS),
    ("zoho", 554, "IP address blocked"),
    ("zoho", 554, "5.7.1 Your IP address 192.0.2.1 is blocked"),
    ("outlook", 550, S3140),
    ("microsoft365", 550, BANNED),
    ("microsoft365", 550, BANNED.replace("606", "649")),
    ("google", 550, LOW + "the sending IP address."),
    ("apple", 554, "5.7.1 [HM08] Message rejected due to local policy."),
    ("gmx", 554, "gmx.net (mxgmx001) Nemesis ESMTP Service not available No SMTP service Bad DNS PTR resource record."),
    ("yahoo", 553, "5.7.1 [BL21] Connections will not be accepted from 192.0.2.1"),
]


@pytest.mark.parametrize("provider, code, text", BLOCKING_OUR_IP)
def test_refusal_of_our_ip_is_about_us_and_suspends_the_ip(provider, code, text):
    assert is_about_us(provider, code, text)
    rule = rule_for(provider, code, text)
    assert rule is not None and rule.action is BackOff.SUSPEND_IP


@pytest.mark.parametrize("provider, code, text", BLOCKING_OUR_IP[:3])
def test_among_all_other_hosts_it_is_about_us_too_though_nothing_is_suspended(provider, code, text):
    """They have nothing to do with each other."""
    assert is_about_us("other", code, text) and rule_for("other", code, text) is None


@pytest.mark.parametrize(
    "text", [LOW + "the sending domain.", "5.7.26 This mail is unauthenticated, which poses a security risk"]
)
def test_refusal_of_our_domain_is_about_us_and_suspends_the_provider(text):
    assert is_about_us("google", 550, text)
    rule = rule_for("google", 550, text)
    assert rule is not None and rule.action is BackOff.SUSPEND_PROVIDER


@pytest.mark.parametrize(
    "provider, code, text",
    [
        ("google", 550, "5.1.1 The email account that you tried to reach does not exist"),
        ("other", 550, "5.1.1 <ana@example.pe>: Recipient address rejected: User unknown in virtual mailbox table"),
        ("other", 554, "5.7.1 <ana@example.pe>: Relay access denied"),
        ("google", 552, "5.2.2 The email account that you tried to reach is over quota"),
        ("outlook", 550, "5.5.0 Requested action not taken: mailbox unavailable"),
        ("other", 550, "Account blocked due to inactivity"),
        (
            "yahoo",
            554,
            "30 Sorry, your message to ana@example.pe cannot be delivered. This mailbox is disabled (554.30).",
        ),
        ("other", 550, "5.7.1 Message content rejected as spam"),
        ("other", 552, "5.3.4 Message size exceeds fixed limit"),
        ("other", 550, ""),
    ],
)
def test_refusal_of_a_person_or_of_one_message_is_not(provider, code, text):
    assert not is_about_us(provider, code, text)


@pytest.mark.parametrize("text", ["", "\0", "\ud800", "ip address " * 5_000, "ip [" + "a" * 100_000])
def test_nothing_a_host_says_breaks_it(text):
    for code in (-1, 0, 250, 421, 550, 999):
        is_about_us("zoho", code, text)


def test_blocked_address_of_ours_is_no_locked_mailbox():
    assert classify_reply(554, "IP address blocked").reason is not Reason.MAILBOX_DISABLED
    assert classify_reply(550, "Account locked").reason is Reason.MAILBOX_DISABLED
