"""``script/bench pages``: how long pages take with a year of mail stored, asked over HTTP from the real web server.

A panel with a million contacts gets one finished campaign to all of them after another, spread over the last twelve months,
until so many deliveries are stored; a tenth of them opened, a third of these clicked. Then each page is asked in turn, by
someone who is logged in.
"""

import http.cookiejar
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import text

from app.extensions import db
from app.flow import accounts, events, report_details
from app.models import Campaign, CampaignStatus, MailingList, Panel
from app.models.partitions import ensure_partitions
from ops.bench import stage as stages
from ops.bench.track import wait_for_web

EMAIL, PASSWORD = "medicion@example.pe", "una frase larga para medir paginas"  # of a throw-away installation
BATCH_SIZE = 500
MONTHS = 12
CSRF = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')


def run(deliveries: int, *, contacts: int = 1_000_000, times: int = 20) -> dict[str, Any]:
    """p50 and p95 in milliseconds of each page, and the slowest page's p95."""
    contacts = min(contacts, deliveries)
    with tempfile.TemporaryDirectory(prefix="chaski-pages-") as directory, stages.stage() as stage:
        panel = stages.make_panel(stage.app)
        mailing_list = stages.make_contacts(panel, contacts)
        password = accounts.create_user(db.session, email=EMAIL, name="Medición", is_administrator=True).password
        began = time.monotonic()
        campaigns = list(make_year(panel, mailing_list, contacts, max(1, deliveries // contacts)))
        stored = int(db.session.scalar(text("SELECT sum(last_seq - first_seq + 1) FROM batch")) or 0)
        size_gb = int(db.session.scalar(text("SELECT pg_database_size(current_database())")) or 0) / 1e9
        fill_seconds = time.monotonic() - began
        paths = list(paths_of(panel, campaigns, mailing_list))
        db.session.rollback()
        with stages.processes(stage.installation, ["web", "dispatcher", "worker"], log=Path(directory) / "log"):
            wait_for_web("127.0.0.1", stage.installation.port)
            visitor = Visitor(stage.installation.local_url)
            visitor.log_in(password)
            pages = {path: measured(visitor, path, times) for path in paths}
        largest = campaigns[-1]
        files = {"details": details_made(largest), "certificate": certificate_made(stage, largest, Path(directory))}
    slowest = max(pages, key=lambda path: pages[path]["p95_ms"])
    return {
        "deliveries": stored,
        "contacts": contacts,
        "campaigns": len(campaigns),
        "database_gb": round(size_gb, 1),
        "fill_seconds": round(fill_seconds),
        "p95_ms": pages[slowest]["p95_ms"],
        "slowest": slowest,
        **files,
        "pages": pages,
    }


def details_made(campaign: Campaign) -> dict[str, Any]:
    """What a worker does for a report, once more in this process."""
    db.session.rollback()
    started = time.perf_counter()
    report_details.make(db.session, db.session.get_one(Campaign, campaign.id))
    return {"seconds": round(time.perf_counter() - started, 2)}


def certificate_made(stage: stages.Stage, campaign: Campaign, directory: Path) -> dict[str, Any]:
    """As ``flask campaign certificate`` makes it, in a process of its own, whose memory is told: small and large alike."""
    target = directory / "certificate"
    command = [sys.executable, "-c", CERTIFICATE, str(campaign.id), str(target)]
    started = time.perf_counter()
    done = subprocess.run(  # our own interpreter
        command, env=stage.installation.environment, capture_output=True, text=True, check=True, timeout=600
    )
    seconds = time.perf_counter() - started
    size_mb = sum(file.stat().st_size for file in target.iterdir()) / 1e6
    return {"seconds": round(seconds, 1), "size_mb": round(size_mb), **json.loads(done.stdout.splitlines()[-1])}


CERTIFICATE = """
import json, resource, sys
from pathlib import Path
from app import create_app
from app.config import load_settings
from app.extensions import db
from app.flow import certificate
def peak_mb(): return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
app = create_app(load_settings())
with app.app_context():
    db.session.connection()
    before = peak_mb()
    certificate.write_directory(db.session, app.extensions["settings"], int(sys.argv[1]), Path(sys.argv[2]))
print(json.dumps({"mb_before": before, "mb_peak": peak_mb()}))
"""


def make_year(panel: Panel, mailing_list: MailingList, contacts: int, count: int) -> Iterator[Campaign]:
    """Finished campaigns to everybody, the oldest first."""
    today = datetime.now(UTC).date()
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for number in range(count):
            day = today - timedelta(days=365 * (count - number) // count)
            ensure_partitions(db.session.connection(), day)
            campaign = finished_campaign(panel, mailing_list, number, day, contacts)
            for statement in (DELIVERIES, BATCHES, ENGAGEMENT, EVENTS):
                db.session.execute(
                    text(statement),
                    {"day": day, "campaign": campaign.id, "panel": panel.id, "batch_size": BATCH_SIZE},
                )
            events.sum_up(db.session, campaign.id)
            db.session.commit()
            yield campaign
        connection.execute(text("VACUUM (ANALYZE)"))


def finished_campaign(panel: Panel, mailing_list: MailingList, number: int, day: date, size: int) -> Campaign:
    sent_at = datetime(day.year, day.month, day.day, 14, tzinfo=UTC)
    campaign = Campaign(
        panel_id=panel.id,
        name=f"Convocatoria número {number + 1}",
        subject="{{ nombre }}: convocatorias de la semana",
        from_name="Bolsa de empleo",
        from_email=f"noticias@{stages.SENDING_DOMAIN}",
        html=stages.mail_html(),
        text=stages.mail_text(),
        status=CampaignStatus.FINISHED,
        frozen_on=day,
        audience_size=size,
        audience_expected=size,
        audience_frozen_at=sent_at,
        started_at=sent_at,
        finished_at=sent_at + timedelta(hours=1),
    )
    campaign.lists = [mailing_list]
    db.session.add(campaign)
    db.session.flush()
    return campaign


# One in a hundred bounced, one in two hundred was skipped, one in a thousand failed.
DELIVERIES = """
    INSERT INTO delivery (frozen_on, campaign_id, seq, contact_id, panel_id, email, status, skip_reason, attempts, claim,
                          relay_id, first_attempt_at, last_attempt_at, reply_code, reply_text)
    SELECT :day, :campaign, seq, id, :panel, email, status::delivery_status,
           CASE WHEN status = 'skipped' THEN 'unsubscribed' END, 1, 1, 1, at, at,
           CASE status WHEN 'accepted' THEN 250 WHEN 'bounced' THEN 550 END,
           CASE status WHEN 'accepted' THEN '2.0.0 Ok: queued as 4X' || seq
                       WHEN 'bounced' THEN '5.1.1 <' || email || '>: user unknown' END
    FROM (SELECT row_number() OVER (ORDER BY id) AS seq, id, email,
                 CASE WHEN id % 1000 = 7 THEN 'failed' WHEN id % 200 = 3 THEN 'skipped' WHEN id % 100 = 1 THEN 'bounced'
                      ELSE 'accepted' END AS status,
                 CAST(:day AS date) + interval '14 hours' + id % 3600 * interval '1 second' AS at
          FROM contact WHERE panel_id = :panel) c
"""
BATCHES = """
    INSERT INTO batch (campaign_id, frozen_on, first_seq, last_seq, status, accepted, bounced, failed, skipped,
                       skipped_by)
    SELECT :campaign, :day, min(seq), max(seq), 'done', count(*) FILTER (WHERE status = 'accepted'),
           count(*) FILTER (WHERE status = 'bounced'), count(*) FILTER (WHERE status = 'failed'),
           count(*) FILTER (WHERE status = 'skipped'),
           jsonb_build_object('unsubscribed', count(*) FILTER (WHERE status = 'skipped'))
    FROM delivery WHERE frozen_on = :day AND campaign_id = :campaign GROUP BY (seq - 1) / :batch_size ORDER BY 3
"""
ENGAGEMENT = """
    INSERT INTO engagement (frozen_on, campaign_id, seq, opens, clicks, first_open_at, first_click_at)
    SELECT :day, :campaign, seq, 1, CASE WHEN seq % 30 = 0 THEN 1 ELSE 0 END, last_attempt_at + interval '1 hour',
           CASE WHEN seq % 30 = 0 THEN last_attempt_at + interval '61 minutes' END
    FROM delivery WHERE frozen_on = :day AND campaign_id = :campaign AND status = 'accepted' AND seq % 10 = 0
"""
EVENTS = """
    INSERT INTO event (occurred_at, source_id, panel_id, campaign_id, seq, kind, link, ip, user_agent)
    SELECT e.first_open_at, :campaign || '-' || seq || '-' || kind, :panel, :campaign, seq, kind,
           CASE WHEN kind = 'click' THEN seq % 10 END, '192.0.2.1', 'Mozilla/5.0'
    FROM engagement e CROSS JOIN (VALUES ('open'), ('click')) k(kind)
    WHERE e.frozen_on = :day AND e.campaign_id = :campaign AND (kind = 'open' OR e.clicks > 0)
"""


def paths_of(panel: Panel, campaigns: list[Campaign], mailing_list: MailingList) -> Iterator[str]:
    """Every kind of page that grows with the mail stored."""
    panel_path, newest, oldest = f"/p/{panel.slug}", campaigns[-1].id, campaigns[0].id
    contact_id = db.session.scalar(text("SELECT max(id) FROM contact"))
    yield from ("/", "/overview", "/users", "/relays", "/providers")
    yield from (f"{panel_path}/{page}" for page in ("", "monitor", "campaigns", "campaigns?q=convocatoria", "lists"))
    yield from (f"{panel_path}/{page}" for page in ("imports", "suppressions", "practice/", "domains", "settings"))
    yield from (
        f"{panel_path}/contacts{rest}" for rest in ("", "?q=p99999", "?q=Persona", "?sort=name", f"/{contact_id}")
    )
    yield f"{panel_path}/lists/{mailing_list.id}"
    for campaign_id in (newest, oldest):
        campaign = f"{panel_path}/campaigns/{campaign_id}"
        yield from (f"{campaign}{rest}" for rest in ("", "/live", "/report", "/report/detail"))
        yield from (
            f"{campaign}/recipients{rest}" for rest in ("", "?status=bounced", "?status=failed", "?status=clicked")
        )
        yield from (f"{campaign}/recipients{rest}" for rest in ("/1", f"/{campaigns[0].audience_size}"))
        yield from (
            f"{campaign}/recipients?q={rest}" for rest in ("p99999", "p", "Persona", "nadie", "p9&status=bounced")
        )


class Visitor:
    """A browser without a picture: cookies, redirects, and no more."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._opener = urllib.request.build_opener(cookies)

    def get(self, path: str) -> str:
        with self._opener.open(self._base_url + path, timeout=120) as answer:
            return str(answer.read().decode())

    def log_in(self, password: str) -> None:
        token = CSRF.search(self.get("/login"))
        if token is None:
            raise RuntimeError("the log-in page has no form")
        form = urllib.parse.urlencode({"email": EMAIL, "password": password, "csrf_token": token[1]})
        with self._opener.open(f"{self._base_url}/login", form.encode(), timeout=60) as answer:
            if "/login" in answer.url:
                raise RuntimeError("the log-in was refused")


def measured(visitor: Visitor, path: str, times: int) -> dict[str, float]:
    """The first look is not counted: it warms what a day's first visitor warms."""
    visitor.get(path)
    time.sleep(0.05)
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        visitor.get(path)
        seconds.append(time.perf_counter() - started)
    ranked = sorted(seconds)
    p95 = ranked[min(len(ranked) - 1, round(0.95 * len(ranked)))]
    return {"p50_ms": round(1000 * statistics.median(ranked), 1), "p95_ms": round(1000 * p95, 1)}
