"""A DMARC policy record (RFC 9989 §4.7, §4.8).

A wrong value of one tag does not make the record useless: the tag's default holds, and the mistake is kept in
``mistakes`` for the owner. Only what is no tag list, says another version, or asks for a policy that does not exist
without a report address to fall back on, is no record.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import unquote

from dns_tools.tags import RecordError, parse_tags

MAX_RECORD_CHARACTERS = 8192
VERSION = re.compile(rb"v[ \t]*=[ \t]*DMARC1[ \t]*(?:;|\Z)")
MAILTO = re.compile(
    r"mailto:(?P<address>[^@,!\s]+@(?P<domain>[A-Za-z0-9._-]+))(?P<size>![0-9]+[kmgt]?)?\Z", re.IGNORECASE
)

KNOWN = frozenset("v p sp np t psd adkim aspf fo rua ruf".split())
REMOVED = frozenset({"pct", "rf", "ri"})
"""Of RFC 7489; receivers that follow RFC 9989 ignore them."""


class Policy(StrEnum):
    NONE = "none"
    QUARANTINE = "quarantine"
    REJECT = "reject"


STRENGTH = {Policy.NONE: 0, Policy.QUARANTINE: 1, Policy.REJECT: 2}
WEAKER = {Policy.REJECT: Policy.QUARANTINE, Policy.QUARANTINE: Policy.NONE, Policy.NONE: Policy.NONE}


@dataclass(frozen=True, kw_only=True)
class ReportAddress:
    address: str
    domain: str
    has_size: bool = False
    """``!10m``: obsolete, ignored by receivers of RFC 9990."""


@dataclass(frozen=True, kw_only=True)
class Record:
    policy: Policy = Policy.NONE
    subdomain_policy: Policy | None = None
    nonexistent_policy: Policy | None = None
    testing: bool = False
    psd: str = "u"
    """``y``: a public suffix; ``n``: the organisational domain; ``u``: to be found by the tree walk."""
    strict_dkim: bool = False
    strict_spf: bool = False
    failure_options: tuple[str, ...] = ("0",)
    aggregate_to: tuple[ReportAddress, ...] = ()
    failure_to: tuple[ReportAddress, ...] = ()
    percent: int = 100
    mistakes: tuple[str, ...] = ()
    """``tag=value`` of values that count for nothing."""
    unknown: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    policy_missing: bool = False

    def policy_for(self, *, subdomain: bool, exists: bool = True) -> Policy:
        """What the owner asks for. ``t=y`` takes one step off it (§4.7)."""
        wanted = self.policy
        if subdomain:
            wanted = self.subdomain_policy or self.policy
            wanted = wanted if exists else self.nonexistent_policy or wanted
        return WEAKER[wanted] if self.testing else wanted


def is_dmarc(octets: bytes) -> bool:
    """The version stands first and in this case."""
    return VERSION.match(octets) is not None


def parse(text: str) -> Record:
    """Raises :class:`RecordError`: ``too_long``, ``version``, ``not_a_tag_list``, ``duplicate_tag``, ``policy``."""
    if len(text) > MAX_RECORD_CHARACTERS:
        raise RecordError("too_long", str(len(text)))
    if not text.isascii() or not is_dmarc(text.encode("ascii")):
        raise RecordError("version", text[:20])
    return _Reader(parse_tags(text)).record()


class _Reader:
    def __init__(self, tags: dict[str, str]) -> None:
        self.tags = tags
        self.mistakes: list[str] = []

    def record(self) -> Record:
        aggregate_to = self.addresses("rua")
        policies = {tag: self.policy(tag) for tag in ("p", "sp", "np")}
        if any(mistake.partition("=")[0] in policies for mistake in self.mistakes):
            if not aggregate_to:
                raise RecordError("policy", ", ".join(self.mistakes)[:80])
            policies = {"p": Policy.NONE, "sp": None, "np": None}  # §4.10.1: somebody watches, nobody is hit.
        return Record(
            policy=policies["p"] or Policy.NONE,
            subdomain_policy=policies["sp"],
            nonexistent_policy=policies["np"],
            testing=self.choice("t", "ny") == "y",
            psd=self.choice("psd", "uyn"),
            strict_dkim=self.choice("adkim", "rs") == "s",
            strict_spf=self.choice("aspf", "rs") == "s",
            failure_options=self.options(),
            aggregate_to=aggregate_to,
            failure_to=self.addresses("ruf"),
            percent=self.percent(),
            mistakes=tuple(self.mistakes),
            unknown=tuple(tag for tag in self.tags if tag not in KNOWN | REMOVED),
            removed=tuple(tag for tag in self.tags if tag in REMOVED),
            policy_missing="p" not in self.tags,
        )

    def mistake(self, tag: str) -> None:
        self.mistakes.append(f"{tag}={self.tags[tag]}"[:80])

    def policy(self, tag: str) -> Policy | None:
        if tag not in self.tags:
            return None
        try:
            return Policy(self.tags[tag].lower())
        except ValueError:
            self.mistake(tag)
            return None

    def choice(self, tag: str, letters: str) -> str:
        """The first letter is the default."""
        value = self.tags.get(tag, letters[0]).lower()
        if value in tuple(letters):
            return value
        self.mistake(tag)
        return letters[0]

    def options(self) -> tuple[str, ...]:
        if "fo" not in self.tags:
            return ("0",)
        values = [value.strip().lower() for value in self.tags["fo"].split(":")]
        if any(value not in ("0", "1", "d", "s") for value in values):
            self.mistake("fo")
        return tuple(value for value in values if value in ("0", "1", "d", "s")) or ("0",)

    def percent(self) -> int:
        value = self.tags.get("pct", "100")
        if value.isdecimal() and value.isascii() and len(value) <= 3 and int(value) <= 100:
            return int(value)
        self.mistake("pct")
        return 100

    def addresses(self, tag: str) -> tuple[ReportAddress, ...]:
        found = []
        for uri in self.tags.get(tag, "").split(","):
            read = MAILTO.match(uri.strip())
            if read:
                found.append(
                    ReportAddress(
                        address=unquote(read["address"]), domain=read["domain"].lower(), has_size=bool(read["size"])
                    )
                )
            elif tag in self.tags:
                self.mistakes.append(f"{tag}={uri.strip()}"[:80])
        return tuple(found)
