"""SPF: macros and explanations (RFC 7208 §6.2, §7)."""

import pytest

from dns_tools.spf.macros import expand, read_domain_spec, read_macro_string, shorten
from tests.dns_tools.spf_cases import CLIENT, CLIENT6, DOMAIN, outcome, result

# --- §7.4: the RFC's own examples ---

VALUES = {
    "s": "strong-bad@email.example.com",
    "l": "strong-bad",
    "o": "email.example.com",
    "d": "email.example.com",
    "i": "192.0.2.3",
    "v": "in-addr",
    "p": "mx.example.org",
    "h": "mail.example.com",
}
NIBBLES = "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2"


@pytest.mark.parametrize(
    "text, expected",
    [
        ("%{s}", "strong-bad@email.example.com"),
        ("%{o}", "email.example.com"),
        ("%{d}", "email.example.com"),
        ("%{d4}", "email.example.com"),
        ("%{d3}", "email.example.com"),
        ("%{d2}", "example.com"),
        ("%{d1}", "com"),
        ("%{dr}", "com.example.email"),
        ("%{d2r}", "example.email"),
        ("%{l}", "strong-bad"),
        ("%{l-}", "strong.bad"),
        ("%{lr}", "strong-bad"),
        ("%{lr-}", "bad.strong"),
        ("%{l1r-}", "strong"),
        ("%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"),
        ("%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"),
        ("%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"),
        ("%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "3.2.0.192.in-addr.strong.lp._spf.example.com"),
        ("%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net"),
        ("%{D99999999999999}", "email.example.com"),
        ("%{S}", "strong-bad%40email.example.com"),
        ("%{SR-}", "bad%40email.example.com.strong"),
        ("%{d01}", "com"),
        ("%{h}%%%_%-", "mail.example.com% %20"),
    ],
)
def test_examples_of_the_rfc(text, expected):
    assert expand(read_macro_string(text), VALUES.__getitem__) == expected


def test_the_ipv6_example_of_the_rfc(nameserver):
    nameserver.txt(DOMAIN, "v=spf1 exists:%{ir}.%{v}._spf.%{d2} -all")
    nameserver.load(f"{NIBBLES}.ip6._spf.example.com. A 127.0.0.2")
    assert outcome(nameserver, ip=CLIENT6).result == "pass"


@pytest.mark.parametrize("delimiter", list(".-+,/_="))
def test_every_delimiter_splits_and_the_parts_are_joined_by_dots(delimiter):
    pieces = read_macro_string(f"%{{l2r{delimiter}}}")
    assert expand(pieces, lambda _: delimiter.join("abc")) == "b.a"


def test_several_delimiters_split_at_each():
    assert expand(read_macro_string("%{l-+=}"), lambda _: "a-b+c=d.e") == "a.b.c.d.e"


def test_a_name_too_long_loses_labels_from_the_left(nameserver):
    local = ".".join(["x" * 60] * 4)
    assert shorten(f"{local}.example.com") == ".".join(["x" * 60] * 3) + ".example.com"
    nameserver.txt(DOMAIN, "v=spf1 exists:%{l}.%{d} -all")
    nameserver.load(".".join(["x" * 60] * 3) + ".example.com. A 127.0.0.2")
    assert outcome(nameserver, sender=f"{local}@{DOMAIN}").result == "pass"


def test_helo_names_of_any_kind_fill_their_macro(nameserver):
    nameserver.txt(DOMAIN, "v=spf1 -all exp=e.example.com").txt("e.example.com", "%{h}")
    assert outcome(nameserver, helo="[192.0.2.10]").explanation == "[192.0.2.10]"
    assert result(nameserver, "", helo="x") == "fail"


@pytest.mark.parametrize(
    "helo, expected",
    [("mx.example.com", "pass"), ("OEMCOMPUTER", "fail"), ("[192.0.2.10]", "fail"), ("JUMPIN' JUPITER", "fail")],
)
def test_a_policy_can_require_a_greeting_that_leads_back(nameserver, helo, expected):
    nameserver.load(f"mx.example.com. A {CLIENT}")
    nameserver.txt(DOMAIN, "v=spf1 -include:_spfh.%{d2} ip4:192.0.2.0/24 -all")
    nameserver.txt("_spfh.example.com", "v=spf1 -a:%{h} +all")
    assert outcome(nameserver, helo=helo).result == expected


def test_encoded_spaces_and_percents_are_part_of_the_name(nameserver):
    nameserver.txt(DOMAIN, "v=spf1 exists:%%percent%%%_space%-%{d} -all")
    nameserver.load("%percent%\\032space%20example.com. A 127.0.0.2")
    assert outcome(nameserver).result == "pass"


def test_upper_case_letters_escape_for_urls(nameserver):
    nameserver.txt(DOMAIN, "v=spf1 -all exp=e.example.com").txt(
        "e.example.com", "http://x.example.com/why?s=%{S}&i=%{I}&h=%{H}"
    )
    found = outcome(nameserver, ip=CLIENT, sender="jack&jill=up~-_.@example.com", helo="OEM COMPUTER")
    assert (
        found.explanation
        == "http://x.example.com/why?s=jack%26jill%3Dup~-_.%40example.com&i=192.0.2.10&h=OEM%20COMPUTER"
    )


def test_a_local_part_outside_ascii_matches_nothing(nameserver):
    """RFC 8616 §4."""
    nameserver.txt(DOMAIN, "v=spf1 exists:%{l}.example.com ~all").load("*.example.com. A 127.0.0.2")
    assert outcome(nameserver, sender="info@example.com").result == "pass"
    assert outcome(nameserver, sender="ñandú@example.com").result == "softfail"


def test_a_local_part_keeps_its_backslashes(nameserver):
    nameserver.txt(DOMAIN, "v=spf1 exists:%{l}.example.com -all").load("a\\\\b.example.com. A 127.0.0.2")
    assert outcome(nameserver, sender="a\\b@example.com").result == "pass"


# --- p (§7.3) ---


@pytest.mark.parametrize(
    "names, expected",
    [
        ([], "unknown"),
        (["other.example.org"], "other.example.org"),
        (["other.example.org", "mail.example.com"], "mail.example.com"),
        (["other.example.org", "mail.example.com", "example.com"], "example.com"),
    ],
)
def test_p_prefers_the_domain_then_a_name_below_it(nameserver, names, expected):
    zone = [f"10.2.0.192.in-addr.arpa. PTR {name}.\n{name}. A {CLIENT}" for name in names]
    nameserver.load("\n".join([*zone, f"{expected}.here.example.com. A 127.0.0.2"]))
    nameserver.txt(DOMAIN, "v=spf1 exists:%{p}.here.example.com -all")
    assert outcome(nameserver).result == "pass"


def test_p_is_unknown_where_the_name_does_not_lead_back_or_the_dns_fails(nameserver):
    nameserver.load("10.2.0.192.in-addr.arpa. PTR forged.example.com.\nforged.example.com. A 192.0.2.66")
    nameserver.txt(DOMAIN, "v=spf1 -all exp=e.example.com").txt("e.example.com", "%{p}")
    assert outcome(nameserver).explanation == "unknown"
    nameserver.servfail.add("10.2.0.192.in-addr.arpa")
    assert outcome(nameserver).explanation == "unknown"


def test_p_of_an_ipv6_client(nameserver):
    nameserver.load(f"{NIBBLES}.ip6.arpa. PTR six.example.com.\nsix.example.com. AAAA {CLIENT6}")
    nameserver.txt(DOMAIN, "v=spf1 -all exp=e.example.com").txt("e.example.com", "%{p} %{i} %{c} %{v}")
    assert outcome(nameserver, ip=CLIENT6).explanation == f"six.example.com {NIBBLES[::-1]} 2001:db8::cb01 ip6"


# --- exp= (§6.2) ---


def explained(nameserver, *texts, record="v=spf1 -all exp=e.example.com", **options):
    nameserver.txt(DOMAIN, record)
    if texts:
        nameserver.txt("e.example.com", *texts)
    return outcome(nameserver, **options)


def test_an_explanation_knows_three_letters_more(nameserver):
    found = explained(nameserver, "%{c} at %{t} by %{r} 100%%", receiver="mx.example.org", clock=lambda: 1234567890.9)
    assert found.explanation == "192.0.2.10 at 1234567890 by mx.example.org 100%"
    assert explained(nameserver).explanation.endswith("by unknown 100%")


def test_an_explanation_is_joined_from_its_strings(nameserver):
    nameserver.load('e.example.com. TXT "See " "http" "://x.example.com"')
    assert explained(nameserver).explanation == "See http://x.example.com"


@pytest.mark.parametrize("texts", [(), ("one", "two"), ("caf\xe9",), ("%{x}",), ("100% sure",), ("tab\there",), ("%",)])
def test_an_explanation_that_is_wrong_is_none_and_the_result_stays(nameserver, texts):
    found = explained(nameserver, *texts)
    assert (found.result, found.explanation) == ("fail", "")


@pytest.mark.parametrize("fault", ["servfail", "silent"])
def test_an_explanation_that_cannot_be_had_is_none(nameserver, fault):
    getattr(nameserver, fault).add("e.example.com")
    found = explained(nameserver)
    assert (found.result, found.explanation) == ("fail", "")


def test_only_a_fail_is_explained(nameserver):
    found = explained(nameserver, "why", record="v=spf1 ~all exp=e.example.com")
    assert (found.result, found.explanation) == ("softfail", "")
    assert ("e.example.com", "TXT", "udp") not in nameserver.asked


def test_the_explanation_of_an_include_is_not_used(nameserver):
    nameserver.txt("i.example.com", "v=spf1 -all exp=i2.example.com").txt("i2.example.com", "not this")
    assert (
        explained(nameserver, "this", record="v=spf1 include:i.example.com -all exp=e.example.com").explanation
        == "this"
    )
    assert ("i2.example.com", "TXT", "udp") not in nameserver.asked


def test_a_redirect_brings_its_own_explanation_or_none(nameserver):
    nameserver.txt("r.example.com", "v=spf1 -all exp=%{d}2.example.com").txt("r.example.com2.example.com", "of %{d}")
    nameserver.txt("s.example.com", "v=spf1 -all")
    assert (
        explained(nameserver, "no", record="v=spf1 redirect=r.example.com exp=e.example.com").explanation
        == "of r.example.com"
    )
    nameserver.nodes.clear()
    nameserver.txt("s.example.com", "v=spf1 -all")
    assert explained(nameserver, "no", record="v=spf1 redirect=s.example.com exp=e.example.com").explanation == ""


def test_an_explanation_counts_against_no_limit(nameserver):
    found = explained(nameserver)
    assert (found.asking_terms, found.void_terms) == (0, 0)


@pytest.mark.parametrize("text", ["%{d}", "x.%{d}", "example.com", "example.com.", "x%%", "x.%-"])
def test_a_domain_spec_ends_in_a_macro_or_a_top_label(text):
    assert read_domain_spec(text)
