"""SPF: which record counts, and what is no record at all (RFC 7208 §3, §4, §6, §12)."""

import pytest

from dns_tools.spf import SpfSyntaxError, parse
from tests.dns_tools.spf_cases import CLIENT, CLIENT6, DOMAIN, outcome, result

# --- §4.3: the domain ---


@pytest.mark.parametrize(
    "domain",
    [
        "",
        "localhost",
        "A2345678",
        "[192.0.2.1]",
        "a..example.com",
        "x" * 64 + ".example.com",
        ".example.com",
        "a." * 140,
    ],
)
def test_a_domain_that_is_none_has_no_result_and_no_question_is_asked(nameserver, domain):
    assert result(nameserver, sender="", helo=domain, domain=domain) == "none"
    assert nameserver.asked == []


def test_a_label_of_63_octets_is_fine(nameserver):
    long = "x" * 63 + ".example.com"
    nameserver.txt(long, "v=spf1 -all")
    assert result(nameserver, sender=f"a@{long}") == "fail"


def test_a_trailing_dot_is_of_no_matter(nameserver):
    nameserver.txt("example.com.", "v=spf1 -all exp=e.example.com")
    nameserver.txt("e.example.com", "%{d} %{o}")
    found = outcome(nameserver, sender="a@example.com.")
    assert (found.result, found.explanation) == ("fail", "example.com example.com")


def test_an_internationalised_domain_is_asked_for_in_ascii(nameserver):
    nameserver.txt("xn--ao-zja.example.com", "v=spf1 -all")
    assert result(nameserver, sender="a@año.example.com") == "fail"


# --- §2.4, §4.3: who is asking ---


def test_an_empty_sender_is_postmaster_of_the_helo_name(nameserver):
    nameserver.txt("mail.example.com", "v=spf1 -all exp=e.example.com").txt("e.example.com", "%{s} %{l}")
    found = outcome(nameserver, sender="")
    assert found.explanation == "postmaster@mail.example.com postmaster"


@pytest.mark.parametrize("sender", ["@example.com", "example.com"])
def test_a_sender_without_local_part_is_postmaster(nameserver, sender):
    nameserver.txt(DOMAIN, "v=spf1 -all exp=e.example.com").txt("e.example.com", "%{s}")
    assert outcome(nameserver, sender=sender).explanation == "postmaster@example.com"


def test_a_mapped_ipv4_address_is_an_ipv4_client(nameserver):
    assert result(nameserver, f"v=spf1 ip4:{CLIENT} -all", ip=f"::ffff:{CLIENT}") == "pass"


def test_a_link_local_client_may_come_with_its_zone(nameserver):
    record = "v=spf1 exists:%{ir}.%{v}.example.com ip6:fe80::1 -all"
    assert result(nameserver, record, ip="fe80::1%eth0") == "pass"
    assert all("eth0" not in name for name, _, _ in nameserver.asked)


def test_an_address_that_is_none_is_the_callers_mistake(nameserver):
    with pytest.raises(ValueError, match="does not appear"):
        outcome(nameserver, ip="no address")


# --- §4.4: the lookup ---


def test_a_domain_without_record_has_no_result(nameserver):
    nameserver.load(f"{DOMAIN}. A {CLIENT}")
    assert result(nameserver) == "none"
    assert result(nameserver, sender="a@nowhere.example.com") == "none"


@pytest.mark.parametrize("fault", ["silent", "servfail", "refused"])
def test_servers_that_fail_are_a_temporary_error(nameserver, fault):
    getattr(nameserver.txt(DOMAIN, "v=spf1 +all"), fault).add(DOMAIN)
    assert result(nameserver) == "temperror"


def test_a_lame_server_is_a_temporary_error(nameserver):
    nameserver.txt(DOMAIN, "v=spf1 +all").lame = True
    assert result(nameserver) == "temperror"


def test_records_of_type_spf_are_ignored(nameserver):
    nameserver.load(f'{DOMAIN}. SPF "v=spf1 +all"')
    assert result(nameserver) == "none"
    nameserver.txt(DOMAIN, "v=spf1 -all")
    assert result(nameserver) == "fail"
    assert all(rdtype != "SPF" for _, rdtype, _ in nameserver.asked)


def test_a_record_too_big_for_udp_comes_over_tcp(nameserver):
    record = "v=spf1 " + " ".join(f"ip4:198.51.100.{last}" for last in range(255)) + f" ip4:{CLIENT} -all"
    assert result(nameserver, record) == "pass"
    assert ("example.com", "TXT", "tcp") in nameserver.asked


def test_a_record_behind_an_alias_counts(nameserver):
    nameserver.load(f"alias.{DOMAIN}. CNAME {DOMAIN}.").txt(DOMAIN, "v=spf1 +all")
    assert result(nameserver, sender=f"a@alias.{DOMAIN}") == "pass"


def test_a_wildcard_record_counts(nameserver):
    nameserver.txt(f"*.{DOMAIN}", "v=spf1 -all")
    assert result(nameserver, sender=f"a@any.thing.{DOMAIN}") == "fail"


# --- §4.5: selecting records ---


@pytest.mark.parametrize(
    "text, expected",
    [
        ("v=spf1", "neutral"),
        ("v=spf1 ", "neutral"),
        ("V=sPf1 -AlL", "fail"),
        ("v=spf1-all", "none"),
        ("v=spf10 -all", "none"),
        ("v=spf1\t-all", "none"),
        (" v=spf1 -all", "none"),
        ("v=spf2.0/pra -all", "none"),
        ("spf1 -all", "none"),
        ("", "none"),
        ("v=spf1  a:x.example.com   -all  ", "fail"),
    ],
)
def test_what_begins_a_record(nameserver, text, expected):
    assert result(nameserver, text) == expected


def test_strings_are_joined_without_a_space(nameserver):
    nameserver.load(f'{DOMAIN}. TXT "v=spf1 ip4:192.0." "2.10 -" "all"\nx.{DOMAIN}. TXT "v=spf1" "-all"')
    assert result(nameserver) == "pass"
    assert result(nameserver, sender=f"a@x.{DOMAIN}") == "none"


def test_two_records_are_an_error_other_texts_are_not(nameserver):
    nameserver.txt(DOMAIN, "v=spf1 +all", "verification=1", "caf\xe9")
    assert result(nameserver) == "pass"
    nameserver.txt(DOMAIN, "v=spf1 -all")
    assert result(nameserver) == "permerror"


@pytest.mark.parametrize(
    "text", ["v=spf1 \xa0ip4:192.0.2.10 -all", "v=spf1 +all\xe9", "v=spf1 exp=caf\xe9.example.com -all"]
)
def test_a_record_outside_ascii_is_an_error(nameserver, text):
    assert result(nameserver, text) == "permerror"


# --- §4.6, §5, §6, §12: the grammar; every mistake counts although `+all` stands before it ---

WRONG = r"""
moo | all:x.example.com | all/8 | all. | -all: | al | --all | !all | +
ip4 | ip4: | ip4:1.2.3 | ip4:1.2.3.4.5 | ip4:1.2.3.4/33 | ip4:1.2.3.4/ | ip4:1.2.3.4/032 | ip4:1.2.3.4//32 | ip4:1.2.3.4:8080
ip4:1.2.3.256 | ip4:01.2.3.4 | ip4:::1 | ip4/24 | ip4:1.2.3.4/-1 | ip4:1.2.3.4/a
ip6 | ip6: | ip6:1.2.3.4 | ip6:2001:db8::/129 | ip6:2001:db8::/ | ip6:2001:db8::/032 | ip6:2001:db8::1::2 | ip6:fe80::1%eth0
ip6:2001:db8:://33 | ip6::CAFE::BABE
a: | a/ | a/33 | a/032 | a//129 | a//064 | a/24/64 | a///64 | a:/24 | a:example.com/33 | a:example.com:8080 | a:example.com//
a:museum | a:museum. | a:abc.123 | a:192.0.2.1 | a:abc.456-7- | a:abc.-x | a:a..example.com | a:x.example.com.. | a:foo@
mx: | mx/33 | mx//129 | mx:/24 | mx:museum | a24 | mx.example.com | a.example.com
ptr: | ptr/0 | ptr:museum | ptr:example.com/24
include | include: | include:museum | include:x.example.com/24 | include/24 | exists | exists: | exists:x.example.com/24
exists:x.example.com//28
redirect= | redirect:x.example.com | redirect=museum | -redirect=x.example.com | redirect=x.example.com/24
exp= | exp=museum | exp:x.example.com | redirect=a.example.com redirect=b.example.com | exp=a.example.com exp=b.example.com
=x | foo=%abc | foo=%{x} | foo=%(bar) | 8x=y | a$=y | foo=%{d | ~foo=bar
a:%{c}.example.com | a:%{r}.example.com | a:%{t}.example.com | a:%{a}.example.com | a:%{d0} | a:%{d00r} | a:%{dr5} | a:%{d!}
a:%{}.example.com | a:%.example.com | a:x%%%.example.com | a:example.com% | a:%{d}x | a:%{d}/033 | exp=%{c}.example.com
a:%%{d}/033 | a:%{d.x | a:%{ d} | a:\x01.example.com | a:x\x7f.example.com | a:x\ty.example.com | a:x.example.com\r\n
"""
WRONG_TERMS = [
    term.strip(" ").encode("ascii").decode("unicode_escape")
    for line in WRONG.strip("\n").splitlines()
    for term in line.split(" | ")
]


@pytest.mark.parametrize("term", WRONG_TERMS)
def test_a_mistake_anywhere_is_an_error_of_the_whole_record(nameserver, term):
    assert result(nameserver, f"v=spf1 +all {term}") == "permerror"
    assert [rdtype for _, rdtype, _ in nameserver.asked] == ["TXT"], "found before anything was evaluated"


RIGHT = """
ip4:1.2.3.4/0 ip4:1.2.3.4/32 ip4:0.0.0.0 ip6:::1.1.1.1/0 ip6:::1.1.1.1/128 ip6:2001:DB8::/33 IP4:1.2.3.4
a a/0 a/32 a//0 a//128 a/24//64 A:x.example.com mx mx/24 mx//64 mx/24//64 MX:x.example.com/24//64 a:x.example.com.
a:foo:bar/baz.example.com a:111.222.33.co-op a:abc.xn--zckzah a:4.4-5 a:_x.example.com a:x.example.c0m
a:%{d} a:%{D} a:%{d2r} a:%{dR2} a:%{d1r-+,/_=.} a:%%{d}.example.com a:x.%-.%_.%%.example.com a:example.com%% a:%{d}//64 a:%{p}
ptr PTR:x.example.com exists:%{ir}.x.example.com include:x.example.com moo=foo moo.foo-1_x=%{d}%%%_ moo= ip4=1.2.3.4 include=x
default=pass -ip4:1.2.3.4 ?a ~mx +ptr a:$x!"#&'()*,;<>?@[]^`{|}~.example.com
"""


@pytest.mark.parametrize("term", [term for term in RIGHT.split() if term != "a:%{dR2}"])
def test_what_the_grammar_allows_is_read(term):
    parse(f"v=spf1 {term} -all")


def test_digits_stand_before_the_r():
    with pytest.raises(SpfSyntaxError, match="macro"):
        parse("v=spf1 a:%{dR2}")


@pytest.mark.parametrize("label", ["a:" + "x" * 64 + ".example.com", "a:" + "x." * 130 + "com"])
def test_a_name_that_cannot_exist_is_an_error_where_it_is_written_out(nameserver, label):
    assert result(nameserver, f"v=spf1 {label} -all") == "permerror"


def test_a_name_that_cannot_exist_matches_nothing_where_macros_made_it(nameserver):
    local = "x" * 64
    assert result(nameserver, "v=spf1 a:%{l}.example.com -all", sender=f"{local}@example.com") == "fail"
    assert result(nameserver, sender="a..b@example.com") == "fail"


# --- §4.6.2, §4.7, §5.1, §6.1: order and default ---


@pytest.mark.parametrize(
    "record, expected",
    [
        ("v=spf1 ip4:1.2.3.4", "neutral"),
        ("v=spf1 moo=bar", "neutral"),
        ("v=spf1 default=pass", "neutral"),
        ("v=spf1 +all -all", "pass"),
        ("v=spf1 ?all +all", "neutral"),
        ("v=spf1 ~all", "softfail"),
        ("v=spf1 all", "pass"),
        ("v=spf1 redirect=r.example.com ip4:192.0.2.10", "pass"),
        ("v=spf1 redirect=r.example.com ip4:192.0.2.11", "softfail"),
        ("v=spf1 redirect=r.example.com ?all", "neutral"),
        ("v=spf1 ?all redirect=missing.example.com", "neutral"),
        ("v=spf1 redirect=missing.example.com", "permerror"),
        ("v=spf1 REDIRECT=r.example.com", "softfail"),
        ("v=spf1 redirect=broken.example.com", "permerror"),
        ("v=spf1 redirect=servfail.example.com", "temperror"),
        ("v=spf1 redirect=%{l}..example.com", "permerror"),
    ],
)
def test_the_first_match_decides_and_redirect_comes_last(nameserver, record, expected):
    nameserver.txt("r.example.com", "v=spf1 ~all").txt("broken.example.com", "v=spf1 a:").servfail.add(
        "servfail.example.com"
    )
    assert result(nameserver, record) == expected


def test_a_redirect_does_not_change_the_sender(nameserver):
    nameserver.txt("r.example.com", "v=spf1 exists:%{o}.%{d} -all").load("example.com.r.example.com. A 127.0.0.2")
    assert result(nameserver, "v=spf1 redirect=r.example.com") == "pass"


def test_ipv6_clients_and_ipv4_clients_meet_their_own_networks(nameserver):
    record = "v=spf1 ip4:0.0.0.0/0 -ip6:::/0"
    assert result(nameserver, record) == "pass"
    assert result(nameserver, ip=CLIENT6) == "fail"
