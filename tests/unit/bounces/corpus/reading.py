"""The corpus: every reply of `replies.txt` in the mouths of some of the mail systems of `carriers.toml`, and the whole
letters of `letters.toml`, each with what it means."""

import base64
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
CARRIERS_PER_REPLY = 3
RECIPIENT = "rosa.quispe@example.net"

# What each reason means for the address, stated here once more: the corpus doesn't take the program's word for it.
KIND = {
    "user_unknown": "hard", "host_unknown": "hard", "moved": "hard", "not_accepted": "hard",
    "mailbox_full": "soft", "suspended": "soft", "message_too_big": "soft", "rate_limited": "soft", "network": "soft",
    "system_error": "soft", "expired": "soft", "relaying_denied": "soft", "protocol": "soft", "unknown": "soft",
    "sender_rejected": "blocked", "content": "blocked", "spam": "blocked", "virus": "blocked", "policy": "blocked",
    "authentication_failure": "blocked", "bad_reputation": "blocked", "blocked": "blocked", "ptr_required": "blocked",
    "tls_required": "blocked", "recipient_refuses": "blocked",
}  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """`expected` has recipient, kind and reason of each feedback, in their order."""

    name: str
    system: str
    raw: bytes
    expected: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Reply:
    system: str
    status: str
    text: str
    reason: str


def replies() -> list[Reply]:
    lines = (HERE / "replies.txt").read_text(encoding="utf-8").splitlines()
    return [Reply(*(part.strip() for part in line.split(" | "))) for line in lines if line[:1] not in ("", "#")]


def samples() -> list[Sample]:
    return [*_carried(), *_letters()]


def _carried() -> Iterator[Sample]:
    carriers = tomllib.loads((HERE / "carriers.toml").read_text(encoding="utf-8"))
    names = list(carriers)
    for number, reply in enumerate(replies()):
        for step in range(CARRIERS_PER_REPLY):
            name = names[(number * CARRIERS_PER_REPLY + step) % len(names)]
            raw = _write(carriers[name], reply)
            expected = ((RECIPIENT, KIND[reply.reason], reply.reason),)
            yield Sample(f"{name}: {reply.system} {reply.text[:60]}", f"{name} {reply.system}", raw, expected)


def _write(carrier: dict[str, str], reply: Reply) -> bytes:
    text = carrier["message"].lstrip("\n").replace("{reply}", reply.text)
    text = text.replace("{status}", reply.status).replace("{to}", RECIPIENT)
    text = re.sub(r"\{base64:(.*?)\n\}", lambda found: _as_base64(found[1]), text, flags=re.DOTALL)
    raw = text.encode(carrier.get("charset", "utf-8"), "replace")
    return raw.replace(b"\n", b"\r\n") if carrier.get("line_end") == "crlf" else raw


def _as_base64(text: str) -> str:
    return base64.encodebytes(text.encode()).decode("ascii").rstrip()


def _letters() -> Iterator[Sample]:
    for row in tomllib.loads((HERE / "letters.toml").read_text(encoding="utf-8"))["letter"]:
        raw = row["raw"].lstrip("\n").encode(row.get("charset", "utf-8"))
        expected = tuple((recipient, kind, reason) for recipient, kind, reason in row["expected"])
        yield Sample(row["name"], row["system"], raw, expected)
