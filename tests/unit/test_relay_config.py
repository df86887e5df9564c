"""The relay's configuration as text: who sends for whom, and that nothing hostile gets into a file."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.flow.relay_config.plan import RelayChoices, RelayConfigProblem, TunnelEnds, checked
from app.flow.relay_config.rendering import choices_of, choices_text, render_all, render_postfix
from app.flow.relay_config.succession import default_egress, heir_of
from app.models import RelaySecurity
from tests.fixtures.relay import IPS, address_of, egress, plan_with

TUNNEL = TunnelEnds(
    platform_address="192.0.2.10",
    relay_address="198.51.100.20",
    platform_id="plataforma.example.pe",
    relay_id="relay.example.pe",
)


def services_of(master_cf: str) -> dict[str, list[str]]:
    """`smtp-7` -> its options."""
    found: dict[str, list[str]] = {}
    for line in master_cf.splitlines():
        if line and not line.startswith(("#", " ")):
            name = line.split()[0]
            found[name] = []
        elif line.startswith("  -o "):
            found[name].append(line.removeprefix("  -o "))
    return found


HOSTILE = (
    "relay.example.pe\nmynetworks = 0.0.0.0/0",
    "relay.example.pe -o smtp_bind_address=192.0.2.1",
    "relay.example.pe\r",
    "relay.example.pe\u2028x",
    "$myhostname.example.pe",
    "{relay}.example.pe",
    "relay.example.pe#",
    "-relay.example.pe",
    "Relay.example.pe",
    "relay",
    "",
    "a" * 64 + ".example.pe",
    ("a" * 60 + ".") * 5 + "pe",
)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_helo_name_is_refused(name):
    with pytest.raises(RelayConfigProblem) as refused:
        render_postfix(plan_with(egress(1, helo_name=name)))
    assert refused.value.code == "helo_invalid"


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_name_of_the_relay_is_refused(name):
    with pytest.raises(RelayConfigProblem):
        render_postfix(plan_with(hostname=name))


@pytest.mark.parametrize(
    "address",
    ["127.0.1.1 ", "127.0.1.1\n", "127.0.1.1/24", "127.00.1.1", "fe80::1%eth0", "::", "0.0.0.0", "224.0.0.1", "x", "",  # noqa: S104
     "2001:DB8::1", "127.0.1.1$/ FILTER smtp-2:"],
)  # fmt: skip
def test_address_that_is_not_exactly_one_is_refused(address):
    with pytest.raises(RelayConfigProblem) as refused:
        render_postfix(plan_with(egress(1, address=address)))
    assert refused.value.code == "address_invalid"


CHOICES = (
    ("submitters", ("0.0.0.0/0",), "submitter_invalid"),
    ("submitters", ("10.0.0.0/7",), "submitter_invalid"),
    ("submitters", ("::/0",), "submitter_invalid"),
    ("submitters", ("10.0.0.0/8, 0.0.0.0/0",), "submitter_invalid"),
    ("listen", "10.0.0.1:25\nsmtp inet", "listen_invalid"),
    ("certificate", "/etc/ssl/a b", "path_invalid"),
    ("private_key", "relative", "path_invalid"),
    ("install_dir", "/etc/postfix\nx", "path_invalid"),
    ("tunnel", replace(TUNNEL, platform_address="x"), "tunnel_invalid"),
    ("tunnel", replace(TUNNEL, relay_address="2001:db8::1"), "tunnel_invalid"),
    ("tunnel", replace(TUNNEL, platform_id="a.pe }"), "tunnel_invalid"),
)  # fmt: skip


@pytest.mark.parametrize(("name", "value", "code"), CHOICES)
def test_choice_that_no_file_can_hold_is_refused(name, value, code):
    with pytest.raises(RelayConfigProblem) as refused:
        render_all(plan_with(choices=RelayChoices(**{name: value})))
    assert refused.value.code == code


def test_relay_that_would_take_mail_from_nobody_or_has_no_ips_is_refused():
    for plan, code in (
        (plan_with(username="", choices=RelayChoices()), "nobody_may_submit"),
        (plan_with(username="a b"), "username_invalid"),
        (plan_with(egress(1)), ""),
    ):
        if code:
            with pytest.raises(RelayConfigProblem) as refused:
                checked(plan)
            assert refused.value.code == code
        else:
            assert checked(plan) is plan


@given(st.text(max_size=60), st.text(max_size=100))
def test_no_name_of_a_pool_or_relay_adds_a_line_that_counts(pool, relay):
    harmless = render_all(plan_with(egress(1, pool_name="x"), name="x"))
    hostile = render_all(plan_with(egress(1, pool_name=pool), name=relay))
    for name, text in harmless.items():
        if not name.endswith((".json", ".md")):
            assert counting(hostile[name]) == counting(text)


def counting(text: str) -> list[str]:
    return [line for line in re.split(r"[\r\n]", text) if line.strip() and not line.lstrip().startswith("#")]


def test_every_ip_has_a_service_that_binds_to_it_and_says_its_name():
    services = services_of(render_postfix(plan_with())["master.cf"])
    for number in range(1, IPS + 1):
        options = services[f"smtp-{number}"]
        assert f"smtp_bind_address={address_of(number)}" in options
        assert f"smtp_helo_name=mx{number}.example.pe" in options
        assert "smtp_bind_address_enforce=yes" in options
        assert f"syslog_name=postfix/smtp-{number}" in options
    assert {"smtp", "relay", "local", "virtual"}.isdisjoint(services), "nothing leaves by an IP of nobody's choice"


def test_ipv6_address_binds_as_such_and_can_use_no_ipv4():
    options = services_of(render_postfix(plan_with(egress(1, address="2001:db8::7")))["master.cf"])["smtp-1"]
    assert "smtp_bind_address6=2001:db8::7" in options
    assert "smtp_bind_address=192.0.2.1" in options and "inet_protocols=ipv4" not in options


def test_heir_is_of_the_same_pool_and_the_same_one_every_time():
    ips = [egress(number, is_quarantined=number in (3, 4, 41)) for number in range(1, IPS + 1)]
    heirs = [heir_of(ips[number - 1], ips) for number in (3, 4, 41)]
    assert heirs == [heir_of(ips[number - 1], list(reversed(ips))) for number in (3, 4, 41)]
    assert [heir.pool_id for heir in heirs] == [1, 1, 2]
    assert not any(heir.is_quarantined for heir in heirs)


def test_warm_ip_of_the_same_family_inherits_before_others():
    sick = egress(1, is_quarantined=True)
    others = [egress(2, is_warming=True), egress(3, address="2001:db8::3"), egress(4), egress(5, is_warming=True)]
    assert heir_of(sick, [sick, *others]).number == 4
    assert heir_of(sick, [sick, *others[:2]]).number == 2
    assert heir_of(sick, [sick]) is None


def test_one_more_quarantine_moves_no_other_ips_mail_but_that_of_its_own_heirs():
    ips = [egress(number, is_quarantined=number <= 5) for number in range(1, 41)]
    before = {ip.number: heir_of(ip, ips).number for ip in ips[:5]}
    gone = before[1]
    after = [egress(ip.number, is_quarantined=ip.is_quarantined or ip.number == gone) for ip in ips]
    assert {n: heir_of(after[n - 1], after).number for n, heir in before.items() if heir != gone} == {
        n: heir for n, heir in before.items() if heir != gone
    }
    assert len(set(before.values())) > 1, "several quarantined IPs don't fall upon one"


def test_with_every_ip_quarantined_nothing_leaves_by_any():
    texts = render_postfix(plan_with(*(egress(number, is_quarantined=True) for number in (1, 2))))
    assert "FILTER" not in texts["egress_header_checks"]
    assert "default_transport = retry:4.3.2" in texts["main.cf"]
    assert "defer_transports = smtp-1 smtp-2" in texts["main.cf"]


def test_default_is_the_first_warm_ip_that_may_send():
    ips = [egress(1, is_quarantined=True), egress(2, is_warming=True), egress(3), egress(4)]
    assert default_egress(ips).number == 3
    assert default_egress(ips[:2]).number == 2
    assert default_egress(ips[:1]) is None


@pytest.mark.parametrize(
    ("security", "expected"),
    [
        (RelaySecurity.STARTTLS, "smtpd_tls_security_level = encrypt"),
        (RelaySecurity.TLS, "smtpd_tls_security_level = encrypt"),
        (RelaySecurity.NONE, "smtpd_tls_security_level = none"),
    ],
)
def test_submission_is_as_the_platform_is_set_up_to_submit(security, expected):
    texts = render_postfix(plan_with(security=security))
    assert expected in texts["main.cf"]
    assert ("smtpd_tls_wrappermode=yes" in texts["master.cf"]) == (security is RelaySecurity.TLS)


def test_recipient_limit_of_one_is_never_set():
    """It would switch Postfix' limits per domain off."""
    assert not re.search(r"recipient_limit = 1$", render_postfix(plan_with())["main.cf"], re.MULTILINE)


def test_choices_come_back_out_of_the_file_they_were_written_to():
    choices = RelayChoices(submitters=("192.0.2.0/24", "2001:db8::/48"), listen="192.0.2.9", tunnel=TUNNEL)
    assert choices_of(choices_text(plan_with(choices=choices))) == choices


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"made_by": "x", "choices": {}}', '{"choices": 7}'])
def test_file_of_somebody_else_is_no_choice_of_ours(text):
    assert choices_of(text) is None


def test_tunnel_carries_the_submission_port_only_and_both_ends_agree():
    texts = render_all(plan_with(choices=RelayChoices(tunnel=TUNNEL)))
    platform, relay = (texts[f"ipsec/{side}/chaski-relay.conf"] for side in ("platform", "relay"))
    assert "local_ts = 192.0.2.10/32[tcp]" in platform and "remote_ts = 198.51.100.20/32[tcp/587]" in platform
    assert "local_ts = 198.51.100.20/32[tcp/587]" in relay and "remote_ts = 192.0.2.10/32[tcp]" in relay
    assert "0.0.0.0/0" not in platform + relay
    for text in (platform, relay):
        assert text.count("{") == text.count("}") and "version = 2" in text
    proposals = [re.findall(r"proposals = (.*)", text) for text in (platform, relay)]
    assert proposals[0] == proposals[1]


def test_secret_of_the_tunnel_is_read_from_a_file_of_its_own():
    ends = TunnelEnds(
        platform_address="192.0.2.1",
        relay_address="192.0.2.2",
        platform_id="192.0.2.1",
        relay_id="192.0.2.2",
        uses_psk=True,
    )
    text = render_all(plan_with(choices=RelayChoices(tunnel=ends)))["ipsec/relay/chaski-relay.conf"]
    assert "auth = psk" in text and "include chaski-relay.secret" in text
    assert not re.search(r"^\s*secret\s*=", text, re.MULTILINE)


def test_instructions_name_every_ip_and_what_to_do_on_quarantine():
    text = render_all(plan_with())["README.md"]
    for number in range(1, IPS + 1):
        assert f"| {address_of(number)} | mx{number}.example.pe |" in text
        assert f"ip4:{address_of(number)} " in text
    assert "postsuper -r ALL deferred" in text and "saslpasswd2" in text
