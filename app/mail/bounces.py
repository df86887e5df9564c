"""What a message that came back says about each recipient: bounced and why, delayed, answered, complained.

``python -m app.mail.bounces --json FILE…`` prints one JSON line per file. The parts are in ``app.mail.bouncing``;
docs/bounces.md has the taxonomy and says how to teach it a new system.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from app.mail.bouncing.answers import is_challenge, is_declared, read_answer
from app.mail.bouncing.complaints import read_complaints
from app.mail.bouncing.judging import judge
from app.mail.bouncing.kinds import MAX_DIAGNOSTIC, Feedback, Kind, Reason, kind_of_failure
from app.mail.bouncing.narratives import one_line, read_narrative, tell_of_failure
from app.mail.bouncing.reading import MAX_BYTES, Letter, read_letter
from app.mail.bouncing.reports import read_reports

__all__ = ["Feedback", "Kind", "Reason", "classify_message", "classify_reply_text", "kind_of_failure", "main"]

MAX_FORWARDED = 3


def classify_message(raw: bytes) -> list[Feedback]:
    """One feedback per recipient, in the order of the message; at least one, of kind unknown if need be.

    Never raises and is bounded in time and memory, whatever the bytes: it reads a beginning of
    `app.mail.bouncing.reading.MAX_BYTES`.
    """
    found = _classify(raw, 0)
    return found or [_not_understood(raw)]


def classify_reply_text(code: int, text: str) -> tuple[Kind, Reason]:
    """What an SMTP reply to a recipient or a message means, by the same rules as a bounce.

    code: the reply's three digits; text: its lines without them, joined by line ends or blanks
    A 4xx is never hard: the host itself says that trying again may help.
    """
    if 200 <= code <= 299:
        return Kind.DELIVERED, Reason.DELIVERED
    reason = judge(f"{code} {text}").reason
    kind = kind_of_failure(reason)
    return (Kind.SOFT if kind == Kind.HARD and code < 500 else kind), reason


def _classify(raw: bytes, depth: int) -> list[Feedback]:
    letter = read_letter(raw)
    narrative = read_narrative(letter)
    found = read_complaints(letter)
    if not found and not is_challenge(narrative):
        found = read_reports(letter, narrative)
    if not found and (is_declared(letter, narrative) or is_challenge(narrative)):
        found = read_answer(letter, narrative)
    return (
        found
        or _forwarded_report(letter)
        or tell_of_failure(letter, narrative)
        or _forwarded(letter, depth)
        or read_answer(letter, narrative)
    )


def _attached(letter: Letter) -> list[bytes]:
    sources = [part.text.encode("utf-8", "replace") for part in letter.originals() if part.text.strip()]
    return sources[:MAX_FORWARDED]


def _forwarded_report(letter: Letter) -> list[Feedback]:
    """A report that a gateway or a person wrapped; what we sent ourselves is never one."""
    inner = (read_letter(source) for source in _attached(letter))
    reports = (read_reports(each, read_narrative(each)) for each in inner if each.content_type == "multipart/report")
    return next((feedback for feedback in reports if feedback), [])


def _forwarded(letter: Letter, depth: int) -> list[Feedback]:
    """A bounce in words that somebody passed on as an attachment."""
    if depth >= MAX_FORWARDED:
        return []
    found = (_classify(source, depth + 1) for source in _attached(letter))
    return next((feedback for feedback in found if feedback and feedback[0].kind != Kind.AUTO_REPLY), [])


def _not_understood(raw: bytes) -> Feedback:
    letter = read_letter(raw)
    return Feedback("", Kind.UNKNOWN, Reason.UNKNOWN, "", one_line(letter.header("subject"))[:MAX_DIAGNOSTIC])


def main(arguments: Sequence[str]) -> int:
    """Exit code 2 where a file can't be read; the other files are classified all the same."""
    names = [argument for argument in arguments if argument != "--json"]
    if not names:
        sys.stderr.write("usage: python -m app.mail.bounces --json FILE…\n")
        return 2
    is_ok = [_print_file(name) for name in names]
    return 0 if all(is_ok) else 2


def _print_file(name: str) -> bool:
    try:
        with open(name, "rb") as file:  # noqa: PTH123 - pathlib is not for the pure core
            feedback = classify_message(file.read(MAX_BYTES))
    except OSError as error:
        sys.stderr.write(f"{name}: {error.strerror}\n")
        return False
    sys.stdout.write(json.dumps({"file": name, "feedback": [asdict(each) for each in feedback]}) + "\n")
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
