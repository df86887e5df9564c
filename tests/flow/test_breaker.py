"""The breaker attacked: many at once, IPs and relays that go away, figures of other providers; what it leaves to the rates."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.extensions import db
from app.flow import breaker
from app.flow.breaker import Heard, holds
from app.flow.breaker.phases import Phase, phase
from app.flow.rates import waits
from app.flow.rates.reserving import Rates
from app.flow.rates.waits import WaitCause
from app.models import HoldKind, ProviderHold
from tests import factories

TSS04 = "4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred"
BUSY = "4.7.1 too many connections"


@pytest.fixture
def ips(session, pool):
    """Two: what the one that is held can't take goes by the other."""
    return [factories.egress_ip(session, pool, f"192.0.2.{number}") for number in (1, 2)]


@pytest.fixture
def campaign(session, panel):
    return factories.campaign(session, panel)


def hear(session, relay, ip_id, text=TSS04, *, times=3, provider="yahoo", now=None, code=421) -> None:
    replies = [Heard(ip_id, code, text)] * times
    breaker.heard(session, relay_id=relay.id, provider=provider, replies=replies, now=now or datetime.now(UTC))
    session.commit()


def all_holds(session) -> list[ProviderHold]:
    return list(session.scalars(select(ProviderHold).order_by(ProviderHold.id)))


def standing(session, relay, provider="yahoo", now=None):
    return breaker.standing(session, relay.id, provider, now or datetime.now(UTC))


def reserve(session, redis, campaign, relay, wanted=500, provider="yahoo"):
    return Rates(redis).reserve(
        session, campaign_id=campaign.id, relay_id=relay.id, provider=provider, wanted=wanted
    )  # fmt: skip


def test_many_workers_hear_at_once_and_open_one_hold(session, relay, ips):
    engine, relay_id, ip_id = db.engine, relay.id, ips[0].id
    now = datetime.now(UTC)

    def work() -> None:
        with Session(engine) as own:
            for _ in range(5):
                breaker.heard(own, relay_id=relay_id, provider="yahoo", replies=[Heard(ip_id, 421, TSS04)], now=now)
                own.commit()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (hold,) = all_holds(session)
    assert (hold.kind, hold.times) == (HoldKind.SUSPENDED, 30)


def test_what_was_heard_of_an_ip_or_relay_that_is_gone_is_forgotten(session, relay, ips):
    gone = ips[1].id
    session.delete(ips[1])
    session.commit()
    hear(session, relay, gone)
    breaker.heard(
        session, relay_id=4711, provider="yahoo", replies=[Heard(None, 421, TSS04)] * 9, now=datetime.now(UTC)
    )
    session.commit()
    assert all_holds(session) == []


def test_ip_of_another_relay_is_not_held_by_this_one(session, panel, relay, ips):
    other = factories.relay(session, panel, 2602)
    hear(session, other, ips[0].id)
    assert all_holds(session) == []


def test_other_providers_ips_and_relays_go_on(session, panel, relay, ips):
    other = factories.relay(session, panel, 2602)
    hear(session, relay, ips[0].id)
    assert standing(session, relay).suspended_until(ips[0].id)
    assert standing(session, relay).suspended_until(ips[1].id) is None
    assert standing(session, relay, "google").suspended_until(ips[0].id) is None
    assert standing(session, other).suspended_until(None) is None


def test_replies_far_apart_don_t_add_up(session, relay, ips):
    now = datetime.now(UTC)
    for minutes in (0, 6, 12, 18, 24):
        hear(session, relay, ips[0].id, times=1, now=now + timedelta(minutes=minutes))
    assert standing(session, relay, now=now + timedelta(minutes=24)).suspended == {}


def test_suspensions_double_up_to_the_rule_s_most_and_are_forgotten_after_a_day(session, relay, ips):
    now, lengths = datetime.now(UTC), []
    for _ in range(6):
        hear(session, relay, ips[0].id, now=now)
        hold = all_holds(session)[-1]
        lengths.append((hold.until - hold.started_at) // timedelta(minutes=1))
        now = hold.until + timedelta(minutes=1)
    assert lengths == [60, 120, 240, 480, 480, 480]
    assert [hold.lifted_at is None for hold in all_holds(session)] == [False] * 5 + [True]
    now += timedelta(hours=25)
    hear(session, relay, ips[0].id, now=now)
    hold = all_holds(session)[-1]
    assert hold.until - hold.started_at == timedelta(minutes=60)


def test_graver_rule_makes_a_suspension_longer_and_a_lighter_one_does_not(session, relay, ips):
    hear(session, relay, ips[0].id)
    hear(session, relay, ips[0].id, "5.7.1 [BL21] Connections will not be accepted", code=553)
    (hold,) = all_holds(session)
    assert hold.rule == "yahoo_blocked" and hold.until - hold.started_at > timedelta(hours=11)
    until = hold.until
    hear(session, relay, ips[0].id, now=datetime.now(UTC) + timedelta(minutes=5))
    session.refresh(hold)
    assert hold.until == until and hold.times == 9


def test_slow_ip_that_is_refused_outright_is_suspended_instead(session, relay, ips):
    hear(session, relay, ips[0].id, BUSY)
    assert standing(session, relay).factor(ips[0].id) == 0.5
    hear(session, relay, ips[0].id)
    assert standing(session, relay).suspended_until(ips[0].id)
    slow, suspended = all_holds(session)
    assert slow.lifted_at is not None and suspended.lifted_at is None


def test_slowing_down_has_a_floor(session, relay, ips):
    now = datetime.now(UTC)
    for minutes in range(0, 40, 2):
        hear(session, relay, ips[0].id, BUSY, now=now + timedelta(minutes=minutes))
    (hold,) = all_holds(session)
    assert hold.factor == 0.05


def test_chunk_without_complaints_asks_the_database_nothing(session, relay, ips):
    class Untouchable:
        def __getattr__(self, name: str) -> None:
            raise AssertionError(name)

    fine = [Heard(ips[0].id, 550, "5.1.1 no such user"), Heard(ips[0].id, 451, "4.7.1 greylisted, try again later")]
    breaker.heard(Untouchable(), relay_id=relay.id, provider="yahoo", replies=fine, now=datetime.now(UTC))  # type: ignore[arg-type]


def test_ended_holds_become_history_and_watches_go(session, relay, ips):
    now = datetime.now(UTC)
    hear(session, relay, ips[0].id, now=now - timedelta(minutes=84))
    hear(session, relay, ips[1].id, times=1, now=now - timedelta(minutes=6))
    assert holds.close_ended(session, now) == 1
    (hold,) = all_holds(session)
    assert phase(hold, now) is Phase.RECOVERING
    assert holds.close_ended(session, now + timedelta(minutes=2)) == 1
    session.refresh(hold)
    assert hold.lifted_at == hold.until + timedelta(minutes=25)
    assert [row.id for row in session.scalars(holds.history(relay.id))] == [hold.id]


# What is left to the rates.


def test_factor_multiplies_what_an_ip_may_do_at_the_provider(session, redis, relay, ips, campaign):
    factories.provider_limits(session, "yahoo", per_minute=600)
    hear(session, relay, ips[0].id, BUSY)
    assert reserve(session, redis, campaign, relay).ips == {ips[0].id: 50, ips[1].id: 100}


def test_suspended_ip_has_no_room_and_no_retry_may_keep_it(session, redis, relay, ips, campaign):
    factories.provider_limits(session, "yahoo", per_minute=600)
    hear(session, relay, ips[0].id)
    grant = reserve(session, redis, campaign, relay)
    assert grant.ips == {ips[1].id: 100} and grant.addresses == {ips[1].id: ips[1].address}


def test_all_suspended_wait_and_say_so_but_not_past_the_end(session, redis, relay, ips, campaign):
    for ip in ips:
        hear(session, relay, ip.id)
    held = reserve(session, redis, campaign, relay)
    assert held.count == 0 and held.wait_seconds == 60, "somebody may lift it"
    assert [wait.cause for wait in waits.current(redis)] == [WaitCause.SUSPENDED]
    soon = datetime.now(UTC) + timedelta(seconds=5)
    session.execute(text("UPDATE provider_hold SET until = :soon"), {"soon": soon})
    session.commit()
    assert 3 < reserve(session, redis, campaign, relay).wait_seconds <= 5
    assert reserve(session, redis, campaign, relay, provider="google").count > 0


def test_hold_of_the_whole_relay_is_on_every_ip(session, redis, relay, ips, campaign):
    factories.provider_limits(session, "yahoo", per_minute=600)
    hear(session, relay, None, BUSY)
    assert reserve(session, redis, campaign, relay).ips == {ips[0].id: 50, ips[1].id: 50}


def test_relay_without_ips_is_limited_only_while_it_is_held(session, redis, relay, campaign):
    factories.provider_limits(session, "yahoo", per_minute=600)
    assert reserve(session, redis, campaign, relay).count == 500
    hear(session, relay, None, BUSY)
    assert reserve(session, redis, campaign, relay).count == 50
    held = reserve(session, redis, campaign, relay)
    assert held.count == 0 and [wait.cause for wait in waits.current(redis)] == [WaitCause.PROVIDER_SLOWED]
    holds.lift(session, all_holds(session)[0], None, now=datetime.now(UTC))
    assert reserve(session, redis, campaign, relay).count == 500


def test_lifted_twice_is_refused(session, relay, ips, admin):
    hear(session, relay, ips[0].id)
    (hold,) = all_holds(session)
    holds.lift(session, hold, admin, now=datetime.now(UTC))
    with pytest.raises(holds.HoldProblem):
        holds.lift(session, hold, admin, now=datetime.now(UTC))
