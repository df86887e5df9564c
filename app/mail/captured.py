"""What a captured message says of itself. Everything in it is hostile: bounded, and never an exception.

``identify`` is for the relay (two headers, microseconds); ``read_message`` for people (the whole structure).
"""

import re
from contextlib import suppress
from dataclasses import dataclass, field
from email import policy
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.parser import BytesParser
from functools import lru_cache
from typing import Literal

MAX_HEADER_BYTES = 64 * 1024
"""Headers are looked for in this much of a message."""
MAX_PARSED_BYTES = 5 * 1024 * 1024
"""Larger messages are shown as source only."""
MAX_SHOWN_CHARACTERS = 1_000_000
MAX_SOURCE_CHARACTERS = 200_000
MAX_HEADERS = 200
MAX_MESSAGE_ID = 300
MAX_SUBJECT = 500

_UNFOLDED_VALUE = rb"[ \t]*:((?:[^\r\n]|\r?\n[ \t])*)"
_MESSAGE_ID = re.compile(rb"^message-id" + _UNFOLDED_VALUE, re.IGNORECASE | re.MULTILINE)
_SUBJECT = re.compile(rb"^subject" + _UNFOLDED_VALUE, re.IGNORECASE | re.MULTILINE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]+")


@dataclass(frozen=True)
class Identity:
    message_id: str
    """With its angle brackets; empty where there is none."""
    subject: str
    """Decoded (RFC 2047)."""


def identify(raw: bytes) -> Identity:
    """Message-ID and Subject of ``raw``, cut to what the columns hold."""
    head = raw[:MAX_HEADER_BYTES]
    end = head.find(b"\r\n\r\n")
    head = head[: end + 2] if end >= 0 else head
    message_id, subject = _MESSAGE_ID.search(head), _SUBJECT.search(head)
    return Identity(
        message_id=plain(message_id[1].decode("utf-8", "replace"))[:MAX_MESSAGE_ID] if message_id else "",
        subject=decoded_subject(subject[1][: 8 * MAX_SUBJECT]) if subject else "",
    )


@lru_cache(maxsize=512)
def decoded_subject(value: bytes) -> str:
    """Cached: a campaign's subject is decoded once, not a thousand times a second."""
    text = re.sub(r"\r?\n(?=[ \t])", "", value.decode("utf-8", "replace"))
    with suppress(ValueError, LookupError, HeaderParseError):
        text = str(make_header(decode_header(text)))
    # An unknown charset or broken base64 is shown as it came.
    return plain(text)[:MAX_SUBJECT]


def plain(text: str) -> str:
    """One line without control characters (PostgreSQL's text takes no NUL) and lone surrogates."""
    return _CONTROL.sub(" ", text).strip()


@dataclass(frozen=True)
class Attachment:
    filename: str
    content_type: str
    size_bytes: int


@dataclass(frozen=True)
class ReadMessage:
    """A message as people see it."""

    headers: list[tuple[str, str]] = field(default_factory=list)
    html: str | None = None
    text: str | None = None
    attachments: list[Attachment] = field(default_factory=list)
    problem: Literal["too_large", "malformed"] | None = None
    """Only the source can be shown."""


def read_message(raw: bytes) -> ReadMessage:
    """Headers, HTML, text and attachments; whatever goes wrong in parsing ends up in ``problem``."""
    if len(raw) > MAX_PARSED_BYTES:
        return ReadMessage(problem="too_large")
    try:
        message = BytesParser(_class=EmailMessage, policy=policy.default).parsebytes(raw)
        return ReadMessage(
            headers=_headers(message),
            html=_body(message, "html"),
            text=_body(message, "plain"),
            attachments=[_attachment(part) for part in message.iter_attachments()],
        )
    except Exception:
        # The parser of the standard library raises a good dozen of types on hostile input; the source is still shown.
        return ReadMessage(problem="malformed")


def _headers(message: EmailMessage) -> list[tuple[str, str]]:
    """As they came, unfolded: signatures and encoded words are what this view is for."""
    return [(plain(name)[:100], plain(str(value))[:10_000]) for name, value in message.raw_items()][:MAX_HEADERS]


def _body(message: EmailMessage, kind: Literal["html", "plain"]) -> str | None:
    part = message.get_body(preferencelist=(kind,))
    if part is None:
        return None
    content = part.get_content()
    text = content if isinstance(content, str) else bytes(content).decode("utf-8", "replace")
    return text[:MAX_SHOWN_CHARACTERS].replace("\x00", "")


def _attachment(part: EmailMessage) -> Attachment:
    content = part.get_payload(decode=True)
    return Attachment(
        filename=plain(part.get_filename() or "")[:255],
        content_type=part.get_content_type()[:100],
        size_bytes=len(content) if isinstance(content, bytes) else 0,
    )


def links_in_new_tab(html: str) -> str:
    """``html`` with a ``<base>`` that makes links open beside the mailbox; behind the doctype, which must come first."""
    head = re.search(r"<head\b[^>]*>", html[:100_000], re.IGNORECASE)
    doctype = re.match(r"\s*<!doctype[^>]*>", html, re.IGNORECASE)
    place = head.end() if head else doctype.end() if doctype else 0
    return f'{html[:place]}<base target="_blank">{html[place:]}'


def dkim_tags(value: str) -> dict[str, str]:
    """Tag list of a DKIM-Signature (RFC 6376 §3.2), white space removed."""
    tags = (part.partition("=") for part in value.split(";"))
    return {name.strip(): re.sub(r"\s+", "", tag) for name, equals, tag in tags if equals}


def source_text(raw: bytes) -> str:
    """The beginning of the source, readable: bytes that are no UTF-8 are replaced."""
    return raw[:MAX_SOURCE_CHARACTERS].decode("utf-8", "replace").replace("\x00", "\ufffd")
