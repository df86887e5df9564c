"""A campaign whose mail a real Postfix has, and followers of its log: in this process or in one that can be killed.

street = RelayStreet.laid(session, settings, panel, recipients=20)
street.submit(egress_relay)
with street.process(log, tmp_path): ...
"""

import itertools
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import text

from app.config import Settings
from app.flow import composing
from app.flow.sessions import AnySession
from app.mail.egress_header import EGRESS_HEADER
from app.mail.tokens import make_token, message_id, return_path
from app.models import Campaign, Panel, Relay
from tests import factories, ledger
from tests.fixtures.relay import EgressRelay, address_of
from tests.fixtures.services import ROOT
from workers.relay.follow import Follower
from workers.relay.handover import IntoDatabase
from workers.relay.memory import Memory

DOMAIN = "boletin.example.gob.pe"
NUMBERS = itertools.count(1000)


@dataclass
class RelayStreet:
    session: AnySession
    settings: Settings
    campaign: Campaign
    relay: Relay

    @classmethod
    def laid(
        cls, session: AnySession, settings: Settings, panel: Panel, *, recipients: int = 4, status: str = "accepted"
    ) -> "RelayStreet":
        """A campaign of which every delivery is in ``status``, at a relay of its own."""
        # One Postfix, and so one log, serves several tests, and each finds an empty database.
        number = {"number": next(NUMBERS)}
        session.execute(text("SELECT setval(pg_get_serial_sequence('campaign', 'id'), :number)"), number)
        relay = factories.relay(session, panel, 25870)
        campaign = factories.campaign(session, panel)
        ledger.freeze(session, campaign, [status] * recipients, relay_id=relay.id)
        session.execute(
            text(
                "UPDATE delivery SET last_attempt_at = now(), unknown_at = CASE WHEN status = 'unknown' THEN now() END"
            )
        )
        session.commit()
        return cls(session, settings, campaign, relay)

    def token(self, seq: int) -> str:
        return make_token(composing.token_key(self.settings), self.campaign.id, seq)

    def recipient(self, seq: int) -> str:
        """Of this campaign alone: one Postfix serves a whole file."""
        return f"p{seq}-{self.token(seq)[:12]}@example.pe"

    def submit(self, relay: EgressRelay, *seqs: int, ip: int = 7) -> None:
        domain = f"rebotes.{DOMAIN}"
        with relay.client() as client:
            for seq in seqs:
                token = self.token(seq)
                content = (
                    f"{EGRESS_HEADER}: {address_of(ip)}\r\nFrom: a@{DOMAIN}\r\nTo: {self.recipient(seq)}\r\n"
                    f"Message-ID: {message_id(token, DOMAIN)}\r\nSubject: x\r\n\r\nhola\r\n"
                )
                client.sendmail(return_path(token, domain), self.recipient(seq), content.encode())

    def follower(self, log: Path, directory: Path) -> Follower:
        return Follower(log, Memory(directory / "follower.sqlite"), IntoDatabase(self.settings, self.relay.id))

    @contextmanager
    def process(self, log: Path, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
        command = [sys.executable, "-m", "workers.relay.follow"]
        command += ["--log", str(log), "--relay", self.relay.name, "--state", str(directory / "follower.sqlite")]
        environment = {
            "PATH": "/usr/bin:/bin",
            "DATABASE_URL": self.settings.database_url,
            "BROKER_URL": self.settings.broker_url,
            "SECRET_KEY": self.settings.secret_key,
            "CHASKI_VAR": str(directory),
        }
        with (directory / "follower.log").open("ab") as words:
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=words, stderr=words)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def statuses(self) -> dict[int, str]:
        self.session.rollback()
        return ledger.statuses_of(self.session, self.campaign)

    def outcomes(self) -> list[tuple[int, str]]:
        """What is kept of the log, without what only says that the relay took it."""
        self.session.rollback()
        rows = self.session.execute(
            text(
                "SELECT seq, status FROM relay_outcome WHERE campaign_id = :id AND status NOT IN ('named', 'queued') "
                "ORDER BY seq, at"
            ),
            {"id": self.campaign.id},
        )
        return [(row.seq, row.status) for row in rows]

    def counted(self) -> dict[str, int]:
        """The batches' sums and, by another way, the deliveries' own: they must agree (law 4)."""
        self.session.rollback()
        names = ("planned", "sending", "accepted", "delivered", "deferred", "bounced", "failed", "skipped", "unknown")
        sums = self.session.execute(text("SELECT " + ", ".join(f"sum({name})" for name in names) + " FROM batch")).one()
        found = {name: int(count) for name, count in zip(names, sums, strict=True) if count}
        rows = self.session.execute(text("SELECT status::text, count(*) FROM delivery GROUP BY 1")).all()
        assert found == {row[0]: row[1] for row in rows}, "the counts are the truth"
        return found


def turn_until(follower: Follower, condition, what: str, *, seconds: float = 30.0) -> None:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + seconds
    while True:
        if not follower.turn():
            time.sleep(0.05)
        if condition():
            return
        assert time.monotonic() < deadline, f"never came: {what}"
