"""Automatic answers (RFC 3834): a machine speaks for a person. They are never bounces: the mail arrived."""

from app.mail.bouncing.addresses import first_address
from app.mail.bouncing.kinds import MAX_DIAGNOSTIC, Feedback, Kind, Reason
from app.mail.bouncing.narratives import Narrative, comes_from_a_machine, has_notice_subject, one_line
from app.mail.bouncing.phrases import load, phrases, searchable
from app.mail.bouncing.reading import Letter


def is_declared(letter: Letter, narrative: Narrative) -> bool:
    """A header, the subject or the text says so, and no mailer wrote it (their bounces are "auto-replied" too)."""
    if comes_from_a_machine(letter):
        return False
    if _by_headers(letter) or phrases("answers", "subject")(searchable(letter.header("subject"))):
        return True
    return not has_notice_subject(letter) and phrases("answers", "text")(searchable(narrative.text))


def is_challenge(narrative: Narrative) -> bool:
    """The recipient's filter wants the sender to prove something, even where it calls that a failed delivery."""
    return phrases("answers", "challenge")(searchable(narrative.text))


def read_answer(letter: Letter, narrative: Narrative) -> list[Feedback]:
    """The answer of whom the letter is from, by its headers, its subject or its words; empty where it is none."""
    is_answer = (
        _by_headers(letter)
        or is_challenge(narrative)
        or phrases("answers", "subject")(searchable(letter.header("subject")))
        or phrases("answers", "text")(searchable(narrative.text))
    )
    if not is_answer:
        return []
    told = one_line(narrative.text or letter.header("subject"))[:MAX_DIAGNOSTIC]
    return [Feedback(first_address(letter.header("from")), Kind.AUTO_REPLY, Reason.VACATION, "", told)]


def _by_headers(letter: Letter) -> bool:
    table: dict[str, list[str]] = {
        name: signs for name, signs in load("answers")["headers"].items() if name != "source"
    }
    return any(
        sign in value.lower()
        for name, signs in table.items()
        for value in letter.headers.get(name, [])[:5]
        for sign in signs
    )
