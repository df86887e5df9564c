"""DKIM: verdicts on whole messages, and what the owner of a key is told."""

import dkim as dkimpy
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from app.mail.dkim import DkimSigner, KeyKind, assemble, generate_key
from dns_tools.dkim_check import check_dkim, record_of
from dns_tools.findings import Status, worst
from dns_tools.message import Envelope, check_message, from_domains
from dns_tools.signatures import verify_message
from dns_tools.tags import RecordError

DOMAIN = "boletin.example.gob.pe"
RSA = generate_key(KeyKind.RSA)
ED25519 = generate_key(KeyKind.ED25519)
HEADERS = (
    b"From: Boletin <aviso@boletin.example.gob.pe>\r\nTo: rosa@example.pe\r\n"
    b"Subject: Aviso\r\nDate: Fri, 1 May 2026 10:00:00 +0000\r\n"
)
BODY = b"\r\nHola.\r\n"

# RFC 8463, Appendix A: one message, two signatures, two keys.
RFC8463 = b"""\
DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=brisbane; t=1528637909; h=from : to :
 subject : date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus
 Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=test; t=1528637909; h=from : to : subject :
 date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3
 DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz
 dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game.  Are you hungry yet?

Joe.
"""
RFC8463_KEYS = {
    "brisbane._domainkey.football.example.com": "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
    "test._domainkey.football.example.com": "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3i"
    "dY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBf"
    "O2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB",
}


def signed(domain=DOMAIN, selector="s1", **options):
    raw = HEADERS + BODY
    options = {"canonicalize": (b"relaxed", b"relaxed"), **options}
    header = dkimpy.sign(raw, selector.encode(), domain.encode(), RSA.private_pem, **options)
    return header + raw


def verdicts(nameserver, raw):
    return [(str(found.result), found.reason) for found in verify_message(raw, nameserver.resolver())]


def key(nameserver, *texts, name=f"s1._domainkey.{DOMAIN}"):
    return nameserver.txt(name, *(texts or (RSA.public_record,)))


def test_the_message_of_rfc_8463_verifies_with_both_signatures(nameserver):
    for name, text in RFC8463_KEYS.items():
        nameserver.txt(name, text)
    assert verdicts(nameserver, RFC8463) == [("pass", ""), ("pass", "")]
    assert verdicts(nameserver, RFC8463.replace(b"\n", b"\r\n")) == [("pass", ""), ("pass", "")]
    assert verdicts(nameserver, RFC8463.replace(b"hungry", b"angry")) == [("fail", "body_changed")] * 2
    assert verdicts(nameserver, RFC8463.replace(b"dinner", b"lunch")) == [("fail", "signature_wrong")] * 2


@pytest.mark.parametrize("kind", list(KeyKind))
def test_what_the_platform_signs_verifies(nameserver, kind):
    pair = {KeyKind.RSA: RSA, KeyKind.ED25519: ED25519}[kind]
    key(nameserver, pair.public_record)
    headers = [
        ("From", f"aviso@{DOMAIN}"),
        ("To", "rosa@example.pe"),
        ("Subject", "Aviso"),
        ("Message-ID", f"<1@{DOMAIN}>"),
    ]
    signature = DkimSigner(DOMAIN, "s1", pair.private_pem).sign(headers, b"Hola.\r\n", 1767225600)
    raw = assemble(headers, [signature], b"Hola.\r\n")
    assert verdicts(nameserver, raw) == [("pass", "")]
    assert verdicts(nameserver, raw.replace(b"Aviso", b"Avisos")) == [("fail", "signature_wrong")]


@pytest.mark.parametrize("canonicalize", [(b"simple", b"simple"), (b"relaxed", b"simple"), (b"simple", b"relaxed")])
def test_every_canonicalisation_verifies(nameserver, canonicalize):
    key(nameserver)
    assert verdicts(nameserver, signed(canonicalize=canonicalize)) == [("pass", "")]


@pytest.mark.parametrize(
    "texts, expected",
    [
        ((), ("permerror", "key_missing")),
        (("v=DKIM1; p=",), ("permerror", "key_revoked")),
        (("v=DKIM1; p=@@@",), ("permerror", "key_base64")),
        (("hello",), ("permerror", "key_not_a_tag_list")),
        ((ED25519.public_record,), ("permerror", "algorithm")),
        ((RSA.public_record + "; s=tlsrpt",), ("permerror", "key_unusable")),
        ((RSA.public_record + "; h=sha1",), ("permerror", "key_unusable")),
        ((generate_key(KeyKind.RSA).public_record,), ("fail", "signature_wrong")),
        ((RSA.public_record, "second"), ("permerror", "key_several")),
        ((RSA.public_record + "; t=y",), ("pass", "")),
        ((RSA.public_record + "; t=s",), ("pass", "")),
        ((RSA.public_record + "; h=sha1:sha256; s=email; n=note",), ("pass", "")),
    ],
)
def test_the_published_key_decides(nameserver, texts, expected):
    nameserver.txt(f"s1._domainkey.{DOMAIN}", *texts)
    assert verdicts(nameserver, signed()) == [expected]


@pytest.mark.parametrize("fault", ["servfail", "silent"])
def test_a_key_that_cannot_be_fetched_says_nothing_of_the_signature(nameserver, fault):
    getattr(nameserver, fault).add(f"s1._domainkey.{DOMAIN}")
    assert verdicts(nameserver, signed()) == [("temperror", "unreachable")]


@pytest.mark.parametrize(
    "old, new, expected",
    [
        (b"Hola", b"Hello", ("fail", "body_changed")),
        (b"To: rosa", b"To: rosita", ("fail", "signature_wrong")),
        (b"a=rsa-sha256", b"a=rsa-md5", ("permerror", "algorithm")),
        (b"a=rsa-sha256", b"a=rsa-sha1", ("permerror", "weak_hash")),
        (b"v=1;", b"v=2;", ("permerror", "unreadable")),
        (b"v=1;", b"v=1; x=100;", ("permerror", "expired")),
        (b"d=boletin.", b"", ("permerror", "unreadable")),
        (b"i=@boletin.example.gob.pe", b"i=@example.org", ("permerror", "identity")),
        (b"bh=", b"bh=AAAA", ("fail", "body_changed")),
        (b"v=1;", b"v=1; t=99999999999;", ("permerror", "unreadable")),
    ],
)
def test_what_is_wrong_with_a_signature_is_told(nameserver, old, new, expected):
    key(nameserver)
    raw = signed(identity=b"@boletin.example.gob.pe")
    assert old in raw
    assert verdicts(nameserver, raw.replace(old, new, 1)) == [expected]


def test_a_strict_key_takes_its_own_domain_only(nameserver):
    key(nameserver, RSA.public_record + "; t=s")
    assert verdicts(nameserver, signed(identity=b"x@sub.boletin.example.gob.pe")) == [("permerror", "identity")]


def test_a_signature_that_leaves_out_the_author_is_none(nameserver):
    key(nameserver)
    assert verdicts(nameserver, signed().replace(b"h=from", b"h=xrom", 1))[0][0] != "pass"
    unsigned = b"DKIM-Signature: v=1; a=rsa-sha256; d=example.pe; s=s; h=to; bh=AAAA; b=AAAA\r\n"
    assert verdicts(nameserver, unsigned + HEADERS + BODY) == [("permerror", "from_not_signed")]


def test_a_second_author_breaks_the_signature(nameserver):
    key(nameserver)
    assert verdicts(nameserver, b"From: evil@example.org\r\n" + signed()) == [("fail", "signature_wrong")]


def test_a_key_of_1024_bits_is_to_be_replaced(nameserver):
    """RFC 8301 §3.2."""
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    pem = short.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    key(nameserver, record_of(pem))
    codes = {found.code for found in check_dkim(nameserver.resolver(), DOMAIN, "s1")}
    assert codes == {"dkim.found", "dkim.short_key"}


def test_endless_signatures_are_cut(nameserver):
    raw = b"DKIM-Signature: v=1\r\n" * 500 + HEADERS + BODY
    assert len(verify_message(raw, nameserver.resolver())) == 20


def test_every_signature_has_its_own_verdict(nameserver):
    key(nameserver)
    first = signed(selector="gone").partition(b"From:")[0]
    found = verify_message(first + signed(), nameserver.resolver())
    assert [(one.number, one.selector, str(one.result)) for one in found] == [
        (1, "gone", "permerror"),
        (2, "s1", "pass"),
    ]


# --- the message as a receiver judges it ---


def findings(nameserver, raw, envelope=None):
    return {found.code: found for found in check_message(raw, nameserver.resolver(), envelope)}


def test_a_signed_and_aligned_message_passes(nameserver):
    key(nameserver).txt(f"_dmarc.{DOMAIN}", "v=DMARC1; p=reject").txt(f"r.{DOMAIN}", "v=spf1 ip4:192.0.2.1 -all")
    found = findings(nameserver, signed(), Envelope(ip="192.0.2.1", helo="mx.example.pe", mail_from=f"b@r.{DOMAIN}"))
    assert set(found) == {"message.signature_pass", "message.spf_pass", "message.dmarc_pass"}
    assert found["message.dmarc_pass"].values["aligned"] == f"{DOMAIN}, SPF"
    assert worst(found.values()) is Status.PASS


@pytest.mark.parametrize(
    "raw, code",
    [
        (HEADERS + BODY, "message.unsigned"),
        (HEADERS + BODY, "message.dmarc_fail"),
        (b"From: a@example.pe, b@example.com\r\n" + BODY, "message.from_count"),
        (b"Subject: x\r\n" + BODY, "message.from_count"),
        (b"", "message.from_count"),
        (HEADERS.replace(b"@boletin", b"@other") + BODY, "message.dmarc_none"),
        (HEADERS.replace(b"@boletin", b"@broken") + BODY, "message.dmarc_temperror"),
    ],
)
def test_what_fails_is_told(nameserver, raw, code):
    nameserver.txt(f"_dmarc.{DOMAIN}", "v=DMARC1; p=reject").servfail.add("_dmarc.broken.example.gob.pe")
    assert code in findings(nameserver, raw)


def test_a_partly_signed_body_is_told(nameserver):
    key(nameserver)
    found = findings(nameserver, signed(length=True) + b"appended")
    assert {"message.signature_pass", "message.partial_body"} <= set(found)


def test_authors_are_read_as_mail_has_them():
    assert from_domains(b'From: "x@y.example" <a@Example.PE>\r\n\r\n') == ["example.pe"]
    assert from_domains(b"From: a@example.pe\r\nFrom: b@example.com\r\n\r\n") == ["example.pe", "example.com"]


# --- the owner's check ---


def codes(nameserver, *texts, private_key=None):
    nameserver.txt(f"s1._domainkey.{DOMAIN}", *texts)
    return {found.code: found for found in check_dkim(nameserver.resolver(), DOMAIN, "s1", private_key=private_key)}


@pytest.mark.parametrize("pair", [RSA, ED25519])
def test_the_published_key_matches_the_private_one(nameserver, pair):
    assert record_of(pair.private_pem) == pair.public_record
    found = codes(nameserver, pair.public_record, private_key=pair.private_pem)
    assert set(found) == {"dkim.found", "dkim.matches"}


def test_another_key_is_published_than_the_one_that_signs(nameserver):
    found = codes(nameserver, RSA.public_record, private_key=ED25519.private_pem)["dkim.different"]
    assert (found.status, found.publish[0].text) == (Status.FAIL, ED25519.public_record)


@pytest.mark.parametrize(
    "texts, code",
    [
        ((), "dkim.missing"),
        (("v=DKIM1; p=", "x"), "dkim.several"),
        (("v=DKIM1; p=",), "dkim.revoked"),
        (("v=DKIM1; p=%%",), "dkim.syntax"),
        ((RSA.public_record + "; h=sha1",), "dkim.unusable"),
        ((RSA.public_record + "; t=y",), "dkim.testing"),
        ((RSA.public_record.removeprefix("v=DKIM1; "),), "dkim.no_version"),
    ],
)
def test_weak_records_are_told(nameserver, texts, code):
    assert code in codes(nameserver, *texts)


def test_a_wildcard_is_told(nameserver):
    nameserver.txt(f"*._domainkey.{DOMAIN}", "v=spf1 -all")
    assert "dkim.wildcard" in codes(nameserver, RSA.public_record)


def test_a_private_key_that_is_none_is_the_callers_mistake(nameserver):
    with pytest.raises(RecordError):
        codes(nameserver, RSA.public_record, private_key=b"-----BEGIN NOTHING-----")
