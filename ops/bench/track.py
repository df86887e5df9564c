"""``script/bench track``: opens and clicks over HTTP against the real web server, until the real tracker has written them.

Every request carries a number; every answered one must stand in the database exactly once.
"""

import json
import random
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

from redis import Redis
from sqlalchemy import text

from app.extensions import db
from app.flow.hit_stream import STREAM
from app.mail.tokens import TokenMaker
from app.models import Panel
from ops.bench import stage as stages

RECIPIENTS = 10_000
LINKS = 10
CLICK_SHARE = 0.3
CONNECTIONS = 16
START_SECONDS = 60
DRAIN_SECONDS = 120


def run(seconds: float = 20) -> dict[str, Any]:
    """``lost`` and ``duplicated`` compare the answered hits with the events by the number that each carried."""
    with tempfile.TemporaryDirectory(prefix="chaski-track-") as directory, stages.stage() as stage:
        panel: Panel = stages.make_panel(stage.app)
        settings = stage.app.extensions["settings"]
        campaign = stages.make_campaign(panel, stages.make_contacts(panel, RECIPIENTS))
        stages.freeze(stage.app, campaign)
        campaign_id = campaign.id
        token = TokenMaker(settings.derived_key("tokens"), campaign_id).token
        with stages.processes(stage.installation, ["web", "tracker"], log=Path(directory) / "log"):
            address = (stage.installation.environment.get("WEB_HOST", "127.0.0.1"), stage.installation.port)
            wait_for_web(*address)
            paths = [path_of(token(random.randint(1, RECIPIENTS))) for _ in range(20_000)]
            load = drive(*address, paths, seconds)
            drain_seconds = drain(settings.redis_url, load["sent"] - len(load["failed"]))
        return compare(load) | {"drain_seconds": round(drain_seconds, 1)}


def path_of(token: str) -> str:
    if random.random() < CLICK_SHARE:
        return f"/c/{token}/{random.randrange(LINKS)}"
    return f"/o/{token}.gif"


def wait_for_web(host: str, port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with suppress(OSError), urllib.request.urlopen(f"http://{host}:{port}/healthz", timeout=2):
            return
        time.sleep(0.2)
    raise RuntimeError(f"the web server did not answer within {START_SECONDS} s")


def drive(host: str, port: int, paths: list[str], seconds: float) -> dict[str, Any]:
    client = subprocess.run(
        [sys.executable, "-m", "ops.bench.hit_load", host, str(port), str(seconds), str(CONNECTIONS)],
        input="\n".join(paths),
        capture_output=True,
        text=True,
        check=True,
        timeout=seconds + START_SECONDS,
    )
    load: dict[str, Any] = json.loads(client.stdout)
    return load


def drain(redis_url: str, wanted: int) -> float:
    """Until the stream is empty and the events are there; seconds."""
    started = time.monotonic()
    with Redis.from_url(redis_url) as client:
        while time.monotonic() < started + DRAIN_SECONDS:
            count = db.session.scalar(text("SELECT count(*) FROM event")) or 0
            db.session.rollback()
            if client.xlen(STREAM) == 0 and count >= wanted:
                break
            time.sleep(0.1)
    return time.monotonic() - started


def compare(load: dict[str, Any]) -> dict[str, Any]:
    answered = set(range(1, load["sent"] + 1)) - set(load["failed"])
    written = db.session.execute(text("SELECT CAST(substr(user_agent, 7) AS int) AS number FROM event")).scalars().all()
    counted = db.session.scalar(text("SELECT coalesce(sum(opens + clicks), 0) FROM engagement")) or 0
    return {
        "requests_per_second": round(len(answered) / load["seconds"]),
        "p50_ms": round(load["p50_ms"], 2),
        "p95_ms": round(load["p95_ms"], 2),
        "max_ms": round(load["max_ms"], 1),
        "requests": load["sent"],
        "errors": len(load["failed"]),
        "lost": len(answered - set(written)),
        "duplicated": len(written) - len(set(written)),
        "miscounted": abs(int(counted) - len(set(written))),
    }
