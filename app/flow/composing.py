"""From a campaign in the database to signed messages: content, links, keys and addresses brought together, compiled once.

A `Composition` is what one worker needs to write any recipient's message; it is kept for a minute per process, so that a
rotated key or a changed tracking host takes effect soon without asking the database for each chunk.
"""

import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import Any, NamedTuple

from flask_babel import force_locale
from flask_babel import gettext as _
from sqlalchemy import delete, select

from app.config import Settings
from app.flow.problem import Problem
from app.flow.sessions import AnySession
from app.flow.signing import signing_keys
from app.flow.submission import OutgoingMessage
from app.mail.addresses import domain_of
from app.mail.compose import CompiledCampaign, Content, Mailing, Recipient, RenderedMessage
from app.mail.dkim import DkimSigner, Header, assemble, body_hash
from app.mail.egress_header import EGRESS_HEADER
from app.mail.html import UnsubscribeFooter
from app.mail.merge import TooLargeError
from app.mail.tokens import TokenPurpose
from app.mail.tracking_urls import TrackingUrls
from app.models import Campaign, CampaignLink, CustomField, FieldType, Panel, SendingDomain
from app.secrets import unseal

KEEP_SECONDS = 60.0
MAX_KEPT = 32
BODY_START = re.compile(r"<body\b[^>]*>", re.IGNORECASE)


class CompositionProblem(Problem):
    """A campaign can't be turned into mail, or not for one recipient: ``content``, ``too_large``, ``no_sending_domain``,
    ``no_dkim_key``, ``address_suppressed``, ``no_egress_ip``. As a text it is what the database keeps of it: ``code:detail``."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code, detail=detail)
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.code}:{self.detail}" if self.detail else self.code


class Draft(NamedTuple):
    """A rendered message before it is signed."""

    seq: int
    message: RenderedMessage
    timestamp: int
    egress: str

    def with_signatures(self, signatures: Sequence[Header]) -> OutgoingMessage:
        message = self.message
        headers = [*message.headers, (EGRESS_HEADER, self.egress)] if self.egress else message.headers
        return OutgoingMessage(
            seq=self.seq,
            mail_from=message.envelope_from,
            rcpt_to=message.envelope_to,
            content=assemble(headers, signatures, message.body),
        )


@dataclass(frozen=True)
class Composition:
    """A campaign ready to be written to any recipient. Safe to share between threads."""

    compiled: CompiledCampaign
    signers: tuple[DkimSigner, ...]
    field_types: Mapping[str, FieldType]

    @property
    def links(self) -> list[str]:
        return self.compiled.links

    def write(self, seq: int, email: str, name: str, fields: Mapping[str, Any], *, egress: str = "") -> OutgoingMessage:
        """Render and sign: ``content`` is the message as it goes over the wire. ``egress``: address of the IP that the
        relay is to send it from; the relay takes that header away, so it isn't signed."""
        return self.sealed([self.draft(seq, email, name, fields, egress=egress)])[0]

    def draft(self, seq: int, email: str, name: str, fields: Mapping[str, Any], *, egress: str = "") -> Draft:
        """Rendered, to be signed by :meth:`sealed`."""
        # To the second: a Date header says no more, and messages of the same second share it.
        now = datetime.now(UTC).replace(microsecond=0)
        return Draft(seq, self.render(seq, email, name, fields, now), int(now.timestamp()), egress)

    def sealed(self, drafts: Sequence[Draft]) -> list[OutgoingMessage]:
        """Signed and ready for the wire, in the same order. Step by step for all of them, not message by message: the
        code and data of a step stay in the processor's caches, which a private-key operation sweeps clean."""
        hashed = [body_hash(draft.message.body) for draft in drafts]
        signed = [
            [signer.sign_hashed(draft.message.headers, body, draft.timestamp) for signer in self.signers]
            for draft, body in zip(drafts, hashed, strict=True)
        ]
        return [draft.with_signatures(signatures) for draft, signatures in zip(drafts, signed, strict=True)]

    def render(self, seq: int, email: str, name: str, fields: Mapping[str, Any], sent_at: datetime) -> RenderedMessage:
        """Unsigned, for previews. Raises :class:`CompositionProblem` where this recipient's data make it too large."""
        try:
            return self.compiled.render(Recipient(seq, email, name, self.merge_fields(fields)), sent_at)
        except TooLargeError as error:
            raise CompositionProblem("too_large", str(error.limit)) from error

    def merge_fields(self, fields: Mapping[str, Any]) -> dict[str, str]:
        """Custom fields as people read them in a mail: 3.5 -> ``3,5``, true -> ``sí``, 2026-11-21 -> ``21/11/2026``."""
        types = self.field_types
        return {
            # Most are texts that read as they are.
            key: value
            if type(value) is str and types.get(key) is not FieldType.DATE
            else as_words(value, types.get(key))
            for key, value in fields.items()
            if value is not None
        }


def as_words(value: Any, type_: FieldType | None) -> str:
    if isinstance(value, bool):
        return "sí" if value else "no"
    if isinstance(value, float):
        return f"{value:g}".replace(".", ",")
    if type_ is FieldType.DATE and isinstance(value, str) and len(value) >= 10:
        return f"{value[8:10]}/{value[5:7]}/{value[:4]}"
    return str(value)


def compile_for(
    session: AnySession, settings: Settings, campaign: Campaign, *, purpose: TokenPurpose = TokenPurpose.DELIVERY
) -> Composition:
    """Compile ``campaign`` as it stands. Raises :class:`CompositionProblem`."""
    panel = session.get_one(Panel, campaign.panel_id)
    domain = sending_domain_of(session, campaign)
    types = session.execute(
        select(CustomField.key, CustomField.type).where(CustomField.panel_id == campaign.panel_id)
    ).all()
    mailing = Mailing(
        campaign_id=campaign.id,
        token_key=token_key(settings),
        tracking=TrackingUrls((domain.tracking_url or settings.public_url).rstrip("/")),
        return_path_domain=domain.return_path_domain,
        list_id=f"{panel.slug}.{domain.domain}",
        list_name=panel.name,
        feedback_id=f"{campaign.id}:{panel.slug}:chaski",
        footer=unsubscribe_footer(settings),
        purpose=purpose,
    )
    try:
        compiled = CompiledCampaign(content_of(campaign), mailing)
        signers = tuple(signers_of(settings, domain))
    except TooLargeError as error:
        raise CompositionProblem("too_large", str(error.limit)) from error
    except ValueError as error:
        raise CompositionProblem("content", str(error)) from error
    return Composition(compiled, signers, {row.key: row.type for row in types})


def token_key(settings: Settings) -> bytes:
    return settings.derived_key("tokens")


def sending_domain_of(session: AnySession, campaign: Campaign) -> SendingDomain:
    """The panel's sending domain of the From address. Raises :class:`CompositionProblem` where it has none."""
    name = domain_of(campaign.from_email).lower()
    domain = session.scalar(
        select(SendingDomain).where(SendingDomain.panel_id == campaign.panel_id, SendingDomain.domain == name)
    )
    if domain is None:
        raise CompositionProblem("no_sending_domain", name)
    return domain


def signers_of(settings: Settings, domain: SendingDomain) -> list[DkimSigner]:
    """A signer per active key. No active key: nothing may leave unsigned."""
    keys = signing_keys(domain)
    if not keys:
        raise CompositionProblem("no_dkim_key", domain.domain)
    return [
        DkimSigner(domain.domain, key.selector, unseal(settings, key.private_key_encrypted).encode()) for key in keys
    ]


def content_of(campaign: Campaign) -> Content:
    return Content(
        subject=campaign.subject,
        from_name=campaign.from_name,
        from_email=campaign.from_email,
        html=with_preheader(campaign.html, campaign.preheader),
        text=campaign.text,
        reply_to=(campaign.reply_to,) if campaign.reply_to else (),
    )


def with_preheader(html: str, preheader: str) -> str:
    """The line that inboxes show behind the subject: first in the body, invisible in the open mail. Quotation marks stay,
    since they may belong to a merge tag: ``{{ nombre|default("usted") }}``."""
    if not preheader or not html:
        return html
    hidden = (
        '<div style="display:none;max-height:0;overflow:hidden;mso-hide:all">'
        + escape(preheader, quote=False)
        + "</div>"
    )
    start = BODY_START.search(html)
    at = start.end() if start else 0
    return html[:at] + hidden + html[at:]


def unsubscribe_footer(settings: Settings) -> UnsubscribeFooter:
    """What stands below a mail whose author left the way out away. In the installation's language."""
    with force_locale(settings.locale):
        return UnsubscribeFooter(
            sentence=_("Recibe este correo porque está en una de nuestras listas."),
            link_label=_("Darse de baja"),
        )


def store_links(session: AnySession, campaign: Campaign, composition: Composition) -> None:
    """Write the campaign's links down, before anything that carries their numbers leaves. Commits nothing."""
    session.execute(delete(CampaignLink).where(CampaignLink.campaign_id == campaign.id))
    session.add_all(
        CampaignLink(campaign_id=campaign.id, position=i, url=url) for i, url in enumerate(composition.links)
    )
    session.flush()


class Compositions:
    """Compiled campaigns of one process, kept for a minute each; safe between threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._kept: dict[int, tuple[float, Composition]] = {}

    def of(self, session: AnySession, campaign_id: int) -> Composition:
        kept = self._kept.get(campaign_id)
        if kept is not None and time.monotonic() - kept[0] < KEEP_SECONDS:
            return kept[1]
        with self._lock:
            campaign = session.get_one(Campaign, campaign_id, populate_existing=True)
            composition = compile_for(session, self._settings, campaign)
            if len(self._kept) >= MAX_KEPT:
                self._kept.pop(min(self._kept, key=lambda key: self._kept[key][0]))
            self._kept[campaign_id] = (time.monotonic(), composition)
        return composition
