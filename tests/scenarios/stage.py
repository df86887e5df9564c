"""The stage of a scenario: a frozen campaign at one provider, a relay with three IPs or none, and the clock."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from redis import Redis
from sqlalchemy import select, text
from sqlalchemy.orm import Session, scoped_session

from app.config import Settings
from app.flow import audience, batches, breaker, sending
from app.flow.breaker import Standing
from app.flow.breaker.holds import close_ended
from app.flow.rates import waits
from app.flow.rates.reserving import Rates
from app.models import Campaign, CampaignStatus, Delivery, EgressIp, MailDomain, Panel, ProviderHold, Relay
from tests import factories
from tests.flow.streets import message_id_of, street
from tests.provider_sink import ProviderSink

ADDRESSES = ("192.0.2.1", "192.0.2.2", "192.0.2.3")
ROUNDS = 30
BATCH_SIZE = 20


@dataclass
class Stage:
    session: scoped_session[Session]
    settings: Settings
    redis: Redis
    sink: ProviderSink
    relay: Relay
    campaign: Campaign
    provider: str
    ips: dict[str, EgressIp]

    def send(self) -> None:
        """What dispatcher and workers do until nothing is due: due batches, but those that wait for a limit."""
        here = replace(street(self.settings), rates=Rates(self.redis))
        for _ in range(ROUNDS):
            held = {(wait.campaign_id, wait.provider) for wait in waits.current(self.redis)}
            due = batches.ring_due(self.session, window=16, ring_again_seconds=0, held=held)
            if not due:
                return
            for batch_id in due:
                sending.send_batch(self.session, here, batch_id)
        raise AssertionError(f"still something due after {ROUNDS} rounds")

    def pass_minutes(self, minutes: float) -> None:
        """Everything that has a date was so much earlier; buckets are full again; the dispatcher tidies up."""
        self.session.execute(text(EARLIER), {"by": timedelta(minutes=minutes), "campaign": self.campaign.id})
        self.session.execute(text(EARLIER_BATCHES), {"by": timedelta(minutes=minutes), "campaign": self.campaign.id})
        self.session.execute(text(EARLIER_HOLDS), {"by": timedelta(minutes=minutes)})
        self.session.commit()
        for key in [waits.KEY, *self.redis.scan_iter("chaski:rate:*")]:
            self.redis.delete(key)
        close_ended(self.session, self.now)

    def send_for(self, minutes: int, *, every: int = 5) -> None:
        """The clock runs and what is due goes."""
        for _ in range(minutes // every):
            self.pass_minutes(every)
            self.send()

    @property
    def now(self) -> datetime:
        return datetime.now(UTC)

    def standing(self) -> Standing:
        return breaker.standing(self.session, self.relay.id, self.provider, self.now)

    def factor(self, address: str | None = None) -> float:
        """0 while it is suspended."""
        ip_id = self.ips[address].id if address else None
        return 0.0 if self.standing().suspended_until(ip_id) else self.standing().factor(ip_id)

    def holds(self) -> Sequence[ProviderHold]:
        return self.session.scalars(
            select(ProviderHold).order_by(ProviderHold.id).execution_options(populate_existing=True)
        ).all()

    def statuses(self) -> Counter[str]:
        rows = self.session.execute(text("SELECT status::text AS status, count(*) AS count FROM delivery GROUP BY 1"))
        return Counter({row.status: row.count for row in rows})

    def waits_for(self) -> set[str]:
        return {wait.cause.value for wait in waits.current(self.redis)}

    def campaign_status(self) -> CampaignStatus:
        self.session.refresh(self.campaign)
        return self.campaign.status

    def assert_nothing_lost_or_doubled(self) -> None:
        """The ledger's accepted ones are exactly what the sink took, each once; everybody is in the ledger in one state."""
        rows = self.session.scalars(select(Delivery).execution_options(populate_existing=True)).all()
        took = {
            (message_id_of(self.settings, self.campaign, row.seq), row.email)
            for row in rows
            if row.status.value in ("accepted", "unknown")
        }
        times = self.sink.stored_times()
        assert set(times.values()) <= {1}, "nobody gets it twice"
        accepted = sum(row.status.value == "accepted" for row in rows)
        assert set(times) <= took and len(times) >= accepted
        if all(row.status.value != "unknown" for row in rows):
            assert set(times) == took
        assert self.statuses().total() == self.campaign.audience_size == len(rows)


EARLIER = """
    UPDATE delivery SET next_attempt_at = next_attempt_at - :by, first_attempt_at = first_attempt_at - :by,
        last_attempt_at = last_attempt_at - :by, unknown_at = unknown_at - :by
    WHERE campaign_id = :campaign
"""
EARLIER_BATCHES = "UPDATE batch SET next_attempt_at = next_attempt_at - :by WHERE campaign_id = :campaign"
EARLIER_HOLDS = """
    UPDATE provider_hold SET started_at = started_at - :by, until = until - :by, lifted_at = lifted_at - :by
"""


def set_up(
    session: scoped_session[Session],
    settings: Settings,
    panel: Panel,
    redis: Redis,
    sink: ProviderSink,
    *,
    provider: str,
    people: int = 60,
    with_ips: bool = True,
    **changed: Any,
) -> Stage:
    """``changed``: settings."""
    settings = replace(settings, batch_size=BATCH_SIZE, **changed)
    factories.signed_domain(session, settings, panel)
    mailing_list = factories.mailing_list(session, panel)
    factories.contacts(session, panel, mailing_list, people)
    session.add(MailDomain(domain="example.pe", provider=provider, expires_at=datetime.now(UTC) + timedelta(days=1)))
    relay = factories.relay(session, panel, sink.port)
    pool = factories.egress_pool(session, relay)
    ips = {address: factories.egress_ip(session, pool, address) for address in ADDRESSES} if with_ips else {}
    campaign = factories.campaign(session, panel, mailing_list, status=CampaignStatus.PREPARING)
    assert audience.prepare(session, settings, campaign.id)
    session.refresh(campaign)
    return Stage(session, settings, redis, sink, relay, campaign, provider, ips)
