"""Questions to a real name server: what comes back, and what is told of servers that fail."""

import pytest

from dns_tools.lookup import BadName, LookupStatus, is_domain, make_resolver, query, split_server, to_name

DOMAIN = "boletin.example.gob.pe"


def test_an_answer_carries_records_ttl_and_the_server(nameserver, resolver):
    nameserver.load(f'{DOMAIN}. 120 IN TXT "v=spf1 " "-all"')
    found = query(resolver, DOMAIN, "TXT")
    assert (found.status, found.texts, found.ttl_seconds) == (LookupStatus.ANSWER, (b"v=spf1 -all",), 120)
    assert found.server == f"127.0.0.1:{nameserver.port}"
    assert f"@127.0.0.1:{nameserver.port}" in found.evidence
    assert "ttl=120" in found.evidence


def test_no_data_and_no_name_are_told_apart(nameserver, resolver):
    nameserver.load(f"{DOMAIN}. A 192.0.2.1\nx.y.{DOMAIN}. A 192.0.2.2")
    assert query(resolver, DOMAIN, "TXT").status is LookupStatus.NODATA
    assert query(resolver, f"y.{DOMAIN}", "A").status is LookupStatus.NODATA
    missing = query(resolver, f"other.{DOMAIN}", "A")
    assert (missing.status, missing.server) == (LookupStatus.NXDOMAIN, f"127.0.0.1:{nameserver.port}")


@pytest.mark.parametrize("fault, status", [("servfail", "servfail"), ("refused", "refused"), ("silent", "timeout")])
def test_a_failing_server_is_never_an_absent_record(nameserver, resolver, fault, status):
    getattr(nameserver, fault).add(DOMAIN)
    found = query(resolver, DOMAIN, "TXT")
    assert (found.status, found.unknown, found.void) == (status, True, False)


def test_a_truncated_answer_is_fetched_over_tcp(nameserver, resolver):
    nameserver.txt(DOMAIN, "x" * 3000)
    assert query(resolver, DOMAIN, "TXT").texts == (b"x" * 3000,)
    assert [transport for _, _, transport in nameserver.asked] == ["udp", "tcp"]


def test_a_server_that_truncates_for_no_reason_is_asked_over_tcp(nameserver, resolver):
    nameserver.txt(DOMAIN, "short").truncated.add(DOMAIN)
    assert query(resolver, DOMAIN, "TXT").texts == (b"short",)


def test_a_lost_question_is_repeated(nameserver):
    nameserver.txt(DOMAIN, "late").slow_seconds[DOMAIN] = 0.25
    assert query(nameserver.resolver(timeout_seconds=0.1, lifetime_seconds=2), DOMAIN, "TXT").unknown
    assert len(nameserver.asked) > 1
    nameserver.slow_seconds.clear()
    assert query(nameserver.resolver(timeout_seconds=0.1, lifetime_seconds=2), DOMAIN, "TXT").answered


def test_a_lame_server_says_nothing_and_no_record_is_claimed(nameserver, resolver):
    nameserver.txt(DOMAIN, "held").lame = True
    found = query(resolver, DOMAIN, "TXT")
    assert (found.unknown, found.detail) == (True, "lame server")


@pytest.mark.parametrize("bare", [False, True])
def test_alias_chains_are_followed_and_shown(nameserver, resolver, bare):
    nameserver.load(
        f"a.{DOMAIN}. CNAME b.{DOMAIN}.\nb.{DOMAIN}. CNAME c.{DOMAIN}.\nc.{DOMAIN}. A 192.0.2.7"
    ).bare_aliases = bare
    found = query(resolver, f"a.{DOMAIN}", "A")
    assert ([str(record) for record in found.records], found.aliases) == (["192.0.2.7"], (f"b.{DOMAIN}", f"c.{DOMAIN}"))


@pytest.mark.parametrize("bare", [False, True])
def test_an_alias_loop_ends(nameserver, resolver, bare):
    nameserver.load(f"a.{DOMAIN}. CNAME b.{DOMAIN}.\nb.{DOMAIN}. CNAME a.{DOMAIN}.").bare_aliases = bare
    assert not query(resolver, f"a.{DOMAIN}", "A").answered
    assert len(nameserver.asked) < 12


def test_wildcards_answer_for_names_that_do_not_exist(nameserver, resolver):
    nameserver.load(f"*.{DOMAIN}. A 192.0.2.9\nreal.{DOMAIN}. TXT x")
    assert query(resolver, f"a.b.{DOMAIN}", "A").answered
    assert query(resolver, f"real.{DOMAIN}", "A").status is LookupStatus.NODATA


@pytest.mark.parametrize("name", ["a..example.pe", "x" * 64 + ".example.pe", ".example.pe", "a." * 130 + "pe"])
def test_names_that_cannot_be_asked_are_not(nameserver, resolver, name):
    assert query(resolver, name, "A").status is LookupStatus.BAD_NAME
    assert nameserver.asked == []


def test_backslashes_and_odd_characters_stay_what_they_are():
    assert to_name("a\\.b.example.pe").labels[:2] == (b"a\\", b"b")
    assert to_name("foo:bar/baz.example.pe.").labels[0] == b"foo:bar/baz"
    assert to_name("año.example.pe").labels[0] == b"xn--ao-zja"
    with pytest.raises(BadName):
        to_name("a" * 64)


def test_a_domain_has_two_labels():
    assert is_domain("example.pe")
    assert is_domain("example.pe.")
    assert not is_domain("example")
    assert not is_domain("")
    assert not is_domain("a..pe")


@pytest.mark.parametrize(
    "text, expected",
    [
        ("192.0.2.1", ("192.0.2.1", 53)),
        ("192.0.2.1:5353", ("192.0.2.1", 5353)),
        ("[2001:db8::1]:99", ("2001:db8::1", 99)),
        ("2001:db8::1", ("2001:db8::1", 53)),
        ("localhost:99", ("127.0.0.1", 99)),
    ],
)
def test_servers_as_people_write_them(text, expected):
    assert split_server(text) == expected


@pytest.mark.parametrize("text", ["", "x", "192.0.2.1:0", "192.0.2.1:x", "192.0.2.1:99999"])
def test_a_server_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        make_resolver(text)
