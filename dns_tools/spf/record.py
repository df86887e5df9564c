"""An SPF record, read whole before anything of it is evaluated (RFC 7208 §4.6): one mistake anywhere is an error of all.

    is_spf(octets)         whether a TXT record claims to be SPF version 1 (§4.5)
    parse(text)            a Record, or SpfSyntaxError

Reading resolves nothing.
"""

import ipaddress
import re
from dataclasses import dataclass

from dns_tools.spf.macros import Pieces, SpfSyntaxError, read_domain_spec, read_macro_string

VERSION = re.compile(rb"v=spf1(?: |\Z)", re.IGNORECASE)
TERM_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
PREFIX = re.compile(r"(?P<spec>.*?)(?:/(?P<four>0|[1-9][0-9]?))?(?://(?P<six>0|[1-9][0-9]{0,2}))?\Z", re.DOTALL)
NETWORK_PREFIX = re.compile(r"(?P<address>[^/]*)(?:/(?P<length>0|[1-9][0-9]{0,2}))?\Z", re.DOTALL)
QUALIFIERS = "+-~?"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

WITH_DOMAIN = frozenset({"include", "exists"})
"""Mechanisms that must name a domain and take no prefix length."""
WITH_PREFIX = frozenset({"a", "mx"})
ASKING = frozenset({"include", "exists", "a", "mx", "ptr"})
"""Mechanisms that count against the limit of ten (§4.6.4)."""
MECHANISMS = WITH_DOMAIN | WITH_PREFIX | {"all", "ptr", "ip4", "ip6"}


@dataclass(frozen=True, kw_only=True)
class Mechanism:
    text: str
    """As written, with its qualifier."""
    qualifier: str
    name: str
    domain: Pieces | None = None
    """None: the domain whose record it is."""
    network: Network | None = None
    prefix4: int = 32
    prefix6: int = 128


@dataclass(frozen=True, kw_only=True)
class Record:
    mechanisms: tuple[Mechanism, ...] = ()
    redirect: Pieces | None = None
    explanation: Pieces | None = None
    unknown_modifiers: tuple[str, ...] = ()


def is_spf(octets: bytes) -> bool:
    return VERSION.match(octets) is not None


def parse(text: str) -> Record:
    """``text`` begins with ``v=spf1``. Raises :class:`SpfSyntaxError`."""
    if not text.isascii():
        raise SpfSyntaxError("not_ascii")
    if not is_spf(text.encode("ascii")):
        raise SpfSyntaxError("version", text[:20])
    mechanisms: list[Mechanism] = []
    modifiers: dict[str, Pieces] = {}
    unknown: list[str] = []
    for term in text[len("v=spf1") :].split(" "):
        named = TERM_NAME.match(term)
        if not term:
            continue
        if named and term[named.end() : named.end() + 1] == "=":
            _read_modifier(named.group().lower(), term[named.end() + 1 :], term, modifiers, unknown)
        else:
            mechanisms.append(_read_mechanism(term))
    return Record(
        mechanisms=tuple(mechanisms),
        redirect=modifiers.get("redirect"),
        explanation=modifiers.get("exp"),
        unknown_modifiers=tuple(unknown),
    )


def _read_modifier(name: str, value: str, term: str, modifiers: dict[str, Pieces], unknown: list[str]) -> None:
    if name not in ("redirect", "exp"):
        read_macro_string(value)  # Ignored, yet its grammar holds (§6, unknown-modifier).
        unknown.append(term)
        return
    if name in modifiers:
        raise SpfSyntaxError("modifier_twice", name)
    modifiers[name] = read_domain_spec(value)


def _read_mechanism(term: str) -> Mechanism:
    qualifier = term[0] if term[0] in QUALIFIERS else "+"
    body = term[1:] if term[0] in QUALIFIERS else term
    named = TERM_NAME.match(body)
    name = named.group().lower() if named else ""
    rest = body[len(name) :]
    if name not in MECHANISMS or (rest and rest[0] not in ":/"):
        raise SpfSyntaxError("term", term[:80])
    if name in ("ip4", "ip6"):
        return Mechanism(text=term, qualifier=qualifier, name=name, network=_read_network(name, rest))
    if name in WITH_PREFIX:
        return _read_with_prefix(term, qualifier, name, rest)
    return Mechanism(text=term, qualifier=qualifier, name=name, domain=_read_plain(term, name, rest))


def _read_plain(term: str, name: str, rest: str) -> Pieces | None:
    if not rest:
        if name in WITH_DOMAIN:
            raise SpfSyntaxError("empty_domain", term[:80])
        return None
    if name == "all" or rest[0] != ":":
        raise SpfSyntaxError("term", term[:80])
    return read_domain_spec(rest[1:])


def _read_with_prefix(term: str, qualifier: str, name: str, rest: str) -> Mechanism:
    found = PREFIX.match(rest)
    if found is None:  # The pattern takes any text; mypy cannot know.
        raise SpfSyntaxError("term", term[:80])
    spec, four, six = found["spec"], int(found["four"] or 32), int(found["six"] or 128)
    if (spec and spec[0] != ":") or four > 32 or six > 128:
        raise SpfSyntaxError("prefix", term[:80])
    domain = read_domain_spec(spec[1:]) if spec else None
    return Mechanism(text=term, qualifier=qualifier, name=name, domain=domain, prefix4=four, prefix6=six)


def _read_network(name: str, rest: str) -> Network:
    found = NETWORK_PREFIX.match(rest[1:])
    if rest[:1] != ":" or found is None:
        raise SpfSyntaxError("network", rest[:80])
    address, length = found["address"], found["length"]
    try:
        if name == "ip4":
            return ipaddress.IPv4Network(f"{ipaddress.IPv4Address(address)}/{length or 32}", strict=False)
        if "%" in address:  # Python takes a zone index, the grammar does not.
            raise SpfSyntaxError("network", rest[:80])
        return ipaddress.IPv6Network(f"{ipaddress.IPv6Address(address)}/{length or 128}", strict=False)
    except ValueError as error:
        raise SpfSyntaxError("network", rest[:80]) from error
