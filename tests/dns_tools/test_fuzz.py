"""Whatever the bytes are: the parsers answer or raise their own errors, and the checks always answer."""

import contextlib
import re

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dns_tools import bimi, dkim, dmarc, historical, transport
from dns_tools.blocklists import parse_lists
from dns_tools.dmarc.check import check_dmarc
from dns_tools.dmarc.suffixes import shipped_suffixes
from dns_tools.lookup import BadName, query, to_name
from dns_tools.message import check_message, from_domains
from dns_tools.signatures import verify_message
from dns_tools.spf import SpfResult, SpfSyntaxError, check_host, parse
from dns_tools.spf.lint import check_spf
from dns_tools.spf.macros import expand, read_domain_spec, read_macro_string, shorten
from dns_tools.tags import RecordError
from tests.dns_tools.test_dkim_messages import RFC8463, RFC8463_KEYS

MANY = settings(max_examples=400, deadline=None, derandomize=True)
SERVED = settings(
    max_examples=120, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

SPF_PIECES = st.sampled_from(
    "v=spf1 |v=spf1|all|+|-|~|?|a|mx|ptr|ip4:|ip6:|include:|exists:|redirect=|exp=|:|/|//|24|128|0|.|..|%|%{|}|%{d}|%{ir}|%{p}"
    "|%{l-}|%{S9r+-}|%{h}|%{t}|%%|%_|%-|example.com|192.0.2.1|2001:db8::1|e.example.com| |  |\t|\x00|\xff|é|=|moo=|_".split(
        "|"
    )
)
TAG_PIECES = st.sampled_from(
    "v=DMARC1|v=DKIM1|v=STSv1|v=TLSRPTv1|v=BIMI1|spf2.0/|mfrom|pra|;| |p=|sp=|np=|none|reject|quarantine|rua=|ruf=|mailto:"
    "|a@b.pe|!10m|,|pct=|999999|t=|y|psd=|adkim=|s|r|fo=|1:d|k=|rsa|ed25519|h=|sha256|AAAA|====|id=|l=|https://x.pe/|a=|o=|-|~|=|\t|\n|\xff|²|٣".split(
        "|"
    )
)
POLICY_PIECES = st.sampled_from(
    b"version: STSv1|mode: |enforce|none|testing|max_age: |604800|-1|\xb2|mx: |*.|example.pe|*|:|\r\n|\n"
    b"|\r| |\x00|\xff".split(b"|")
)
OCTETS = st.binary(max_size=300).map(lambda octets: octets.decode("latin-1"))
SPF_TEXT = st.one_of(
    OCTETS,
    st.lists(SPF_PIECES, max_size=25).map("".join),
    st.lists(SPF_PIECES, max_size=25).map(lambda x: "v=spf1 " + "".join(x)),
)
TAG_TEXT = st.one_of(OCTETS, st.text(max_size=200), st.lists(TAG_PIECES, max_size=25).map("".join))


@MANY
@given(SPF_TEXT)
@example("v=spf1 ip4:" + "1" * 5000)
@example("v=spf1 a:" + "%{d}" * 3000)
@example("v=spf1 a" + "/" * 5000)
@example("v=spf1 a:%{d" + "9" * 5000 + "}")
def test_spf_records(text):
    with contextlib.suppress(SpfSyntaxError):
        parse(text)


@MANY
@given(SPF_TEXT, st.text(max_size=80))
def test_spf_macros(text, value):
    for explanation in (False, True):
        with contextlib.suppress(SpfSyntaxError):
            shorten(expand(read_macro_string(text, explanation=explanation), lambda _: value))
    with contextlib.suppress(SpfSyntaxError):
        read_domain_spec(text)


@pytest.mark.parametrize(
    "parser",
    [
        dmarc.parse,
        dkim.parse_record,
        transport.parse_sts_record,
        transport.parse_tls_rpt,
        bimi.parse,
        historical.parse_sender_id,
        historical.parse_domainkeys_policy,
    ],
)
def test_tag_lists(parser):
    @MANY
    @given(TAG_TEXT)
    @example("v=DMARC1; p=none; pct=²")
    @example("v=DKIM1; p=AA\xff")
    @example("=" * 5000)
    @example(";" * 5000)
    def attack(text):
        with contextlib.suppress(RecordError):
            parser(text)

    attack()


@MANY
@given(st.one_of(st.binary(max_size=500), st.lists(POLICY_PIECES, max_size=25).map(b"".join)))
@example("version: STSv1\nmode: none\nmax_age: ²\n".encode())
def test_mta_sts_policies(octets):
    with contextlib.suppress(RecordError):
        transport.parse_sts_policy(octets)


@MANY
@given(
    st.one_of(
        st.text(max_size=200), st.sampled_from(["list = 1", "list = [1]", "[[list]]\nkind = []", "[list]\na = 1"])
    )
)
def test_files_of_lists(text):
    with contextlib.suppress(ValueError):
        parse_lists(text)


@MANY
@given(st.text(max_size=300))
def test_names(text):
    with contextlib.suppress(BadName):
        assert to_name(text).is_absolute()
    shipped_suffixes().organizational_domain(text)


@MANY
@given(st.binary(max_size=400))
def test_authors(octets):
    from_domains(octets)
    from_domains(b"From: " + octets)


@SERVED
@given(st.binary(max_size=400))
@example(b"DKIM-Signature: v=1; a=rsa-sha256; d=\xff; s=\x00; h=from; bh=A; b=A\r\nFrom: a@b.pe\r\n\r\n")
@example(b"DKIM-Signature:")
@example(b"\r\n")
@example(b"DKIM-Signature: v=1; a=rsa-sha256; d=; s=; h=from; i=; bh=AAAA; b=AAAA\r\n\r\n")
def test_messages_of_any_bytes(nameserver, octets):
    resolver = nameserver.resolver()
    verify_message(octets, resolver)
    assert check_message(b"DKIM-Signature: " + octets, resolver)


SIGNATURE_PIECES = st.sampled_from(
    b"v=1;|v=2;|a=rsa-sha256;|a=ed25519-sha256;|a=\xff;|c=relaxed/relaxed;|c=simple;|c=x/y;|d=football.example.com;|d=;|d=\xff;"
    b"|s=test;|s=brisbane;|s=;|s=..;|h=from;|h=from:to:::;|h=;|i=@football.example.com;|i=;|i=@;|q=dns/txt;|t=1528637909;|t=\xb2;"
    b"|x=1;|x=99999999999999999999;|l=0;|l=99999999999999999999;|l=-1;|bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;|bh=;|bh=A;"
    b"|b=AAAA;|b=;|b==;|b=\xff;|z=;| |\r\n |;|=|k".split(b"|")
)


@SERVED
@given(st.lists(SIGNATURE_PIECES, max_size=16).map(b"".join))
def test_signatures_made_of_any_tags(nameserver, header):
    for name, text in RFC8463_KEYS.items():
        nameserver.txt(name, text)
    for signature in verify_message(b"DKIM-Signature: " + header + b"\r\n" + RFC8463, nameserver.resolver())[:1]:
        assert signature.result != "pass"


@SERVED
@given(st.integers(0, len(RFC8463) - 1), st.binary(max_size=12), st.integers(0, 40))
def test_a_real_message_with_bytes_changed(nameserver, at, inserted, removed):
    for name, text in RFC8463_KEYS.items():
        nameserver.txt(name, text)
    changed = RFC8463[:at] + inserted + RFC8463[at + removed :]
    for signature in verify_message(changed, nameserver.resolver()):
        # A valid signature over something else than the message would be the end of DKIM.
        assert signature.result != "pass" or _same(changed)


def _same(changed: bytes) -> bool:
    """Relaxed canonicalisation lets white space change, and the case of header names."""
    return [re.sub(rb"\s+", b"", text[text.lower().find(b"\nfrom:") :]).lower() for text in (changed, RFC8463)].count(
        TAIL
    ) == 2


TAIL = re.sub(rb"\s+", b"", RFC8463[RFC8463.index(b"From:") :]).lower()


@SERVED
@given(SPF_TEXT, SPF_TEXT, st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
@example("v=spf1 include:%{l}.example.com -all", "", "a@example.com", "..", "\x00")
@example("v=spf1 exists:%{h}.%{s}.example.com -all", "", "@@@", "x" * 300, "example.com")
def test_check_host_with_any_record_and_any_names(nameserver, text, explanation, local, helo, domain):
    nameserver.reset()
    nameserver.txt("example.com", text.encode("utf-8")).txt("e.example.com", explanation.encode("utf-8"))
    resolver = nameserver.resolver()
    for asked, sender in (("example.com", f"{local}@example.com"), (domain, local), (domain, "")):
        found = check_host("192.0.2.1", asked, sender, helo, resolver=resolver)
        assert found.result in set(SpfResult)
    assert check_host("2001:db8::1", "example.com", f"{local}@example.com", helo, resolver=resolver).result in set(
        SpfResult
    )
    assert all(finding.explanation for finding in check_spf(resolver, "example.com", ["192.0.2.1"]))


@SERVED
@given(TAG_TEXT, st.text(max_size=60))
def test_dmarc_checks_with_any_record_and_any_name(nameserver, text, domain):
    nameserver.reset()
    nameserver.txt("_dmarc.example.com", text.encode("utf-8"))
    resolver = nameserver.resolver()
    for name in ("example.com", "a.example.com", domain):
        assert all(finding.explanation for finding in check_dmarc(resolver, name))


@SERVED
@given(st.text(max_size=300), st.sampled_from(["A", "TXT", "MX"]))
def test_questions_of_any_name(nameserver, name, rdtype):
    assert query(nameserver.resolver(), name, rdtype).evidence
