"""SPF: the limits that keep one message from causing endless questions (RFC 7208 §4.6.4)."""

import time

import pytest

from dns_tools.spf import check_host
from tests.dns_tools.spf_cases import CLIENT, CLIENT6, DOMAIN, outcome, result


def test_ten_terms_that_ask_are_allowed_eleven_are_not(nameserver):
    nameserver.load("x.example.com. A 192.0.2.99")
    ten = "v=spf1 " + "a:x.example.com " * 10
    nameserver.txt("ten.example.com", f"{ten} -all").txt("eleven.example.com", f"{ten} a:x.example.com -all")
    assert result(nameserver, sender="a@ten.example.com") == "fail"
    assert result(nameserver, sender="a@eleven.example.com") == "permerror"


def test_a_match_before_the_limit_counts(nameserver):
    record = "v=spf1 a:y.example.com " + "a:x.example.com " * 20
    nameserver.load(f"x.example.com. A 192.0.2.99\ny.example.com. A {CLIENT}")
    assert result(nameserver, record) == "pass"


@pytest.mark.parametrize(
    "term", ["mx:x.example.com", "ptr:x.example.com", "exists:y.example.com", "include:i.example.com"]
)
def test_every_asking_term_counts(nameserver, term):
    nameserver.load("x.example.com. A 192.0.2.99\nx.example.com. MX 0 .").txt("i.example.com", "v=spf1 -all")
    nameserver.txt("ten.example.com", "v=spf1 " + "a:x.example.com " * 9 + f"{term} ~all")
    nameserver.txt("eleven.example.com", "v=spf1 " + "a:x.example.com " * 10 + f"{term} ~all")
    assert result(nameserver, sender="a@ten.example.com") == "softfail"
    assert result(nameserver, sender="a@eleven.example.com") == "permerror"


def test_terms_that_do_not_ask_are_free(nameserver):
    record = "v=spf1 " + " ".join(f"ip4:198.51.100.{n} ip6:2001:db8:{n}::/48" for n in range(60)) + " -all"
    assert result(nameserver, record) == "fail"


def test_includes_count_with_what_they_include(nameserver):
    nameserver.load("x.example.com. A 192.0.2.99")
    nameserver.txt("i.example.com", "v=spf1 " + "a:x.example.com " * 8 + "-all")
    assert result(nameserver, "v=spf1 a:x.example.com include:i.example.com ~all") == "softfail"
    nameserver.txt("j.example.com", "v=spf1 a:x.example.com include:i.example.com a:x.example.com ~all")
    assert result(nameserver, sender="a@j.example.com") == "permerror"


@pytest.mark.parametrize("term", ["include:example.com", "redirect=example.com"])
def test_loops_end(nameserver, term):
    assert result(nameserver, f"v=spf1 {term}") == "permerror"
    assert len(nameserver.asked) <= 11


def test_two_void_terms_are_allowed_three_are_not(nameserver):
    nameserver.txt("two.example.com", "v=spf1 a:v1.example.com mx:v2.example.com ?all")
    nameserver.txt("three.example.com", "v=spf1 a:v1.example.com exists:v2.example.com mx:v3.example.com ?all")
    assert result(nameserver, sender="a@two.example.com") == "neutral"
    assert result(nameserver, sender="a@three.example.com") == "permerror"


def test_a_name_without_data_is_as_void_as_a_missing_one(nameserver):
    nameserver.txt("v1.example.com", "x").txt("v2.example.com", "x")
    assert result(nameserver, "v=spf1 a:v1.example.com a:v2.example.com a:v3.example.com ?all") == "permerror"


def test_hosts_without_ipv6_do_not_make_a_list_of_mx_void(nameserver):
    nameserver.load("\n".join(f"{DOMAIN}. MX 1 m{n}.example.com.\nm{n}.example.com. A {CLIENT}" for n in range(5)))
    assert result(nameserver, "v=spf1 mx -all", ip=CLIENT6) == "fail"


@pytest.mark.parametrize("count, expected", [(10, "pass"), (11, "permerror")])
def test_ten_mx_hosts_are_allowed(nameserver, count, expected):
    hosts = [f"m{n}.example.com. A 198.51.100.{n}\n{DOMAIN}. MX {n} m{n}.example.com." for n in range(count - 1)]
    nameserver.load("\n".join([*hosts, f"last.example.com. A {CLIENT}\n{DOMAIN}. MX 99 last.example.com."]))
    assert result(nameserver, "v=spf1 mx -all") == expected


def test_only_ten_reverse_names_are_looked_at(nameserver):
    nameserver.load(
        "\n".join(f"10.2.0.192.in-addr.arpa. PTR p{n}.example.org.\np{n}.example.org. A {CLIENT}" for n in range(40))
    )
    assert result(nameserver, "v=spf1 ptr -all") == "fail"
    assert sum(rdtype == "A" for _, rdtype, _ in nameserver.asked) == 10


def test_time_is_limited(nameserver):
    nameserver.load("x.example.com. A 192.0.2.99").txt(DOMAIN, "v=spf1 " + "a:x.example.com " * 9 + "-all")
    nameserver.slow_seconds["x.example.com"] = 0.5
    resolver = nameserver.resolver(timeout_seconds=2, lifetime_seconds=4)
    started = time.monotonic()
    found = check_host(CLIENT, DOMAIN, f"a@{DOMAIN}", "h.example.com", resolver=resolver, time_limit_seconds=0.8)
    assert (found.result, found.problem) == ("temperror", "time_limit")
    assert time.monotonic() - started < 4


def test_a_name_that_cannot_exist_is_no_void_term(nameserver):
    terms = " ".join(f"a:%{{l}}.{letter}.example.com" for letter in "abcd")
    assert result(nameserver, f"v=spf1 {terms} ~all", sender="x" * 64 + "@example.com") == "softfail"


def test_a_silent_server_costs_no_more_than_the_resolvers_time(nameserver):
    nameserver.silent.add(DOMAIN)
    started = time.monotonic()
    assert outcome(nameserver).result == "temperror"
    assert time.monotonic() - started < 5
