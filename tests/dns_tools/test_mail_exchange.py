"""MX, DANE, MTA-STS, TLS-RPT, BIMI, DNSSEC, and the records of history."""

import datetime

import dns.dnssec
import dns.dnssectypes
import dns.name
import dns.rrset
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dns_tools.bimi import check_bimi
from dns_tools.dnssec import check_dnssec
from dns_tools.exchange import check_dane, check_mx
from dns_tools.findings import Status
from dns_tools.historical import check_historical, parse_domainkeys_policy, parse_sender_id
from dns_tools.tags import RecordError
from dns_tools.transport import check_mta_sts, check_tls_rpt, parse_sts_policy, parse_sts_record, parse_tls_rpt

DOMAIN = "boletin.example.gob.pe"


def by_code(findings):
    return {found.code: found for found in findings}


# --- MX ---


@pytest.mark.parametrize(
    "zone, codes",
    [
        (f"{DOMAIN}. MX 10 m.example.pe.\nm.example.pe. A 192.0.2.1", {"mx.found"}),
        (f"{DOMAIN}. MX 10 m.example.pe.\nm.example.pe. AAAA 2001:db8::1", {"mx.found"}),
        (f"{DOMAIN}. MX 0 .", {"mx.null"}),
        (f"{DOMAIN}. MX 0 .\n{DOMAIN}. MX 5 m.example.pe.", {"mx.null_mixed"}),
        (f"{DOMAIN}. A 192.0.2.1", {"mx.implicit"}),
        ("", {"mx.missing"}),
        (f"{DOMAIN}. TXT x", {"mx.missing"}),
        (f"{DOMAIN}. MX 10 192.0.2.1.", {"mx.found", "mx.host_is_address"}),
        (f"{DOMAIN}. MX 10 gone.example.pe.", {"mx.found", "mx.host_without_address"}),
        (f"{DOMAIN}. MX 10 broken.example.pe.", {"mx.found", "mx.host_unreachable"}),
        (
            f"{DOMAIN}. MX 10 a.example.pe.\na.example.pe. CNAME m.example.pe.\nm.example.pe. A 192.0.2.1",
            {"mx.found", "mx.host_is_alias"},
        ),
    ],
)
def test_who_receives_mail(nameserver, zone, codes):
    nameserver.load(zone).servfail.add("broken.example.pe")
    assert set(by_code(check_mx(nameserver.resolver(), DOMAIN))) == codes


def test_a_failing_server_is_no_missing_mx(nameserver):
    nameserver.servfail.add(DOMAIN)
    assert [found.status for found in check_mx(nameserver.resolver(), DOMAIN)] == [Status.ERROR]


# --- DANE ---

GOOD_TLSA = "3 1 1 " + "ab" * 32


@pytest.mark.parametrize(
    "records, validated, codes",
    [
        ((), True, {"dane.none"}),
        ((GOOD_TLSA,), True, {"dane.found"}),
        ((GOOD_TLSA,), False, {"dane.not_signed"}),
        (("1 1 1 " + "ab" * 32,), True, {"dane.unusable"}),
        (("3 1 7 abcd",), True, {"dane.unusable"}),
        (("3 1 2 " + "ab" * 64, "0 0 0 abcd"), True, {"dane.found"}),
    ],
)
def test_pinned_certificates(nameserver, records, validated, codes):
    nameserver.load(f"{DOMAIN}. MX 10 m.example.pe.\nm.example.pe. A 192.0.2.1\n")
    nameserver.load("\n".join(f"_25._tcp.m.example.pe. TLSA {record}" for record in records))
    if validated:
        nameserver.validated.add("_25._tcp.m.example.pe")
    assert set(by_code(check_dane(nameserver.resolver(), DOMAIN))) == codes


def test_a_failing_tlsa_lookup_holds_mail_back(nameserver):
    nameserver.load(f"{DOMAIN}. MX 10 m.example.pe.").servfail.add("_25._tcp.m.example.pe")
    assert set(by_code(check_dane(nameserver.resolver(), DOMAIN))) == {"dane.unreachable"}


# --- MTA-STS and TLS-RPT ---

POLICY = b"version: STSv1\r\nmode: enforce\r\nmx: *.example.pe\r\nmx: mx.other.example\r\nmax_age: 604800\r\n"


def sts(nameserver, policy, *texts):
    nameserver.txt(f"_mta-sts.{DOMAIN}", *(texts or ("v=STSv1; id=20260101T000000;",)))
    nameserver.load(f"{DOMAIN}. MX 1 m.example.pe.\n{DOMAIN}. MX 2 mx.other.example.")
    fetched = []

    def fetch(url):
        fetched.append(url)
        if policy is None:
            raise OSError("connection refused")
        return policy

    found = by_code(check_mta_sts(nameserver.resolver(), DOMAIN, fetch=fetch))
    assert fetched in ([], [f"https://mta-sts.{DOMAIN}/.well-known/mta-sts.txt"])
    return set(found)


@pytest.mark.parametrize(
    "policy, codes",
    [
        (POLICY, {"mta_sts.enforce"}),
        (POLICY.replace(b"\r\n", b"\n"), {"mta_sts.enforce"}),
        (POLICY.replace(b"enforce", b"testing"), {"mta_sts.not_enforced"}),
        (POLICY.replace(b"604800", b"60"), {"mta_sts.enforce", "mta_sts.short_age"}),
        (POLICY.replace(b"*.example.pe", b"*.a.example.pe"), {"mta_sts.enforce", "mta_sts.mx_not_covered"}),
        (POLICY.replace(b"*.example.pe", b"example.pe"), {"mta_sts.enforce", "mta_sts.mx_not_covered"}),
        (b"version: STSv1\nmode: none\nmax_age: 1\n", {"mta_sts.not_enforced"}),
        (None, {"mta_sts.not_fetched"}),
        (b"<html>", {"mta_sts.policy_syntax"}),
    ],
)
def test_an_mta_sts_policy_is_judged(nameserver, policy, codes):
    assert sts(nameserver, policy) == {"mta_sts.found"} | codes


@pytest.mark.parametrize(
    "texts, code",
    [
        (("v=STSv1; id=",), "mta_sts.syntax"),
        (("v=STSv1; id=a b",), "mta_sts.syntax"),
        (("v=STSv1; id=1", "v=STSv1; id=2"), "mta_sts.several"),
        (("other",), "mta_sts.missing"),
    ],
)
def test_an_mta_sts_record_is_judged(nameserver, texts, code):
    assert sts(nameserver, POLICY, *texts) == {code}


def test_without_a_fetcher_only_the_record_is_judged(nameserver):
    nameserver.txt(f"_mta-sts.{DOMAIN}", "v=STSv1; id=1")
    assert set(by_code(check_mta_sts(nameserver.resolver(), DOMAIN))) == {"mta_sts.found"}


@pytest.mark.parametrize(
    "policy, code",
    [
        (b"x" * 70000, "too_long"),
        (b"\xff", "not_ascii"),
        (b"mode: enforce", "version"),
        (POLICY.replace(b"enforce", b"always"), "mode"),
        (POLICY.replace(b"604800", b"-1"), "max_age"),
        (POLICY.replace(b"604800", b"99999999"), "max_age"),
        (POLICY.replace(b"*.example.pe", b"*.*.pe"), "mx"),
        (b"version: STSv1\nmode: enforce\nmax_age: 1\n", "mx"),
    ],
)
def test_what_is_no_policy(policy, code):
    with pytest.raises(RecordError) as caught:
        parse_sts_policy(policy)
    assert caught.value.code == code


def test_a_policy_wildcard_stands_for_one_label():
    policy = parse_sts_policy(POLICY)
    assert policy.allows("M.example.pe.")
    assert not policy.allows("a.b.example.pe")
    assert not policy.allows("example.pe")
    assert parse_sts_record("v=STSv1; id=abc") == "abc"


@pytest.mark.parametrize(
    "texts, code",
    [
        (("v=TLSRPTv1; rua=mailto:tls@example.pe,https://example.pe/r",), "tls_rpt.found"),
        (("v=TLSRPTv1;rua=ftp://example.pe",), "tls_rpt.syntax"),
        (("v=TLSRPTv1",), "tls_rpt.syntax"),
        (("v=TLSRPTv1;rua=mailto:a@b.pe", "v=TLSRPTv1;rua=mailto:c@b.pe"), "tls_rpt.several"),
        ((), "tls_rpt.missing"),
    ],
)
def test_tls_reports(nameserver, texts, code):
    nameserver.txt(f"_smtp._tls.{DOMAIN}", *texts)
    (found,) = check_tls_rpt(nameserver.resolver(), DOMAIN)
    assert found.code == code
    if code == "tls_rpt.missing":
        assert parse_tls_rpt(found.publish[0].text) == (f"mailto:tls@{DOMAIN}",)


# --- BIMI ---

MARK = "v=BIMI1; l=https://example.pe/logo.svg; a=https://example.pe/vmc.pem"


@pytest.mark.parametrize(
    "texts, dmarc, codes",
    [
        ((MARK,), "p=reject", {"bimi.found"}),
        ((MARK,), "p=none", {"bimi.found", "bimi.weak_dmarc"}),
        (("v=BIMI1; l=https://example.pe/logo.svg",), "p=reject", {"bimi.found", "bimi.no_certificate"}),
        (("v=BIMI1; l=; a=",), "p=reject", {"bimi.declined"}),
        (("v=BIMI1; l=http://example.pe/logo.svg",), "p=reject", {"bimi.syntax"}),
        ((MARK, "v=BIMI1; l="), "p=reject", {"bimi.several"}),
        ((), "p=reject", {"bimi.missing"}),
    ],
)
def test_bimi(nameserver, texts, dmarc, codes):
    nameserver.txt(f"default._bimi.{DOMAIN}", *texts).txt(f"_dmarc.{DOMAIN}", f"v=DMARC1; {dmarc}")
    assert set(by_code(check_bimi(nameserver.resolver(), DOMAIN))) == codes


# --- DNSSEC ---

NOW = datetime.datetime.now(datetime.UTC)
NAME = dns.name.from_text(DOMAIN)


def sign(
    nameserver, *, key=None, lifetime=3600, inception=NOW - datetime.timedelta(days=2), digest="SHA256", ds_key=None
):
    """A zone as its owner would sign it: the key, its signature over itself, and the parent's word for it."""
    key = key or Ed25519PrivateKey.generate()
    record = dns.dnssec.make_dnskey(key.public_key(), "ED25519", flags=257)
    keys = dns.rrset.from_rdata(NAME, 300, record)
    signature = dns.dnssec.sign(
        keys, key, NAME, record, inception=inception, expiration=inception + datetime.timedelta(lifetime)
    )
    named = dns.dnssec.make_dnskey(ds_key.public_key(), "ED25519", flags=257) if ds_key else record
    parent = dns.dnssec.make_ds(NAME, named, digest, policy=dns.dnssec.allow_all_policy)
    nameserver.add_rrset(keys)
    nameserver.add_rrset(dns.rrset.from_rdata(NAME, 300, signature))
    nameserver.add_rrset(dns.rrset.from_rdata(NAME, 300, parent))


def dnssec_codes(nameserver):
    return by_code(check_dnssec(nameserver.resolver(), DOMAIN))


def test_a_signed_domain_passes(nameserver):
    sign(nameserver)
    assert set(dnssec_codes(nameserver)) == {"dnssec.signed"}


def test_an_expired_signature_breaks_the_chain(nameserver):
    sign(nameserver, inception=NOW - datetime.timedelta(days=60), lifetime=30)
    found = dnssec_codes(nameserver)["dnssec.broken"]
    assert (found.status, found.values["problem"]) == (Status.FAIL, "no RRSIGs validated")


def test_a_ds_record_of_another_key_breaks_the_chain(nameserver):
    sign(nameserver, ds_key=Ed25519PrivateKey.generate())
    assert "no DNSKEY matches" in dnssec_codes(nameserver)["dnssec.broken"].explanation["en"]


def test_a_ds_record_without_keys_breaks_the_chain(nameserver):
    nameserver.load(f"{DOMAIN}. DS 12345 15 2 {'ab' * 32}")
    assert dnssec_codes(nameserver)["dnssec.broken"].values["problem"] == "no DNSKEY"


def test_keys_without_a_signature_break_the_chain(nameserver):
    sign(nameserver)
    nameserver.nodes[NAME] = {key: held for key, held in nameserver.nodes[NAME].items() if not key[1]}
    assert "no RRSIG" in dnssec_codes(nameserver)["dnssec.broken"].values["problem"]


def test_keys_that_the_parent_does_not_know_do_not_count(nameserver):
    sign(nameserver)
    nameserver.nodes[NAME] = {key: held for key, held in nameserver.nodes[NAME].items() if key[0].name != "DS"}
    assert set(dnssec_codes(nameserver)) == {"dnssec.unsigned_keys"}


def test_an_old_digest_is_told(nameserver):
    sign(nameserver, digest="SHA1")
    assert set(dnssec_codes(nameserver)) == {"dnssec.signed", "dnssec.old_digest"}


def test_an_unsigned_domain_is_fine_and_a_silent_server_an_open_question(nameserver):
    nameserver.load(f"{DOMAIN}. A 192.0.2.1")
    assert set(dnssec_codes(nameserver)) == {"dnssec.unsigned"}
    nameserver.servfail.add(DOMAIN)
    assert set(dnssec_codes(nameserver)) == {"dnssec.unreachable"}


# --- history ---


def test_forerunners_are_marked_historical(nameserver):
    nameserver.txt(DOMAIN, "spf2.0/mfrom,pra +mx -all").txt(f"_domainkey.{DOMAIN}", "t=y; o=-; n=note; r=a@example.pe")
    found = by_code(check_historical(nameserver.resolver(), DOMAIN))
    assert set(found) == {"historical.sender_id", "historical.domainkeys"}
    assert all("Histórico" in one.explanation["es"] and one.status is Status.WARNING for one in found.values())
    nameserver.reset()
    assert set(by_code(check_historical(nameserver.resolver(), DOMAIN))) == {"historical.none"}


def test_forerunners_are_read():
    assert parse_sender_id("spf2.0/pra -all").scopes == ("pra",)
    policy = parse_domainkeys_policy("o=-; t=y; n=a note; r=a@example.pe")
    assert (policy.signs_all, policy.testing, policy.note, policy.report_to) == (True, True, "a note", "a@example.pe")
    for parse, text in [
        (parse_sender_id, "v=spf1 -all"),
        (parse_sender_id, "spf2.0/x"),
        (parse_domainkeys_policy, "o=!"),
    ]:
        with pytest.raises(RecordError):
            parse(text)
