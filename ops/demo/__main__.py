"""``script/demo --recipients 10000``: steps on standard error, one line of JSON on standard output, exit 1 where anything
disagrees."""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from sqlalchemy import text

from app.extensions import db
from ops.bench.stage import Stage, processes, stage
from ops.demo.journey import DemoFailed, Journey
from ops.demo.people import cast_of
from ops.demo.proof import Findings

SAMPLE = 20


def main() -> int:
    parser = argparse.ArgumentParser(prog="script/demo", description="The whole street without a browser.")
    parser.add_argument("--recipients", type=int, default=10_000, help="valid, distinct people in the CSV")
    options = parser.parse_args()
    if not 100 <= options.recipients <= 1_000_000:
        parser.error("--recipients: from 100 to 1000000")
    with tempfile.TemporaryDirectory(prefix="chaski-demo-") as directory, stage() as place:
        place.installation.seed()
        log = Path(directory) / "log"
        names = ["web", "dispatcher", "sender", "worker", "tracker", "practice"]
        with processes(place.installation, names, log=log):
            try:
                result, wrong = travel(place, options.recipients, Path(directory))
            except DemoFailed as failure:
                say(f"failed: {failure}\nthe processes' last words:\n{log.read_text(errors='replace')[-3000:]}")
                return 1
    for line in wrong[:20]:
        say(f"wrong: {line}")
    print(json.dumps(result))
    return 1 if wrong else 0


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def travel(place: Stage, recipients: int, directory: Path) -> tuple[dict[str, Any], list[str]]:
    """The result, and everything that disagrees."""
    started = time.monotonic()
    if not place.installation.wait_until_healthy(60):
        raise DemoFailed("the web did not answer")
    cast = cast_of(recipients)
    journey = Journey(place.app.extensions["settings"], cast, directory, place.installation.local_url, say)
    mailing_list = journey.prepare()
    imported = journey.import_people(mailing_list)
    say(f"imported: {imported}")
    campaign = journey.send(mailing_list, patience_seconds=120 + recipients / 20)
    statuses = ledger(campaign.id)
    say(f"sent: {statuses} in {time.monotonic() - started:.1f} s")
    found = journey.examine(sample=SAMPLE)
    say(f"examined: {found.messages} mails, {found.dkim_valid} signatures right")
    followed = journey.follow(found.links, campaign)
    say(f"followed: {followed}")
    allowed = {p.email for p in cast.people} - cast.unsubscribed - cast.suppressed
    result = {
        "imported": sum(
            imported.get(kind, 0) for kind in ("new", "changed", "unchanged", "suppressed", "unsubscribed")
        ),
        "rejected": imported.get("invalid", 0) + imported.get("duplicate", 0),
        "planned": sum(statuses.values()),
        "accepted": statuses.get("accepted", 0),
        "captured": found.messages,
        "distinct_message_ids": len(found.message_ids),
        "dkim_valid": found.dkim_valid,
        "skipped": statuses.get("skipped", 0),
        "lost": len(allowed - found.recipients.keys()),
        "duplicated": sum(count - 1 for count in found.recipients.values()),
        **followed,
        "seconds": round(time.monotonic() - started, 1),
    }
    return result, disagreements(result, found, cast_size=recipients, rejected=cast.invalid_rows + cast.duplicate_rows,
                                 allowed=allowed)  # fmt: skip


def ledger(campaign_id: int) -> dict[str, int]:
    rows = db.session.execute(
        text("SELECT status::text, count(*) FROM delivery WHERE campaign_id = :id GROUP BY 1"), {"id": campaign_id}
    )
    return {status: int(count) for status, count in rows}


def disagreements(
    result: dict[str, Any], found: Findings, *, cast_size: int, rejected: int, allowed: set[str]
) -> list[str]:
    expected = {
        "imported": cast_size,
        "rejected": rejected,
        "planned": cast_size,
        "accepted": len(allowed),
        "captured": len(allowed),
        "distinct_message_ids": len(allowed),
        "dkim_valid": len(allowed),
        "skipped": cast_size - len(allowed),
        "lost": 0,
        "duplicated": 0,
    }
    wrong = [f"{name} is {result[name]}, not {value}" for name, value in expected.items() if result[name] != value]
    wrong += [f"{address} must not be mailed" for address in sorted(found.recipients.keys() - allowed)]
    return wrong + found.wrong


if __name__ == "__main__":
    sys.exit(main())
