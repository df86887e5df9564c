"""A campaign compiled once, and rendered per recipient: canonical headers and a canonical body, ready to be
signed.

Everything that is the same for all recipients is encoded when the campaign is compiled. What is left for a
recipient: fill the fields, join the pieces, put the token in its places, write the headers that differ.

Headers that are *not* there, and why: Precedence (RFC 3834 §3.1.8: no standard; List-Unsubscribe says more),
Auto-Submitted (RFC 3834 §5: a person wrote this mail; responders stay silent on List-* headers, RFC 5230
§4.6). Exchange doesn't look at List-*; for it there is X-Auto-Response-Suppress.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from markupsafe import escape

from app.mail.addresses import domain_of
from app.mail.header_words import check_address, date_value, encode_phrase, encode_text, mailbox
from app.mail.html import UnsubscribeFooter, footer_text, prepare_html
from app.mail.html_text import html_to_text
from app.mail.merge import Compiler, Plan, TooLargeError
from app.mail.merge_language import (
    EMAIL_FIELD,
    MAX_RENDERED_HEADER_CHARACTERS,
    MAX_VALUE_CHARACTERS,
    NAME_FIELD,
    UNSUBSCRIBE_FIELD,
)
from app.mail.quoted_printable import (
    TOKEN_BYTES,
    TOKEN_MARK,
    clean_text,
    encode_html_value,
    encode_literal,
    encode_value,
)
from app.mail.templates import always_printed
from app.mail.tokens import TokenMaker, TokenPurpose, message_id, return_path, unsubscribe_address
from app.mail.tracking_urls import TrackingUrls

Header = tuple[str, str]


class Recipient(NamedTuple):
    """One delivery's recipient: its number within the campaign, its address, its name, its custom fields."""

    seq: int
    email: str
    name: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What the author wrote. `subject`, `from_name`, `html` and `text` are merge templates that were checked.

    An empty `text` is made from `html`. An empty `html` gives a mail of text only, without pixel and tracked
    links.
    """

    subject: str
    from_name: str
    from_email: str
    html: str
    text: str = ""
    reply_to: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailing:
    """What surrounds the content: who sends, through which hosts, under which key.

    list_id: dot-atoms that name the list for good (RFC 2919 §3), such as `ferias.boletin.example.gob.pe`
    feedback_id: at most four parts with colons between, for the complaint statistics of large providers
    """

    campaign_id: int
    token_key: bytes = field(repr=False)
    tracking: TrackingUrls
    return_path_domain: str
    list_id: str
    list_name: str
    feedback_id: str
    footer: UnsubscribeFooter
    purpose: TokenPurpose = TokenPurpose.DELIVERY


class RenderedMessage(NamedTuple):
    """One recipient's message; headers and body are canonical (see `header_words`, `quoted_printable`)."""

    token: str
    envelope_from: str
    envelope_to: str
    headers: list[Header]
    body: bytes

    @property
    def message_id(self) -> str:
        return next(value for name, value in self.headers if name == "Message-ID")


class CompiledCampaign:
    """One campaign, ready for any number of recipients; safe to share between threads.

    `links[i]` is where the tracked link number i leads.
    """

    def __init__(self, content: Content, mailing: Mailing) -> None:
        self.links: list[str] = []
        self._mailing = mailing
        self._token = TokenMaker(mailing.token_key, mailing.campaign_id, mailing.purpose).token
        self._from_email = check_address(content.from_email.lower())
        self._message_id_domain = domain_of(self._from_email)
        # A word that must be no domain would be found here, before a million messages are rendered.
        check_address(return_path("x", mailing.return_path_domain))
        self._subject = _header_compiler().plan(clean_text(content.subject))
        self._from_name = _header_compiler().plan(clean_text(content.from_name))
        self._same_subject = encode_text(self._subject.render({})) if self._subject.is_constant else None
        self._same_from = self._from_header({}) if self._from_name.is_constant else None
        boundary = f"=_{mailing.campaign_id:08x}_chaski"
        self._headers_before_list = _reply_to(content.reply_to)
        self._headers_at_end = self._constant_headers(boundary)
        self._body = self._compile_body(content, boundary)

    def render(self, recipient: Recipient, sent_at: datetime) -> RenderedMessage:
        """The message of one recipient; twice the same for the same arguments.

        Raises UnusableAddressError for a recipient whose address could break out of its header, and TooLargeError for
        one whose values would make a message that is none any more.
        """
        token = self._token(recipient.seq)
        address = check_address(recipient.email)
        values = {NAME_FIELD: recipient.name, **recipient.fields, EMAIL_FIELD: recipient.email}
        # Filters read a value even where nothing of it is printed, so a plan's own limit is not enough.
        if sum(map(len, values.values())) > MAX_VALUE_CHARACTERS:
            raise TooLargeError(MAX_VALUE_CHARACTERS)
        return RenderedMessage(
            token=token,
            envelope_from=return_path(token, self._mailing.return_path_domain),
            envelope_to=address,
            headers=self._headers(recipient.name, address, values, token, date_value(sent_at)),
            body=self._body.render(values).replace(TOKEN_BYTES, token.encode("ascii")),
        )

    def _headers(self, name: str, address: str, values: Mapping[str, str], token: str, date: str) -> list[Header]:
        mailing = self._mailing
        subject = self._same_subject
        return [
            ("From", self._same_from or self._from_header(values)),
            ("To", mailbox(name, address)),
            ("Subject", encode_text(self._subject.render(values)) if subject is None else subject),
            ("Date", date),
            ("Message-ID", message_id(token, self._message_id_domain)),
            *self._headers_before_list,
            (
                "List-Unsubscribe",
                f"<{mailing.tracking.unsubscribe(token)}>, "
                f"<mailto:{unsubscribe_address(token, mailing.return_path_domain)}>",
            ),
            *self._headers_at_end,
        ]

    def _from_header(self, values: Mapping[str, str]) -> str:
        return mailbox(self._from_name.render(values), self._from_email)

    def _constant_headers(self, boundary: str) -> list[Header]:
        mailing = self._mailing
        list_id = check_address(f"list@{mailing.list_id}").removeprefix("list@")
        list_name = encode_phrase(mailing.list_name)
        return [
            ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
            ("List-ID", f"{list_name} <{list_id}>".lstrip()),
            ("Feedback-ID", encode_text(mailing.feedback_id)),
            ("X-Auto-Response-Suppress", "OOF, AutoReply"),
            ("MIME-Version", "1.0"),
            ("Content-Type", f'multipart/alternative; boundary="{boundary}"'),
        ]

    def _compile_body(self, content: Content, boundary: str) -> Plan[bytes]:
        """RFC 2046 §5.1.4: the plainest part first. Always multipart, so that the body ends in a boundary."""
        constants = {UNSUBSCRIBE_FIELD: self._mailing.tracking.unsubscribe(TOKEN_MARK)}
        text = _with_way_out(clean_text(content.text) or html_to_text(content.html), self._mailing.footer)
        text_compiler = Compiler(encode_literal=encode_literal, encode_value=encode_value, constants=constants)
        pieces = [_part_head(boundary, "plain"), *text_compiler.pieces(_one_line_end(text))]
        if content.html:
            html_compiler = Compiler(
                encode_literal=encode_literal,
                encode_value=encode_html_value,
                escape=lambda constant: str(escape(constant)),
                constants=constants,
            )
            pieces += [
                b"\r\n",
                _part_head(boundary, "html"),
                *html_compiler.pieces(self._prepared_html(content.html)),
            ]
        return Plan([*pieces, f"\r\n--{boundary}--\r\n".encode("ascii")], b"")

    def _prepared_html(self, html: str) -> str:
        tracking = self._mailing.tracking
        prepared = prepare_html(
            html,
            click_url=lambda index: tracking.click(TOKEN_MARK, index),
            pixel_url=tracking.open(TOKEN_MARK),
            footer=self._mailing.footer,
        )
        self.links = prepared.links
        return _one_line_end(prepared.source)


def _header_compiler() -> Compiler[str]:
    return Compiler(encode_literal=str, encode_value=str, max_length=MAX_RENDERED_HEADER_CHARACTERS)


def _part_head(boundary: str, subtype: str) -> bytes:
    return (
        f"--{boundary}\r\nContent-Type: text/{subtype}; charset=utf-8\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
    ).encode("ascii")


def _reply_to(addresses: tuple[str, ...]) -> list[Header]:
    checked = [check_address(address.lower()) for address in addresses]
    return [("Reply-To", ", ".join(checked))] if checked else []


def _with_way_out(text: str, footer: UnsubscribeFooter) -> str:
    if always_printed(text, UNSUBSCRIBE_FIELD):
        return text
    return text.rstrip("\n") + footer_text(footer)


def _one_line_end(text: str) -> str:
    """A part ends with a line end of its own; the next one belongs to the boundary (RFC 2046 §5.1.1)."""
    return text.rstrip("\n") + "\n"
