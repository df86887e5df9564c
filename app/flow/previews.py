"""How a campaign looks before it goes out: as one real contact would get it, and as a test send (proof).

``preview_message`` is the very message that would be sent, unsigned. ``preview_html`` is quicker and forgiving: it serves
the editor, where the content is not saved yet and may be half written.
"""

import html
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage

from sqlalchemy import ColumnElement, Select, exists, func, or_, select

from app.config import Settings
from app.flow import bell, composing, practice
from app.flow.campaigns import CampaignProblem
from app.flow.search import matching
from app.flow.sessions import AnySession
from app.mail.addresses import Address, domain_of, parse_address
from app.mail.compose import RenderedMessage
from app.mail.html_text import html_to_text
from app.mail.merge import Compiler, TooLargeError
from app.mail.merge_language import EMAIL_FIELD, NAME_FIELD, UNSUBSCRIBE_FIELD
from app.mail.tokens import TokenMaker, TokenPurpose, message_id
from app.models import (
    Campaign,
    CampaignStatus,
    Contact,
    CustomField,
    Proof,
    ProofStatus,
    Subscription,
    SubscriptionStatus,
    Suppression,
)

MAX_PROOF_ADDRESSES = 10
MAX_PROOFS_PER_HOUR = 200
"""Per panel: proofs are for looking at, not a way around lists and unsubscribing."""


@dataclass(frozen=True, kw_only=True)
class Preview:
    """One message as its reader's mail program would show it."""

    subject: str
    sender: str
    recipient: str
    reply_to: str
    html: str
    text: str
    headers: list[tuple[str, str]]
    size_bytes: int


def preview_message(session: AnySession, settings: Settings, campaign: Campaign, contact: Contact | None) -> Preview:
    """The saved campaign as ``contact`` would get it; with empty fields where there is none.

    Its tokens are a proof's, so that a click on it counts for nobody. Raises ``composing.CompositionProblem``.
    """
    composition = composing.compile_for(session, settings, campaign, purpose=TokenPurpose.PROOF)
    email, name = (contact.email, contact.name) if contact else ("persona@example.pe", "")
    fields = contact.fields if contact else {}
    return _read(composition.render(0, email, name, fields, datetime.now(UTC)))


def _read(message: RenderedMessage) -> Preview:
    """Through the standard library's parser, as an independent reader would see it."""
    raw = "".join(f"{name}: {value}\r\n" for name, value in message.headers).encode() + b"\r\n" + message.body
    parsed = message_from_bytes(raw, policy=policy.default)
    return Preview(
        subject=str(parsed["Subject"] or ""),
        sender=str(parsed["From"] or ""),
        recipient=str(parsed["To"] or ""),
        reply_to=str(parsed["Reply-To"] or ""),
        html=_without_pixel(_part(parsed, "html"), message.token),
        text=_part(parsed, "plain"),
        headers=[(name, str(value)) for name, value in parsed.items()],
        size_bytes=len(raw),
    )


def _without_pixel(source: str, token: str) -> str:
    """Looking at a preview asks no tracking host for anything."""
    return re.sub(rf"<img [^>]*{token}[^>]*>\s*", "", source)


def _part(message: EmailMessage, subtype: str) -> str:
    part = message.get_body(preferencelist=(subtype,))
    return str(part.get_content()) if part is not None else ""


def preview_html(session: AnySession, panel_id: int, source: str, contact: Contact | None) -> str:
    """A checked HTML template with the contact's values, nothing tracked; with the fields' names where there is no
    contact, so that their places can be seen. Raises ``composing.CompositionProblem``."""
    return _merged(session, panel_id, source, contact, escape=html.escape)


def preview_subject(session: AnySession, panel_id: int, source: str, contact: Contact | None) -> str:
    """As :func:`preview_html`, for a checked subject: plain text."""
    return _merged(session, panel_id, source, contact, escape=str)


def _merged(
    session: AnySession, panel_id: int, source: str, contact: Contact | None, *, escape: Callable[[str], str]
) -> str:
    compiler: Compiler[str] = Compiler(
        encode_literal=str, encode_value=escape, escape=escape, constants={UNSUBSCRIBE_FIELD: "#"}
    )
    try:
        return compiler.plan(source).render(merge_values(session, panel_id, contact))
    except TooLargeError as error:
        raise composing.CompositionProblem("too_large", str(error.limit)) from error


def text_of(source: str) -> str:
    """The text part that a checked HTML template would get, still a template."""
    return html_to_text(source)


def merge_values(session: AnySession, panel_id: int, contact: Contact | None) -> dict[str, str]:
    types = {
        field.key: field.type for field in session.scalars(select(CustomField).where(CustomField.panel_id == panel_id))
    }
    if contact is None:
        return {name: f"[{name}]" for name in (NAME_FIELD, EMAIL_FIELD, *types)}
    fields = {k: composing.as_words(v, types.get(k)) for k, v in contact.fields.items() if v is not None}
    return {NAME_FIELD: contact.name, **fields, EMAIL_FIELD: contact.email}


# Whose eyes to look with.


def find_contacts(
    session: AnySession, panel_id: int, list_ids: list[int], query: str = "", *, limit: int = 10
) -> list[Contact]:
    """Contacts that the lists would reach, whose address or name begins with ``query``."""
    statement = _reachable(panel_id, list_ids)
    if query:
        statement, _ = matching(session, statement, query)
    return list(session.scalars(statement.order_by(Contact.id).limit(limit)))


def contact_for_preview(
    session: AnySession, panel_id: int, list_ids: list[int], contact_id: int | None
) -> Contact | None:
    """The contact with this id in this panel, else the first that the lists reach."""
    if contact_id is not None:
        return session.scalar(select(Contact).where(Contact.id == contact_id, Contact.panel_id == panel_id))
    return next(iter(find_contacts(session, panel_id, list_ids, limit=1)), None)


def neighbours(
    session: AnySession, panel_id: int, list_ids: list[int], contact_id: int
) -> tuple[int | None, int | None]:
    """Ids of the contacts before and after this one, in the order of their ids."""
    reachable = _reachable(panel_id, list_ids).with_only_columns(Contact.id)
    before = session.scalar(reachable.where(Contact.id < contact_id).order_by(Contact.id.desc()).limit(1))
    after = session.scalar(reachable.where(Contact.id > contact_id).order_by(Contact.id).limit(1))
    return before, after


def _reachable(panel_id: int, list_ids: list[int]) -> Select[Contact]:
    statement = select(Contact).where(Contact.panel_id == panel_id, ~_is_suppressed(panel_id))
    return statement.where(_is_subscribed(list_ids)) if list_ids else statement


def _is_suppressed(panel_id: int) -> ColumnElement[bool]:
    return exists().where(
        Suppression.email == Contact.email, or_(Suppression.panel_id == panel_id, Suppression.panel_id.is_(None))
    )


def _is_subscribed(list_ids: list[int]) -> ColumnElement[bool]:
    return exists().where(
        Subscription.contact_id == Contact.id,
        Subscription.list_id.in_(list_ids),
        Subscription.status == SubscriptionStatus.SUBSCRIBED,
    )


# Test sends.


def request_proofs(
    session: AnySession,
    panel_id: int,
    campaign_id: int,
    addresses: list[str],
    *,
    contact_id: int | None = None,
    user_id: int | None = None,
) -> list[Proof]:
    """Queue a test send to each address, with the contact's merge data. Raises :class:`CampaignProblem`."""
    campaign = session.scalar(select(Campaign).where(Campaign.id == campaign_id, Campaign.panel_id == panel_id))
    if campaign is None:
        raise CampaignProblem("not_found", campaign=campaign_id)
    if campaign.status is CampaignStatus.CANCELLED:
        raise CampaignProblem("wrong_status", status=campaign.status, wanted="proof")
    contact = contact_for_preview(session, panel_id, [row.id for row in campaign.lists], contact_id)
    proofs = [
        Proof(
            panel_id=panel_id,
            campaign_id=campaign_id,
            contact_id=contact.id if contact else None,
            email=email,
            status=ProofStatus.QUEUED,
            created_by_id=user_id,
        )
        for email in _proof_addresses(session, panel_id, addresses)
    ]
    session.add_all(proofs)
    bell.ring_dispatcher(session)
    session.commit()
    return proofs


def _proof_addresses(session: AnySession, panel_id: int, addresses: list[str]) -> list[str]:
    """Normalised, each once, none of them suppressed (law 5 knows no exception), not too many."""
    found: dict[str, None] = {}
    for raw in addresses:
        address = parse_address(raw)
        if not isinstance(address, Address):
            raise CampaignProblem("address_invalid", address=raw[:100], reason=address.value)
        found[address.address] = None
    if not found:
        raise CampaignProblem("no_address")
    if len(found) > MAX_PROOF_ADDRESSES:
        raise CampaignProblem("too_many_addresses", limit=MAX_PROOF_ADDRESSES)
    suppressed = session.scalar(
        select(Suppression.email).where(
            Suppression.email.in_(found), or_(Suppression.panel_id == panel_id, Suppression.panel_id.is_(None))
        )
    )
    if suppressed is not None:
        raise CampaignProblem("address_suppressed", address=suppressed)
    lately = session.scalar(
        select(func.count())
        .select_from(Proof)
        .where(Proof.panel_id == panel_id, Proof.created_at > func.now() - func.make_interval(0, 0, 0, 0, 1))
    )
    if (lately or 0) + len(found) > MAX_PROOFS_PER_HOUR:
        raise CampaignProblem("too_many_proofs", limit=MAX_PROOFS_PER_HOUR)
    return list(found)


def proofs_of(session: AnySession, campaign_id: int, *, limit: int = 20) -> list[Proof]:
    """The latest first."""
    statement = select(Proof).where(Proof.campaign_id == campaign_id).order_by(Proof.id.desc()).limit(limit)
    return list(session.scalars(statement))


def captured_proofs(session: AnySession, settings: Settings, campaign: Campaign, proofs: list[Proof]) -> dict[int, int]:
    """Which message of the practice mailbox each of the campaign's proofs became; nothing for real relays."""
    token = TokenMaker(composing.token_key(settings), campaign.id, TokenPurpose.PROOF).token
    domain = domain_of(campaign.from_email)
    proof_ids = {message_id(token(proof.id), domain): proof.id for proof in proofs}
    found = practice.rows_of(session, campaign.panel_id, proof_ids.keys())
    return {proof_ids[name]: row_id for name, row_id in found.items()}
