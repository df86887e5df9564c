import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import HealthCheck, given, settings

from app.mail.compose import RenderedMessage
from app.mail.dkim import (
    DkimKeyError,
    DkimSigner,
    Header,
    KeyKind,
    assemble,
    body_hash,
    generate_key,
    public_record,
)
from tests.unit.mail import samples
from tests.unit.mail.nasty import nasty_text, template, values
from tests.unit.mail.opendkim import library, passed_signatures
from tests.unit.mail.parsing import dkim_verifies
from tests.unit.mail.samples import DOMAIN, SENT_AT, campaign, recipient, records, signer

RSA, ED25519 = KeyKind.RSA, KeyKind.ED25519
TIMESTAMP = 1_773_500_000
needs_opendkim = [
    pytest.mark.opendkim,
    pytest.mark.skipif(library() is None, reason="needs libopendkim: apt-get install opendkim-tools"),
]


def message() -> RenderedMessage:
    return campaign().render(recipient(), SENT_AT)


def signed(rendered: RenderedMessage, *kinds: KeyKind) -> bytes:
    signatures = [signer(kind).sign(rendered.headers, rendered.body, TIMESTAMP) for kind in kinds]
    return assemble(rendered.headers, signatures, rendered.body)


SIGNED = [name for name, _ in message().headers if name != "X-Auto-Response-Suppress"]


def test_dkimpy_verifies_rsa_signature():
    assert dkim_verifies(signed(message(), KeyKind.RSA), records())


@pytest.mark.parametrize("header", [name for name, _ in message().headers if name != "X-Auto-Response-Suppress"])
def test_change_of_a_signed_header_breaks_the_signature(header: str):
    rendered = message()
    (signature,) = (signer().sign(rendered.headers, rendered.body, TIMESTAMP),)
    changed = [(name, value + "x" if name == header else value) for name, value in rendered.headers]
    assert not dkim_verifies(assemble(changed, [signature], rendered.body), records())


@pytest.mark.parametrize("header", ["From", "To", "Subject", "Date"])
@pytest.mark.parametrize("at_start", [True, False])
def test_second_header_of_that_name_breaks_the_signature(header: str, at_start: bool):
    """RFC 6376 §8.15: a reader may show the other one."""
    rendered = message()
    signature = signer().sign(rendered.headers, rendered.body, TIMESTAMP)
    added = (header, "otra@example.pe")
    headers = [added, *rendered.headers] if at_start else [*rendered.headers, added]
    assert not dkim_verifies(assemble(headers, [signature], rendered.body), records())


def test_change_of_the_body_breaks_the_signature():
    rendered = message()
    signature = signer().sign(rendered.headers, rendered.body, TIMESTAMP)
    assert not dkim_verifies(assemble(rendered.headers, [signature], rendered.body + b"x\r\n"), records())


def test_signature_says_what_it_must():
    _, value = signer().sign(message().headers, message().body, TIMESTAMP)
    tags = dict(tag.strip().split("=", 1) for tag in value.split(";"))
    assert {key: tags[key] for key in "vacdst"} == {
        "v": "1",
        "a": "rsa-sha256",
        "c": "relaxed/relaxed",
        "d": DOMAIN,
        "s": "rsa",
        "t": str(TIMESTAMP),
    }
    assert "l" not in tags
    names = tags["h"].replace(" ", "").split(":")
    assert names.count("from") == 2
    assert {"list-unsubscribe", "list-unsubscribe-post", "reply-to", "message-id"} <= set(names)
    assert tags["bh"] == body_hash(message().body)


def test_header_that_occurs_twice_is_signed_from_the_bottom():
    """RFC 6376 §5.4.2."""
    headers: list[Header] = [("From", "a@example.pe"), ("Cc", "b@example.pe"), ("Cc", "c@example.pe")]
    body = b"Hola\r\n"
    wire = assemble(headers, [signer().sign(headers, body, TIMESTAMP)], body)
    assert dkim_verifies(wire, records())


def test_wire_form_has_lines_of_at_most_78_characters_where_it_can():
    wire = signed(message(), KeyKind.RSA, KeyKind.ED25519)
    head = wire.partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert [line for line in head if len(line) > 78 and not line.startswith(b"List-Unsubscribe:")] == []


def test_wire_form_is_headers_blank_line_body():
    wire = assemble([("From", "a@example.pe"), ("Subject", "Hola")], [("DKIM-Signature", "v=1")], b"x\r\n")
    assert wire == b"DKIM-Signature: v=1\r\nFrom: a@example.pe\r\nSubject: Hola\r\n\r\nx\r\n"


@pytest.mark.parametrize("kind", KeyKind)
def test_generated_key_has_the_record_to_publish(kind: KeyKind):
    pair = generate_key(kind)
    assert pair.public_record.startswith(f"v=DKIM1; k={kind}; p=")
    assert public_record(pair.private_pem) == pair.public_record
    assert generate_key(kind).private_pem != pair.private_pem


def test_domain_outside_ascii_is_signed_as_a_label():
    key = samples.key_pair(KeyKind.RSA).private_pem
    assert "d=xn--and-6ma2c.gob.pe;" in DkimSigner("ñandú.gob.pe", "s1", key).sign([], b"", 0)[1]


@pytest.mark.parametrize("domain, selector", [("x", "s1"), ("example.pe; h=", "s1"), ("example.pe", "a b"), ("", "")])
def test_domain_or_selector_that_is_none_is_refused(domain: str, selector: str):
    with pytest.raises(ValueError, match="not a domain and selector"):
        DkimSigner(domain, selector, samples.key_pair(KeyKind.RSA).private_pem)


def _pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def test_keys_that_no_verifier_takes_are_refused():
    with pytest.raises(DkimKeyError, match="can't be read"):
        DkimSigner(DOMAIN, "s1", b"no key")
    with pytest.raises(DkimKeyError, match="RSA or Ed25519"):
        DkimSigner(DOMAIN, "s1", _pem(ec.generate_private_key(ec.SECP256R1())))


class TestOpenDkim:
    pytestmark = needs_opendkim

    @pytest.mark.parametrize(
        "kinds",
        [(RSA,), (ED25519,), (RSA, ED25519), (ED25519, RSA)],
    )
    def test_every_signature_passes_and_none_after_a_change(self, kinds: tuple[KeyKind, ...], tmp_path: Path):
        wire = signed(message(), *kinds)
        assert passed_signatures(wire, records(), tmp_path / "keys") == [True] * len(kinds)
        for good, bad in ((b"Ayacucho", b"Ayacuchu"), (b"Feria_", b"Ferias_"), (b"One-Click", b"Two-Click")):
            assert good in wire
            changed = wire.replace(good, bad)
            assert passed_signatures(changed, records(), tmp_path / "keys") == [False] * len(kinds)

    @settings(
        max_examples=80,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
    @given(html=template, text=template, fields=values, name=nasty_text)
    def test_any_content_passes(self, tmp_path: Path, html: str, text: str, fields: dict[str, str], name: str):
        rendered = campaign(html=html or "x", text=text, subject="{{ ciudad }}").render(
            recipient(name=name, fields=fields), SENT_AT
        )
        wire = signed(rendered, KeyKind.RSA, KeyKind.ED25519)
        assert passed_signatures(wire, records(), tmp_path / "keys") == [True, True]

    def test_private_key_is_one_that_opendkim_can_sign_with(self, tmp_path: Path):
        """The other way round: its signature, made with our key, is good by our record."""
        program = shutil.which("opendkim-testmsg")
        if program is None:
            pytest.skip("needs opendkim-testmsg: apt-get install opendkim-tools")
        key_file = tmp_path / "key.pem"
        key_file.write_bytes(samples.key_pair(KeyKind.RSA).private_pem)
        rendered = message()
        unsigned = assemble(rendered.headers, [], rendered.body)
        wire = subprocess.run(
            [program, "-C", "-d", DOMAIN, "-s", "rsa", "-k", str(key_file)],
            input=unsigned,
            capture_output=True,
            check=True,
            timeout=30,
        ).stdout
        assert b"DKIM-Signature" in wire
        wire = wire.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        assert passed_signatures(wire, records(), tmp_path / "keys") == [True]
