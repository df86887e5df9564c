"""SPF lint: costs per include, coverage of sending addresses, waste, and the flattened proposal."""

import time

import pytest

from dns_tools.findings import Status, worst
from dns_tools.spf import check_host
from dns_tools.spf.lint import check_spf
from dns_tools.spf.walk import walk

DOMAIN = "boletin.example.gob.pe"
IPS = [f"192.0.2.{last}" for last in range(1, 49)]


def codes(nameserver, *records, ips=()):
    nameserver.txt(DOMAIN, *records)
    return {found.code: found for found in check_spf(nameserver.resolver(), DOMAIN, ips)}


def test_a_good_record_passes(nameserver):
    found = codes(nameserver, "v=spf1 ip4:192.0.2.0/26 -all", ips=IPS)
    assert set(found) == {"spf.found", "spf.lookups", "spf.hard_end", "spf.covered"}
    assert worst(found.values()) is Status.PASS
    assert found["spf.covered"].evidence[47] == "192.0.2.48: pass ip4:192.0.2.0/26"


def test_addresses_that_are_not_covered_are_named(nameserver):
    found = codes(nameserver, "v=spf1 ip4:192.0.2.0/28 ip4:192.0.2.32/28 -all", ips=IPS)
    assert found["spf.covered"].values["count"] == 31
    assert found["spf.uncovered"].evidence[0] == "192.0.2.16: fail -all"
    assert len(found["spf.uncovered"].evidence) == 17
    assert worst(found.values()) is Status.FAIL


@pytest.mark.parametrize(
    "records, code",
    [
        ((), "spf.missing"),
        (("v=spf1 -all", "v=spf1 ~all"), "spf.several"),
        (("v=spf1 ip4:1.2.3 -all",), "spf.syntax"),
    ],
)
def test_no_usable_record_is_a_failure(nameserver, records, code):
    found = codes(nameserver, *records, ips=["192.0.2.0", "192.0.2.1", "2001:db8::1"])
    assert found[code].status is Status.FAIL
    assert found[code].publish[0].text == "v=spf1 ip4:192.0.2.0/31 ip6:2001:db8::1 -all"


def test_servers_that_do_not_answer_are_an_open_question(nameserver):
    nameserver.servfail.add(DOMAIN)
    found = codes(nameserver)
    assert [(code, finding.status) for code, finding in found.items()] == [("spf.unreachable", Status.ERROR)]


def test_lookups_are_counted_per_include(nameserver):
    nameserver.load("a.example.net. A 198.51.100.1\na.example.net. MX 0 a.example.net.")
    nameserver.txt("one.example.net", "v=spf1 include:two.example.net a:a.example.net -all")
    nameserver.txt("two.example.net", "v=spf1 mx:a.example.net ?all")
    found = codes(nameserver, "v=spf1 include:one.example.net a:a.example.net -all")
    assert found["spf.lookups"].values["count"] == 5
    assert found["spf.lookups"].evidence == (f"{DOMAIN}: 5", "one.example.net: 3", "two.example.net: 1")


@pytest.mark.parametrize(
    "count, code", [(7, "spf.lookups"), (8, "spf.many_lookups"), (10, "spf.many_lookups"), (11, "spf.too_many_lookups")]
)
def test_the_limit_is_announced_before_it_is_reached(nameserver, count, code):
    nameserver.load("a.example.net. A 198.51.100.1")
    assert code in codes(nameserver, "v=spf1 " + "a:a.example.net " * count + "-all")


@pytest.mark.parametrize(
    "record, code",
    [
        ("v=spf1 +all", "spf.plus_all"),
        ("v=spf1 ip4:0.0.0.0/0 -all", "spf.plus_all"),
        ("v=spf1 include:open.example.net -all", "spf.plus_all"),
        ("v=spf1 ?all", "spf.neutral_end"),
        ("v=spf1 mx:a.example.net", "spf.no_end"),
        ("v=spf1 ~all", "spf.soft_end"),
        ("v=spf1 redirect=hard.example.net", "spf.hard_end"),
        ("v=spf1 -all ip4:192.0.2.1", "spf.after_all"),
        ("v=spf1 -all redirect=hard.example.net", "spf.after_all"),
        ("v=spf1 ptr -all", "spf.ptr"),
        ("v=spf1 ip4=192.0.2.1 -all", "spf.equals_sign"),
        ("v=spf1 ip4:192.0.2.1 ip4:192.0.2.1 -all", "spf.duplicates"),
        ("v=spf1 ip4:192.0.2.0/24 ip4:192.0.2.1 -all", "spf.duplicates"),
        ("v=spf1 a:missing.example.net -all", "spf.void"),
        ("v=spf1 a:m1.example.net a:m2.example.net mx:m3.example.net -all", "spf.too_many_void"),
        ("v=spf1 include:missing.example.net -all", "spf.include_broken"),
        ("v=spf1 include:hard.example.net include:servfail.example.net -all", "spf.include_unreachable"),
        ("v=spf1 " + "ip4:192.0.2.0/24 " * 30 + "-all", "spf.long"),
    ],
)
def test_weaknesses_are_told(nameserver, record, code):
    nameserver.txt("open.example.net", "v=spf1 +all").txt("hard.example.net", "v=spf1 -all").servfail.add(
        "servfail.example.net"
    )
    assert code in codes(nameserver, record)


def test_loops_are_told_and_end(nameserver):
    nameserver.txt("a.example.net", f"v=spf1 include:{DOMAIN} -all")
    found = codes(nameserver, "v=spf1 include:a.example.net -all")
    assert found["spf.include_broken"].values["problem"] == "loop"


def test_a_tree_without_end_is_cut(nameserver):
    nameserver.txt("*.trap.example.net", "v=spf1 include:%{d1}x.%{d} include:y%{d1}.%{d} -all")
    nameserver.txt(DOMAIN, "v=spf1 include:a.trap.example.net -all")
    assert sum(1 for _ in walk(nameserver.resolver(), DOMAIN).all()) < 200


def test_the_flattened_proposal_lets_pass_what_the_record_did(nameserver):
    nameserver.load(
        "a.example.net. A 198.51.100.1\nm.example.net. MX 0 a6.example.net.\na6.example.net. AAAA 2001:db8::9"
    )
    nameserver.txt("i.example.net", "v=spf1 ip4:192.0.2.0/25 ip4:192.0.2.128/25 -all")
    found = codes(nameserver, "v=spf1 include:i.example.net a:a.example.net mx:m.example.net ~all")
    (record,) = found["spf.flattened"].publish
    assert record.text == "v=spf1 ip4:192.0.2.0/24 ip4:198.51.100.1 ip6:2001:db8::9 ~all"


def test_a_long_flattened_proposal_is_split_and_still_works(nameserver):
    networks = " ".join(f"ip4:10.{n}.{n}.1" for n in range(100))
    nameserver.txt("i.example.net", f"v=spf1 {networks} -all")
    records = codes(nameserver, "v=spf1 include:i.example.net -all")["spf.flattened"].publish
    assert len(records) > 2
    assert all(len(record.text) <= 450 for record in records)
    nameserver.reset()
    for record in records:
        nameserver.txt(record.name, record.text)
    for ip, expected in [("10.99.99.1", "pass"), ("10.0.0.1", "pass"), ("10.0.0.2", "fail")]:
        assert check_host(ip, DOMAIN, f"a@{DOMAIN}", "h.example.net", resolver=nameserver.resolver()).result == expected


@pytest.mark.parametrize(
    "term", ["exists:%{i}.example.net", "ptr", "include:%{l}.example.net", "a:%{h}", "-ip4:192.0.2.9"]
)
def test_what_depends_on_the_message_or_makes_exceptions_is_never_flattened(nameserver, term):
    assert "spf.flattened" not in codes(nameserver, f"v=spf1 a:a.example.net ip4:192.0.2.1 {term} -all")


def test_a_silent_include_costs_its_time_a_few_times_only(nameserver):
    nameserver.silent.add("i.example.net")
    nameserver.txt(DOMAIN, "v=spf1 ip4:192.0.2.0/28 include:i.example.net -all")
    started = time.monotonic()
    found = {one.code: one for one in check_spf(nameserver.resolver(), DOMAIN, IPS)}
    assert time.monotonic() - started < 20
    assert (found["spf.covered"].values["count"], found["spf.coverage_unknown"].values["count"]) == (15, 33)


def test_48_addresses_are_checked_with_few_questions(nameserver):
    nameserver.txt("i.example.net", "v=spf1 ip4:192.0.2.0/24 -all")
    codes(nameserver, "v=spf1 include:i.example.net -all", ips=IPS)
    assert len(nameserver.asked) < 2 + 12
