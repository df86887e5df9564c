"""Complaints: abuse reports (RFC 5965) and the shapes that large providers send instead.

Outlook.com's JMRP sends the message as an attachment with the recipient in a header of its own; Yahoo's and others'
reports leave the recipient out, and only the returned message's To tells.
"""

import re

from app.mail.bouncing.addresses import first_address
from app.mail.bouncing.kinds import MAX_DIAGNOSTIC, Feedback, Kind, Reason
from app.mail.bouncing.narratives import one_line
from app.mail.bouncing.reading import Letter, read_headers

_FIELD = re.compile(r"(?im)^[ \t]{0,3}([a-z][a-z-]{2,40})[ \t]{0,3}:([^\n]{0,2000})")
_SHAPES = (
    "complaint about message from", "email feedback report", "spam complaint", "fbl report", "abuse report",
    "feedback report", "feedback loop",
)  # fmt: skip
_NOT_ABOUT_PEOPLE = frozenset({"auth-failure", "dmarc", "dkim", "spf", "not-spam", "miscategorized"})
_UNSUBSCRIBING = frozenset({"opt-out", "opt-out-list", "unsubscribe"})
_RECIPIENT_HEADERS = ("x-hmxmroriginalrecipient", "x-original-to", "delivered-to", "x-rcpt-to", "envelope-to", "to")


def read_complaints(letter: Letter) -> list[Feedback]:
    """One feedback per recipient who complained; empty where the letter is no complaint."""
    report = next((part.text for part in letter.parts if part.content_type == "message/feedback-report"), None)
    if report is None:
        if not _looks_like_one(letter):
            return []
        report = "\n".join(part.text for part in letter.parts if part.content_type == "text/plain")[:5000]
    fields = [(name.lower(), value.strip()) for name, value in _FIELD.findall(report[:20_000])[:200]]
    feedback_type = next((value.lower() for name, value in fields if name == "feedback-type"), "abuse")
    return [_feedback(recipient, feedback_type, letter) for recipient in _recipients(fields, letter)]


def _looks_like_one(letter: Letter) -> bool:
    """A feedback report by its type or subject, whose part for the fields is missing or mislabelled."""
    if letter.parameters.get("report-type", "").lower() == "feedback-report":
        return True
    if any("x-hmxmroriginalrecipient" in part.text[:20_000].lower() for part in letter.originals()):
        return True
    subject = letter.header("subject").lower()
    texts = "\n".join(part.text[:5000] for part in letter.parts if part.content_type == "text/plain").lower()
    is_told = "email abuse report for an email message" in texts or "feedback-type:" in texts
    return is_told or (any(shape in subject for shape in _SHAPES) and any(True for _ in letter.originals()))


def _recipients(fields: list[tuple[str, str]], letter: Letter) -> list[str]:
    wanted = ("original-rcpt-to", "removal-recipient", "x-hmxmroriginalrecipient")
    named = [first_address(value) for name, value in fields if name in wanted]
    return list(dict.fromkeys(address for address in named if address)) or [_returned_to(letter)]


def _returned_to(letter: Letter) -> str:
    for part in letter.originals():
        headers = read_headers(part.text[:50_000])
        for name in _RECIPIENT_HEADERS:
            found = first_address(headers.get(name, [""])[0])
            if found:
                return found
    return ""


def _feedback(recipient: str, feedback_type: str, letter: Letter) -> Feedback:
    told = one_line(next(letter.texts(), "") or letter.header("subject"))[:MAX_DIAGNOSTIC]
    if feedback_type == "auth-failure":
        return Feedback(recipient, Kind.UNKNOWN, Reason.AUTHENTICATION_FAILURE, "", told)
    if feedback_type in _NOT_ABOUT_PEOPLE:
        return Feedback(recipient, Kind.UNKNOWN, Reason.UNKNOWN, "", told)
    reason = Reason.UNSUBSCRIBE if feedback_type in _UNSUBSCRIBING else Reason.COMPLAINT
    return Feedback(recipient, Kind.COMPLAINT, reason, "", told)
