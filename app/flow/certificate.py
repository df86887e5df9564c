"""The reconciliation certificate of a campaign: every planned recipient with what became of it, the sums, and a signature.

All of it is of one moment: one REPEATABLE READ, read-only transaction reads the campaign, its batches and its deliveries,
by a server-side cursor into a file on our disk. It lasts as long as the database needs to tell (seconds for a million);
who downloads reads the file, over however slow a line, with no transaction open. So a certificate may be made at any time;
``is_final`` says whether anything can still change.

Three files: ``recipients.jsonl`` (a line each, by number), ``summary.json`` (sums, SHA-256 of the former, public key),
``summary.json.sig`` (Ed25519 over the bytes of the summary, base64). The key is derived from the installation's secret key:
nothing to store or to lose, and another installation can't sign as this one.
"""

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any
from zipfile import ZIP_DEFLATED, ZipFile

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.config import Settings
from app.flow.problem import Problem
from app.flow.sessions import AnySession
from app.mail.postfix_queue import queue_id_of_reply
from app.models import DeliveryStatus, OwnReply, SkipReason, read_coded

FORMAT = "chaski-certificate-1"
RECIPIENTS, SUMMARY, SIGNATURE = "recipients.jsonl", "summary.json", "summary.json.sig"
FETCH_ROWS = 5000
MAX_SUMMARY_BYTES = 1024 * 1024
MAX_LINE_BYTES = 64 * 1024
MAX_FINDINGS = 20
STATUSES = [status.value for status in DeliveryStatus]
WITH_REPLY = frozenset({DeliveryStatus.ACCEPTED.value, DeliveryStatus.DELIVERED.value})
OPEN = ("planned", "sending", "deferred", "unknown")

OpenFile = Callable[[str], Any]
"""``name`` -> a context that gives a file to write bytes to. One at a time, in the order of the docstring."""


class CertificateProblem(Problem):
    """``not_frozen``: nobody was planned yet."""


def signing_key(settings: Settings) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(settings.derived_key("certificate"))


def public_key_text(key: Ed25519PublicKey) -> str:
    return base64.b64encode(key.public_bytes_raw()).decode()


# Making it.


def write(session: AnySession, settings: Settings, campaign_id: int, open_file: OpenFile) -> dict[str, Any]:
    """Write the three files; returns the summary. ``session`` only says which database. Raises
    :class:`CertificateProblem`."""
    with _one_moment(session) as moment:
        facts = moment.execute(text(CAMPAIGN), {"id": campaign_id}).mappings().one_or_none()
        if facts is None or facts["frozen_on"] is None:
            raise CertificateProblem("not_frozen")
        tally = Tally()
        with open_file(RECIPIENTS) as file:
            for line in _lines(moment, campaign_id, facts["frozen_on"], tally):
                tally.take_bytes(line)
                file.write(line)
        in_batches = dict(moment.execute(text(BATCHES), {"id": campaign_id}).mappings().one())
    summary = _summary(settings, dict(facts), tally, in_batches)
    signed = json.dumps(summary, ensure_ascii=False, indent=1).encode()
    with open_file(SUMMARY) as file:
        file.write(signed)
    with open_file(SIGNATURE) as file:
        file.write(base64.b64encode(signing_key(settings).sign(signed)) + b"\n")
    return summary


@contextmanager
def _one_moment(session: AnySession) -> Iterator[Session]:
    engine = session.get_bind()
    with Session(engine) as own:
        own.connection(execution_options={"isolation_level": "REPEATABLE READ", "postgresql_readonly": True})
        yield own
        own.rollback()


AS_LINE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode
"""Made once: ``json.dumps`` with these would make an encoder for each of a million lines."""


class Tally:
    """Sums over the lines, and over their bytes."""

    def __init__(self) -> None:
        self.lines = 0
        self.statuses: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self.without_reply = 0
        self.without_queue_id = 0
        self.size_bytes = 0
        self._digest = hashlib.sha256()

    def take(self, told: dict[str, Any]) -> None:
        self.lines += 1
        self.statuses[told["status"]] += 1
        if told["status"] == "skipped":
            self.skipped[told["skip_reason"] or ""] += 1
        if told["status"] in WITH_REPLY:
            self.without_reply += not told["reply"]
            self.without_queue_id += not told["queue_id"]

    def take_bytes(self, line: bytes) -> None:
        self.size_bytes += len(line)
        self._digest.update(line)

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def sums(self) -> dict[str, Any]:
        """As the summary has them, zeros included."""
        return {
            "planned": self.lines,
            "by_status": {name: self.statuses[name] for name in STATUSES},
            "skipped_by_reason": {reason.value: self.skipped[reason.value] for reason in SkipReason},
            "accepted_without_reply": self.without_reply,
            "accepted_without_queue_id": self.without_queue_id,
        }


def _lines(moment: Session, campaign_id: int, frozen_on: Any, tally: Tally) -> Iterator[bytes]:
    rows = moment.execute(
        text(DELIVERIES),
        {"id": campaign_id, "frozen_on": frozen_on},
        execution_options={"stream_results": True, "yield_per": FETCH_ROWS},
    )
    for row in rows:
        told = _line(row)
        tally.take(told)
        yield AS_LINE(told).encode() + b"\n"


def _line(row: Any) -> dict[str, Any]:
    return {
        "number": row.seq,
        "email": row.email,
        "status": row.status,
        "skip_reason": row.skip_reason,
        "attempts": row.attempts,
        "first_attempt_at": _iso(row.first_attempt_at),
        "last_attempt_at": _iso(row.last_attempt_at),
        "relay": row.relay,
        "ip": row.ip,
        "reply_code": row.reply_code,
        "reply": row.reply_text,
        "queue_id": queue_id_of(row.reply_text),
    }


def queue_id_of(reply: str | None) -> str | None:
    """The relay's own, or the one under which it was found there."""
    code, detail = read_coded(OwnReply, reply)
    found = detail if code is OwnReply.FOUND_AT_RELAY else "" if code else queue_id_of_reply(reply)
    return found or None


def _iso(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat() if moment else None


def _summary(settings: Settings, facts: dict[str, Any], tally: Tally, in_batches: dict[str, Any]) -> dict[str, Any]:
    sums = tally.sums()
    by_status = sums["by_status"]
    return {
        "format": FORMAT,
        "campaign": {
            "id": facts["id"],
            "name": facts["name"],
            "subject": facts["subject"],
            "panel": facts["panel"],
            "status": facts["status"],
            "started_at": _iso(facts["started_at"]),
            "finished_at": _iso(facts["finished_at"]),
        },
        "taken_at": _iso(facts["taken_at"]),
        "is_final": facts["status"] in ("finished", "cancelled") and not any(by_status[name] for name in OPEN),
        **sums,
        # Three counts of the same people, kept apart by the platform: of the freezing, of the batches, of the lines.
        "agrees": facts["audience_size"] == tally.lines and in_batches == by_status,
        "frozen": facts["audience_size"],
        "file": {"name": RECIPIENTS, "lines": tally.lines, "bytes": tally.size_bytes, "sha256": tally.sha256},
        "public_key": public_key_text(signing_key(settings).public_key()),
    }


CAMPAIGN = """
    SELECT c.id, c.name, c.subject, c.status, c.started_at, c.finished_at, c.frozen_on, c.audience_size, p.name AS panel,
           now() AS taken_at
    FROM campaign c JOIN panel p ON p.id = c.panel_id WHERE c.id = :id
"""

BATCHES = f"""
    SELECT {", ".join(f"coalesce(sum({name}), 0) AS {name}" for name in STATUSES)} FROM batch WHERE campaign_id = :id
"""  # noqa: S608  # names of the enum

DELIVERIES = """
    SELECT d.seq, d.email, d.status::text AS status, d.skip_reason, d.attempts, d.first_attempt_at, d.last_attempt_at,
           d.reply_code, d.reply_text, r.name AS relay, i.address AS ip
    FROM delivery d LEFT JOIN relay r ON r.id = d.relay_id LEFT JOIN egress_ip i ON i.id = d.egress_ip_id
    WHERE d.frozen_on = :frozen_on AND d.campaign_id = :id ORDER BY d.seq
"""


def write_directory(session: AnySession, settings: Settings, campaign_id: int, directory: Path) -> dict[str, Any]:
    """The three files below ``directory``, which is made when missing."""
    directory.mkdir(parents=True, exist_ok=True)
    return write(session, settings, campaign_id, lambda name: (directory / name).open("wb"))


def write_zip(session: AnySession, settings: Settings, campaign_id: int, target: IO[bytes]) -> None:
    """The three files as a ZIP in ``target``, a file on our disk."""
    with ZipFile(target, "w", ZIP_DEFLATED, compresslevel=1) as archive:
        write(session, settings, campaign_id, lambda name: archive.open(name, "w", force_zip64=True))


# Verifying it.


def verify(directory: Path, public_key: str) -> list[str]:
    """What is wrong, as codes with their details (``code: detail``); empty: the certificate is good. ``public_key``: of the
    installation that must have made it, base64. Reads line by line."""
    try:
        signed = _read(directory / SUMMARY)
        signature = base64.b64decode(_read(directory / SIGNATURE).strip(), validate=True)
    except (OSError, ValueError) as error:
        return [f"unreadable: {error}"]
    try:
        Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key)).verify(signature, signed)
    except (InvalidSignature, ValueError):
        return ["signature: not made by this installation over this summary"]
    return _findings(json.loads(signed), directory / RECIPIENTS)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(MAX_SUMMARY_BYTES + 1)
    if len(content) > MAX_SUMMARY_BYTES:
        raise ValueError(f"{path.name} is too large to be one")
    return content


def _findings(summary: dict[str, Any], path: Path) -> list[str]:
    tally, found = Tally(), []
    try:
        with path.open("rb") as file:
            for problem in _read_lines(file, tally):
                found.append(problem)
                if len(found) >= MAX_FINDINGS:
                    break
    except OSError as error:
        return [f"unreadable: {error}"]
    if tally.sha256 != summary["file"]["sha256"]:
        found.append(f"sha256: {RECIPIENTS} was changed after the summary was signed")
    for name, value in tally.sums().items():
        if summary[name] != value:
            found.append(f"sums: {name} is {value} in {RECIPIENTS}, {summary[name]} in the summary")
    if sum(summary["by_status"].values()) != summary["planned"]:
        found.append("sums: the statuses do not add up to the planned")
    if not summary["agrees"]:
        found.append("ledger: the counts of freezing, batches and recipients differed when it was made")
    return found


def _read_lines(file: IO[bytes], tally: Tally) -> Iterator[str]:
    while line := file.readline(MAX_LINE_BYTES):
        tally.take_bytes(line)
        number = tally.lines + 1
        try:
            told = json.loads(line)
            tally.take(told)
        except (ValueError, KeyError, TypeError, RecursionError):
            tally.lines = number
            yield f"line {number}: is no recipient"
            continue
        if told.get("number") != number:
            yield f"line {number}: has the number {told.get('number')}"
