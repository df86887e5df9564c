"""Whether MX, SPF and DMARC stand in the DNS, asked of a name server of our own."""

import pytest

from dns_tools.presence import Presence, check_dmarc, check_mx, check_spf
from tests.unit.test_dkim_records import server  # noqa: F401

DOMAIN = "boletin.example.gob.pe"


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        (["10 mx.example.pe."], Presence.PRESENT),
        (["10 mx1.example.pe.", "20 mx2.example.pe."], Presence.PRESENT),
        (["0 ."], Presence.MISSING),  # RFC 7505: takes no mail
        ([], Presence.MISSING),
    ],
)
def test_mx_is_there_unless_it_says_that_no_mail_is_taken(server, records, expected):  # noqa: F811
    server.mx = {DOMAIN: records}
    assert check_mx(server.resolver(), DOMAIN).status is expected


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["v=spf1 mx -all"], Presence.PRESENT),
        (["V=SPF1"], Presence.PRESENT),
        (["verification=abc", "v=spf1 mx ~all"], Presence.PRESENT),
        (["v=spf10 mx"], Presence.MISSING),
        (["v=spf1 mx", "v=spf1 a"], Presence.SEVERAL),
        (["verification=abc"], Presence.MISSING),
    ],
)
def test_spf_is_the_one_text_that_begins_with_its_version(server, texts, expected):  # noqa: F811
    server.zone = {DOMAIN: texts}
    assert check_spf(server.resolver(), DOMAIN).status is expected


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["v=DMARC1; p=none"], Presence.PRESENT),
        (["v=DMARC1;p=reject"], Presence.PRESENT),
        (["p=none"], Presence.MISSING),
        (["v=DMARC1; p=none", "v=DMARC1; p=reject"], Presence.SEVERAL),
    ],
)
def test_dmarc_stands_below_its_own_name(server, texts, expected):  # noqa: F811
    server.zone = {f"_dmarc.{DOMAIN}": texts, DOMAIN: ["v=DMARC1; p=none"]}
    found = check_dmarc(server.resolver(), DOMAIN)
    assert (found.status, found.name) == (expected, f"_dmarc.{DOMAIN}")


@pytest.mark.parametrize("check", [check_mx, check_spf, check_dmarc])
def test_absent_name_is_missing_and_a_name_server_in_trouble_says_nothing(server, check):  # noqa: F811
    assert check(server.resolver(), DOMAIN).status is Presence.MISSING
    server.broken = True
    assert check(server.resolver(), DOMAIN).status is Presence.UNREACHABLE
    server.broken, server.mute = False, True
    assert check(server.resolver(), DOMAIN).status is Presence.UNREACHABLE
