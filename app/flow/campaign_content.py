"""What a campaign says and to whom: the author's content, and everything that can be wrong with it.

Problems are found field by field and all at once, with line and column where the field is a template. A draft may be
incomplete (a field left empty is no problem here; ``review`` asks for it before sending), but never broken.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from sqlalchemy import select

from app.config import Settings
from app.flow.sessions import AnySession
from app.mail.addresses import Address, AddressProblem, parse_address
from app.mail.merge_language import NAME_FIELD, Part
from app.mail.problems import Severity
from app.mail.quoted_printable import clean_text
from app.mail.templates import check_template
from app.models import Campaign, CustomField, MailingList, MailStream, SendingDomain

MAX_NAME_CHARACTERS = 150
MAX_PREHEADER_CHARACTERS = 250
MAX_RATE_PER_HOUR = 100_000_000
MAX_CANARY_PERCENT = 50
MAX_CANARY_MINUTES = 24 * 60


@dataclass(frozen=True, kw_only=True)
class CampaignContent:
    """All that an author writes. ``rate_per_hour`` empty: as fast as the relay takes it."""

    name: str
    subject: str = ""
    preheader: str = ""
    from_name: str = ""
    from_email: str = ""
    reply_to: str = ""
    html: str = ""
    text: str = ""
    list_ids: tuple[int, ...] = ()
    rate_per_hour: int | None = None
    stream: MailStream = MailStream.BULK
    """Who may write urgent ones is for the pages to say."""
    canary_percent: int | None = None
    """So much goes out first; empty: all at once."""
    canary_minutes: int | None = None
    """How long the rest waits after it; and, in per cent, how much holds it. Empty: as the panel says."""
    canary_bounced_percent: float | None = None
    canary_deferred_percent: float | None = None
    canary_complained_percent: float | None = None


TEMPLATE_PARTS = ("subject", "preheader", "from_name", "html", "text")
"""The fields in which a merge field may stand."""
CANARY_LIMIT_FIELDS = ("canary_bounced_percent", "canary_deferred_percent", "canary_complained_percent")
PACE_FIELDS = ("rate_per_hour", "stream", "canary_percent", "canary_minutes", *CANARY_LIMIT_FIELDS)
TEXT_FIELDS = tuple(f.name for f in fields(CampaignContent) if f.name not in ("list_ids", *PACE_FIELDS))


@dataclass(frozen=True)
class ContentProblem:
    """What is wrong with one field. ``line`` and ``column`` count from 1 and are 0 where the whole field is meant."""

    field: str
    code: str
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        where = f"{self.field}, line {self.line}, column {self.column}" if self.line else self.field
        told = ", ".join(f"{key}={value}" for key, value in self.details.items() if value != "")
        return f"{where}: {self.code}" + (f" ({told})" if told else "")


def content_of(campaign: Campaign) -> CampaignContent:
    """The content as it is stored."""
    written = {name: getattr(campaign, name) for name in (*TEXT_FIELDS, *PACE_FIELDS)}
    return CampaignContent(**written, list_ids=tuple(row.id for row in campaign.lists))


def normalised(content: CampaignContent) -> CampaignContent:
    """As it will be stored: LF line ends, no blanks around one-line fields, addresses in lower case and A-labels."""
    texts: dict[str, Any] = {name: clean_text(getattr(content, name)) for name in TEXT_FIELDS}
    texts |= {name: value.strip() for name, value in texts.items() if name not in ("html", "text")}
    texts["text"] = texts["text"] if texts["text"].strip() else ""
    for name in ("from_email", "reply_to"):
        address = parse_address(texts[name])
        texts[name] = address.address if isinstance(address, Address) else texts[name]
    list_ids = tuple(dict.fromkeys(content.list_ids))
    return replace(content, **texts, list_ids=list_ids)


def known_fields(session: AnySession, panel_id: int) -> list[str]:
    """Names that templates of this panel may use, besides the reserved ones: the contact's name and custom fields."""
    keys = session.scalars(
        select(CustomField.key).where(CustomField.panel_id == panel_id).order_by(CustomField.position, CustomField.id)
    ).all()
    return [NAME_FIELD, *(key for key in keys if key != NAME_FIELD)]


def check_content(
    session: AnySession, settings: Settings, panel_id: int, content: CampaignContent
) -> list[ContentProblem]:
    """Everything wrong with normalised ``content``, in the order of the form. Empty: it may be saved."""
    known = known_fields(session, panel_id)
    return [
        *_name_problems(content.name),
        *_template_problems("subject", content.subject, Part.SUBJECT, known),
        *_template_problems("preheader", content.preheader, Part.SUBJECT, known),
        *_too_long("preheader", content.preheader, MAX_PREHEADER_CHARACTERS),
        *_template_problems("from_name", content.from_name, Part.FROM_NAME, known),
        *_from_problems(session, settings, panel_id, content.from_email),
        *_reply_to_problems(content.reply_to),
        *_list_problems(session, panel_id, content.list_ids),
        *_template_problems("html", content.html, Part.HTML, known),
        *_template_problems("text", content.text, Part.TEXT, known),
        *_rate_problems(content.rate_per_hour),
        *_canary_problems(content),
    ]


def is_under_allowed_suffix(domain: str, settings: Settings) -> bool:
    """Whether the installation's policy (E12) lets this domain send at all."""
    return any(domain == suffix or domain.endswith(f".{suffix}") for suffix in settings.suffixes)


def _name_problems(name: str) -> Iterator[ContentProblem]:
    if not name.strip():
        yield ContentProblem("name", "name_missing")
    if not name.isprintable():
        yield ContentProblem("name", "control_character_in_name")
    yield from _too_long("name", name, MAX_NAME_CHARACTERS)


def _too_long(field_name: str, value: str, limit: int) -> Iterator[ContentProblem]:
    if len(value) > limit:
        yield ContentProblem(field_name, "too_long", {"length": len(value), "limit": limit})


def _template_problems(field_name: str, source: str, part: Part, known: list[str]) -> Iterator[ContentProblem]:
    for problem in check_template(source, known_fields=known, part=part):
        if problem.severity is Severity.ERROR:
            yield ContentProblem(field_name, problem.code, problem.parameters, problem.line, problem.column)


def _from_problems(session: AnySession, settings: Settings, panel_id: int, from_email: str) -> Iterator[ContentProblem]:
    """The address must be one of the panel's sending domains', and the installation must allow that domain."""
    if not from_email:
        return
    address = parse_address(from_email)
    if not isinstance(address, Address):
        yield _address_invalid("from_email", from_email, address)
    elif not is_under_allowed_suffix(address.domain, settings):
        details = {"domain": address.domain, "suffixes": ", ".join(settings.suffixes)}
        yield ContentProblem("from_email", "domain_not_allowed", details)
    elif not session.scalar(
        select(SendingDomain.id).where(SendingDomain.panel_id == panel_id, SendingDomain.domain == address.domain)
    ):
        yield ContentProblem("from_email", "domain_not_of_panel", {"domain": address.domain})


def _reply_to_problems(reply_to: str) -> Iterator[ContentProblem]:
    address = parse_address(reply_to)
    if reply_to and not isinstance(address, Address):
        yield _address_invalid("reply_to", reply_to, address)


def _address_invalid(field_name: str, value: str, reason: AddressProblem) -> ContentProblem:
    return ContentProblem(field_name, "address_invalid", {"address": value[:100], "reason": reason.value})


def _list_problems(session: AnySession, panel_id: int, list_ids: tuple[int, ...]) -> Iterator[ContentProblem]:
    found = set(
        session.scalars(
            select(MailingList.id).where(
                MailingList.id.in_(list_ids), MailingList.panel_id == panel_id, MailingList.archived_at.is_(None)
            )
        )
    )
    for list_id in list_ids:
        if list_id not in found:
            yield ContentProblem("list_ids", "list_unknown", {"list": list_id})


def _canary_problems(content: CampaignContent) -> Iterator[ContentProblem]:
    if content.canary_percent is not None and not 1 <= content.canary_percent <= MAX_CANARY_PERCENT:
        yield ContentProblem("canary_percent", "canary_percent_out_of_range", {"limit": MAX_CANARY_PERCENT})
    if content.canary_minutes is not None and not 1 <= content.canary_minutes <= MAX_CANARY_MINUTES:
        yield ContentProblem("canary_minutes", "canary_minutes_out_of_range", {"limit": MAX_CANARY_MINUTES})
    for name in CANARY_LIMIT_FIELDS:
        limit = getattr(content, name)
        if limit is not None and not 0 <= limit <= 100:
            yield ContentProblem(name, "share_out_of_range")


def _rate_problems(rate_per_hour: int | None) -> Iterator[ContentProblem]:
    if rate_per_hour is not None and not 1 <= rate_per_hour <= MAX_RATE_PER_HOUR:
        yield ContentProblem("rate_per_hour", "rate_out_of_range", {"limit": MAX_RATE_PER_HOUR})
