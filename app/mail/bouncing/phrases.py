"""Rules as data: phrases compiled from `rules/*.toml`, and the text made ready to be searched.

A phrase becomes a plain substring, or, where it has a wildcard, a regular expression whose gaps are bounded, so no
text can make it slow. The files belong to the program; a mistake in one fails when the program starts.
"""

import re
import tomllib
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from app.mail.bouncing.kinds import Reason

MAX_SEARCHED = 6000  # characters; what explains a failure stands at the beginning
_GAP = ".{0,80}"
_DIGITS = re.compile(r"\\\{([\d\\-]+)\\\}")
_SPECIAL = re.compile(r"[*|]|\{[\d-]+\}")
_QUOTES = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "\xa0": " ", "´": "'"})
_BLANKS = re.compile(r"\s+")
# An address or a host's name has words of its own ("antispam.example", "unknown@…") that say nothing about the failure.
_ADDRESS = re.compile(r"(?:[^\s<>()\[\]\",;:@.]|\.(?!\.)){1,100}@[\w.-]{1,255}")
_HOST = re.compile(r"\bhost [\w.-]{1,255} ?\[[^\]\s]{1,60}\](?::\d{1,5})?")
# What a mailer says before every reply, whatever it is: Postfix, and Gmail until 2016.
_PREAMBLE = re.compile(
    r"\bdelivery temporarily suspended:|\bgoogle tried to deliver your message, but it was rejected by the"
)

Test = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Rule:
    reason: Reason
    fits: Test
    hosts: tuple[str, ...]
    is_generic: bool
    source: str


def searchable(text: str) -> str:
    """Lower case, single blanks, plain quotes, without accents, addresses and host names; bounded."""
    plain = _BLANKS.sub(" ", without_accents(text[: 2 * MAX_SEARCHED].translate(_QUOTES))).lower()
    bare = _HOST.sub("host", _ADDRESS.sub("@", plain[:MAX_SEARCHED]))
    return f" {_PREAMBLE.sub('', bare)} "


def without_accents(text: str) -> str:
    """Systems send "dépassé" and "depasse"; both are searched as the second."""
    if text.isascii():
        return text
    return "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))


@cache
def load(name: str) -> dict[str, Any]:
    source = files("app.mail.bouncing").joinpath("rules", f"{name}.toml").read_text(encoding="utf-8")
    return tomllib.loads(source)


@cache
def rules(name: str) -> tuple[Rule, ...]:
    """The reasons' rules of one file, in their order."""
    return tuple(
        Rule(
            Reason(row["reason"]),
            _test_of(row),
            tuple(row.get("host", ())),
            row.get("generic", False),
            row["source"],
        )
        for row in load(name)["rule"]
    )


@cache
def phrases(name: str, table: str) -> Test:
    """The test of one phrase list, such as `bodies` `[delayed]`."""
    return any_of(load(name)[table]["any"])


def any_of(sources: Iterable[str]) -> Test:
    """A test whether one of the phrases is in a searchable text."""
    listed = [without_accents(source) for source in sources]
    plain = tuple(phrase for phrase in listed if not _SPECIAL.search(phrase))
    wild = tuple((_longest_piece(phrase), _compiled(phrase)) for phrase in listed if _SPECIAL.search(phrase))

    def fits(text: str) -> bool:
        if any(phrase in text for phrase in plain):
            return True
        return any(piece in text and finds(text) is not None for piece, finds in wild)

    return fits


def _test_of(row: dict[str, Any]) -> Test:
    """A rule's test: one of its phrases, or a word of one list near a word of the other."""
    listed = any_of(row.get("any", ()))
    if "near" not in row:
        return listed
    near = near_each_other(*row["near"])
    return lambda text: listed(text) or near(text)


def near_each_other(first: Iterable[str], second: Iterable[str]) -> Test:
    """A test whether beginnings of words of both lists stand within forty characters, in either order."""
    left, right = ([without_accents(word) for word in words] for words in (first, second))
    one, other = (rf"(?<![^\W_])(?:{'|'.join(map(re.escape, words))})" for words in (left, right))
    finds = re.compile(rf"{one}.{{0,40}}?{other}|{other}.{{0,40}}?{one}").search

    def fits(text: str) -> bool:
        if not any(word in text for word in left) or not any(word in text for word in right):
            return False
        return finds(text) is not None

    return fits


def _longest_piece(phrase: str) -> str:
    return max(_SPECIAL.split(phrase), key=len)


def _compiled(phrase: str) -> Callable[[str], re.Match[str] | None]:
    escaped = _DIGITS.sub(lambda found: f"[{found[1].replace(chr(92), '')}]", re.escape(phrase))
    escaped = (
        escaped.replace(re.escape(" * "), f"(?: {_GAP})? ").replace(re.escape("*"), _GAP).replace(re.escape("|"), r"\b")
    )
    return re.compile(escaped).search
