"""Bounces that are told in words only: where the story ends, whom it is about, and what it says of each.

Sixty systems tell it in sixty ways, yet all of them name the address in a line of its own, or at a line's beginning or
end, and explain near it. So there is one reader, and what differs is in ``rules/bodies.toml``.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from app.mail.bouncing.addresses import addresses_in, first_address, is_role
from app.mail.bouncing.judging import Judgement, best_status, framed_by, from_reply, judge
from app.mail.bouncing.kinds import MAX_DIAGNOSTIC, Feedback, Kind, Reason, kind_of_failure
from app.mail.bouncing.phrases import load, phrases, searchable, without_accents
from app.mail.bouncing.reading import Letter

MAX_LINES = 400
MAX_LINE = 1000
MAX_SECTION_LINES = 30
_BLANKS = re.compile(r"\s+")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_EDGES = re.compile(r"^[\s\W_]{0,20}|[\s\W_]{0,20}$")
_ABOUT_THE_ORIGINAL = re.compile(
    r"\s{0,8}(?:from|sender|reply-to|message-id|mail from|received|date|return-path|cc|sent by|de|von|by|x-[\w-]{1,40}"
    r"|original-envelope-id|subject|references|in-reply-to|asunto|betreff|objet|original sender|list-[\w-]{1,30}) ?[:(]",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"\s{0,12}(?:to|recipient|recipients|rcpt to|recipient address|addressed to|original address|failed recipient"
    r"|destinatario|destinatário|para|an|empfänger|à|destinataire|e-?mail|address|user|could not be delivered to"
    r"|>>> rcpt to|<<< \d{3}|sent <<< rcpt to|email address|the following address)\W{0,6}",
    re.IGNORECASE,
)
_HEADER_LINE = re.compile(
    r"(?:from|to|cc|subject|date|message-id|received|mime-version|return-path|content-type|reply-to|sender|x-[\w-]{1,40})"
    r":(?: |$)",
    re.IGNORECASE,
)
_RULES = frozenset({"|-", "--", "==", "**", "++", "__", "~~", "##"})
_CODE_BEFORE = re.compile(r"\W{0,6}\d{3}[ -]")


@dataclass(frozen=True, slots=True)
class Narrative:
    """The readable text of a letter up to the returned message, and who it is about.

    recipients: the failed addresses in the order of the text, each with the words near it
    """

    text: str
    recipients: dict[str, str]

    def about(self, recipient: str) -> str:
        return self.recipients.get(recipient) or self.recipients.get(recipient.lower()) or self.text


def one_line(text: str) -> str:
    """Text that is fit to be stored and shown: one line, no control characters."""
    return _BLANKS.sub(" ", _CONTROL.sub(" ", text[: 4 * MAX_DIAGNOSTIC])).strip()


def read_narrative(letter: Letter) -> Narrative:
    whole = "\n".join(letter.texts())
    lines = [line[:MAX_LINE] for line in whole.split("\n")[:MAX_LINES]]
    story = _before_original(lines)
    own = _own_addresses(letter)
    return Narrative("\n".join(story), _recipients(story, own))


def tell_of_failure(letter: Letter, narrative: Narrative) -> list[Feedback]:
    """A feedback per failed recipient, or nothing where the letter is no notice about a delivery."""
    words = searchable(narrative.text)
    if not _is_notice(letter, words):
        return []
    outcome = _outcome_of(letter, words)
    named = _failed_recipients(letter, narrative) or {_returned_to(letter): narrative.text}
    return [_feedback(recipient, about, narrative.text, outcome) for recipient, about in named.items()]


def comes_from_a_machine(letter: Letter) -> bool:
    """From a mailer's own address, or about an address that it names in a header.

    Return-Path tells little: a newsletter's is called bounces@, too.
    """
    sender = f"{letter.header('from')} {letter.header('sender')}".lower()
    is_daemon = "mailer-daemon" in letter.header("return-path").lower() or letter.header("from").strip() == "<>"
    return is_daemon or phrases("bodies", "sender")(sender) or bool(letter.header("x-failed-recipients"))


def has_notice_subject(letter: Letter) -> bool:
    return phrases("bodies", "subject")(searchable(letter.header("subject")))


def _is_notice(letter: Letter, words: str) -> bool:
    has_words = any(phrases("bodies", table)(words) for table in ("failed", "delayed", "delivered"))
    has_subject = has_notice_subject(letter)
    if letter.header("x-failed-recipients"):
        return True
    if comes_from_a_machine(letter) or letter.header("return-path").strip() == "<>":
        return has_words or has_subject
    return has_words and has_subject


def _outcome_of(letter: Letter, words: str) -> Kind | None:
    """DELAYED, DELIVERED, or None where it failed."""
    subject = searchable(letter.header("subject"))
    if phrases("bodies", "final")(words):
        return None
    if phrases("bodies", "delayed")(words) or phrases("bodies", "delayed")(subject):
        return Kind.DELAYED
    has_arrived = phrases("bodies", "delivered")(words) and not phrases("bodies", "failed")(words)
    return Kind.DELIVERED if has_arrived else None


def _feedback(recipient: str, about: str, whole: str, outcome: Kind | None) -> Feedback:
    if outcome == Kind.DELIVERED:
        return Feedback(recipient, outcome, Reason.DELIVERED, "", one_line(about)[:MAX_DIAGNOSTIC])
    judgement = _judged(about, whole, recipient.partition("@")[2].lower())
    reason = judgement.reason
    if outcome == Kind.DELAYED and reason == Reason.UNKNOWN:
        reason = Reason.EXPIRED
    shown = one_line(about if _says_something(about) else whole)[:MAX_DIAGNOSTIC]
    return Feedback(recipient, outcome or kind_of_failure(reason), reason, best_status(shown, ""), shown)


def _judged(about: str, whole: str, domain: str) -> Judgement:
    """By the other system's reply where one is quoted, then by the words near the address, then by the whole."""
    framed = framed_by(whole)
    if framed:
        return Judgement(framed, True, True)
    tries = [judge(text, "", domain) for text in (from_reply(about), about, whole) if text]
    certain = (each for each in tries if each.is_certain)
    worded = (each for each in tries if each.is_worded)
    guessed = (each for each in tries if each.reason != Reason.UNKNOWN)
    return next(certain, None) or next(worded, None) or next(guessed, None) or Judgement(Reason.UNKNOWN, False, False)


def _failed_recipients(letter: Letter, narrative: Narrative) -> dict[str, str]:
    named = addresses_in(letter.header("x-failed-recipients"))
    return {address: narrative.about(address) for address in named} or narrative.recipients


def _returned_to(letter: Letter) -> str:
    """To whom the returned message went; the last resort, and empty where it is not there."""
    for part in letter.originals():
        for line in part.text.split("\n")[:200]:
            if line[:3].lower() == "to:":
                return first_address(line)
    after = "\n".join(letter.texts())[:20_000].split("\n")
    own = _own_addresses(letter)
    found = (first_address(line) for line in after if line[:3].lower() == "to:")
    return next((address for address in found if address and address.lower() not in own), "")


def _own_addresses(letter: Letter) -> frozenset[str]:
    """The addresses between which the notice itself travels."""
    names = ("from", "to", "cc", "reply-to", "sender", "return-path", "delivered-to", "envelope-to")
    values = (value for name in names for value in letter.headers.get(name, [])[:5])
    return frozenset(address.lower() for value in values for address in addresses_in(value))


def _before_original(lines: list[str]) -> list[str]:
    markers, decorated = (tuple(load("bodies")[table]["any"]) for table in ("original", "decorated"))
    for number, line in enumerate(lines):
        start = line.strip().lower()
        bare = without_accents(start.lstrip("|-=*+_~#> "))
        is_marker = start.startswith(markers) or (bare != start and start[:2] in _RULES and bare.startswith(decorated))
        is_marker = is_marker or all(_HEADER_LINE.match(each) for each in lines[number : number + 3])
        if is_marker and any(_says_something(before) for before in lines[:number]):
            return lines[:number]
    return lines


def _says_something(text: str) -> bool:
    return sum(character.isalpha() for character in text[:400]) > 3


def _recipients(lines: list[str], own: frozenset[str]) -> dict[str, str]:
    """The best-placed addresses with the words near them."""
    places = [place for number, line in enumerate(lines) for place in _places(number, line, own)]
    best = max((score for score, _, _ in places), default=0)
    first: dict[str, int] = {}
    for score, number, address in places:
        if score == best:
            first.setdefault(address, number)
    return _with_words(lines, _unique(first))


def _unique(first: dict[str, int]) -> dict[str, int]:
    kept: dict[str, tuple[str, int]] = {}
    for address, number in first.items():
        kept.setdefault(address.lower(), (address, number))
    return dict(list(kept.values())[:500])


def _with_words(lines: list[str], first: dict[str, int]) -> dict[str, str]:
    starts = sorted(first.values())
    named = {}
    for address, number in first.items():
        end = next((start for start in starts if start > number), len(lines))
        section = "\n".join(lines[number : min(end, number + MAX_SECTION_LINES)])
        named[address] = section if _says_something(section.replace(address, "")) else "\n".join(lines)
    return named


def _places(number: int, line: str, own: frozenset[str]) -> Iterator[tuple[int, int, str]]:
    """How well each address of a line stands: 3 alone or at its head, 2 at its end or behind a code, 1 anywhere."""
    if "@" not in line or _ABOUT_THE_ORIGINAL.match(line):
        return
    for address in addresses_in(line):
        if address.lower() not in own and not is_role(address):
            yield _score(line, address), number, address


def _score(line: str, address: str) -> int:
    before, _, after = line.partition(address)
    label = _LABEL.match(before)
    if not _EDGES.sub("", before) or (label and label.end() == len(before)):
        return 3
    if _CODE_BEFORE.match(before) or not _EDGES.sub("", after):
        return 2
    return 1
