"""What a relay's reply means for a delivery: accepted, deferred, bounced, or failed through our own fault;
and why.

A reply judges one of two things. Most judge the recipient or the message (`Outcome`). Some judge us or the
relay itself (`RelayTrouble`): it closes down, refuses our log-in or our sender, or blocks our address. They
say nothing about the recipient; the sender counts them and pauses the campaign when they don't stop.

The rules are rows: the first whose stage, code and text fit gives the reason. A reply's enhanced status code
(RFC 3463) is believed before its words, its words before its bare code.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from app.mail.reply_rules import BY_CODE, BY_ENHANCED, BY_WORDS, Reason


class Stage(StrEnum):
    """Where in the SMTP dialogue the reply came."""

    CONNECT = "connect"
    EHLO = "ehlo"
    AUTH = "auth"
    MAIL_FROM = "mail_from"
    RCPT_TO = "rcpt_to"
    DATA = "data"
    BODY = "body"


class Verdict(StrEnum):
    ACCEPTED = "accepted"
    DEFERRED = "deferred"  # trying again later helps
    BOUNCED = "bounced"  # the recipient or its host refuses for good
    FAILED = "failed"  # our own fault: configuration, sender, message; trying again does not help
    UNKNOWN = "unknown"  # the connection broke after the whole message was sent: ask the relay, don't send again


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one reply says. `enhanced` is the RFC 3463 code or empty; `text` is fit to be stored and shown."""

    verdict: Verdict
    reason: Reason
    code: int
    enhanced: str
    text: str
    stage: Stage


@dataclass(frozen=True, slots=True)
class RelayTrouble(Outcome):
    """An outcome that judges the relay or our account there, not the recipient."""


MAX_TEXT = 500
_ENHANCED = re.compile(r"[\s(#]*([245])\.(\d{1,3})\.(\d{1,3})(?![\d.])").match
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")

_WORDS = tuple((reason, re.compile("|".join(patterns), re.DOTALL).search) for reason, patterns in BY_WORDS)
_LOGIN_CODES = frozenset({530, 534, 535, 538})
_BEFORE_RECIPIENT = frozenset({Stage.CONNECT, Stage.EHLO, Stage.AUTH, Stage.MAIL_FROM})
_ABOUT_US = frozenset(
    {Reason.RELAY_DENIED, Reason.RELAY_LOGIN, Reason.SENDER_REFUSED, Reason.PROTOCOL, Reason.RELAY_BUSY}
)
_OUR_MESSAGE = frozenset({Reason.MESSAGE_TOO_BIG, Reason.MESSAGE_REFUSED})


def classify_reply(code: int, text: str, stage: Stage = Stage.RCPT_TO) -> Outcome:
    """The meaning of one complete SMTP reply; never raises, whatever the relay sends.

    text: the reply's lines without their codes, joined by line ends or blanks
    """
    shown = _CONTROL.sub(" ", text[: 4 * MAX_TEXT]).strip()[:MAX_TEXT]
    enhanced = _enhanced_code(code, shown)
    if _is_success(code, stage):
        return Outcome(Verdict.ACCEPTED, Reason.ACCEPTED, code, enhanced, shown, stage)
    reason = _reason(code, enhanced, shown, stage)
    if code == 421 or not 400 <= code <= 599:
        return RelayTrouble(Verdict.DEFERRED, reason, code, enhanced, shown, stage)
    return _judge(code, enhanced, shown, stage, reason)


def _judge(code: int, enhanced: str, text: str, stage: Stage, reason: Reason) -> Outcome:
    is_about_us = stage in _BEFORE_RECIPIENT or reason in _ABOUT_US or _is_blocked_by_relay(text, reason)
    kind = RelayTrouble if is_about_us and reason not in _OUR_MESSAGE else Outcome
    if code < 500:
        verdict = Verdict.DEFERRED
    elif is_about_us or reason in _OUR_MESSAGE:
        verdict = Verdict.FAILED
    else:
        verdict = Verdict.BOUNCED
    return kind(verdict, reason, code, enhanced, text, stage)


def _is_success(code: int, stage: Stage) -> bool:
    """2xx anywhere; 3xx only where the dialogue goes on with it (RFC 5321 §4.3.2, RFC 4954 §4)."""
    return 200 <= code <= 299 or (code == 354 and stage == Stage.DATA) or (code == 334 and stage == Stage.AUTH)


def _enhanced_code(code: int, text: str) -> str:
    """The RFC 3463 code at the text's start, where its class agrees with the reply's (RFC 2034 §4)."""
    found = _ENHANCED(text)
    if found is None or found[1] != str(code)[:1]:
        return ""
    return ".".join(str(int(number)) for number in found.groups())


def _reason(code: int, enhanced: str, text: str, stage: Stage) -> Reason:
    if code == 421:
        return Reason.RELAY_CLOSING
    if code in _LOGIN_CODES or (stage == Stage.AUTH and code >= 500):
        return Reason.RELAY_LOGIN
    if not 400 <= code <= 599:
        return Reason.PROTOCOL
    by_words = _reason_by_words(text)
    by_enhanced = BY_ENHANCED.get(enhanced[2:])
    if stage == Stage.MAIL_FROM and code >= 500 and Reason.MESSAGE_TOO_BIG not in (by_enhanced, by_words):
        return Reason.SENDER_REFUSED
    # A detail of 0 means "other or undefined" (RFC 3463 §2): words say more.
    by_text = by_words or by_enhanced if enhanced.endswith(".0") else by_enhanced or by_words
    return by_text or BY_CODE.get(code) or Reason.OTHER


def _reason_by_words(text: str) -> Reason | None:
    words = text.lower()
    return next((reason for reason, finds in _WORDS if finds(words)), None)


def _is_blocked_by_relay(text: str, reason: Reason) -> bool:
    """Postfix's reject_rbl_client, which speaks of our own connection to it."""
    return reason == Reason.BLOCKLISTED and "client host" in text.lower()
