"""Every captured mail is parsed, its DKIM signature verified with dkimpy against the published key, and compared with the
person it was for."""

import email
import email.policy
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from email.message import EmailMessage
from urllib.parse import urlsplit

import dkim
import psycopg

from ops.demo.people import Person

SLICE = 500
ONE_CLICK = re.compile(r"<(https?://[^>]+)>")
HREF = re.compile(r'href="([^"]+/c/[^"]+)"')
PIXEL = re.compile(r'src="([^"]+/o/[^"]+\.gif)"')


@dataclass(frozen=True)
class Links:
    """What a recipient could follow in one mail."""

    email: str
    click: str
    pixel: str
    unsubscribe: str


@dataclass
class Findings:
    messages: int = 0
    dkim_valid: int = 0
    recipients: dict[str, int] = field(default_factory=dict)
    message_ids: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)
    links: list[Links] = field(default_factory=list)

    def add(self, other: "Findings") -> None:
        self.messages += other.messages
        self.dkim_valid += other.dkim_valid
        for address, count in other.recipients.items():
            self.recipients[address] = self.recipients.get(address, 0) + count
        self.message_ids |= other.message_ids
        self.wrong += other.wrong
        self.links += other.links


def examine_all(
    database_url: str, ids: list[int], people: Mapping[str, Person], keys: Mapping[str, bytes], *, sample: int
) -> Findings:
    """All captured messages with these ids, over two processes. ``keys``: DNS name -> TXT record as published."""
    total = Findings()
    slices = [ids[start : start + SLICE] for start in range(0, len(ids), SLICE)]
    with ProcessPoolExecutor(max_workers=2) as pool:
        jobs = [pool.submit(examine_slice, database_url, part, dict(people), dict(keys)) for part in slices]
        for job in jobs:
            total.add(job.result())
    total.links = total.links[:: max(1, len(total.links) // sample)][:sample]
    return total


def examine_slice(
    database_url: str, ids: list[int], people: Mapping[str, Person], keys: Mapping[str, bytes]
) -> Findings:
    found = Findings()
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT rcpt_to, raw FROM practice_message WHERE id = ANY(%s)", (ids,)).fetchall()
    for rcpt_to, raw in rows:
        examine(found, rcpt_to, bytes(raw), people, keys)
    return found


def examine(found: Findings, rcpt_to: str, raw: bytes, people: Mapping[str, Person], keys: Mapping[str, bytes]) -> None:
    """One captured message into ``found``."""
    message = email.message_from_bytes(raw, policy=email.policy.default)
    found.messages += 1
    found.recipients[rcpt_to] = found.recipients.get(rcpt_to, 0) + 1
    found.message_ids.add(str(message["Message-ID"]))
    found.dkim_valid += is_signed(raw, keys)
    person = people.get(rcpt_to)
    if person is None:
        found.wrong.append(f"{rcpt_to}: nobody of ours")
        return
    found.wrong += [f"{rcpt_to}: {what}" for what in differences(message, person)]
    links = links_of(message, rcpt_to)
    if links is None:
        found.wrong.append(f"{rcpt_to}: pixel, link or one-click unsubscribe is missing")
    else:
        found.links.append(links)


def is_signed(raw: bytes, keys: Mapping[str, bytes]) -> bool:
    """Whether dkimpy finds the signature right, with the key that the platform publishes."""
    try:
        return bool(dkim.verify(raw, dnsfunc=lambda name, timeout=5: keys.get(name.decode().rstrip("."))))
    except dkim.DKIMException:
        return False


def differences(message: EmailMessage, person: Person) -> Iterable[str]:
    """Where the mail isn't this person's own."""
    if person.email not in str(message["To"]):
        yield f"To is {message['To']}"
    if str(message["Subject"]) != f"{person.name}: convocatorias en {person.region}":
        yield f"Subject is {message['Subject']}"
    for kind in ("plain", "html"):
        part = message.get_body((kind,))
        content = part.get_content() if part is not None else ""
        for value in (person.name, person.region, person.code):
            if value not in content:
                yield f"{value} is not in its {kind} part"
    if str(message["List-Unsubscribe-Post"]) != "List-Unsubscribe=One-Click":
        yield "List-Unsubscribe-Post is missing (RFC 8058)"


def links_of(message: EmailMessage, rcpt_to: str) -> Links | None:
    part = message.get_body(("html",))
    html = part.get_content() if part is not None else ""
    click, pixel = HREF.search(html), PIXEL.search(html)
    unsubscribe = ONE_CLICK.search(str(message["List-Unsubscribe"]))
    if click is None or pixel is None or unsubscribe is None or not urlsplit(unsubscribe[1]).path.startswith("/u/"):
        return None
    return Links(rcpt_to, click[1], pixel[1], unsubscribe[1])
