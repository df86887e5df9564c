"""SPF: what each mechanism matches (RFC 7208 §5), against zones on a real name server."""

import pytest

from tests.dns_tools.spf_cases import CLIENT, CLIENT6, DOMAIN, outcome, result

# --- include (§5.2) ---


@pytest.mark.parametrize(
    "included, expected",
    [
        ("v=spf1 +all", "pass"),
        ("v=spf1 -all", "softfail"),
        ("v=spf1 ~all", "softfail"),
        ("v=spf1 ?all", "softfail"),
        ("v=spf1", "softfail"),
        ("v=spf1 a:", "permerror"),
        ("no record", "permerror"),
        ("v=spf1 a:servfail.example.com", "temperror"),
        ("v=spf1 redirect=pass.example.com", "pass"),
    ],
)
def test_an_include_matches_only_on_pass(nameserver, included, expected):
    nameserver.txt("i.example.com", included).txt("pass.example.com", "v=spf1 +all").servfail.add(
        "servfail.example.com"
    )
    assert result(nameserver, "v=spf1 include:i.example.com ~all") == expected


@pytest.mark.parametrize("qualifier, expected", [("-", "fail"), ("?", "neutral"), ("~", "softfail")])
def test_an_include_that_matches_takes_the_qualifier_before_it(nameserver, qualifier, expected):
    nameserver.txt("i.example.com", "v=spf1 +all")
    assert result(nameserver, f"v=spf1 {qualifier}include:i.example.com +all") == expected


def test_the_domain_of_an_include_is_its_own(nameserver):
    nameserver.txt("i.example.com", "v=spf1 a:%{d1r}.%{d} -all").load(f"i.i.example.com. A {CLIENT}")
    assert result(nameserver, "v=spf1 include:i.example.com ~all") == "pass"


# --- a (§5.3) ---

HOSTS = f"""
{DOMAIN}. A 192.0.2.1
{DOMAIN}. A {CLIENT}
{DOMAIN}. AAAA 2001:db8::1
{DOMAIN}. AAAA {CLIENT6}
other.example.com. A 192.0.2.77
other.example.com. AAAA 2001:db8:0:1::77
six.example.com. AAAA {CLIENT6}
four.example.com. A {CLIENT}
alias.example.com. CNAME four.example.com.
foo:bar/baz.example.com. A {CLIENT}
*.wild.example.com. A {CLIENT}
"""


@pytest.mark.parametrize(
    "terms, ip, expected",
    [
        ("a", CLIENT, "pass"),
        ("a", CLIENT6, "pass"),
        ("a", "192.0.2.2", "fail"),
        ("a:other.example.com", CLIENT, "fail"),
        ("a:other.example.com/24", CLIENT, "pass"),
        ("a:other.example.com/24", CLIENT6, "fail"),
        ("a:other.example.com//32", CLIENT6, "pass"),
        ("a:other.example.com//64", CLIENT6, "fail"),
        ("a:other.example.com//32", CLIENT, "fail"),
        ("a:other.example.com/24//32", CLIENT, "pass"),
        ("a:other.example.com/0", "203.0.113.9", "pass"),
        ("a:other.example.com//0", "2001:db8:ffff::9", "pass"),
        ("a:six.example.com/0", CLIENT, "fail"),
        ("a:four.example.com//0", CLIENT6, "fail"),
        ("a:four.example.com", f"::ffff:{CLIENT}", "pass"),
        ("a:alias.example.com", CLIENT, "pass"),
        ("a:missing.example.com", CLIENT, "fail"),
        ("a:missing.example.com/0", CLIENT, "fail"),
        ("a:foo:bar/baz.example.com", CLIENT, "pass"),
        ("a:FOUR.Example.COM.", CLIENT, "pass"),
        ("a:x.y.wild.example.com", CLIENT, "pass"),
        ("a:servfail.example.com", CLIENT, "temperror"),
        ("a:silent.example.com", CLIENT, "temperror"),
    ],
)
def test_a(nameserver, terms, ip, expected):
    nameserver.load(HOSTS)
    nameserver.servfail.add("servfail.example.com")
    nameserver.silent.add("silent.example.com")
    assert result(nameserver, f"v=spf1 {terms} -all", ip=ip) == expected


def test_a_host_with_very_many_addresses_is_no_limit(nameserver):
    nameserver.load(
        "many.example.com. A 192.0.2.10\n" + "\n".join(f"many.example.com. A 198.51.100.{n}" for n in range(200))
    )
    assert result(nameserver, "v=spf1 a:many.example.com -all") == "pass"


# --- mx (§5.4) ---

EXCHANGES = f"""
{DOMAIN}. MX 10 m1.example.com.
{DOMAIN}. MX 5 m2.example.com.
m1.example.com. A {CLIENT}
m2.example.com. A 192.0.2.20
m2.example.com. AAAA {CLIENT6}
noaddress.example.com. MX 0 missing.example.com.
null.example.com. MX 0 .
hostonly.example.com. A {CLIENT}
broken.example.com. MX 0 servfail.example.com.
"""


@pytest.mark.parametrize(
    "terms, ip, expected",
    [
        ("mx", CLIENT, "pass"),
        ("mx", CLIENT6, "pass"),
        ("mx", "192.0.2.21", "fail"),
        ("mx/30", "192.0.2.21", "pass"),
        ("mx//32", "2001:db8:1::1", "pass"),
        ("mx//33", "2001:db8:8000::1", "fail"),
        ("mx/0", CLIENT6, "pass"),
        ("mx:noaddress.example.com", CLIENT, "fail"),
        ("mx:null.example.com/0", CLIENT, "fail"),
        ("mx:hostonly.example.com", CLIENT, "fail"),
        ("mx:missing.example.com", CLIENT, "fail"),
        ("mx:broken.example.com", CLIENT, "temperror"),
        ("mx:servfail.example.com", CLIENT, "temperror"),
    ],
)
def test_mx(nameserver, terms, ip, expected):
    nameserver.load(EXCHANGES).servfail.add("servfail.example.com")
    assert result(nameserver, f"v=spf1 {terms} -all", ip=ip) == expected


def test_a_null_mx_is_not_asked_for_its_address(nameserver):
    nameserver.load(EXCHANGES)
    assert result(nameserver, "v=spf1 mx:null.example.com ~all") == "softfail"
    assert "" not in {name for name, _, _ in nameserver.asked}


# --- ptr (§5.5) ---

REVERSE = f"""
10.2.0.192.in-addr.arpa. PTR Mail.EXAMPLE.com.
10.2.0.192.in-addr.arpa. PTR forged.example.org.
mail.example.com. A {CLIENT}
forged.example.org. A 192.0.2.99
1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR six.example.com.
six.example.com. AAAA {CLIENT6}
11.2.0.192.in-addr.arpa. PTR notexample.com.
notexample.com. A 192.0.2.11
12.2.0.192.in-addr.arpa. PTR example.com.
example.com. A 192.0.2.12
"""


@pytest.mark.parametrize(
    "terms, ip, expected",
    [
        ("ptr", CLIENT, "pass"),
        ("ptr", CLIENT6, "pass"),
        ("ptr", "192.0.2.11", "fail"),
        ("ptr", "192.0.2.12", "pass"),
        ("ptr:EXAMPLE.com", CLIENT, "pass"),
        ("ptr:mail.example.com", CLIENT, "pass"),
        ("ptr:x.mail.example.com", CLIENT, "fail"),
        ("ptr:example.org", CLIENT, "fail"),
        ("ptr", "192.0.2.13", "fail"),
        ("ptr", "192.0.2.14", "fail"),
    ],
)
def test_ptr(nameserver, terms, ip, expected):
    nameserver.load(REVERSE).servfail.add("14.2.0.192.in-addr.arpa")
    assert result(nameserver, f"v=spf1 {terms} -all", ip=ip) == expected


def test_a_reverse_name_whose_server_fails_is_skipped(nameserver):
    nameserver.load(REVERSE).servfail.add("forged.example.org")
    assert result(nameserver, "v=spf1 ptr -all") == "pass"
    nameserver.servfail.add("mail.example.com")
    assert result(nameserver) == "fail"


@pytest.mark.parametrize("bare", [False, True])
def test_a_reverse_name_that_is_an_endless_alias_matches_nothing(nameserver, bare):
    nameserver.load("10.2.0.192.in-addr.arpa. CNAME x.example.com.\nx.example.com. CNAME 10.2.0.192.in-addr.arpa.")
    nameserver.bare_aliases = bare
    assert result(nameserver, "v=spf1 ptr ~all") == "softfail"


# --- ip4, ip6 (§5.6) ---


@pytest.mark.parametrize(
    "terms, ip, expected",
    [
        (f"ip4:{CLIENT}", CLIENT, "pass"),
        (f"ip4:{CLIENT}/32", CLIENT, "pass"),
        (f"ip4:{CLIENT}/0", "203.0.113.1", "pass"),
        ("ip4:192.0.2.0/28", CLIENT, "pass"),
        ("ip4:192.0.2.15/28", CLIENT, "pass"),
        ("ip4:192.0.2.0/29", CLIENT, "fail"),
        (f"ip6:{CLIENT6}", CLIENT6, "pass"),
        ("ip6:2001:DB8::/32", CLIENT6, "pass"),
        ("ip6:2001:db8::/113", CLIENT6, "fail"),
        ("ip6:::/0", CLIENT6, "pass"),
        ("ip6:::/0", CLIENT, "fail"),
        ("ip6:::1.1.1.1/0", CLIENT6, "pass"),
        (f"ip6:::ffff:{CLIENT}", f"::ffff:{CLIENT}", "fail"),
        ("ip4:0.0.0.0/0", CLIENT6, "fail"),
    ],
)
def test_networks(nameserver, terms, ip, expected):
    assert result(nameserver, f"v=spf1 {terms} -all", ip=ip) == expected


# --- exists (§5.7) ---


@pytest.mark.parametrize(
    "terms, ip, expected",
    [
        ("exists:here.example.com", CLIENT, "pass"),
        ("exists:here.example.com", CLIENT6, "pass"),
        ("exists:six.example.com", CLIENT6, "fail"),
        ("exists:missing.example.com", CLIENT, "fail"),
        ("exists:servfail.example.com", CLIENT, "temperror"),
        ("exists:%{i}.list.example.com", CLIENT, "pass"),
    ],
)
def test_exists_asks_for_ipv4_whoever_the_client_is(nameserver, terms, ip, expected):
    nameserver.load(
        "here.example.com. A 127.0.0.2\nsix.example.com. AAAA ::1\n192.0.2.10.list.example.com. A 127.0.0.2"
    )
    nameserver.servfail.add("servfail.example.com")
    assert result(nameserver, f"v=spf1 {terms} -all", ip=ip) == expected


# --- what the outcome tells ---


def test_the_outcome_names_the_term_and_keeps_the_evidence(nameserver):
    nameserver.txt(DOMAIN, f"v=spf1 a:x.example.com ?ip4:{CLIENT}/31 -all")
    found = outcome(nameserver)
    assert (found.mechanism, found.asking_terms, found.void_terms) == (f"?ip4:{CLIENT}/31", 1, 1)
    assert [lookup.type for lookup in found.lookups] == ["TXT", "A"]


def test_an_error_says_what_it_was(nameserver):
    nameserver.txt(DOMAIN, "v=spf1 include:missing.example.com")
    assert outcome(nameserver).problem == "include_without_record: missing.example.com"
