"""What a domain's owner should know of an SPF record that check_host() would never say.

check_spf(resolver, domain, ips)      findings, the flattened proposal among them
flatten(node)                         the same record without a question to ask
"""

import ipaddress
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import dns.resolver

from dns_tools.findings import Finding, ToPublish, finding
from dns_tools.lookup import PARALLEL_QUESTIONS, with_cache
from dns_tools.spf.evaluate import MAX_ASKING_TERMS, MAX_VOID_TERMS, SpfResult, check_host
from dns_tools.spf.record import ASKING, MECHANISMS, Mechanism, Network, Record
from dns_tools.spf.walk import Node, walk

NEAR_THE_LIMIT = 8
LONG_RECORD_OCTETS = 450
"""RFC 7208 §3.4: so that the answer fits 512 octets with its neighbours."""
MAX_LISTED = 12


def check_spf(resolver: dns.resolver.Resolver, domain: str, ips: Sequence[str] = ()) -> list[Finding]:
    resolver = with_cache(resolver)
    node = walk(resolver, domain)
    if node.record is None:
        return [_absent(node, ips)]
    return [
        finding("spf.found", domain, evidence=_evidence(node), record=node.text),
        *_broken_below(node),
        *_costs(node),
        *_policy(node),
        *_waste(node, node.record),
        *_coverage(resolver, domain, ips),
        *_proposal(node),
    ]


def _evidence(node: Node) -> list[str]:
    return [node.lookup.evidence] if node.lookup is not None else []


def _absent(node: Node, ips: Sequence[str]) -> Finding:
    code = {"missing": "spf.missing", "several": "spf.several", "unreachable": "spf.unreachable"}
    wanted = "v=spf1 " + "".join(f"{_term(network)} " for network in _collapsed(ips)) + "-all"
    publish = [ToPublish(name=node.domain, type="TXT", text=wanted)] if ips and node.problem != "unreachable" else []
    return finding(
        code.get(node.problem, "spf.syntax"),
        node.domain,
        evidence=_evidence(node),
        publish=publish,
        problem=node.problem,
        record=node.text[:300],
    )


def _broken_below(node: Node) -> Iterator[Finding]:
    for below in node.all():
        if below.problem:
            code = "spf.include_unreachable" if below.problem == "unreachable" else "spf.include_broken"
            yield finding(code, node.domain, evidence=_evidence(below), include=below.domain, problem=below.problem)


def _costs(node: Node) -> Iterator[Finding]:
    total = node.asking_terms
    evidence = [f"{below.domain}: {below.asking_terms}" for below in node.all()]
    code = "spf.lookups"
    if total > MAX_ASKING_TERMS:
        code = "spf.too_many_lookups"
    elif total >= NEAR_THE_LIMIT:
        code = "spf.many_lookups"
    yield finding(code, node.domain, evidence=evidence, count=total, limit=MAX_ASKING_TERMS)
    void = [f"{below.domain}: {term}" for below in node.all() for term in below.void_terms]
    if void:
        code = "spf.too_many_void" if len(void) > MAX_VOID_TERMS else "spf.void"
        yield finding(code, node.domain, evidence=void, count=len(void), limit=MAX_VOID_TERMS)


def _policy(node: Node) -> Iterator[Finding]:
    for below in node.all():
        final = _final(below.record)
        if final == "+" or any(network.prefixlen == 0 for _, network in below.networks):
            yield finding("spf.plus_all", node.domain, evidence=[below.text], where=below.domain)
    deciding = node
    while deciding.record is not None and deciding.record.redirect is not None and _final(deciding.record) is None:
        if not deciding.children:
            return
        deciding = deciding.children[-1]
    codes = {"-": "spf.hard_end", "~": "spf.soft_end", "?": "spf.neutral_end", None: "spf.no_end"}
    final = _final(deciding.record)
    if final in codes:
        yield finding(codes[final], node.domain, evidence=[deciding.text])


def _final(record: Record | None) -> str | None:
    """The qualifier of `all`."""
    found = [mechanism.qualifier for mechanism in record.mechanisms if mechanism.name == "all"] if record else []
    return found[0] if found else None


def _waste(node: Node, record: Record) -> Iterator[Finding]:
    names = [mechanism.name for mechanism in record.mechanisms]
    if "all" in names and (names.index("all") < len(names) - 1 or record.redirect is not None):
        yield finding("spf.after_all", node.domain, evidence=[node.text])
    if any(mechanism.name == "ptr" for below in node.all() for mechanism in _mechanisms(below)):
        yield finding(
            "spf.ptr", node.domain, evidence=[below.text for below in node.all() if "ptr" in below.text.lower()]
        )
    suspicious = [text for text in record.unknown_modifiers if text.partition("=")[0].lower() in MECHANISMS]
    if suspicious:
        yield finding("spf.equals_sign", node.domain, evidence=suspicious, terms=", ".join(suspicious))
    if repeated := _repeated(node):
        yield finding("spf.duplicates", node.domain, evidence=repeated[:MAX_LISTED], count=len(repeated))
    if len(node.text) > LONG_RECORD_OCTETS:
        yield finding("spf.long", node.domain, evidence=[node.text], octets=len(node.text), limit=LONG_RECORD_OCTETS)


def _mechanisms(node: Node) -> tuple[Mechanism, ...]:
    return node.record.mechanisms if node.record is not None else ()


def _repeated(node: Node) -> list[str]:
    """Terms written twice, and networks inside another of the tree."""
    texts = Counter(
        text.text.lower().lstrip("+") for below in node.all() for text in _mechanisms(below) if text.name != "all"
    )
    twice = [f"{text} ×{count}" for text, count in texts.items() if count > 1]
    networks = list(dict.fromkeys(network for below in node.all() for _, network in below.networks))
    for inner in networks:
        for outer in networks:
            if inner != outer and _inside(inner, outer):
                twice.append(f"{inner} < {outer}")
                break
    return twice


def _inside(inner: Network, outer: Network) -> bool:
    if isinstance(inner, ipaddress.IPv4Network):
        return isinstance(outer, ipaddress.IPv4Network) and inner.subnet_of(outer)
    return isinstance(outer, ipaddress.IPv6Network) and inner.subnet_of(outer)


def _coverage(resolver: dns.resolver.Resolver, domain: str, ips: Sequence[str]) -> Iterator[Finding]:
    results: dict[str, list[str]] = {}
    with ThreadPoolExecutor(PARALLEL_QUESTIONS) as threads:  # One silent server must not cost its time 48 times over.
        outcomes = list(
            threads.map(lambda ip: check_host(ip, domain, f"postmaster@{domain}", domain, resolver=resolver), ips)
        )
    for ip, outcome in zip(ips, outcomes, strict=True):
        kind = {SpfResult.PASS: "covered", SpfResult.TEMPERROR: "coverage_unknown"}.get(outcome.result, "uncovered")
        results.setdefault(kind, []).append(f"{ip}: {outcome.result} {outcome.mechanism or outcome.problem}".rstrip())
    for kind, lines in results.items():
        yield finding(f"spf.{kind}", domain, evidence=lines, count=len(lines), total=len(ips))


def _proposal(node: Node) -> Iterator[Finding]:
    """Worth something only where there are questions to save and nothing depends on the message."""
    usable = not any(below.problem or below.open_terms or _refuses(below) for below in node.all())
    asking = any(mechanism.name in ASKING for mechanism in _mechanisms(node))
    if usable and asking and any(below.networks for below in node.all()):
        yield finding(
            "spf.flattened", node.domain, publish=flatten(node), evidence=[node.text], count=node.asking_terms
        )


def _refuses(node: Node) -> bool:
    """Something other than its end is refused: such exceptions would be lost."""
    return any(mechanism.qualifier != "+" and mechanism.name != "all" for mechanism in _mechanisms(node))


def flatten(node: Node) -> list[ToPublish]:
    """The same networks without includes; where they do not fit one record, parts of it as includes of our own."""
    terms = [_term(network) for network in _collapsed(network for below in node.all() for _, network in below.networks)]
    end = f"{_final(node.record) or '?'}all"
    whole = " ".join(["v=spf1", *terms, end])
    if len(whole) <= LONG_RECORD_OCTETS:
        return [ToPublish(name=node.domain, type="TXT", text=whole)]
    parts = _parts(terms)
    names = [f"_spf{number}.{node.domain}" for number in range(1, len(parts) + 1)]
    main = " ".join(["v=spf1", *(f"include:{name}" for name in names), end])
    below = [
        ToPublish(name=name, type="TXT", text=" ".join(["v=spf1", *part, "-all"]))
        for name, part in zip(names, parts, strict=True)
    ]
    return [ToPublish(name=node.domain, type="TXT", text=main), *below]


def _parts(terms: list[str]) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for term in terms:
        if sum(len(held) + 1 for held in parts[-1]) + len(term) > LONG_RECORD_OCTETS - len("v=spf1 -all "):
            parts.append([])
        parts[-1].append(term)
    return parts


def _collapsed(networks: "Sequence[str] | Iterator[Network]") -> list[Network]:
    made = [ipaddress.ip_network(network, strict=False) for network in networks]
    four = ipaddress.collapse_addresses(network for network in made if isinstance(network, ipaddress.IPv4Network))
    six = ipaddress.collapse_addresses(network for network in made if isinstance(network, ipaddress.IPv6Network))
    return [*four, *six]


def _term(network: Network) -> str:
    whole = network.prefixlen == network.max_prefixlen
    return f"ip{network.version}:{network.network_address if whole else network}"
