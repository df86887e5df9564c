"""Which IP a message leaves by: by weight, within what each may do at the provider, within a warming IP's day, kept by
retries; and whoever waits says for what. Against a real Redis and PostgreSQL."""

import threading
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes

import dkim
import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.extensions import db
from app.flow import audience, batches, sending
from app.flow.rates import waits
from app.flow.rates.reserving import Grant, Rates
from app.flow.rates.waits import WaitCause
from app.mail.egress_header import EGRESS_HEADER
from app.models import (
    CampaignStatus,
    Delivery,
    DkimKey,
    EgressState,
    EgressUse,
    MailDomain,
)
from tests import factories
from tests.flow.streets import street
from tests.scripted_relay import Behaviour, ScriptedRelay


@pytest.fixture
def campaign(session, panel):
    return factories.campaign(session, panel)


def reserve(session, redis, campaign, wanted: int, provider: str = "google") -> Grant:
    return Rates(redis).reserve(
        session, campaign_id=campaign.id, relay_id=campaign_relay(session), provider=provider, wanted=wanted
    )


def campaign_relay(session) -> int:
    return int(session.scalar(text("SELECT id FROM relay")))


def test_relay_without_ips_has_no_limits_of_its_own(session, redis, relay, campaign):
    grant = reserve(session, redis, campaign, 5000)
    assert (grant.count, grant.ips, grant.addresses) == (5000, None, {})


def test_shares_follow_the_weights(session, redis, pool, campaign):
    factories.provider_limits(session)
    weights = {factories.egress_ip(session, pool, f"192.0.2.{n}", weight=n).id: n for n in (1, 2, 5)}
    total: Counter[int] = Counter()
    for _ in range(10):
        total.update(reserve(session, redis, campaign, 40).ips)
    assert sum(total.values()) == 400
    assert all(abs(total[ip_id] - 400 * weight / 8) < 1 for ip_id, weight in weights.items())


def test_quarantined_ip_gets_nothing_and_the_others_take_its_share(session, redis, pool, campaign):
    factories.provider_limits(session)
    sick = factories.egress_ip(session, pool, "192.0.2.1", state=EgressState.QUARANTINED, weight=100)
    well = factories.egress_ip(session, pool, "192.0.2.2")
    grant = reserve(session, redis, campaign, 40)
    assert grant.ips == {well.id: 40}
    assert sick.id not in grant.addresses, "nor may a retry keep it"


def test_pool_in_quarantine_waits_and_says_so(session, redis, pool, campaign):
    factories.egress_ip(session, pool, "192.0.2.1", state=EgressState.QUARANTINED)
    grant = reserve(session, redis, campaign, 40)
    assert grant.count == 0 and grant.wait_seconds > 0
    assert [(w.campaign_id, w.provider, w.cause) for w in waits.current(redis)] == [
        (campaign.id, "google", WaitCause.POOL_QUARANTINED)
    ]


def test_ip_is_limited_at_each_provider_by_itself(session, redis, pool, campaign):
    factories.provider_limits(session, per_minute=60)  # One a second, ten in the bucket.
    factories.provider_limits(session, per_minute=60, provider="outlook")
    for n in (1, 2):
        factories.egress_ip(session, pool, f"192.0.2.{n}")
    assert reserve(session, redis, campaign, 500).count == 20
    held = reserve(session, redis, campaign, 500)
    assert held.count == 0 and 0 < held.wait_seconds <= 1
    assert [w.cause for w in waits.current(redis)] == [WaitCause.IP_RATE]
    assert reserve(session, redis, campaign, 500, provider="outlook").count == 20


def test_ip_has_a_limit_over_all_providers(session, redis, pool, campaign):
    factories.provider_limits(session)
    factories.provider_limits(session, "outlook")
    factories.egress_ip(session, pool, "192.0.2.1", rate_per_hour=3600)
    assert reserve(session, redis, campaign, 500).count == 10
    assert reserve(session, redis, campaign, 500, provider="outlook").count == 0


def test_panel_and_relay_limit_all_their_campaigns_together(session, redis, relay, panel, campaign):
    other = factories.campaign(session, panel)
    panel.rate_per_hour = 3600
    session.commit()
    assert reserve(session, redis, campaign, 500).count == 10
    assert reserve(session, redis, other, 500).count == 0
    assert {w.cause for w in waits.current(redis)} == {WaitCause.PANEL_RATE}
    panel.rate_per_hour, relay.rate_per_hour = None, 7200
    session.commit()
    assert reserve(session, redis, campaign, 500).count == 20
    assert reserve(session, redis, other, 500).count == 0


def test_cold_ip_sends_its_day_and_the_warm_one_takes_the_rest(session, redis, pool, campaign):
    factories.provider_limits(session, caps=(5, 30))
    cold = factories.egress_ip(session, pool, "192.0.2.1", state=EgressState.WARMING, weight=1000)
    warm = factories.egress_ip(session, pool, "192.0.2.2")
    cold.warm_up_started_on = datetime.now(UTC).date()
    session.commit()
    assert reserve(session, redis, campaign, 100).ips == {cold.id: 5, warm.id: 95}
    assert reserve(session, redis, campaign, 100).ips == {warm.id: 100}
    cold.warm_up_started_on -= timedelta(days=1)
    session.commit()
    assert reserve(session, redis, campaign, 100).ips == {cold.id: 25, warm.id: 75}, "day 2 less what went today"
    cold.warm_up_started_on -= timedelta(days=1)
    session.commit()
    assert reserve(session, redis, campaign, 100).ips[cold.id] >= 99, "after the last day it is warm"


def test_cold_ips_alone_wait_for_tomorrow(session, redis, pool, campaign):
    factories.provider_limits(session, caps=(5,))
    factories.egress_ip(session, pool, "192.0.2.1", state=EgressState.WARMING)
    assert reserve(session, redis, campaign, 100).count == 5
    held = reserve(session, redis, campaign, 100)
    assert held.count == 0 and held.wait_seconds > 60
    assert [w.cause for w in waits.current(redis)] == [WaitCause.WARM_UP]


def test_flushed_redis_does_not_warm_an_ip_twice(session, redis, pool, campaign):
    factories.provider_limits(session, caps=(5,))
    cold = factories.egress_ip(session, pool, "192.0.2.1", state=EgressState.WARMING)
    assert reserve(session, redis, campaign, 100).count == 5
    session.add(EgressUse(egress_ip_id=cold.id, provider="google", day=datetime.now(UTC).date(), submitted=5))
    session.commit()
    redis.flushdb()
    assert reserve(session, redis, campaign, 100).count == 0


def test_retry_may_keep_an_ip_that_is_slow_but_none_that_is_through_with_its_day(session, redis, pool, campaign):
    factories.provider_limits(session, per_minute=600, caps=(5,))  # A hundred in the bucket.
    cold = factories.egress_ip(session, pool, "192.0.2.1", state=EgressState.WARMING)
    slow, free = (factories.egress_ip(session, pool, f"192.0.2.{n}", rate_per_hour=3600 * n) for n in (2, 3))
    assert reserve(session, redis, campaign, 25).ips == {cold.id: 5, slow.id: 10, free.id: 10}
    grant = reserve(session, redis, campaign, 30)
    assert set(grant.ips) <= {slow.id, free.id}
    assert set(grant.addresses) == {slow.id, free.id}


def test_many_workers_at_once_never_pass_a_day_s_cap(session, redis, pool, campaign):
    factories.provider_limits(session, caps=(100,))
    for n in (1, 2, 3):
        factories.egress_ip(session, pool, f"192.0.2.{n}", state=EgressState.WARMING)
    engine, campaign_id, relay_id = db.engine, campaign.id, campaign_relay(session)
    total: Counter[int] = Counter()

    def work() -> None:
        rates = Rates(redis)
        with Session(engine) as own:
            for _ in range(20):
                grant = rates.reserve(own, campaign_id=campaign_id, relay_id=relay_id, provider="google", wanted=17)
                total.update(grant.ips or {})

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(total.values()) == [100, 100, 100]


def test_what_was_not_used_is_given_back_and_what_a_retry_took_is_counted(session, redis, pool, campaign):
    factories.provider_limits(session, caps=(10,))
    one, two = (factories.egress_ip(session, pool, f"192.0.2.{n}", state=EgressState.WARMING) for n in (1, 2))
    rates = Rates(redis)
    grant = reserve(session, redis, campaign, 12)
    assert grant.ips == {one.id: 6, two.id: 6}
    rates.settle(grant, {one.id: 8, two.id: 1})
    assert reserve(session, redis, campaign, 100).ips == {one.id: 2, two.id: 9}


def test_waits_are_forgotten_when_they_end(redis):
    waits.note(redis, campaign_id=1, provider="google", cause=WaitCause.IP_RATE, seconds=-60)
    waits.note(redis, campaign_id=1, provider="outlook", cause=WaitCause.IP_RATE, seconds=30)
    assert [w.provider for w in waits.current(redis)] == ["outlook"]
    waits.note(redis, campaign_id=2, provider="yahoo", cause=WaitCause.IP_RATE, seconds=30)
    assert redis.zcard(waits.KEY) == 2


# Through the whole of sending.


@pytest.fixture
def frozen(session, settings, panel):
    """40 recipients at Google in two batches, sending."""
    factories.signed_domain(session, settings, panel)
    mailing_list = factories.mailing_list(session, panel)
    factories.contacts(session, panel, mailing_list, 40)
    session.add(MailDomain(domain="example.pe", provider="google", expires_at=datetime.now(UTC) + timedelta(days=1)))
    campaign = factories.campaign(session, panel, mailing_list, status=CampaignStatus.PREPARING)
    assert audience.prepare(session, replace(settings, batch_size=20), campaign.id)
    return campaign


def send_all(session, settings, redis) -> None:
    here = replace(street(settings), rates=Rates(redis))
    for batch_id in batches.ring_due(session, window=16, ring_again_seconds=0):
        sending.send_batch(session, here, batch_id)


def headers_of(relay: ScriptedRelay) -> dict[str, str]:
    return {stored.rcpt_to: message_from_bytes(stored.content)[EGRESS_HEADER] for stored in relay.stored}


def test_each_message_names_its_ip_in_a_header_that_is_not_signed(session, settings, panel, redis, frozen):
    with ScriptedRelay() as server:
        pool = factories.egress_pool(session, factories.relay(session, panel, server.port))
        ips = {factories.egress_ip(session, pool, f"192.0.2.{n}").id: f"192.0.2.{n}" for n in (1, 2)}
        send_all(session, settings, redis)
        named = headers_of(server)
        chosen = {d.email: ips[d.egress_ip_id] for d in session.scalars(select(Delivery))}
        assert named == chosen and Counter(named.values()) == {"192.0.2.1": 20, "192.0.2.2": 20}
        record = session.scalars(select(DkimKey.public_record)).one()
        without = server.stored[0].content.replace(
            b"X-Chaski-Egress: " + named[server.stored[0].rcpt_to].encode() + b"\r\n", b""
        )
        assert EGRESS_HEADER.encode() not in without
        assert dkim.verify(without, dnsfunc=lambda name, timeout=5: record.encode())
    uses = {use.egress_ip_id: use.submitted for use in session.scalars(select(EgressUse))}
    assert uses == dict.fromkeys(ips, 20)


def test_relay_without_ips_gets_no_header(session, settings, panel, redis, frozen):
    with ScriptedRelay() as server:
        factories.relay(session, panel, server.port)
        send_all(session, settings, redis)
        assert set(headers_of(server).values()) == {None}


def test_retry_keeps_its_ip_unless_it_is_quarantined(session, settings, panel, redis, frozen):
    again = replace(settings, first_retry_seconds=1)
    with ScriptedRelay(default=Behaviour(rcpt="451 4.7.1 come back later", times=1)) as server:
        pool = factories.egress_pool(session, factories.relay(session, panel, server.port))
        ips = [factories.egress_ip(session, pool, f"192.0.2.{n}") for n in (1, 2, 3)]
        send_all(session, again, redis)
        before = dict(session.execute(select(Delivery.email, Delivery.egress_ip_id)).tuples().all())
        assert Counter(before.values()).keys() == {ip.id for ip in ips}
        ips[0].state = EgressState.QUARANTINED
        session.execute(text("UPDATE delivery SET next_attempt_at = now()"))
        session.execute(text("UPDATE batch SET next_attempt_at = now()"))
        session.commit()
        server.default = Behaviour()
        send_all(session, again, redis)
        after = dict(session.execute(select(Delivery.email, Delivery.egress_ip_id)).tuples().all())
        assert len(server.stored) == 40
        for email, ip_id in before.items():
            assert after[email] != ips[0].id
            assert ip_id == ips[0].id or after[email] == ip_id
        assert headers_of(server) == {e: {ip.id: ip.address for ip in ips}[i] for e, i in after.items()}


def test_batches_of_a_provider_that_waits_are_not_rung(session, settings, panel, redis, frozen):
    held = [(frozen.id, "google")]
    assert batches.ring_due(session, window=16, ring_again_seconds=0, held=held) == []
    assert len(batches.ring_due(session, window=16, ring_again_seconds=0, held=[(frozen.id, "outlook")])) == 2
