"""Finds what is due and rings workers: ``python -m workers.dispatcher``.

One dispatcher is active, held by a PostgreSQL advisory lock; others stand by and take over when its connection ends.
It wakes on NOTIFY and sweeps at least once a second. It holds no state: killed at any moment, the next sweep of
another finds the same work. What it rings may be lost or come twice; actors claim in the database.
"""

import select
import signal
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime
from types import FrameType

import dramatiq
import psycopg
from dramatiq.errors import BrokerConnectionError
from flask import Flask
from redis.exceptions import RedisError
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from app.config import Settings
from app.connections import DATABASE_CONNECTION, SETTING, redis_client
from app.extensions import db
from app.flow import (
    audience,
    batches,
    bell,
    canary,
    cancelling,
    emptying,
    imports,
    mail_domains,
    outcomes,
    proofs,
    reconciling,
    report_details,
    sampling,
)
from app.flow.breaker import holds
from app.flow.egress import warming
from app.flow.rates import waits
from app.logs import get_logger
from app.models import MailStream
from app.models.partitions import ensure_coming_partitions
from workers import actors
from workers.broker import tend

log = get_logger(__name__)

SWEEP_SECONDS = 1.0
STAND_BY_SECONDS = 2.0
WARM_UPS_EVERY_SECONDS = 3600.0
BATCHES_RUNG_PER_PANEL = 16
PARTITIONS_EVERY_SECONDS = 3600.0
REFRESH_EVERY_SECONDS = 15.0
TIDY_EVERY_SECONDS = 24 * 3600.0
LOCK_KEY = 0x43_48_41_53_4B_49  # "CHASKI"


class Dispatcher:
    """Run it with :meth:`run`; :meth:`stop` ends it after the sweep in work."""

    def __init__(self, app: Flask, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._redis = redis_client(settings.redis_url)
        self._stopping = False
        self._partitions_at = self._tidied_at = self._refreshed_at = 0.0
        self._warmed_on: date | None = None
        self._warmed_at = 0.0
        self._rung: dict[tuple[str, int], float] = {}
        """When each actor and id was last rung, so that waiting work isn't rung anew each second."""

    def stop(self, _signal: int = 0, _frame: FrameType | None = None) -> None:
        self._stopping = True

    def run(self) -> None:
        """Until stopped: stand by, be active, start over when the database went away."""
        while not self._stopping:
            try:
                self._be_active_when_possible()
            except (psycopg.OperationalError, OperationalError) as error:
                log.warning("dispatcher_lost_database", error=str(error).splitlines()[0])
                time.sleep(SWEEP_SECONDS)

    def _be_active_when_possible(self) -> None:
        url = self._settings.database_url.replace("postgresql+psycopg://", "postgresql://")
        with psycopg.connect(
            url, autocommit=True, application_name="chaski-dispatcher", **DATABASE_CONNECTION
        ) as connection:
            connection.execute(SETTING)
            if not self._holds_lock(connection):
                time.sleep(STAND_BY_SECONDS)
                return
            log.info("dispatcher_active")
            connection.execute(f"LISTEN {bell.CHANNEL}")
            while not self._stopping:
                self.sweep()
                self._wait(connection)

    @staticmethod
    def _holds_lock(connection: psycopg.Connection) -> bool:
        row = connection.execute("SELECT pg_try_advisory_lock(%s)", (LOCK_KEY,)).fetchone()
        return bool(row and row[0])

    @staticmethod
    def _wait(connection: psycopg.Connection) -> None:
        """Until a NOTIFY or the sweep's interval, whichever comes first. Also notices that the lock's connection died."""
        select.select([connection.fileno()], [], [], SWEEP_SECONDS)
        for _ in connection.notifies(timeout=0):
            pass
        connection.execute("SELECT 1")

    def sweep(self) -> None:
        """One look at everything. What can't be done or rung now is found again by the next sweep; a step that fails
        doesn't keep the others from their work."""
        with self._app.app_context():
            for step in (
                self._tend_broker,
                self._ensure_partitions,
                self._expire_leases,
                self._start_campaigns,
                self._look_at_canaries,
                self._ring_batches,
                self._reconcile,
                self._ring_imports,
                self._ring_proofs,
                self._ring_reports,
                self._skip_cancelled,
                self._sample,
                self._finish_campaigns,
                self._empty_fields,
                self._refresh_mail_domains,
                self._close_holds,
                self._end_warm_ups,
                self._tidy,
            ):
                try:
                    step()
                except OperationalError:
                    raise
                except (BrokerConnectionError, RedisError, SQLAlchemyError) as error:
                    db.session.rollback()
                    log.error("sweep_step_failed", step=step.__name__, error=str(error)[:500])
                finally:
                    db.session.remove()

    def _tend_broker(self) -> None:
        tend(dramatiq.get_broker())

    def _expire_leases(self) -> None:
        for expired in batches.expire_leases(db.session):
            log.warning("lease_expired", batch_id=expired.id, campaign_id=expired.campaign_id, unknown=expired.unknown)

    def _start_campaigns(self) -> None:
        self._ring(actors.prepare_campaign, audience.start_due(db.session))

    def _look_at_canaries(self) -> None:
        canary.look(db.session)

    def _ring_batches(self) -> None:
        held = {(wait.campaign_id, wait.provider) for wait in waits.current(self._redis)}
        for stream, actor in ((MailStream.URGENT, actors.send_urgent_batch), (MailStream.BULK, actors.send_batch)):
            for batch_id in batches.ring_due(
                db.session,
                window=BATCHES_RUNG_PER_PANEL,
                ring_again_seconds=self._settings.ring_again_seconds,
                held=held,
                stream=stream,
            ):
                actor.send(batch_id)

    def _reconcile(self) -> None:
        grace = self._settings.reconcile_grace_seconds
        self._ring(actors.reconcile_campaign, reconciling.campaigns_with_unknown(db.session, grace_seconds=grace))

    def _ring_imports(self) -> None:
        due = imports.due(db.session)
        self._ring(actors.analyse_import, [id_ for verb, id_ in due if verb == "analyse"])
        self._ring(actors.apply_import, [id_ for verb, id_ in due if verb == "apply"])

    def _ring_proofs(self) -> None:
        self._ring(actors.send_proof, proofs.due(db.session))

    def _ring_reports(self) -> None:
        self._ring(actors.make_report_details, report_details.wanted(db.session))

    def _skip_cancelled(self) -> None:
        cancelling.skip_remaining(db.session)

    def _sample(self) -> None:
        sampling.sample_running(db.session)

    def _finish_campaigns(self) -> None:
        for campaign_id in outcomes.finish_campaigns(db.session):
            log.info("campaign_finished", campaign_id=campaign_id)

    def _empty_fields(self) -> None:
        emptying.empty(db.session, budget_seconds=0.3)

    def _refresh_mail_domains(self) -> None:
        """Not more often than a worker is busy with it: what it leaves is due at the next ring."""
        if time.monotonic() - self._refreshed_at < REFRESH_EVERY_SECONDS and self._refreshed_at:
            return
        if mail_domains.is_due(db.session):
            actors.refresh_mail_domains.send()
        self._refreshed_at = time.monotonic()

    def _close_holds(self) -> None:
        holds.close_ended(db.session, datetime.now(UTC))

    def _end_warm_ups(self) -> None:
        """Once an hour, and when a new day of UTC has begun: the days of a warm-up are its days."""
        now, at = datetime.now(UTC), time.monotonic()
        if now.date() == self._warmed_on and at - self._warmed_at < WARM_UPS_EVERY_SECONDS:
            return
        for address in warming.activate_warm(db.session, now=now):
            log.info("warm_up_over", address=address)
        self._warmed_on, self._warmed_at = now.date(), at

    def _tidy(self) -> None:
        """Once a day: what long-ended imports kept of people is forgotten, and domains that nobody writes to."""
        if time.monotonic() - self._tidied_at < TIDY_EVERY_SECONDS and self._tidied_at:
            return
        imports.tidy(db.session, self._settings, now=datetime.now(UTC))
        mail_domains.forget_unused(db.session, now=datetime.now(UTC))
        self._tidied_at = time.monotonic()

    def _ring(self, actor: "dramatiq.Actor[[int], None]", ids: Sequence[int]) -> None:
        """Ring once, and again where nobody has claimed the work for a while."""
        now = time.monotonic()
        due = {(actor.actor_name, id_) for id_ in ids}
        self._rung = {k: at for k, at in self._rung.items() if k[0] != actor.actor_name or k in due}
        for key in sorted(due):
            if now - self._rung.get(key, -1e9) >= self._settings.ring_again_seconds:
                actor.send(key[1])
                self._rung[key] = now

    def _ensure_partitions(self) -> None:
        """This month's and the next one's partitions, well before they are needed."""
        if time.monotonic() - self._partitions_at < PARTITIONS_EVERY_SECONDS and self._partitions_at:
            return
        ensure_coming_partitions(db.session.connection())
        db.session.commit()
        self._partitions_at = time.monotonic()


def main() -> None:
    dispatcher = Dispatcher(actors.app, actors.app.extensions["settings"])
    signal.signal(signal.SIGTERM, dispatcher.stop)
    signal.signal(signal.SIGINT, dispatcher.stop)
    dispatcher.run()


if __name__ == "__main__":
    main()
