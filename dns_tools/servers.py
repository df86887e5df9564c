"""The name servers of a zone, each asked by itself: a record is out only when all of them have it.

    check_servers(resolver, domain)                 findings: do all answer, with authority, and the same?
    check_seen_by_all(resolver, name, text)         findings: does every server have this TXT record? (a new DKIM key)

The servers are asked on the resolver's port; that is 53 everywhere but in tests.
"""

import copy
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import dns.resolver

from dns_tools.findings import Finding, finding
from dns_tools.lookup import PARALLEL_QUESTIONS, Lookup, is_domain, query

MAX_SERVERS = 16


@dataclass(frozen=True, kw_only=True)
class Server:
    name: str
    address: str


def zone_of(resolver: dns.resolver.Resolver, name: str) -> tuple[str, Lookup]:
    """The nearest ancestor, or the name itself, that has NS records of its own; with the answer."""
    zone, lookup = name, query(resolver, name, "NS")
    while not (lookup.answered and not lookup.aliases) and is_domain(zone.partition(".")[2]):
        zone = zone.partition(".")[2]
        lookup = query(resolver, zone, "NS")
    return zone, lookup


def servers_of(resolver: dns.resolver.Resolver, lookup: Lookup) -> Iterator[Server]:
    for record in lookup.records[:MAX_SERVERS]:
        for rdtype in ("A", "AAAA"):
            for address in query(resolver, record.target, rdtype).records:
                yield Server(name=record.target.to_text(omit_final_dot=True), address=address.address)


def ask(resolver: dns.resolver.Resolver, server: Server, name: str, rdtype: str) -> Lookup:
    alone = copy.copy(resolver)
    alone.nameservers = [server.address]
    alone.cache = None
    return query(alone, name, rdtype)


def ask_all(
    resolver: dns.resolver.Resolver, servers: list[Server], name: str, rdtype: str
) -> list[tuple[Server, Lookup]]:
    with ThreadPoolExecutor(PARALLEL_QUESTIONS) as threads:
        return list(zip(servers, threads.map(lambda server: ask(resolver, server, name, rdtype), servers), strict=True))


def check_servers(resolver: dns.resolver.Resolver, domain: str) -> list[Finding]:
    zone, lookup = zone_of(resolver, domain)
    servers = list(servers_of(resolver, lookup))
    if not servers:
        return [finding("servers.unknown", domain, evidence=[lookup.evidence])]
    answers = ask_all(resolver, servers, zone, "SOA")
    good = [(server, answer) for server, answer in answers if answer.answered and answer.authoritative]
    found = [_bad(zone, server, answer) for server, answer in answers if (server, answer) not in good]
    serials = {answer.records[0].serial for _, answer in good}
    evidence = [answer.evidence for _, answer in good]
    if len(serials) > 1:
        found.append(
            finding("servers.serials_differ", zone, evidence=evidence, serials=", ".join(map(str, sorted(serials))))
        )
    elif good:
        found.append(finding("servers.agree", zone, evidence=evidence, count=len(good)))
    if len({server.name for server in servers}) < 2:  # RFC 2182 §5
        found.append(finding("servers.single", zone, evidence=[lookup.evidence]))
    return found


def _bad(zone: str, server: Server, answer: Lookup) -> Finding:
    silent = answer.unknown and answer.detail != "lame server"
    code = "servers.silent" if silent else "servers.lame"
    return finding(code, zone, evidence=[answer.evidence], server=f"{server.name} ({server.address})")


def check_seen_by_all(resolver: dns.resolver.Resolver, name: str, text: str) -> list[Finding]:
    _, lookup = zone_of(resolver, name)
    servers = list(servers_of(resolver, lookup))
    if not servers:
        return [finding("servers.unknown", name, evidence=[lookup.evidence])]
    answers = ask_all(resolver, servers, name, "TXT")
    evidence = [f"{server.name} ({server.address}): {answer.evidence}" for server, answer in answers]
    held = [answer for _, answer in answers if text.encode("utf-8") in answer.texts]
    if len(held) == len(answers):
        return [finding("servers.seen_by_all", name, evidence=evidence, count=len(held))]
    if all(answer.unknown for _, answer in answers if answer not in held):
        return [finding("servers.not_told", name, evidence=evidence, count=len(held), total=len(answers))]
    return [finding("servers.not_yet", name, evidence=evidence, count=len(held), total=len(answers))]
