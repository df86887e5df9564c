"""check_host() of RFC 7208 §4: may this client send for this domain?

The record is read whole, then its mechanisms are tried from left to right; the first that matches decides. What the RFC
lets the implementer choose, and what was chosen: the void limit counts terms, as §4.6.4 words it, not questions, so that
an IPv6 client is not refused for a list of MX hosts without AAAA records; a name that macros expand to and that cannot
exist matches nothing; more than ten MX records are a permerror before the first of them is asked for.
"""

import ipaddress
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

import dns.name
import dns.resolver

from dns_tools.lookup import Lookup, LookupStatus, is_domain, query
from dns_tools.spf.macros import Pieces, SpfSyntaxError, expand, read_macro_string, shorten
from dns_tools.spf.record import ASKING, Mechanism, Record, is_spf, parse

MAX_ASKING_TERMS = 10
MAX_VOID_TERMS = 2
MAX_HOSTS = 10
"""MX records of one mechanism; PTR records beyond it are not looked at (§4.6.4)."""
TIME_LIMIT_SECONDS = 20.0
"""§4.6.4: at least twenty, and the end of it is a temperror."""
UNKNOWN = "unknown"

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class SpfResult(StrEnum):
    NONE = "none"
    NEUTRAL = "neutral"
    PASS = "pass"  # noqa: S105 - a result of RFC 7208 §2.6, no secret
    FAIL = "fail"
    SOFTFAIL = "softfail"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


OF_QUALIFIER = {"+": SpfResult.PASS, "-": SpfResult.FAIL, "~": SpfResult.SOFTFAIL, "?": SpfResult.NEUTRAL}


@dataclass(frozen=True, kw_only=True)
class SpfOutcome:
    result: SpfResult
    domain: str
    mechanism: str = ""
    """The term that matched, as written in the record that holds it."""
    explanation: str = ""
    """What the domain's owner says of a fail (exp=, §6.2); empty where there is none."""
    problem: str = ""
    asking_terms: int = 0
    void_terms: int = 0
    lookups: tuple[Lookup, ...] = ()


class _Stop(Exception):
    """The evaluation as a whole ends with this error."""

    def __init__(self, result: SpfResult, problem: str) -> None:
        super().__init__(problem)
        self.result = result
        self.problem = problem


class _NoMatch(Exception):
    """The term cannot match: its name cannot exist, or its macro has no value."""


def check_host(
    ip: str | IPAddress,
    domain: str,
    sender: str,
    helo: str,
    *,
    resolver: dns.resolver.Resolver,
    receiver: str = UNKNOWN,
    time_limit_seconds: float = TIME_LIMIT_SECONDS,
    clock: Callable[[], float] = time.time,
) -> SpfOutcome:
    """``sender``: the address of MAIL FROM; where it is empty, ``postmaster@helo`` (§2.4). ``domain``: normally the
    sender's, and that is taken where it is empty. ``receiver`` and ``clock`` fill the macros r and t of explanations.
    Raises ValueError where ``ip`` is no address; never for what the DNS says."""
    sender = sender or f"postmaster@{helo}"
    local, _, sender_domain = sender.rpartition("@")
    request = Request(
        ip=_address(ip),
        local=local or "postmaster",
        sender_domain=sender_domain.removesuffix("."),
        helo=helo,
        receiver=receiver,
        now=int(clock()),
    )
    return Evaluation(request, resolver, time_limit_seconds).run((domain or sender_domain).removesuffix("."))


def _address(ip: str | IPAddress) -> IPAddress:
    """An IPv4 address mapped into IPv6 is an IPv4 client (§5); the zone of a link-local address is nobody's business."""
    address = ipaddress.ip_address(str(ip).partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


@dataclass(frozen=True, kw_only=True)
class Request:
    ip: IPAddress
    local: str
    sender_domain: str
    helo: str
    receiver: str
    now: int

    @property
    def address_type(self) -> str:
        return "A" if self.ip.version == 4 else "AAAA"

    def value(self, letter: str) -> str:
        """Of the macros that need neither the DNS nor the domain being evaluated (§7.3)."""
        values = {
            "s": f"{self.local}@{self.sender_domain}",
            "l": self.local,
            "o": self.sender_domain,
            "i": str(self.ip) if self.ip.version == 4 else ".".join(self.ip.exploded.replace(":", "")),
            "v": "in-addr" if self.ip.version == 4 else "ip6",
            "h": self.helo,
            "c": str(self.ip),
            "r": self.receiver,
            "t": str(self.now),
        }
        return values[letter]


@dataclass
class Evaluation:
    """One run of check_host(); the limits are those of the whole run, through every include and redirect."""

    request: Request
    resolver: dns.resolver.Resolver
    time_limit_seconds: float
    asking_terms: int = 0
    void_terms: int = 0
    matched: str = ""
    lookups: list[Lookup] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)
    validated: list[str] | None = None

    def run(self, domain: str) -> SpfOutcome:
        explanation = problem = ""
        try:
            result, explanation = self.check(domain, explaining=True)
        except _Stop as stop:
            result, problem = stop.result, stop.problem
        return SpfOutcome(
            result=result,
            domain=domain,
            mechanism=self.matched if not problem else "",
            explanation=explanation,
            problem=problem,
            asking_terms=self.asking_terms,
            void_terms=self.void_terms,
            lookups=tuple(self.lookups),
        )

    def check(self, domain: str, *, explaining: bool) -> tuple[SpfResult, str]:
        """Result and explanation; the latter is for a fail of the record that was asked for, never of an include."""
        record = self.record(domain)
        if record is None:
            return SpfResult.NONE, ""
        for mechanism in record.mechanisms:
            if self.matches(mechanism, domain):
                self.matched = mechanism.text
                result = OF_QUALIFIER[mechanism.qualifier]
                wanted = explaining and result is SpfResult.FAIL and record.explanation is not None
                return result, self.explanation(record.explanation or (), domain) if wanted else ""
        if record.redirect is not None:
            return self.redirect(record.redirect, domain, explaining=explaining)
        return SpfResult.NEUTRAL, ""

    def record(self, domain: str) -> Record | None:
        """The domain's record (§4.4, §4.5); None where there is none, or where the domain is no domain."""
        if not is_domain(domain) or domain.startswith("["):
            return None
        texts = [text for text in self.ask(domain, "TXT").texts if is_spf(text)]
        if not texts:
            return None
        if len(texts) > 1:
            raise _Stop(SpfResult.PERMERROR, f"several_records: {domain}")
        try:
            return parse(texts[0].decode("latin-1"))
        except SpfSyntaxError as error:
            raise _Stop(SpfResult.PERMERROR, f"{error} ({domain})") from error

    def redirect(self, target: Pieces, domain: str, *, explaining: bool) -> tuple[SpfResult, str]:
        self.count_term()
        try:
            name = self.expand(target, domain)
        except _NoMatch:
            name = ""
        result, explanation = self.check(name, explaining=explaining)
        if result is SpfResult.NONE:
            raise _Stop(SpfResult.PERMERROR, f"redirect_without_record: {name}")
        return result, explanation

    def matches(self, mechanism: Mechanism, domain: str) -> bool:
        if mechanism.name in ASKING:
            self.count_term()
        try:
            name = domain if mechanism.domain is None else self.expand(mechanism.domain, domain)
            return self._try(mechanism, name)
        except _NoMatch:
            return False

    def _try(self, mechanism: Mechanism, name: str) -> bool:
        if mechanism.network is not None:
            return self.request.ip in mechanism.network
        match mechanism.name:
            case "include":
                return self.included(name)
            case "a":
                return self.covers(mechanism, self.counting_void(name, self.request.address_type))
            case "mx":
                return self.exchange_covers(mechanism, name)
            case "ptr":
                return self.named_below(name)
            case "exists":
                return self.counting_void(name, "A").answered  # §5.7: A, for IPv6 clients too.
        return True  # all

    def included(self, name: str) -> bool:
        result, _ = self.check(name, explaining=False)
        if result is SpfResult.NONE:
            raise _Stop(SpfResult.PERMERROR, f"include_without_record: {name}")
        return result is SpfResult.PASS

    def covers(self, mechanism: Mechanism, lookup: Lookup) -> bool:
        prefix = mechanism.prefix4 if self.request.ip.version == 4 else mechanism.prefix6
        return any(
            self.request.ip in ipaddress.ip_network(f"{record.address}/{prefix}", strict=False)
            for record in lookup.records
        )

    def exchange_covers(self, mechanism: Mechanism, name: str) -> bool:
        hosts = self.counting_void(name, "MX").records
        if len(hosts) > MAX_HOSTS:
            raise _Stop(SpfResult.PERMERROR, f"too_many_mx: {name}")
        for host in sorted(hosts, key=lambda record: record.preference):
            null = host.exchange == dns.name.root  # RFC 7505: receives no mail, and sends none by this term.
            if not null and self.covers(mechanism, self.ask(host.exchange, self.request.address_type)):
                return True
        return False

    def named_below(self, name: str) -> bool:
        wanted = name.lower().removesuffix(".")
        return any(_is_within(host, wanted) for host in self.validated_names(counting=True))

    def validated_names(self, *, counting: bool = False) -> list[str]:
        """Names in the reverse DNS that lead back to the client (§5.5). An error of the DNS is no name."""
        if self.validated is None:
            pointers = self.ask(self.request.ip.reverse_pointer, "PTR", failing=False)
            if counting and pointers.void:
                self.count_void()
            hosts = [record.target for record in pointers.records[:MAX_HOSTS]]
            self.validated = [host.to_text(omit_final_dot=True).lower() for host in hosts if self._leads_back(host)]
        return self.validated

    def _leads_back(self, host: dns.name.Name) -> bool:
        found = self.ask(host, self.request.address_type, failing=False)
        return any(ipaddress.ip_address(record.address) == self.request.ip for record in found.records)

    def explanation(self, target: Pieces, domain: str) -> str:
        """§6.2: whatever is wrong with it, there is no explanation, and the result stays."""
        try:
            found = self.ask(self.expand(target, domain), "TXT")
            if len(found.records) != 1:
                return ""
            text = found.texts[0].decode("ascii")
            return expand(read_macro_string(text, explanation=True), lambda letter: self.value(letter, domain))
        except (_NoMatch, _Stop, SpfSyntaxError, UnicodeDecodeError):
            return ""

    def expand(self, pieces: Pieces, domain: str) -> str:
        return shorten(expand(pieces, lambda letter: self.value(letter, domain)))

    def value(self, letter: str, domain: str) -> str:
        if letter == "d":
            return domain
        if letter == "p":
            return self.best_name(domain)
        value = self.request.value(letter)
        if letter in "sl" and not self.request.local.isascii():
            raise _NoMatch  # RFC 8616 §4: a local part outside ASCII matches nothing.
        return value

    def best_name(self, domain: str) -> str:
        """§7.3, macro p: the domain itself, or a name below it, or any, or "unknown"."""
        names, wanted = self.validated_names(), domain.lower()
        below = [name for name in names if _is_within(name, wanted)]
        return next(iter([name for name in names if name == wanted] + below + names), UNKNOWN)

    def counting_void(self, name: str, rdtype: str) -> Lookup:
        found = self.ask(name, rdtype)
        if found.void:
            self.count_void()
        return found

    def count_term(self) -> None:
        self.asking_terms += 1
        if self.asking_terms > MAX_ASKING_TERMS:
            raise _Stop(SpfResult.PERMERROR, "too_many_lookups")

    def count_void(self) -> None:
        self.void_terms += 1
        if self.void_terms > MAX_VOID_TERMS:
            raise _Stop(SpfResult.PERMERROR, "too_many_void_lookups")

    def ask(self, name: str | dns.name.Name, rdtype: str, *, failing: bool = True) -> Lookup:
        """``failing``: a server that does not answer ends the evaluation with a temperror (§5)."""
        if time.monotonic() - self.started > self.time_limit_seconds:
            raise _Stop(SpfResult.TEMPERROR, "time_limit")
        found = query(self.resolver, name, rdtype)
        self.lookups.append(found)
        if found.unknown and failing:
            raise _Stop(SpfResult.TEMPERROR, f"{found.status}: {found.name} {rdtype}")
        if found.status is LookupStatus.BAD_NAME:
            raise _NoMatch
        return found


def _is_within(host: str, domain: str) -> bool:
    return host == domain or host.endswith(f".{domain}")
