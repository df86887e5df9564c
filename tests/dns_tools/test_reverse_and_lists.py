"""Reverse DNS, greetings, and the lists that receivers ask."""

import ipaddress

import pytest

from dns_tools.blocklists import Kind, check_address, check_addresses, check_domain, load_lists, parse_lists, probe
from dns_tools.findings import Status, worst
from dns_tools.reverse import check_ptr, is_generic

IP, IP6 = "192.0.2.10", "2001:db8::10"
NAME = "mx1.boletin.example.gob.pe"
LISTS = {entry.zone: entry for entry in load_lists()}


def reverse(ip):
    return ipaddress.ip_address(ip).reverse_pointer


def codes(nameserver, zone, ip=IP, helo=""):
    nameserver.load(zone)
    return {found.code: found for found in check_ptr(nameserver.resolver(), ip, helo=helo)}


@pytest.mark.parametrize("ip, kind", [(IP, "A"), (IP6, "AAAA")])
def test_name_address_and_greeting_agree(nameserver, ip, kind):
    found = codes(nameserver, f"{reverse(ip)}. PTR {NAME}.\n{NAME}. {kind} {ip}", ip, helo=NAME.upper())
    assert set(found) == {"ptr.confirmed", "ptr.helo_matches"}
    assert worst(found.values()) is Status.PASS


@pytest.mark.parametrize(
    "zone, helo, code",
    [
        ("", "", "ptr.missing"),
        (f"{reverse(IP)}. PTR {NAME}.", "", "ptr.not_forward"),
        (f"{reverse(IP)}. PTR {NAME}.\n{NAME}. A 192.0.2.11", "", "ptr.not_forward"),
        (f"{reverse(IP)}. PTR broken.example.pe.", "", "ptr.forward_unreachable"),
        (f"{reverse(IP)}. PTR a.example.pe.\n{reverse(IP)}. PTR b.example.pe.", "", "ptr.several"),
        (f"{reverse(IP)}. PTR 192-0-2-10.dyn.example.pe.\n192-0-2-10.dyn.example.pe. A {IP}", "", "ptr.generic"),
        (f"{reverse(IP)}. PTR {NAME}.\n{NAME}. A {IP}", "other.example.pe", "ptr.helo_elsewhere"),
        (f"{reverse(IP)}. PTR x.example.pe.\n{NAME}. A {IP}", NAME, "ptr.helo_differs"),
        ("", "localhost", "ptr.helo_no_name"),
        ("", f"[{IP}]", "ptr.helo_no_name"),
        ("", "broken.example.pe", "ptr.helo_unreachable"),
    ],
)
def test_what_is_wrong_with_an_address_is_told(nameserver, zone, helo, code):
    nameserver.servfail.add("broken.example.pe")
    assert code in codes(nameserver, zone, helo=helo)


def test_a_missing_name_comes_with_the_record_to_ask_for(nameserver):
    found = codes(nameserver, "", helo=NAME)["ptr.missing"]
    assert found.publish[0].zone_line == f"10.2.0.192.in-addr.arpa. IN PTR {NAME}."


def test_a_reverse_server_that_fails_is_an_open_question(nameserver):
    nameserver.servfail.add(reverse(IP))
    assert codes(nameserver, "")["ptr.unreachable"].status is Status.ERROR


def test_a_reverse_zone_behind_an_alias_is_followed(nameserver):
    """RFC 2317: smaller delegations than /24 work by CNAME."""
    zone = (
        f"{reverse(IP)}. CNAME 10.0-15.2.0.192.in-addr.arpa.\n10.0-15.2.0.192.in-addr.arpa. PTR {NAME}.\n{NAME}. A {IP}"
    )
    assert "ptr.confirmed" in codes(nameserver, zone)


@pytest.mark.parametrize(
    "name, generic",
    [
        (NAME, False),
        ("10.2.0.192.example.pe", True),
        ("host-192-000-002-010.example.pe", True),
        ("adsl-1.example.pe", True),
        ("dynamo.example.pe", False),
        ("mail10.example.pe", False),
        ("1192-0-2-10.example.pe", False),
    ],
)
def test_generic_names(name, generic):
    assert is_generic(name, ipaddress.ip_address(IP)) is generic


# --- lists ---


def listed(nameserver, zone, answer, labels="10.2.0.192"):
    nameserver.load(f"{labels}.{zone}. A {answer}")


def judged(nameserver, zone, ip=IP):
    return {found.code: found for found in check_address(nameserver.resolver(), ip, [LISTS[zone]])}


def test_the_shipped_lists_are_well_formed():
    assert len(LISTS) == len(load_lists()) >= 15
    assert {entry.kind for entry in load_lists()} == set(Kind)
    for entry in load_lists():
        assert entry.removal.startswith("http")
        assert all(ipaddress.ip_address(code) for code, _, _ in entry.codes if entry.style == "exact")


def test_a_clean_address_is_on_none(nameserver):
    found = check_address(nameserver.resolver(), IP)
    assert [(one.code, one.values["count"]) for one in found] == [("dnsbl.clean", 12)]
    assert worst(found) is Status.PASS


def test_an_ipv6_address_is_asked_of_lists_that_know_ipv6(nameserver):
    check_address(nameserver.resolver(), IP6)
    asked = {name for name, _, _ in nameserver.asked}
    assert len(asked) == sum(entry.ipv6 for entry in load_lists())
    assert all(name.startswith("0.1.0.0.0.0.0.0") for name in asked)


@pytest.mark.parametrize(
    "zone, answer, code, meaning",
    [
        ("zen.spamhaus.org", "127.0.0.2", "dnsbl.listed", "SBL"),
        ("zen.spamhaus.org", "127.0.0.10", "dnsbl.listed", "PBL"),
        ("zen.spamhaus.org", "127.0.0.77", "dnsbl.listed", "127.0.0.77"),
        ("dnsbl-1.uceprotect.net", "127.0.0.2", "dnsbl.listed_minor", "trap"),
        ("list.dnswl.org", "127.0.5.3", "dnsbl.trusted", "high trust"),
    ],
)
def test_listings_are_explained(nameserver, zone, answer, code, meaning):
    listed(nameserver, zone, answer)
    found = judged(nameserver, zone)[code]
    assert meaning in found.explanation["en"]


def test_the_lists_own_reason_is_evidence(nameserver):
    listed(nameserver, "bl.spamcop.net", "127.0.0.2")
    nameserver.txt("10.2.0.192.bl.spamcop.net", "Blocked - see example.net")
    assert "Blocked - see example.net" in judged(nameserver, "bl.spamcop.net")["dnsbl.listed"].evidence


@pytest.mark.parametrize(
    "zone, answer",
    [
        ("zen.spamhaus.org", "127.255.255.252"),
        ("zen.spamhaus.org", "127.255.255.254"),
        ("zen.spamhaus.org", "127.255.255.255"),
        ("b.barracudacentral.org", "127.255.255.254"),
        ("list.dnswl.org", "127.0.0.255"),
    ],
)
def test_a_refusal_is_no_listing_and_no_all_clear(nameserver, zone, answer):
    listed(nameserver, zone, answer)
    found = judged(nameserver, zone)
    assert set(found) == {"dnsbl.refused"}
    assert found["dnsbl.refused"].status is Status.ERROR


def test_an_answer_that_is_no_loopback_address_is_no_listing(nameserver):
    listed(nameserver, "psbl.surriel.com", "203.0.113.80")
    assert set(judged(nameserver, "psbl.surriel.com")) == {"dnsbl.strange"}


def test_a_list_that_does_not_answer_is_no_all_clear(nameserver):
    nameserver.servfail.add("10.2.0.192.psbl.surriel.com")
    assert set(judged(nameserver, "psbl.surriel.com")) == {"dnsbl.unreachable"}


@pytest.mark.parametrize(
    "zone, answer, expected",
    [
        ("dbl.spamhaus.org", "127.0.1.4", "phishing domain"),
        ("multi.surbl.org", "127.0.0.80", "malware, spam and other abuse"),
        ("multi.uribl.com", "127.0.0.2", "black: spam"),
        ("multi.uribl.com", "127.0.0.1", None),
        ("dbl.spamhaus.org", "127.0.1.255", None),
    ],
)
def test_domains_and_bit_masks(nameserver, zone, answer, expected):
    listed(nameserver, zone, answer, labels="boletin.example.gob.pe")
    (found,) = check_domain(nameserver.resolver(), "boletin.example.gob.pe", [LISTS[zone]])
    assert found.code == ("dnsbl.listed" if expected else "dnsbl.refused")
    assert expected is None or f": {expected}. " in found.explanation["en"]


def test_many_addresses_are_asked_side_by_side(nameserver):
    ips = [f"192.0.2.{last}" for last in range(1, 49)]
    nameserver.slow_seconds = {f"{last}.2.0.192.psbl.surriel.com": 0.05 for last in range(1, 49)}
    listed(nameserver, "psbl.surriel.com", "127.0.0.2", labels="7.2.0.192")
    found = check_addresses(nameserver.resolver(), ips, [LISTS["psbl.surriel.com"]])
    assert [one.subject for one in found] == ips
    assert [one.subject for one in found if one.code == "dnsbl.listed"] == ["192.0.2.7"]


@pytest.mark.parametrize(
    "zone, code",
    [
        ("2.0.0.127.psbl.surriel.com. A 127.0.0.2", "dnsbl.works"),
        ("", "dnsbl.lists_none"),
        ("*.psbl.surriel.com. A 127.0.0.2", "dnsbl.lists_all"),
        ("*.psbl.surriel.com. A 127.255.255.254", "dnsbl.refused"),
    ],
)
def test_a_list_is_probed_by_its_test_entries(nameserver, zone, code):
    nameserver.load(zone)
    assert probe(nameserver.resolver(), LISTS["psbl.surriel.com"]).code == code


def test_a_list_of_ones_own_is_read():
    (entry,) = parse_lists('[[list]]\nname = "x"\nzone = "bl.test"\nkind = "address"\n')
    assert (entry.zone, entry.kind, entry.meanings("127.0.0.9")) == (
        "bl.test",
        Kind.ADDRESS,
        ("127.0.0.9", "127.0.0.9"),
    )
