"""Delivery status notifications (RFC 3464) and read receipts (RFC 8098).

The fields are looked for in the part that is made for them, and, where a mailer or a forwarding person put them
elsewhere, in every text. Groups are told by their recipient fields, not only by blank lines, which get lost.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from app.mail.bouncing.addresses import typed_address
from app.mail.bouncing.judging import Judgement, best_status, judge
from app.mail.bouncing.kinds import MAX_DIAGNOSTIC, Feedback, Kind, Reason, kind_of_failure
from app.mail.bouncing.narratives import Narrative, one_line
from app.mail.bouncing.phrases import load
from app.mail.bouncing.reading import Letter

MAX_RECIPIENTS = 500
_REPORT_TYPES = ("message/delivery-status", "message/global-delivery-status", "message/delivery-report")
_RECEIPT_TYPES = ("message/disposition-notification", "message/global-disposition-notification")
_FIELD = re.compile(
    r"\s{0,3}(final-recipient|original-recipient|x-actual-recipient|action|status|diagnostic-code|remote-mta"
    r"|reporting-mta|x-supplementary-info|x-display-name|will-retry-until|last-attempt-date|arrival-date"
    r"|final-log-id|x-postfix-queue-id|x-postfix-sender|original-envelope-id|received-from-mta|dsn-gateway"
    r"|disposition|x-powermta-bouncecategory|x-notes-[\w-]{1,40}|x-original-message-id|smtp-remote-recipient)[ \t]*:(.*)",
    re.IGNORECASE | re.DOTALL,
)
_QUOTING = re.compile(r"(?m)^[ \t]{0,8}(?:[>|] ?){1,10}")
_STATUS = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})")
_DIAGNOSTIC_TYPE = re.compile(r"^\s*(?:smtp|x-[\w-]{1,30}|lmtp|esmtp|unix|dns|system)\s*;\s*", re.IGNORECASE)
_RECIPIENT_FIELDS = ("final-recipient", "original-recipient", "x-actual-recipient", "smtp-remote-recipient")
_DONE = frozenset({"delivered", "relayed", "expanded", "deliverable", "success"})


@dataclass(slots=True)
class _Group:
    """The fields of one recipient, as they stand."""

    fields: dict[str, str] = field(default_factory=dict)

    def recipient(self) -> str:
        values = (typed_address(self.fields.get(name, "")) for name in _RECIPIENT_FIELDS)
        return next((value for value in values if value), "")

    def status(self) -> str:
        found = _STATUS.search(self.fields.get("status", "")[:200])
        return ".".join(str(int(number)) for number in found.groups()) if found else ""

    def diagnostic(self) -> str:
        return _DIAGNOSTIC_TYPE.sub("", self.fields.get("diagnostic-code", "")).strip()

    def is_about_delivery(self) -> bool:
        named = any(name in self.fields for name in _RECIPIENT_FIELDS)
        return "action" in self.fields or ("status" in self.fields and named) or (named and bool(self.diagnostic()))


def read_reports(letter: Letter, narrative: Narrative) -> list[Feedback]:
    """One feedback per recipient of every report in the letter, in order; empty where there is none."""
    receipts = [part.text for part in letter.parts if part.content_type in _RECEIPT_TYPES]
    if receipts:
        groups = [group for text in receipts for group in _groups(text) if "disposition" in group.fields]
        return [_receipt(group, narrative) for group in groups]
    groups = _report_groups(letter)
    return [_feedback(group, letter, narrative, len(groups)) for group in groups[:MAX_RECIPIENTS]]


def _report_groups(letter: Letter) -> list[_Group]:
    made_for_it = [part.text for part in letter.parts if part.content_type in _REPORT_TYPES]
    found = [group for text in made_for_it for group in _groups(text)]
    if not found:
        texts = [p.text for p in letter.parts if p.content_type not in ("message/rfc822", "text/rfc822-headers")]
        found = [group for text in texts if _has_fields(text) for group in _groups(_QUOTING.sub("", text))]
        found = [group for group in found if "status" in group.fields or "diagnostic-code" in group.fields]
    return _without_repeats([group for group in found if group.is_about_delivery()])


def _has_fields(text: str) -> bool:
    lowered = text.lower()
    return "recipient:" in lowered and ("status:" in lowered or "diagnostic-code:" in lowered)


def _groups(text: str) -> Iterator[_Group]:
    """Recipients' groups of fields; per-message fields go with the first."""
    group = _Group()
    for line in _unfolded(text):
        found = _FIELD.match(line)
        if found is None:
            if not line.strip() and ("action" in group.fields or "diagnostic-code" in group.fields):
                yield group
                group = _Group()
            continue
        name = found[1].lower()
        if name in group.fields and name in ("final-recipient", "original-recipient", "action"):
            yield group
            group = _Group()
        group.fields.setdefault(name, found[2].strip()[:4000])
    if group.fields:
        yield group


def _unfolded(text: str) -> Iterator[str]:
    """Lines with their continuations; a line that continues nothing stands for itself."""
    held: list[str] = []
    for line in text.split("\n")[:5000]:
        if line[:1] in (" ", "\t") and line.strip() and held and held[0].strip() and not _FIELD.match(line[:200]):
            held.append(line.strip())
            continue
        if held:
            yield " ".join(held)[:6000]
        held = [line]
    yield " ".join(held)[:6000]


def _without_repeats(groups: list[_Group]) -> list[_Group]:
    """Some systems report a recipient twice, once with and once without its diagnostics."""
    kept: dict[tuple[str, str], _Group] = {}
    for number, group in enumerate(groups):
        key = (group.recipient().lower() or str(number), group.fields.get("action", "").lower())
        if key not in kept or (not kept[key].diagnostic() and group.diagnostic()):
            kept[key] = group
    return list(kept.values())


def _feedback(group: _Group, letter: Letter, narrative: Narrative, count: int) -> Feedback:
    recipient = group.recipient() or _named_elsewhere(letter, narrative, count)
    status, diagnostic = group.status(), group.diagnostic()
    told = narrative.about(recipient) if recipient else narrative.text
    judgement = _judgement(group, status, diagnostic, told, recipient)
    kind, reason = _outcome(group, status, judgement)
    shown = one_line(diagnostic or told)[:MAX_DIAGNOSTIC]
    return Feedback(recipient, kind, reason, best_status(diagnostic or told, status), shown)


def _judgement(group: _Group, status: str, diagnostic: str, told: str, recipient: str) -> Judgement:
    """By the diagnostic first; the words around it are asked where it says nothing certain."""
    hosts = f"{group.fields.get('remote-mta', '')} {recipient.partition('@')[2]}".lower()[:500]
    comment = group.fields.get("status", "").partition("(")[2]
    own = f"{diagnostic} {comment} {group.fields.get('x-supplementary-info', '')}".strip()
    first = judge(own, status, hosts)
    category = group.fields.get("x-powermta-bouncecategory", "").lower()
    if not first.is_certain and category in load("codes")["categories"]:
        return Judgement(Reason(load("codes")["categories"][category]), True, True)
    if first.is_certain and (own or not told):
        return first
    second = judge(told, status, hosts) if told else first
    if not first.is_worded and second.is_certain:
        return second
    return second if first.reason == Reason.UNKNOWN else first


def _outcome(group: _Group, status: str, judgement: Judgement) -> tuple[Kind, Reason]:
    action = (group.fields.get("action", "").lower().split() or [""])[0].strip("();,.")
    if action in _DONE or (not action and status.startswith("2")):
        return Kind.DELIVERED, Reason.DELIVERED
    if action.startswith("delay"):
        return Kind.DELAYED, Reason.EXPIRED if judgement.reason == Reason.UNKNOWN else judgement.reason
    reason = judgement.reason
    if action.startswith("expired") and not judgement.is_certain:
        reason = Reason.EXPIRED
    return kind_of_failure(reason), reason


def _named_elsewhere(letter: Letter, narrative: Narrative, count: int) -> str:
    failed = letter.header("x-failed-recipients")
    if count == 1:
        return typed_address(failed) or next(iter(narrative.recipients), "")
    return ""


def _receipt(group: _Group, narrative: Narrative) -> Feedback:
    """A read receipt says that the mail arrived, unless a mail store rejects it in this form (RFC 5429 §2.1)."""
    judgement = judge(narrative.text)
    if judgement.is_certain and "automatic-action" in group.fields["disposition"].lower():
        told = one_line(narrative.text)[:MAX_DIAGNOSTIC]
        return Feedback(group.recipient(), kind_of_failure(judgement.reason), judgement.reason, "", told)
    is_refusal = "fail" in group.fields["disposition"].lower()
    kind, reason = (Kind.AUTO_REPLY, Reason.VACATION) if is_refusal else (Kind.DELIVERED, Reason.DELIVERED)
    return Feedback(group.recipient(), kind, reason, group.status(), one_line(group.fields["disposition"]))
