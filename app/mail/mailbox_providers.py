"""Who runs a recipient's mail, and how fast one IP may go there: by the MX of the domain, as data.

The providers stand in ``mailbox_providers.toml``; a provider is named by its key everywhere else. Names out of the DNS are
hostile: they match by whole labels, from the right, and not at all where they are no host name.
"""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

OTHER = "other"
"""Whoever is no provider that we know; all of them together."""
NO_MAILBOXES = frozenset(("invalid", "localhost", "local"))
"""Below these the DNS has nobody's mailboxes; asking would only tell others of them (RFC 6761 §6.3 and §6.4, RFC 6762 §3)."""
_MAX_NAME = 253
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one egress IP may do at one provider."""

    messages_per_minute: int
    connections: int
    messages_per_connection: int
    warm_up_caps: tuple[int, ...]
    """Messages that a warming IP may hand over on its first day, its second …; after the last day it is warm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    key: str
    name: str
    mx: tuple[str, ...]
    """Hosts; each stands for itself and for every name below it."""
    domains: tuple[str, ...]
    """Recipient domains known without asking the DNS."""
    limits: Limits
    """As shipped."""


@cache
def providers() -> Mapping[str, Provider]:
    """All by key, in the order of the file."""
    source = files("app.mail").joinpath("mailbox_providers.toml").read_text(encoding="utf-8")
    return MappingProxyType(read_providers(tomllib.loads(source)))


def read_providers(table: Mapping[str, Any]) -> dict[str, Provider]:
    """Raises ValueError or KeyError where the data is wrong: it belongs to the program, which then does not start."""
    found = {row["key"]: _provider(row, table["warm_up"]) for row in table["provider"]}
    if OTHER not in found or len(found) != len(table["provider"]):
        raise ValueError(f"each key stands once, and {OTHER!r} is one of them")
    for names in ([p.mx for p in found.values()], [p.domains for p in found.values()]):
        flat = [name for part in names for name in part]
        wrong = {name for name in flat if flat.count(name) > 1 or host_name(name) != name or "." not in name}
        if wrong:
            raise ValueError(f"no host names, or of two providers: {sorted(wrong)}")
    return found


def _provider(row: Mapping[str, Any], curves: Mapping[str, Sequence[int]]) -> Provider:
    figures = {name: int(row[name]) for name in ("messages_per_minute", "connections", "messages_per_connection")}
    return Provider(
        key=row["key"],
        name=row["name"],
        mx=tuple(row["mx"]),
        domains=tuple(row.get("domains", ())),
        limits=Limits(**figures, warm_up_caps=tuple(curves[row["warm_up"]])),
    )


def provider_of_mx(mx_hosts: Iterable[str]) -> str:
    """The key of who takes the mail, by the best of a domain's MX (best first); ``other`` for none.

    Only the best one counts: mail goes there, and the others are what it falls back on."""
    best = next(iter(mx_hosts), "")
    return next((_by_mx()[name] for name in suffixes(host_name(best)) if name in _by_mx()), OTHER)


def provider_of_domain(domain: str) -> str | None:
    """The key for a recipient domain that is known by its name alone; None: its MX tell."""
    name = host_name(domain)
    if name.rpartition(".")[2] in NO_MAILBOXES:
        return OTHER
    return _by_domain().get(name)


def provider_name(key: str) -> str:
    """As people know it; a key that is no longer shipped is its own name."""
    return providers()[key].name if key in providers() else key


def host_name(text: str) -> str:
    """Lower case, without the final dot; empty where it can't be a host name.

    ASCII is asked for before lower-casing: "K" (Kelvin) would become an ordinary letter. Escapes of the DNS's own text
    form (``\\.`` inside a label) are no host names either."""
    if not text.isascii() or len(text) > _MAX_NAME + 1:
        return ""
    name = text.lower().removesuffix(".")
    is_name = bool(name) and _NAME_CHARACTERS.issuperset(name) and ".." not in name and name[0] != "."
    return name if is_name and name[-1] != "." else ""


def suffixes(name: str) -> Iterable[str]:
    """``a.b.c``, ``b.c``, ``c``: the longest first; nothing for an empty name."""
    while name:
        yield name
        name = name.partition(".")[2]


@cache
def _by_mx() -> dict[str, str]:
    return {host: provider.key for provider in providers().values() for host in provider.mx}


@cache
def _by_domain() -> dict[str, str]:
    return {domain: provider.key for provider in providers().values() for domain in provider.domains}
