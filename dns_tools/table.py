"""Findings as a person reads them: under each subject, the bad ones with their evidence, and the records to publish."""

import itertools
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dns_tools.findings import Finding, Status, worst

LABELS = {
    "es": {Status.PASS: "BIEN", Status.WARNING: "AVISO", Status.FAIL: "FALLA", Status.ERROR: "NO SE SABE"},
    "en": {Status.PASS: "PASS", Status.WARNING: "WARNING", Status.FAIL: "FAIL", Status.ERROR: "UNKNOWN"},
}
PUBLISH = {"es": "Publicar", "en": "Publish"}
RESULT = {"es": "Resultado", "en": "Result"}
COLOURS = {Status.PASS: "32", Status.WARNING: "33", Status.FAIL: "31", Status.ERROR: "35"}
LABEL_WIDTH = 10
INDENT = " " * (LABEL_WIDTH + 3)
MIN_WIDTH = 60
MANY = 4
MAX_EVIDENCE = 8
MAX_EVIDENCE_CHARACTERS = 400


def render(findings: Sequence[Finding], *, language: str, width: int, colour: bool, verbose: bool = False) -> str:
    rows = [(found.subject, found) for found in findings] if verbose else _folded(findings)
    page = _Page(language=language, width=max(width, MIN_WIDTH), colour=colour, verbose=verbose)
    lines: list[str] = []
    for subject, group in itertools.groupby(rows, key=lambda row: row[0]):
        lines += [printable(subject), *(line for _, found in group for line in page.row(found)), ""]
    return "\n".join([*lines, f"{RESULT[language]}: {_label(worst(findings), language, colour).rstrip()}", ""])


def _folded(findings: Sequence[Finding]) -> list[tuple[str, Finding]]:
    """What passes alike for many subjects takes one row: "192.0.2.1 (+47)"."""
    alike = Counter(found.code for found in findings if found.status is Status.PASS)
    rows: list[tuple[str, Finding]] = []
    seen: set[str] = set()
    for found in findings:
        if found.status is not Status.PASS or alike[found.code] < MANY:
            rows.append((found.subject, found))
        elif found.code not in seen:
            seen.add(found.code)
            rows.append((f"{found.subject} (+{alike[found.code] - 1})", found))
    return rows


@dataclass(frozen=True, kw_only=True)
class _Page:
    language: str
    width: int
    colour: bool
    verbose: bool

    def row(self, found: Finding) -> Iterator[str]:
        text = printable(found.explanation[self.language])
        lines = textwrap.wrap(text, self.width - len(INDENT), break_long_words=False, break_on_hyphens=False) or [""]
        yield f"  {_label(found.status, self.language, self.colour)} {lines[0]}"
        yield from (INDENT + line for line in lines[1:])
        if self.verbose or found.status is not Status.PASS:
            shown = found.evidence if self.verbose else found.evidence[:MAX_EVIDENCE]
            yield from (f"{INDENT}· {printable(line)[:MAX_EVIDENCE_CHARACTERS]}" for line in shown)
        yield from (f"{INDENT}{PUBLISH[self.language]}: {printable(record.zone_line)}" for record in found.publish)


def _label(status: Status, language: str, colour: bool) -> str:
    label = LABELS[language][status].ljust(LABEL_WIDTH)
    return f"\033[{COLOURS[status]}m{label}\033[0m" if colour else label


def printable(text: str) -> str:
    """What the DNS says is not to command the reader's terminal."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
