"""Which replies ask an IP to hold back; and how a hold recovers."""

from datetime import timedelta

import pytest

from app.mail.backoff import BackOff, recovery, rule_for, rules, rules_by_key, without_addresses

GOOGLE_IP = (
    "4.7.28 [192.0.2.1      15] Our system has detected an unusual rate of\n4.7.28 unsolicited mail originating from your"
    " IP\n4.7.28 address. To protect our users from spam, mail has been temporarily\n4.7.28 rate limited. - gsmtp"
)
TSS04 = (
    "4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints - 4.16.55.1"
)


@pytest.mark.parametrize(
    ("provider", "code", "text", "key"),
    [
        ("google", 421, GOOGLE_IP, "google_ip_rate"),
        ("google", 550, GOOGLE_IP.replace("4.7.28", "5.7.28"), "google_ip_rate"),
        ("google", 421, "4.7.28 unusual rate of mail from your\n4.7.28 SPF domain [example.gob.pe]", "google_domain_rate"),
        ("google", 421, "4.7.26 This mail has been rate limited because it is unauthenticated.", "google_unauthenticated"),
        ("google", 421, "4.7.32 rate limited because the From: header isn't aligned", "google_unauthenticated"),
        ("google", 421, "4.7.23 The IP address sending this message does not have a PTR record", "google_no_reverse_name"),
        ("google", 421, "4.7.0 [192.0.2.1] Our system has detected an unusual rate of unsolicited mail", "google_ip_suspicious"),
        ("google", 421, "4.7.0 Try again later, closing connection. (EHLO) - gsmtp", "google_slow_down"),
        ("yahoo", 421, TSS04, "yahoo_tss04"),
        ("yahoo", 421, TSS04.replace("TSS04", "TSS05"), "yahoo_tss05"),
        ("yahoo", 421, "4.7.1 [TS03] All messages from 192.0.2.1 will be permanently deferred", "yahoo_deferred_for_good"),
        ("yahoo", 451, "Resources temporarily not available - Please try again later [#4.16.5]", "yahoo_busy"),
        ("yahoo", 553, "5.7.1 [BL21] Connections will not be accepted from 192.0.2.1", "yahoo_blocked"),
        ("outlook", 451, "4.7.650 [192.0.2.1] has been temporarily rate limited due to IP reputation. (S775)", "outlook_ip_rate"),
        ("outlook", 451, "4.7.651 The mail server [192.0.2.1] has been temporarily rate limited (S3114)", "outlook_ip_rate"),
        ("outlook", 421, "4.7.652 [192.0.2.1] has exceeded the maximum number of connections. (S3115)", "outlook_connections"),
        ("outlook", 421, "RP-001 The mail server IP has exceeded the rate limit allowed", "outlook_rp"),
        ("outlook", 550, "5.7.1 Messages weren't sent: part of their network is on our block list (S3150).", "microsoft_blocked"),
        ("microsoft365", 550, "5.7.606 Access denied, banned sending IP [192.0.2.1]. To request removal", "microsoft_blocked"),
        ("microsoft365", 451, "4.7.500 Server busy. Please try again later. (AS77712344)", "microsoft_server_busy"),
        ("microsoft365", 451, "4.7.550 Access denied, please try again later", "microsoft_access_denied"),
        ("outlook", 550, "5.7.515 example.gob.pe doesn't meet the authentication level", "microsoft_unauthenticated"),
        ("apple", 421, "4.7.1 Messages to persona@example.pe deferred due to excessive volume. Try again later", "apple_volume"),
        ("apple", 554, "5.7.1 [CS01] Message rejected due to local policy.", "apple_policy"),
        ("gmx", 554, "gmx.test ESMTP Service not available\nNo SMTP service\nIP address is block listed.", "gmx_no_service"),
        ("gmx", 421, "Reject due to policy restrictions.", "gmx_policy"),
        ("comcast", 421, "4.1.0 192.0.2.1 Throttled - try again later. RL000001", "comcast_throttled"),
        ("orange_fr", 421, "mwinf5c Service refused. Too many connections, slow down. OFR004_104 [104]", "too_many_connections"),
        ("rackspace", 451, "4.7.1 Received too many messages from a new or untrusted IP (G28)", "rate_limited"),
        ("zoho", 554, "5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.test", "blocklisted"),
        ("other", 450, "4.7.1 Error: too much mail from 192.0.2.1", "other_rate"),
    ],
)  # fmt: skip
def test_provider_s_words_find_their_rule(provider, code, text, key):
    rule = rule_for(provider, code, text)
    assert rule is not None and rule.key == key


@pytest.mark.parametrize(
    ("provider", "code", "text"),
    [
        ("gmx", 451, "4.7.1 Greylisting in action, please come back in 5 minutes; try again later"),
        ("apple", 450, "4.2.0 <persona@example.pe>: Recipient address rejected: Greylisted, see rate limit"),
        ("mimecast", 451, "Internal resources are temporarily unavailable"),
        ("google", 452, "4.2.2 The recipient's inbox is out of storage space and over quota."),
        ("outlook", 552, "5.2.2 mailbox full"),
        ("yahoo", 452, "mailbox is over quota, slow down"),
        ("google", 450, "4.2.1 The user you are trying to contact is receiving mail at a rate limit"),
        ("comcast", 421, "4.7.0 too many messages in this connection"),
        ("zoho", 452, "4.5.3 too many recipients, rate limit"),
        ("yahoo", 550, "5.1.1 no such user"),
        ("google", 550, "5.7.1 message rejected"),
        ("google", 451, "4.3.0 Mail server temporarily rejected message."),
        ("other", 421, TSS04),
        ("other", 554, "5.7.1 Client host [192.0.2.1] blocked using zen.spamhaus.test"),
        ("google", 250, GOOGLE_IP),
        ("google", 0, GOOGLE_IP),
        ("nobody-we-know", 451, "4.3.0 try again later"),
    ],
)
def test_what_is_not_about_us_holds_nothing_back(provider, code, text):
    assert rule_for(provider, code, text) is None


def test_words_count_within_a_log_line_of_the_relay():
    line = f"host mx.test[192.0.2.9] said: 421-{GOOGLE_IP.splitlines()[0]} originating from your ip (in reply to DATA)"
    assert rule_for("google", 421, line).key == "google_ip_rate"


def test_an_ip_address_is_no_enhanced_code():
    assert rule_for("google", 421, "[4.7.28.9] busy, originating from your ip") is None


@pytest.mark.parametrize(
    "text", ["", "\0", "4.7.28", "a" * 1_000_000, "too many " * 100_000, "\ud800 4.7.28", "client host " * 200]
)
def test_nothing_a_host_says_breaks_the_rules(text):
    for code in (-1, 0, 421, 554, 999):
        for provider in ("google", "zoho", "other"):
            rule_for(provider, code, text)


def test_kept_reply_names_no_recipient():
    kept = without_addresses(
        "450 4.2.1 <ana.quispe@example.pe>: wait\r\nto=ñandú@example.pe\x00 " + "x" * 600, longest=500
    )
    assert "ana" not in kept and "ñandú" not in kept and "example.pe" not in kept
    assert kept.startswith("450 4.2.1 <…@…>: wait") and len(kept) == 500


def test_rules_are_fit_to_act_on():
    assert len(rules()) > 30
    for rule in rules():
        assert rule.source and rule.codes
        if rule.action is BackOff.SLOW:
            assert recovery().slowest_factor <= rule.factor < 1 and rule.minutes > 0
        if rule.suspends:
            assert 0 < rule.minutes <= rule.most_minutes
        if rule.action is not BackOff.NONE:
            assert rule.at_least >= 2, f"{rule.key}: one odd reply must not stop an IP"
    assert not any(rule.suspends for rule in rules() if "other" in rule.providers)
    assert len(rules_by_key()) == len(rules())


def test_recovery_doubles_until_it_is_whole():
    way, step = recovery(), recovery().step
    after = [way.factor_after(way.restart_factor, n * step) for n in range(7)]
    assert after == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0] and way.steps_from(0.05) == 5
    assert way.factor_after(0.05, step - timedelta(seconds=1)) == 0.05
    assert way.steps_from(0.5) == 1 and way.steps_from(1.0) == 0
