"""What a person checks before sending: who will get it, what is missing, what is worth a second look.

``review`` counts everything exactly, for the page; ``blockers`` asks only what would make sending wrong, and is asked
again, under the campaign's lock, when it is scheduled.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from jinja2.exceptions import TemplateSyntaxError
from sqlalchemy import Integer, String, bindparam, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY

from app.config import Settings
from app.flow import domains
from app.flow.campaign_content import TEMPLATE_PARTS, check_content, content_of
from app.flow.not_reached import condition_for
from app.flow.sessions import AnySession
from app.flow.signing import Signing, signing_of, unpublished_selectors
from app.mail.addresses import domain_of
from app.mail.html import check_links, prepare_html
from app.mail.merge_language import NAME_FIELD, RESERVED_FIELDS, UNSUBSCRIBE_FIELD
from app.mail.problems import TemplateProblem
from app.mail.templates import fields_used
from app.models import Campaign, Panel, PanelMode, Subscription

CLIPPED_AT_BYTES = 102 * 1024
"""Gmail shows no more of a message than this and hides the rest, the unsubscribe link included, behind a link."""
QUICK_MEMBERSHIPS = 20_000
"""As many are counted in some tens of milliseconds."""
LONG_SUBJECT_CHARACTERS = 70
"""Longer subjects are cut on telephones and in most lists of messages."""

STARTER_TEXTS = (
    "Título del mensaje",
    "Nombre de la institución",
    "Escriba aquí la idea principal",
    "Nombre de la dirección u oficina",
)
EXAMPLE_HOST = re.compile(r"(?:^|\.)(?:example(?:\.[a-z]{2,3}){0,2}|test|invalid|localhost)$")


class Level(StrEnum):
    GOOD = "good"
    NOTICE = "notice"
    BLOCKER = "blocker"


@dataclass(frozen=True)
class Finding:
    """One line of the checklist."""

    code: str
    level: Level
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class AudienceCount:
    """People, each counted once however many of the lists they are on."""

    memberships: int
    """Rows over all lists; ``memberships - members`` are duplicates that get one mail all the same."""
    members: int
    unsubscribed: int
    """From every list of the campaign."""
    suppressed: int
    recipients: int
    lacking: dict[str, int]
    """For each field that the content uses: how many recipients have nothing in it."""


@dataclass(frozen=True, kw_only=True)
class Review:
    findings: list[Finding]
    audience: AudienceCount
    links: list[str]
    """Distinct web addresses whose clicks are counted, in the order of their numbers."""
    link_notices: list[TemplateProblem]
    fields: list[str]
    size_bytes: int

    @property
    def blockers(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.level is Level.BLOCKER]


def review(session: AnySession, settings: Settings, campaign: Campaign) -> Review:
    """The whole checklist. The counts are exact at this moment; the audience is frozen when sending begins."""
    fields = fields_of(campaign)
    audience = count_audience(
        session,
        campaign.panel_id,
        [row.id for row in campaign.lists],
        fields,
        origin_id=campaign.follow_up_of_id,
        campaign_id=campaign.id,
    )
    findings = _necessary(session, settings, campaign, has_recipients=audience.recipients > 0)
    findings += _good_news(campaign, findings, audience)
    findings += _notices(campaign, is_real=_is_real(session, campaign))
    return Review(
        findings=findings,
        audience=audience,
        links=links_of(campaign.html),
        link_notices=check_links(campaign.html),
        fields=fields,
        size_bytes=len(campaign.html.encode()),
    )


def blockers(session: AnySession, settings: Settings, campaign: Campaign) -> list[Finding]:
    """What must be put right before the campaign may go out."""
    return [one for one in _necessary(session, settings, campaign) if one.level is Level.BLOCKER]


def _necessary(
    session: AnySession, settings: Settings, campaign: Campaign, *, has_recipients: bool | None = None
) -> list[Finding]:
    """What stands in the way of sending; in practice mode some of it is only said."""
    missing = [name for name in ("subject", "from_name", "from_email") if not getattr(campaign, name)]
    found = [Finding(f"{name}_missing", Level.BLOCKER) for name in missing]
    if not campaign.html.strip() and not campaign.text.strip():
        found.append(Finding("content_missing", Level.BLOCKER))
    problems = check_content(session, settings, campaign.panel_id, content_of(campaign))
    if problems:
        found.append(Finding("content_broken", Level.BLOCKER, {"problems": problems}))
    found += _signing(session, campaign)
    if not campaign.lists:
        found.append(Finding("lists_missing", Level.BLOCKER))
    elif not (_has_recipients(session, campaign) if has_recipients is None else has_recipients):
        found.append(Finding("nobody", Level.BLOCKER))
    return found


SIGNING_CODES = {
    Signing.NO_KEY: "dkim_missing",
    Signing.UNPUBLISHED: "dkim_unpublished",
    Signing.UNCHECKED: "dkim_unchecked",
    Signing.PARTLY: "dkim_partly",
}


def _signing(session: AnySession, campaign: Campaign) -> list[Finding]:
    """Unsigned bulk mail is refused by the large mailbox providers, and a signature is worth nothing while nobody can
    find its key."""
    if not campaign.from_email:
        return []
    name = domain_of(campaign.from_email)
    domain = domains.named(session, campaign.panel_id, name)
    signing = signing_of(domain)
    if signing is Signing.READY:
        return []
    stops = signing is Signing.NO_KEY or (signing is not Signing.PARTLY and _is_real(session, campaign))
    selectors = ", ".join(unpublished_selectors(domain)) if domain else ""
    level = Level.BLOCKER if stops else Level.NOTICE
    return [Finding(SIGNING_CODES[signing], level, {"domain": name, "selectors": selectors})]


def _is_real(session: AnySession, campaign: Campaign) -> bool:
    return session.get_one(Panel, campaign.panel_id).mode is PanelMode.REAL


def _good_news(campaign: Campaign, found: Iterable[Finding], audience: AudienceCount) -> list[Finding]:
    """What is in order, said as clearly as what is not."""
    codes = {finding.code for finding in found}
    good = []
    if not codes & {"from_email_missing", "dkim_missing", "dkim_unpublished", "dkim_unchecked", "content_broken"}:
        good.append(Finding("from_ready", Level.GOOD, {"address": campaign.from_email}))
    if audience.recipients:
        good.append(Finding("audience_ready", Level.GOOD, {"recipients": audience.recipients}))
    if not codes & {"subject_missing", "content_missing", "content_broken"}:
        good.append(Finding("content_ready", Level.GOOD))
    own_link = UNSUBSCRIBE_FIELD in fields_of(campaign)
    good.append(Finding("unsubscribe_written" if own_link else "unsubscribe_added", Level.GOOD))
    return good


def _notices(campaign: Campaign, *, is_real: bool) -> list[Finding]:
    notices = [Finding(code, Level.NOTICE, details) for code, details in _size_notices(campaign)]
    if len(campaign.subject) > LONG_SUBJECT_CHARACTERS:
        notices.append(Finding("subject_long", Level.NOTICE, {"length": len(campaign.subject)}))
    if left := left_from_starter(campaign):
        notices.append(Finding("starter_text", Level.NOTICE, {"texts": " · ".join(f"«{text}»" for text in left)}))
    if is_real and (urls := example_links(campaign.html)):
        notices.append(Finding("example_links", Level.NOTICE, {"urls": ", ".join(urls)}))
    return notices


def left_from_starter(campaign: Campaign) -> list[str]:
    """Passages of the starter template that were to be replaced and were not."""
    content = " ".join(f"{campaign.html} {campaign.text}".split())
    return [text for text in STARTER_TEXTS if text in content]


def example_links(html: str) -> list[str]:
    """Links to names that stand for nothing (RFC 2606, RFC 6761), the starter template's among them."""
    return [url for url in links_of(html) if EXAMPLE_HOST.search(urlsplit(url).hostname or "")]


def _size_notices(campaign: Campaign) -> list[tuple[str, dict[str, Any]]]:
    size = len(campaign.html.encode())
    return [("clipped", {"size": size, "limit": CLIPPED_AT_BYTES})] if size > CLIPPED_AT_BYTES else []


def links_of(html: str) -> list[str]:
    """The distinct addresses whose clicks will be counted; none where the template is broken."""
    try:
        return prepare_html(html, click_url=str, pixel_url=None, footer=None).links
    except TemplateSyntaxError:
        return []


def fields_of(campaign: Campaign) -> list[str]:
    """Names of the fields that a saved campaign uses, the unsubscribe link included."""
    parts = (getattr(campaign, part) for part in TEMPLATE_PARTS)
    return sorted(frozenset().union(*(fields_used(part) for part in parts if part)))


# Who will get it.

RECIPIENTS = """
    SELECT s.contact_id, bool_or(s.status = 'subscribed') AS subscribed, count(*) AS memberships
    FROM subscription s WHERE s.list_id = ANY(:lists) GROUP BY s.contact_id
"""
SUPPRESSED = "SELECT DISTINCT email FROM suppression WHERE panel_id = :panel OR panel_id IS NULL"
COUNT = f"""
    SELECT coalesce(sum(memberships), 0) AS memberships, count(*) AS members,
           count(*) FILTER (WHERE NOT subscribed) AS unsubscribed,
           count(*) FILTER (WHERE subscribed AND suppressed) AS suppressed,
           count(*) FILTER (WHERE subscribed AND NOT suppressed) AS recipients
           {{lacking}}
    FROM (
        SELECT m.*, c.name, c.fields, x.email IS NOT NULL AS suppressed
        FROM ({RECIPIENTS}) m JOIN contact c ON c.id = m.contact_id AND c.panel_id = :panel
        LEFT JOIN ({SUPPRESSED}) x ON x.email = c.email
        WHERE {{only}}
    ) audience
"""  # noqa: S608  # made of constants
ANYBODY = """
    SELECT 1 FROM subscription s JOIN contact c ON c.id = s.contact_id AND c.panel_id = :panel
    WHERE s.list_id = ANY(:lists) AND s.status = 'subscribed' AND NOT EXISTS (
        SELECT 1 FROM suppression x WHERE x.email = c.email AND (x.panel_id = :panel OR x.panel_id IS NULL))
      AND {only}
    LIMIT 1
"""


def count_audience(
    session: AnySession,
    panel_id: int,
    list_ids: list[int],
    fields: Iterable[str] = (),
    *,
    origin_id: int | None = None,
    campaign_id: int = 0,
) -> AudienceCount:
    """Who is on these lists and who of them will be mailed, by the same rules as the freezing of the audience. For a
    follow-up: ``origin_id``, the campaign that it follows up, and its own id."""
    custom = [name for name in fields if name not in RESERVED_FIELDS and name != NAME_FIELD]
    named = NAME_FIELD in set(fields)
    lacking = ", count(*) FILTER (WHERE subscribed AND NOT suppressed AND name = '') AS lacks_name" if named else ""
    for number, _ in enumerate(custom):
        lacking += f""", count(*) FILTER (WHERE subscribed AND NOT suppressed
                       AND coalesce(fields->>:field_{number}, '') = '') AS lacks_{number}"""
    statement = text(COUNT.format(lacking=lacking, only=condition_for(origin_id))).bindparams(
        bindparam("lists", type_=ARRAY(Integer)), *(bindparam(f"field_{n}", type_=String) for n, _ in enumerate(custom))
    )
    values: dict[str, Any] = {f"field_{number}": name for number, name in enumerate(custom)}
    values |= {"lists": list_ids, "panel": panel_id} | _follow_up_values(origin_id, campaign_id)
    row = session.execute(statement, values).one()._asdict()
    counts = {name: int(row[name]) for name in ("memberships", "members", "unsubscribed", "suppressed", "recipients")}
    missing = {name: int(row[f"lacks_{number}"]) for number, name in enumerate(custom)}
    return AudienceCount(**counts, lacking=({NAME_FIELD: int(row["lacks_name"])} if named else {}) | missing)


def takes_long(session: AnySession, campaign: Campaign) -> bool:
    """Whether counting the audience keeps a person waiting: then the page comes first and the count after it."""
    statement = (
        select(Subscription.contact_id)
        .where(Subscription.list_id.in_([row.id for row in campaign.lists]))
        .limit(QUICK_MEMBERSHIPS + 1)
    )
    return (session.scalar(select(func.count()).select_from(statement.subquery())) or 0) > QUICK_MEMBERSHIPS


def _has_recipients(session: AnySession, campaign: Campaign) -> bool:
    origin_id = campaign.follow_up_of_id
    statement = text(ANYBODY.format(only=condition_for(origin_id))).bindparams(bindparam("lists", type_=ARRAY(Integer)))
    values: dict[str, Any] = {"lists": [row.id for row in campaign.lists], "panel": campaign.panel_id}
    values |= _follow_up_values(origin_id, campaign.id)
    return session.scalar(statement, values) is not None


def _follow_up_values(origin_id: int | None, campaign_id: int) -> dict[str, int]:
    return {} if origin_id is None else {"origin": origin_id, "campaign": campaign_id}
