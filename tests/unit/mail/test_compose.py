import html
import re
from datetime import datetime
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import HealthCheck, given, settings

from app.mail.compose import CompiledCampaign, RenderedMessage
from app.mail.dkim import KeyKind, assemble
from app.mail.header_words import UnusableAddressError, one_line
from app.mail.html import prepare_html
from app.mail.merge_language import UNSUBSCRIBE_FIELD
from app.mail.quoted_printable import TOKEN_MARK, clean_text
from app.mail.tokens import DeliveryRef, TokenPurpose, read_token, token_of_message_id, token_of_return_path
from app.mail.tracking_urls import TrackingUrls
from tests.unit.mail import samples
from tests.unit.mail.nasty import header_template, nasty_text, template, values
from tests.unit.mail.parsing import display_name, dkim_verifies, parsed, part_text
from tests.unit.mail.samples import DOMAIN, SENT_AT, campaign, content, mailing, recipient


def rendered(compiled: CompiledCampaign, **changes) -> RenderedMessage:
    return compiled.render(recipient(**changes), SENT_AT)


def wire_of(message: RenderedMessage) -> bytes:
    signatures = [
        samples.signer(kind).sign(message.headers, message.body, 1_773_500_000)
        for kind in (KeyKind.RSA, KeyKind.ED25519)
    ]
    return assemble(message.headers, signatures, message.body)


def headers_of(message: RenderedMessage) -> dict[str, str]:
    return dict(message.headers)


def filled(source: str, fields: dict[str, str], *, token: str, escape) -> str:
    """The reference: what a template means, said as plainly as possible."""

    def value(match: re.Match[str]) -> str:
        if match[1] == UNSUBSCRIBE_FIELD:
            return samples.mailing().tracking.unsubscribe(token)
        return escape(clean_text(fields.get(match[1], "")))

    return re.sub(r"\{\{ (\w+) \}\}", value, source).replace(TOKEN_MARK, token)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(subject=header_template, html_source=template, text=template, fields=values, name=nasty_text)
def test_receiver_reads_exactly_what_was_rendered_and_signature_verifies(
    subject: str, html_source: str, text: str, fields: dict[str, str], name: str
):
    text = f"x{text}{{{{ {UNSUBSCRIBE_FIELD} }}}}"
    html_source = f"x{html_source}{{{{ {UNSUBSCRIBE_FIELD} }}}}"
    message = rendered(campaign(subject=subject, html=html_source, text=text), name=name, fields=fields)
    wire = wire_of(message)
    received = parsed(wire)

    assert dkim_verifies(wire, samples.records())
    assert received["Subject"] == one_line(filled(subject, fields, token=message.token, escape=str))
    assert display_name(received, "To") == one_line(name)[:200].rstrip()
    assert received["To"].addresses[0].addr_spec == "rosa@example.pe"
    assert display_name(received, "From") == "Dirección de Empleo"

    expected_text = filled(clean_text(text), fields, token=message.token, escape=str)
    assert part_text(received, "plain") == expected_text.rstrip("\n") + "\n"
    prepared = prepare_html(
        html_source,
        click_url=lambda index: mailing().tracking.click(TOKEN_MARK, index),
        pixel_url=mailing().tracking.open(TOKEN_MARK),
        footer=None,
    ).source
    expected_html = filled(prepared, fields, token=message.token, escape=_escape)
    assert part_text(received, "html") == expected_html.rstrip("\n") + "\n"


def _escape(value: str) -> str:
    return html.escape(value).replace("&quot;", "&#34;").replace("&#x27;", "&#39;")


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(html_source=template, text=template, fields=values)
def test_body_is_canonical_and_needs_no_dot_stuffing(html_source: str, text: str, fields: dict[str, str]):
    """RFC 6376 §3.4.4, RFC 5321 §4.5.2, RFC 2045 §6.7."""
    body = rendered(campaign(html=html_source or "x", text=text), fields=fields).body
    assert body.isascii()
    assert body.count(b"\n") == body.count(b"\r") == body.count(b"\r\n")
    assert body.endswith(b"--\r\n")
    assert not re.search(rb"[ \t]\r\n|[ \t][ \t]|\t|\x00", body)
    lines = body.split(b"\r\n")
    assert max(map(len, lines)) <= 76
    assert not any(line.startswith((b".", b"From ")) for line in lines)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(subject=header_template, from_name=header_template, fields=values, name=nasty_text)
def test_no_value_leaves_its_header(subject: str, from_name: str, fields: dict[str, str], name: str):
    message = rendered(campaign(subject=subject, from_name=from_name), fields=fields, name=name)
    for _, value in message.headers:
        assert value.isascii()
        assert value.isprintable()
        assert value == " ".join(value.split(" "))
        assert value == value.strip()
    head = wire_of(message).partition(b"\r\n\r\n")[0]
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n|\x00", head)
    names = [line.partition(b":")[0] for line in head.split(b"\r\n") if line[:1] != b" "]
    assert names == [b"DKIM-Signature"] * 2 + [name.encode() for name, _ in message.headers]
    assert max(map(len, head.split(b"\r\n"))) <= 200


@pytest.mark.parametrize(
    "email",
    [
        "a@example.pe\r\nBcc: b@example.pe", "a@example.pe\n", "a b@example.pe", "a@example.pe>",
        "<a@example.pe", "",
        "a", "a@", "@example.pe", "a@b@example.pe", "ñ@example.pe", "a@example.pe\x00", "a\u2028@example.pe",
        "a@ex ample.pe", '"a\r\nb"@example.pe', "a@exam\ud800ple.pe", "a," + "b@example.pe",
    ],
)  # fmt: skip
def test_address_that_could_break_out_is_refused(email: str):
    with pytest.raises(UnusableAddressError):
        rendered(campaign(), email=email)
    with pytest.raises(UnusableAddressError):
        campaign(from_email=email)
    with pytest.raises(UnusableAddressError):
        campaign(reply_to=(email or "x",))


def test_domain_outside_ascii_becomes_a_label_in_header_and_envelope():
    message = rendered(campaign(), email="rosa@ñandú.example.pe")
    assert message.envelope_to == "rosa@xn--and-6ma2c.example.pe"
    assert headers_of(message)["To"].endswith("<rosa@xn--and-6ma2c.example.pe>")


def test_headers_that_bulk_senders_need():
    message = rendered(campaign(), fields={}, name="")
    token = message.token
    assert message.headers == [
        ("From", f"=?utf-8?q?Direcci=C3=B3n_de_Empleo?= <ferias@{DOMAIN}>"),
        ("To", "rosa@example.pe"),
        ("Subject", "Feria laboral para"),
        ("Date", "Sat, 14 Mar 2026 15:09:26 +0000"),
        ("Message-ID", f"<{token}@{DOMAIN}>"),
        ("Reply-To", f"consultas@{DOMAIN}"),
        (
            "List-Unsubscribe",
            f"<https://enlaces.{DOMAIN}/u/{token}>, <mailto:u-{token}@rebotes.{DOMAIN}>",
        ),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ("List-ID", f"Ferias laborales <ferias.{DOMAIN}>"),
        ("Feedback-ID", "77:panel1:boletin:chaski"),
        ("X-Auto-Response-Suppress", "OOF, AutoReply"),
        ("MIME-Version", "1.0"),
        ("Content-Type", 'multipart/alternative; boundary="=_0000004d_chaski"'),
    ]


def test_token_of_message_id_and_return_path_is_the_delivery():
    message = rendered(campaign(), seq=123)
    for token in (token_of_message_id(message.message_id), token_of_return_path(message.envelope_from)):
        assert token is not None
        assert read_token(samples.KEY, token) == DeliveryRef(77, 123)


def test_retry_at_another_time_carries_same_message_id_and_return_path():
    first = campaign().render(recipient(), SENT_AT)
    second = campaign().render(recipient(), SENT_AT.replace(hour=23))
    assert (first.message_id, first.envelope_from, first.body) == (
        second.message_id,
        second.envelope_from,
        second.body,
    )
    assert parsedate_to_datetime(headers_of(second)["Date"]) == SENT_AT.replace(hour=23)


def test_proof_of_a_campaign_is_no_delivery():
    compiled = CompiledCampaign(content(), mailing(purpose=TokenPurpose.PROOF))
    token = rendered(compiled).token
    assert read_token(samples.KEY, token) is None
    assert read_token(samples.KEY, token, purpose=TokenPurpose.PROOF) == DeliveryRef(77, 5)


def test_token_is_in_every_link_pixel_and_way_out_and_its_place_holder_nowhere():
    message = rendered(campaign())
    received = parsed(wire_of(message))
    base = f"https://enlaces.{DOMAIN}"
    text = part_text(received, "html")
    assert f'href="{base}/c/{message.token}/0"' in text
    assert f'src="{base}/o/{message.token}.gif"' in text
    assert f'href="{base}/u/{message.token}"' in text
    assert f"{base}/u/{message.token}" in part_text(received, "plain")
    assert b"\0" not in message.body


def test_links_lists_where_the_tracked_ones_lead():
    assert campaign().links == ["https://example.pe/feria?a=1&b=2"]


def test_value_cannot_forge_the_place_of_a_token():
    message = rendered(campaign(), fields={"ciudad": "\0" * 32 + TOKEN_MARK})
    assert part_text(parsed(wire_of(message)), "plain").count(message.token) == 1


def test_markup_in_a_value_is_escaped_in_html_and_kept_in_text():
    message = rendered(campaign(), fields={"ciudad": "<script>x</script> & Cía"})
    received = parsed(wire_of(message))
    assert "<script>x</script> & Cía" in part_text(received, "plain")
    assert "&lt;script&gt;x&lt;/script&gt; &amp; Cía" in part_text(received, "html")


def test_if_blocks_choose_by_the_recipient():
    compiled = campaign(
        html="<p>{% if ruc == '20' %}Empresa{% elif ciudad %}Persona de {{ ciudad|upper }}"
        "{% else %}Hola{% endif %}</p>",
        subject="{% if ruc %}RUC {{ ruc }}{% else %}Aviso{% endif %}",
    )
    expected = [
        ({"ruc": "20"}, "Empresa", "RUC 20"),
        ({"ciudad": "Puno"}, "Persona de PUNO", "Aviso"),
        ({}, "Hola", "Aviso"),
    ]
    for fields, text, subject in expected:
        received = parsed(wire_of(rendered(compiled, fields=fields)))
        assert f"<p>{text}</p>" in part_text(received, "html")
        assert part_text(received, "plain").startswith(f"{text}\n")
        assert received["Subject"] == subject


def test_field_of_a_contact_wins_over_its_name_and_email_is_always_its_own():
    compiled = campaign(html="{{ nombre }}, {{ email }};")
    message = rendered(compiled, fields={"nombre": "Doña Rosa", "email": "otra@example.pe"})
    assert part_text(parsed(wire_of(message)), "html").startswith("Doña Rosa, rosa@example.pe;")


def test_mail_without_html_has_a_text_part_only():
    received = parsed(wire_of(rendered(campaign(html="", text="Hola {{ ciudad }}"))))
    assert received.get_body(("html",)) is None
    assert part_text(received, "plain").startswith("Hola Ayacucho\n")


def test_long_subject_is_folded_to_readable_lines():
    message = rendered(campaign(subject="Invitación " * 30))
    wire = wire_of(message)
    subject = re.search(rb"\r\nSubject:(?:[^\r]|\r\n )*", wire)
    assert subject is not None
    assert max(len(line) for line in subject[0].split(b"\r\n")) <= 76
    assert parsed(wire)["Subject"] == ("Invitación " * 30).strip()


def test_date_without_time_zone_is_refused():
    with pytest.raises(ValueError, match="time zone"):
        campaign().render(recipient(), datetime(2026, 1, 1))  # noqa: DTZ001


@pytest.mark.parametrize(
    "base",
    [
        "enlaces.example.pe",
        "https://x.pe/",
        'https://x.pe"',
        "https://x.pe/>",
        "javascript:x",
        "https://ñ.pe",
    ],
)
def test_tracking_base_that_would_need_escaping_is_refused(base: str):
    with pytest.raises(ValueError, match="tracking base"):
        TrackingUrls(base)


def test_return_path_domain_and_list_id_are_checked_when_compiling():
    with pytest.raises(UnusableAddressError):
        CompiledCampaign(content(), mailing(return_path_domain="x\r\ny"))
    with pytest.raises(UnusableAddressError):
        CompiledCampaign(content(), mailing(list_id="ferias>\r\nBcc: x"))
