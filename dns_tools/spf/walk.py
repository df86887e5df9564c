"""A domain's SPF record with all that it includes, as a tree: what it costs and which networks it names.

Unlike check_host() this follows every branch, whoever the client might be. What depends on the message (macros other than
the domain, `exists`, `ptr`) can't be listed and is kept as an open term.
"""

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, field

import dns.name
import dns.resolver

from dns_tools.lookup import Lookup, is_domain, query
from dns_tools.spf.evaluate import MAX_HOSTS
from dns_tools.spf.macros import Macro, Pieces, SpfSyntaxError, expand, shorten
from dns_tools.spf.record import ASKING, Mechanism, Network, Record, is_spf, parse

MAX_NODES = 60
"""Of one walk: far beyond what the limit of ten allows, and an end for loops and traps."""


@dataclass(kw_only=True)
class Node:
    domain: str
    lookup: Lookup | None = None
    text: str = ""
    record: Record | None = None
    problem: str = ""
    """``missing``, ``several``, ``unreachable``, ``loop``, or what the grammar says."""
    networks: list[tuple[str, Network]] = field(default_factory=list)
    """(term, network), of terms that let a client pass."""
    open_terms: list[str] = field(default_factory=list)
    void_terms: list[str] = field(default_factory=list)
    children: list["Node"] = field(default_factory=list)

    @property
    def asking_terms(self) -> int:
        """What the record costs of the ten, with all below it (RFC 7208 §4.6.4)."""
        if self.record is None:
            return 0
        own = sum(mechanism.name in ASKING for mechanism in self.record.mechanisms)
        return own + (self.record.redirect is not None) + sum(child.asking_terms for child in self.children)

    def all(self) -> Iterator["Node"]:
        yield self
        for child in self.children:
            yield from child.all()


def walk(resolver: dns.resolver.Resolver, domain: str) -> Node:
    return _Walk(resolver, domain).node(domain, ())


class _Walk:
    def __init__(self, resolver: dns.resolver.Resolver, origin: str) -> None:
        self.resolver = resolver
        self.origin = origin
        self.nodes = 0

    def node(self, domain: str, above: tuple[str, ...]) -> Node:
        node = Node(domain=domain)
        self.nodes += 1
        if domain.lower() in above or self.nodes > MAX_NODES:
            node.problem = "loop"
            return node
        self.read(node)
        if node.record is not None:
            self.descend(node, node.record, (*above, domain.lower()))
        return node

    def read(self, node: Node) -> None:
        if not is_domain(node.domain):
            node.problem = "missing"
            return
        node.lookup = query(self.resolver, node.domain, "TXT")
        texts = [text for text in node.lookup.texts if is_spf(text)]
        if len(texts) != 1:
            node.problem = "unreachable" if node.lookup.unknown else "several" if texts else "missing"
            return
        node.text = texts[0].decode("latin-1")
        try:
            node.record = parse(node.text)
        except SpfSyntaxError as error:
            node.problem = str(error)

    def descend(self, node: Node, record: Record, above: tuple[str, ...]) -> None:
        for mechanism in record.mechanisms:
            if mechanism.name == "all":
                return  # Nothing after it is ever reached, and redirect is ignored.
            self.mechanism(node, mechanism, above)
        if record.redirect is not None:
            self.below(node, "redirect", record.redirect, above)

    def mechanism(self, node: Node, mechanism: Mechanism, above: tuple[str, ...]) -> None:
        if mechanism.network is not None:
            networks: list[Network] = [mechanism.network]
        elif mechanism.name == "include":
            return self.below(node, mechanism.text, mechanism.domain or (), above)
        elif mechanism.name in ("a", "mx"):
            networks = self.hosts(node, mechanism)
        else:
            node.open_terms.append(mechanism.text)
            return None
        if mechanism.qualifier == "+":
            node.networks += [(mechanism.text, network) for network in networks]
        return None

    def below(self, node: Node, term: str, target: Pieces, above: tuple[str, ...]) -> None:
        name = self.name(target, node.domain)
        if name is None:
            node.open_terms.append(term)
        else:
            node.children.append(self.node(name, above))

    def name(self, pieces: Pieces | None, domain: str) -> str | None:
        if pieces is None:
            return domain
        if any(isinstance(piece, Macro) and piece.letter not in "do" for piece in pieces):
            return None
        return shorten(expand(pieces, lambda letter: domain if letter == "d" else self.origin))

    def hosts(self, node: Node, mechanism: Mechanism) -> list[Network]:
        name = self.name(mechanism.domain, node.domain)
        if name is None:
            node.open_terms.append(mechanism.text)
            return []
        hosts: list[str | dns.name.Name] = [name]
        if mechanism.name == "mx":
            hosts = [record.exchange for record in query(self.resolver, name, "MX").records[:MAX_HOSTS]]
        networks = [network for host in hosts for network in self.addresses(host, mechanism)]
        if not networks:
            node.void_terms.append(mechanism.text)
        return networks

    def addresses(self, host: str | dns.name.Name, mechanism: Mechanism) -> list[Network]:
        prefixes = {"A": mechanism.prefix4, "AAAA": mechanism.prefix6}
        return [
            ipaddress.ip_network(f"{record.address}/{prefix}", strict=False)
            for rdtype, prefix in prefixes.items()
            for record in query(self.resolver, host, rdtype).records
        ]
