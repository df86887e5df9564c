"""Which DMARC record applies to a domain, and which domain is its organisation's (RFC 9989 §4.10).

The tree walk asks at the domain and then at its parents, at most eight times. RFC 7489 asked at the domain and at the
organisational domain of a public suffix list; `discover` tells both, because both kinds of receivers are out there.
"""

from dataclasses import dataclass, replace

import dns.resolver

from dns_tools.dmarc.record import Policy, Record, is_dmarc, parse
from dns_tools.dmarc.suffixes import PublicSuffixes, shipped_suffixes
from dns_tools.lookup import Lookup, LookupStatus, query
from dns_tools.tags import RecordError

MAX_QUERIES = 8
FAR_LABELS = 7
"""From a longer name the walk goes straight to its parent of seven labels (§4.10)."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One name that was asked for its record."""

    domain: str
    lookup: Lookup
    record: Record | None = None
    problem: str = ""
    """``several``, ``unreachable``, or what is wrong with the record."""


@dataclass(frozen=True, kw_only=True)
class Discovery:
    domain: str
    steps: tuple[Step, ...]
    applied: Step | None
    """Whose record holds; None: no DMARC here, as far as the DNS answered."""
    organizational_domain: str
    legacy_record_domain: str = ""
    """Where a receiver of RFC 7489 finds a record; empty: nowhere."""
    exists: bool = True

    @property
    def record(self) -> Record | None:
        return self.applied.record if self.applied is not None else None

    @property
    def unknown(self) -> bool:
        return self.applied is None and any(step.lookup.unknown for step in self.steps)

    @property
    def policy(self) -> Policy | None:
        """What the owner asks receivers to do with mail of this domain that fails."""
        if self.applied is None or self.applied.record is None:
            return None
        return self.applied.record.policy_for(subdomain=self.applied.domain != self.domain, exists=self.exists)


def read_step(resolver: dns.resolver.Resolver, domain: str) -> Step:
    lookup = query(resolver, f"_dmarc.{domain}", "TXT")
    step = Step(domain=domain, lookup=lookup)
    if lookup.unknown:
        return replace(step, problem="unreachable")
    texts = [text for text in lookup.texts if is_dmarc(text)]
    if len(texts) > 1:
        return replace(step, problem="several")  # §4.10: then all of them are discarded.
    if not texts:
        return step
    try:
        return replace(step, record=parse(texts[0].decode("latin-1")))
    except RecordError as error:
        return replace(step, problem=str(error))


def walk(resolver: dns.resolver.Resolver, domain: str) -> tuple[Step, ...]:
    """From the domain upwards, until a record says what it is (``psd``) or the labels are used up."""
    labels = _normal(domain).split(".")
    steps: list[Step] = []
    while labels and len(steps) < MAX_QUERIES:
        steps.append(read_step(resolver, ".".join(labels)))
        record = steps[-1].record
        if record is not None and record.psd in "yn":
            break
        labels = labels[-FAR_LABELS:] if len(labels) > FAR_LABELS else labels[1:]
    return tuple(steps)


def organization(steps: tuple[Step, ...]) -> str:
    """§4.10.2. Of a walk that began at ``steps[0].domain``."""
    start = steps[0].domain
    held = [step for step in steps if step.record is not None]
    for step in held:
        if step.record is not None and step.record.psd == "n":
            return step.domain
        if step.record is not None and step.record.psd == "y" and step.domain != start:
            return ".".join(start.split(".")[-(step.domain.count(".") + 2) :])
    return min(held, key=lambda step: step.domain.count("."), default=steps[0]).domain


def organizational_domain(resolver: dns.resolver.Resolver, domain: str) -> str:
    return organization(walk(resolver, domain))


def discover(resolver: dns.resolver.Resolver, domain: str, *, suffixes: PublicSuffixes | None = None) -> Discovery:
    domain = _normal(domain)
    steps = walk(resolver, domain)
    found = organization(steps)
    return Discovery(
        domain=domain,
        steps=steps,
        applied=_applied(steps, found),
        organizational_domain=found,
        legacy_record_domain=_legacy(resolver, steps, suffixes or shipped_suffixes()),
        exists=query(resolver, domain, "A").status is not LookupStatus.NXDOMAIN,
    )


def _applied(steps: tuple[Step, ...], organization_domain: str) -> Step | None:
    """The domain's own record, else its organisation's, else its public suffix's (§4.10.1)."""
    if steps[0].record is not None:
        return steps[0]
    held = [step for step in steps if step.record is not None]
    at_organization = [step for step in held if step.domain == organization_domain]
    suffix = [step for step in held if step.record is not None and step.record.psd == "y"]
    return next(iter(at_organization + suffix), None)


def _legacy(resolver: dns.resolver.Resolver, steps: tuple[Step, ...], suffixes: PublicSuffixes) -> str:
    start = steps[0]
    if start.record is not None:
        return start.domain
    parent = suffixes.organizational_domain(start.domain)
    asked = {step.domain: step for step in steps}
    step = asked.get(parent) or read_step(resolver, parent)
    return parent if step.record is not None else ""


def _normal(domain: str) -> str:
    return domain.lower().removesuffix(".")
