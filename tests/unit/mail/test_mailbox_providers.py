"""Which provider a domain's MX belong to; whatever only looks like one does not."""

import time
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

from app.mail import mailbox_providers
from app.mail.mailbox_providers import OTHER, provider_of_domain, provider_of_mx, providers, read_providers

TABLE = tomllib.loads(Path(mailbox_providers.__file__).with_suffix(".toml").read_text())


@pytest.mark.parametrize(
    "hosts, key",
    [
        (["gmail-smtp-in.l.google.com", "alt1.gmail-smtp-in.l.google.com"], "google"),
        (["aspmx.l.google.com"], "google"),
        (["ASPMX2.GoogleMail.com."], "google"),
        (["smtp.google.com"], "google"),
        (["hotmail-com.olc.protection.outlook.com"], "outlook"),
        (["example-gob-pe.mail.protection.outlook.com"], "microsoft365"),
        (["example-gob-pe.p-v1.mx.microsoft"], "microsoft365"),
        (["mta5.am0.yahoodns.net"], "yahoo"),
        (["mx01.mail.icloud.com"], "apple"),
        (["mx.zoho.com"], "zoho"),
        (["mail.protonmail.ch"], "proton"),
        (["mx00.gmx.net"], "gmx"),
        (["mx.yandex.net"], "yandex"),
        (["mxs.mail.ru"], "mail_ru"),
        (["us-smtp-inbound-1.mimecast.com"], "mimecast"),
        (["mxa-00000000.gslb.pphosted.com"], "proofpoint"),
        (["d000000a.ess.barracudanetworks.com"], "barracuda"),
        (["mx1.hc0000-00.iphmx.com"], "cisco"),
        (["smtp.secureserver.net"], "godaddy"),
        (["mx1.emailsrvr.com"], "rackspace"),
        (["in1-smtp.messagingengine.com"], "fastmail"),
        (["inbound-smtp.us-east-1.amazonaws.com"], "amazon"),
        (["mx1.mail.ovh.net"], "ovh"),
        (["mx1.titan.email"], "titan"),
        (["mx.core.locaweb.com.br"], "locaweb"),
        (["mail.example.gob.pe"], OTHER),
        ([], OTHER),
    ],
)
def test_mx_of_a_provider_are_recognised(hosts, key):
    assert provider_of_mx(hosts) == key


@pytest.mark.parametrize(
    "host",
    [
        "google.com.evil.test",
        "notgoogle.com",
        "google.com-mx.test",
        "google.co",
        "com",
        "aspmx.l.google.com..",
        "aspmx..google.com",
        ".google.com",
        r"evil\.google.com",
        r"evil\046google.com",
        "aspmx.l.google.com\n",
        " aspmx.l.google.com",
        "aspmx.l.gооgle.com",  # Cyrillic letters.
        "mx1.hotmail.com\u212a",
        "ta\u212ae.protection.outloo\u212a.com",  # The Kelvin sign, which lower-cases to k.
        "mx.outloo\u212a.com",
        "GOOGLE\u3002COM",
        "\0google.com",
        "xn--google.com-",
        "." * 300 + "google.com",
        "a." * 200 + "google.com",
        "",
        ".",
    ],
)
def test_names_that_only_look_like_a_providers_are_not_its(host):
    assert provider_of_mx([host]) == OTHER
    assert provider_of_domain(host) is None


@pytest.mark.parametrize(
    "host",
    [
        "ec2-192-0-2-1.compute-1.amazonaws.com",
        "elb.us-east-1.amazonaws.com",
        "vps-0a1b2c3d.vps.ovh.net",
        "ip-192-0-2-1.ip.secureserver.net",
        "1.2.0.192.bc.googleusercontent.com",
        "c-192-0-2-1.hsd1.ca.comcast.net",
        "laubervilliers-1-2-3-4.w192-0.abo.wanadoo.fr",
        "1-2-0-192.fibertel.com.ar",
        "vps1234.locaweb.com.br",
    ],
)
def test_hosts_of_a_providers_customers_are_nobodys_mailboxes(host):
    assert provider_of_mx([host]) == OTHER


def test_only_the_best_mx_counts():
    assert provider_of_mx(["eu-smtp-inbound-1.mimecast.com", "example.mail.protection.outlook.com"]) == "mimecast"
    assert provider_of_mx(["mail.example.pe", "aspmx.l.google.com"]) == OTHER


@pytest.mark.parametrize(
    "domain, key",
    [
        ("gmail.com", "google"),
        ("Hotmail.com", "outlook"),
        ("outlook.es", "outlook"),
        ("yahoo.es", "yahoo"),
        ("icloud.com", "apple"),
        ("sub.gmail.com", None),
        ("gmail.com.pe", None),
        ("example.pe", None),
        ("correo.test", None),
        ("x.invalid", OTHER),
        ("servidor.local", OTHER),
        ("local.example.pe", None),
        ("notinvalid", None),
    ],
)
def test_well_known_domains_and_those_without_mailboxes_need_no_dns(domain, key):
    assert provider_of_domain(domain) == key


def test_longest_suffix_wins():
    assert provider_of_mx(["x.olc.protection.outlook.com"]) == "outlook"
    assert provider_of_mx(["x.protection.outlook.com"]) == "microsoft365"


def test_every_providers_limits_can_be_worked_with():
    assert next(iter(providers())) == OTHER
    for provider in providers().values():
        limits = provider.limits
        assert min(limits.messages_per_minute, limits.connections, limits.messages_per_connection) >= 1, provider.key
        assert limits.warm_up_caps[0] <= 1000, f"{provider.key}: a cold IP begins with little"
        assert all(0 < today < tomorrow <= 2.5 * today for today, tomorrow in pairwise(limits.warm_up_caps)), (
            provider.key
        )
        assert len(provider.key) <= 40, "the width of the column"
        assert provider.mx or provider.domains or provider.key == OTHER


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": "google"},
        {"key": "new", "mx": ["google.com"]},
        {"key": "new", "domains": ["gmail.com"]},
        {"key": "new", "mx": ["Google.net"]},
        {"key": "new", "mx": ["*.google.net"]},
        {"key": "new", "mx": ["com"]},
    ],
)
def test_data_that_contradicts_itself_is_not_read(wrong):
    row = {**TABLE["provider"][1], "mx": [], "domains": [], **wrong}
    with pytest.raises(ValueError, match=r"once|host names"):
        read_providers({**TABLE, "provider": [*TABLE["provider"], row]})
    read_providers(TABLE)


def test_ten_thousand_deep_names_take_a_moment():
    deepest = "a." * 120 + "example.pe"
    begun = time.perf_counter()
    for _ in range(10_000):
        assert provider_of_mx([deepest]) == OTHER
    assert time.perf_counter() - begun < 3
