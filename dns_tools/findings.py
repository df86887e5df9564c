"""What every check answers with: a list of findings, each with its status, its evidence, and what to do about it.

The sentences stand in `explanations.toml`, in Spanish and English, with the status beside them: a code means the same
wherever it is found. The product's catalogues know nothing of them, so the library stays one that stands on its own.
"""

import functools
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import resources
from typing import Any

MAX_STRING_OCTETS = 255
"""Of one character-string in a TXT record (RFC 1035 §3.3)."""
LANGUAGES = ("es", "en")


class Status(StrEnum):
    PASS = "pass"  # noqa: S105 - a verdict, no secret
    WARNING = "warning"
    FAIL = "fail"
    ERROR = "error"  # Could not be told: a server did not answer.


SEVERITY = {Status.PASS: 0, Status.WARNING: 1, Status.ERROR: 2, Status.FAIL: 3}
EXIT_CODES = {Status.PASS: 0, Status.WARNING: 0, Status.ERROR: 2, Status.FAIL: 1}


def zone_line(name: str, text: str) -> str:
    """A TXT record as a line of a zone file, cut into strings of at most 255 octets as TXT records need."""
    pieces = [text[start : start + MAX_STRING_OCTETS] for start in range(0, len(text), MAX_STRING_OCTETS)] or [""]
    quoted = " ".join('"' + piece.replace("\\", "\\\\").replace('"', '\\"') + '"' for piece in pieces)
    return f"{name}. IN TXT ( {quoted} )" if len(pieces) > 1 else f"{name}. IN TXT {quoted}"


@dataclass(frozen=True, kw_only=True)
class ToPublish:
    """A record for the DNS administrator."""

    name: str
    type: str
    text: str

    @property
    def zone_line(self) -> str:
        return zone_line(self.name, self.text) if self.type == "TXT" else f"{self.name}. IN {self.type} {self.text}"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """``code`` names a section of explanations.toml; ``values`` fill in its sentences."""

    code: str
    subject: str
    status: Status
    evidence: tuple[str, ...] = ()
    values: Mapping[str, object] = field(default_factory=dict)
    publish: tuple[ToPublish, ...] = ()

    @property
    def explanation(self) -> dict[str, str]:
        return {language: explanations()[self.code][language].format_map(self.values) for language in LANGUAGES}

    def as_dict(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "subject": self.subject,
            "status": self.status.value,
            "explanation": self.explanation,
            "evidence": list(self.evidence),
            "publish": [
                {"name": record.name, "type": record.type, "text": record.text, "zone_line": record.zone_line}
                for record in self.publish
            ],
        }


@functools.cache
def explanations() -> dict[str, dict[str, str]]:
    text = resources.files("dns_tools").joinpath("explanations.toml").read_text(encoding="utf-8")
    return {
        f"{topic}.{name}": entry for topic, entries in tomllib.loads(text).items() for name, entry in entries.items()
    }


def finding(
    code: str,
    subject: str,
    /,
    *,
    evidence: Iterable[str] = (),
    publish: Iterable[ToPublish] = (),
    **values: object,
) -> Finding:
    return Finding(
        code=code,
        subject=subject,
        status=Status(explanations()[code]["status"]),
        evidence=tuple(evidence),
        values=values,
        publish=tuple(publish),
    )


def worst(findings: Iterable[Finding]) -> Status:
    """A failure that was seen outweighs a question that stayed open; nothing found at all is an open question."""
    return max((found.status for found in findings), key=SEVERITY.__getitem__, default=Status.ERROR)
