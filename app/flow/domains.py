"""Sending domains of a panel: which may be added at all, their DKIM keys, and the records to publish for them."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

import dns.nameserver
import dns.resolver
from sqlalchemy import Select, delete, func, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import selectinload

from app.config import ConfigurationError, Settings
from app.flow.campaign_content import is_under_allowed_suffix
from app.flow.problem import Problem
from app.flow.sessions import AnySession
from app.mail.addresses import domain_to_ascii
from app.mail.dkim import KeyKind, KeyPair, generate_key
from app.models import Campaign, CampaignStatus, DkimAlgorithm, DkimKey, Panel, PanelMode, SendingDomain
from app.secrets import seal
from dns_tools import dkim

DNS_SECONDS = 5.0
"""Longest wait for the name servers; a person sits in front of it."""
NO_DNS = "none"
MAX_URL_CHARACTERS = 300
NEEDED_BY = (CampaignStatus.SCHEDULED, CampaignStatus.PREPARING, CampaignStatus.SENDING, CampaignStatus.PAUSED)
HOST = re.compile(r"[A-Za-z0-9.-]+\Z")

MakeKey = Callable[[KeyKind], KeyPair]


class DomainProblem(Problem):
    """``code``: ``invalid``, ``suffix`` (with the allowed ``names``), ``taken``, ``return_path_invalid``,
    ``return_path_suffix``, ``tracking_url``, ``in_use`` (with the campaigns' ``names``)."""


def domains(panel_id: int) -> Select[SendingDomain]:
    """Of a panel, with their keys, for a paged list."""
    return (
        select(SendingDomain).where(SendingDomain.panel_id == panel_id).options(selectinload(SendingDomain.dkim_keys))
    )


def named(session: AnySession, panel_id: int, domain: str) -> SendingDomain | None:
    return session.scalar(
        select(SendingDomain).where(SendingDomain.panel_id == panel_id, SendingDomain.domain == domain)
    )


def add_domain(
    session: AnySession, settings: Settings, panel_id: int, typed: str, *, make_key: MakeKey = generate_key
) -> SendingDomain:
    """A sending domain with a fresh RSA-2048 key. Raises :class:`DomainProblem`."""
    row = new_domain(session, settings, panel_id, typed, make_key=make_key)
    session.add(row)
    try:
        session.commit()
    except IntegrityError as error:
        session.rollback()
        raise DomainProblem("taken") from error
    return row


def new_domain(
    session: AnySession, settings: Settings, panel_id: int, typed: str, *, make_key: MakeKey = generate_key
) -> SendingDomain:
    """As :func:`add_domain`, in no session yet."""
    row = SendingDomain(panel_id=panel_id, domain=checked_domain(settings, typed))
    row.return_path_domain = f"rebotes.{row.domain}"
    if domain_to_ascii(row.return_path_domain) is None:
        raise DomainProblem("invalid")
    row.dkim_keys = [_new_key(session, settings, row.domain, make_key)]
    return row


def checked_domain(settings: Settings, typed: str) -> str:
    """``typed`` in lower case and A-labels, if this installation may send from it. Raises :class:`DomainProblem`."""
    domain = domain_to_ascii(typed.strip().rstrip("."))
    if domain is None:
        raise DomainProblem("invalid")
    is_registry = domain in settings.suffixes and domain.count(".") < 2
    if is_registry or not is_under_allowed_suffix(domain, settings):
        raise DomainProblem("suffix", names=settings.suffixes)
    return domain


def _new_key(session: AnySession, settings: Settings, domain: str, make_key: MakeKey) -> DkimKey:
    pair = make_key(KeyKind.RSA)
    return DkimKey(
        selector=free_selector(session, domain, datetime.now(UTC)),
        algorithm=DkimAlgorithm.RSA_SHA256,
        private_key_encrypted=seal(settings, pair.private_pem.decode()),
        public_record=pair.public_record,
    )


def free_selector(session: AnySession, domain: str, now: datetime) -> str:
    """``chaski<yyyymm>``, with a number behind it where that one is taken: several panels may send from one domain, and a
    name in the DNS holds one key. Until the transaction ends nobody else can take one for this domain."""
    session.execute(text("SELECT pg_advisory_xact_lock(hashtext('chaski.selector'), hashtext(:d))"), {"d": domain})
    taken = set(
        session.scalars(select(DkimKey.selector).join(DkimKey.sending_domain).where(SendingDomain.domain == domain))
    )
    wanted = f"chaski{now:%Y%m}"
    return next(name for name in (wanted, *(f"{wanted}-{n}" for n in range(2, len(taken) + 3))) if name not in taken)


def update_domain(
    session: AnySession, settings: Settings, row: SendingDomain, *, return_path_domain: str, tracking_url: str
) -> None:
    """Raises :class:`DomainProblem`."""
    return_path = domain_to_ascii(return_path_domain.strip().rstrip("."))
    if return_path is None:
        raise DomainProblem("return_path_invalid")
    if not is_under_allowed_suffix(return_path, settings):
        raise DomainProblem("return_path_suffix", names=settings.suffixes)
    if return_path != row.return_path_domain:
        _forget_return_path(row)
    row.return_path_domain, row.tracking_url = return_path, checked_tracking_url(tracking_url)
    session.commit()


def _forget_return_path(row: SendingDomain) -> None:
    """What was found of it is about another name."""
    row.dns_states = {code: state for code, state in row.dns_states.items() if not code.startswith("return_path")}
    records = row.dns_details.get("records", {})
    kept = {code: found for code, found in records.items() if not code.startswith("return_path")}
    row.dns_details = row.dns_details | {"records": kept} if records else {}


def checked_tracking_url(typed: str) -> str | None:
    """A base URL without anything behind its path; none for an empty text. Raises :class:`DomainProblem`."""
    typed = typed.strip().rstrip("/")
    if not typed:
        return None
    try:
        parts = urlsplit(typed)
        port_is_number = parts.port is None or parts.port > 0
    except ValueError as error:
        raise DomainProblem("tracking_url") from error
    fits = (
        parts.scheme in ("http", "https")
        and port_is_number
        and bool(HOST.match(parts.hostname or ""))
        and parts.username is None
        and not (parts.query or parts.fragment)
        and typed.isascii()
        and typed.isprintable()
        and not set(typed) & set(" \"'<>\\{}")
        and len(typed) <= MAX_URL_CHARACTERS
    )
    if not fits:
        raise DomainProblem("tracking_url")
    return typed


def delete_domain(session: AnySession, row: SendingDomain) -> None:
    """With its keys: mail signed with them can't be verified any more. Raises :class:`DomainProblem` where a campaign that
    is scheduled or under way needs it."""
    names = tuple(
        session.scalars(
            select(Campaign.name)
            .where(Campaign.panel_id == row.panel_id, Campaign.status.in_(NEEDED_BY))
            .where(func.split_part(Campaign.from_email, "@", 2) == row.domain)
        )
    )
    if names:
        raise DomainProblem("in_use", names=names)
    session.execute(delete(SendingDomain).where(SendingDomain.id == row.id))
    session.commit()


# What the world must see.


@dataclass(frozen=True, kw_only=True)
class DnsRecord:
    """``code``: ``dkim``, ``return_path_mx``, ``return_path_spf``, ``dmarc``."""

    code: str
    name: str
    type: str
    value: str
    zone_line: str


def records_to_publish(settings: Settings, panel: Panel, row: SendingDomain) -> list[DnsRecord]:
    """The keys in use, and proposals for return path and DMARC."""
    host = mail_host(settings, row.domain)
    relay = panel.relay.host if panel.mode is PanelMode.REAL and panel.relay else None
    spf = f"v=spf1 mx a:{relay} ~all" if relay else "v=spf1 mx ~all"
    dmarc = f"v=DMARC1; p=none; rua=mailto:dmarc@{row.domain}; adkim=s; aspf=r"
    return [
        *(_txt("dkim", dkim.record_name(row.domain, key.selector), key.public_record) for key in row.dkim_keys),
        DnsRecord(
            code="return_path_mx",
            name=row.return_path_domain,
            type="MX",
            value=f"10 {host}.",
            zone_line=f"{row.return_path_domain}. IN MX 10 {host}.",
        ),
        _txt("return_path_spf", row.return_path_domain, spf),
        _txt("dmarc", f"_dmarc.{row.domain}", dmarc),
    ]


def mail_host(settings: Settings, domain: str) -> str:
    """The installation's public name; a name to be made where it is reached by an address only (an MX names no address,
    RFC 1035 §3.3.9)."""
    return domain_to_ascii(urlsplit(settings.public_url).hostname or "") or f"correo.{domain}"


def _txt(code: str, name: str, value: str) -> DnsRecord:
    return DnsRecord(code=code, name=name, type="TXT", value=value, zone_line=dkim.zone_line(name, value))


def public_key_record(session: AnySession, domain: str, selector: str) -> str | None:
    """What the DNS should say for this selector; no secret."""
    return session.scalar(
        select(DkimKey.public_record)
        .join(DkimKey.sending_domain)
        .where(SendingDomain.domain == domain.lower(), DkimKey.selector == selector)
    )


def make_resolver(settings: Settings) -> dns.resolver.Resolver:
    """The servers of ``DNS_SERVERS``, else those of this machine; ``none``: nobody is asked, and every question is
    unanswered at once. Raises :class:`ConfigurationError`."""
    named = [server.strip() for server in settings.dns_servers.split(",") if server.strip()]
    resolver = dns.resolver.Resolver(configure=not named)
    resolver.lifetime = DNS_SECONDS
    resolver.timeout = DNS_SECONDS / 2
    if named:
        resolver.nameservers = [_nameserver(server) for server in named if server != NO_DNS]
    return resolver


def _nameserver(server: str) -> dns.nameserver.Nameserver:
    """``192.0.2.53``, ``192.0.2.53:5353`` or ``[2001:db8::53]:53``."""
    try:
        parts = urlsplit(f"//{server}")
        return dns.nameserver.Do53Nameserver(parts.hostname or "", parts.port or 53)
    except ValueError as error:
        raise ConfigurationError(f"DNS_SERVERS names {server!r}, which is no address with an optional port.") from error
