"""From the other system's words and codes to a reason.

What is asked first counts most:

1. the known words of a known system      ``rules/providers.toml``
2. words that outweigh any code           ``rules/strong.toml``    "550 5.1.1 … over quota" is a full mailbox
3. an exact enhanced code                 ``rules/codes.toml``     5.1.1, but not 5.0.0 or 5.7.1
4. an exact basic code                    521, 535, 556
5. other words                            ``rules/weak.toml``
6. what is left of the codes, and at last the SMTP command that was refused
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from app.mail.bouncing.kinds import Reason
from app.mail.bouncing.phrases import Rule, load, rules, searchable

_ENHANCED = re.compile(r"(?<![\d.])([245])\.(\d{1,2})\.(\d{1,3})(?!\.?\d)")
_BASIC = re.compile(r"(?<![\w.:/])([45]\d\d)(?=[\s:#)\]\"'-]|$)")


@dataclass(frozen=True, slots=True)
class Judgement:
    """`is_certain`: known words or an exact code said it, and looking further could only make it worse.
    `is_worded`: at least words that mean something; else it is a guess by a vague code."""

    reason: Reason
    is_certain: bool
    is_worded: bool


def judge(text: str, status: str = "", hosts: str = "") -> Judgement:
    """The reason that a text and an enhanced code give.

    text: the other system's reply or explanation, with or without its codes
    status: the enhanced code of a report's Status field, where there is one
    hosts: names that say whose system it is, joined by blanks, lower case
    """
    words = searchable(text)
    exact = load("codes")["exact"]
    code = basic_code(text)
    for reason in (
        _by_rules("providers", words, hosts),
        _by_rules("strong", words, hosts),
        next((found for each in enhanced_codes(text, status) if (found := _by_code(exact, each))), None),
        _named(load("codes")["basic"], code),
    ):
        if reason:
            return Judgement(reason, True, True)
    rule = _rule("weak", words, "")
    if rule and not rule.is_generic:
        return Judgement(rule.reason, False, True)
    return Judgement(_guess(words, text, status, code, rule), False, False)


def _guess(words: str, text: str, status: str, code: str, generic: Rule | None) -> Reason:
    codes = load("codes")
    vague = next((found for each in enhanced_codes(text, status) if (found := _by_code(codes["vague"], each))), None)
    return (
        vague
        or (generic.reason if generic else None)
        or _named(codes["basic_last"], code)
        or _named(codes["command"], refused_command(words) if code.startswith("5") else "")
        or Reason.UNKNOWN
    )


def enhanced_codes(text: str, status: str = "") -> list[str]:
    """The codes of failures in the text, in their order, then the report's own; the class 2 says nothing here."""
    found = [f"{kind}.{int(subject)}.{int(detail)}" for kind, subject, detail in _ENHANCED.findall(text[:4000])]
    return [code for code in [*found[:20], status] if code and code[0] in "45"]


def best_status(text: str, status: str) -> str:
    """The most telling enhanced code: the report's own unless it is vague and the text has a better one."""
    if status and not status.endswith(".0.0"):
        return status
    return next((code for code in enhanced_codes(text) if not code.endswith(".0.0")), status)


def basic_code(text: str) -> str:
    found = _BASIC.search(text[:4000])
    return found[1] if found else ""


def framed_by(text: str) -> Reason | None:
    """The reason that a notice gives in a sentence of its own, whatever reply it quotes."""
    return _by_rules("frames", searchable(text), "")


def from_reply(text: str) -> str:
    """The text from the first reply code on, or nothing where none is quoted."""
    found = _BASIC.search(text[:4000])
    return text[found.start() :] if found else ""


def refused_command(words: str) -> str:
    """The SMTP command that the other system refused, as far as the text tells."""
    table: dict[str, list[str]] = load("codes")["command_signs"]
    return next((command for command, signs in table.items() if any(sign in words for sign in signs)), "")


def _by_rules(name: str, words: str, hosts: str) -> Reason | None:
    found = _rule(name, words, hosts)
    return found.reason if found else None


def _rule(name: str, words: str, hosts: str) -> Rule | None:
    return next((rule for rule in rules(name) if _is_there(rule.hosts, hosts) and rule.fits(words)), None)


def _is_there(wanted: tuple[str, ...], hosts: str) -> bool:
    return not wanted or any(host in hosts for host in wanted)


def _by_code(table: Mapping[str, str], code: str) -> Reason | None:
    return _named(table, code) or _named(table, code[2:])


def _named(table: Mapping[str, str], key: str) -> Reason | None:
    return Reason(table[key]) if key in table else None
