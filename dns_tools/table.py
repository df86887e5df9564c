"""Findings as a person reads them: one after the other, the bad ones with their evidence, and the records to publish."""

import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dns_tools.findings import Finding, Status, worst

LABELS = {
    "es": {Status.PASS: "BIEN", Status.WARNING: "AVISO", Status.FAIL: "FALLA", Status.ERROR: "SIN SABER"},
    "en": {Status.PASS: "PASS", Status.WARNING: "WARNING", Status.FAIL: "FAIL", Status.ERROR: "UNKNOWN"},
}
PUBLISH = {"es": "Publicar", "en": "Publish"}
RESULT = {"es": "Resultado", "en": "Result"}
COLOURS = {Status.PASS: "32", Status.WARNING: "33", Status.FAIL: "31", Status.ERROR: "35"}
LABEL_WIDTH = 10
MIN_WIDTH = 60
MIN_TEXT = 30
MAX_SUBJECT = 32
MANY = 4
MAX_EVIDENCE = 8
MAX_EVIDENCE_CHARACTERS = 400


def render(findings: Sequence[Finding], *, language: str, width: int, colour: bool, verbose: bool = False) -> str:
    rows = [(found.subject, found) for found in findings] if verbose else _folded(findings)
    columns = min(max((len(subject) for subject, _ in rows), default=0), MAX_SUBJECT)
    page = _Page(language=language, width=max(width, MIN_WIDTH), subject_width=columns, colour=colour, verbose=verbose)
    lines = [line for subject, found in rows for line in page.row(subject, found)]
    return "\n".join([*lines, "", f"{RESULT[language]}: {_label(worst(findings), language, colour).rstrip()}", ""])


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
    subject_width: int
    colour: bool
    verbose: bool

    def row(self, subject: str, found: Finding) -> Iterator[str]:
        indent = " " * (LABEL_WIDTH + self.subject_width + 3)
        subject = printable(subject)
        text = printable(found.explanation[self.language])
        lines = textwrap.wrap(text, max(self.width - len(indent), MIN_TEXT), break_on_hyphens=False) or [""]
        label = _label(found.status, self.language, self.colour)
        if len(subject) > self.subject_width:  # A name longer than its column has a line of its own.
            yield f"{label} {subject}"
            yield f"{indent}{lines[0]}"
        else:
            yield f"{label} {subject.ljust(self.subject_width)}  {lines[0]}"
        yield from (indent + line for line in lines[1:])
        if self.verbose or found.status is not Status.PASS:
            shown = found.evidence if self.verbose else found.evidence[:MAX_EVIDENCE]
            yield from (f"{indent}· {printable(line)[:MAX_EVIDENCE_CHARACTERS]}" for line in shown)
        yield from (f"{indent}{PUBLISH[self.language]}: {printable(record.zone_line)}" for record in found.publish)


def _label(status: Status, language: str, colour: bool) -> str:
    label = LABELS[language][status].ljust(LABEL_WIDTH)
    return f"\033[{COLOURS[status]}m{label}\033[0m" if colour else label


def printable(text: str) -> str:
    """What the DNS says is not to command the reader's terminal."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
