"""Where warming IPs stand today, and that they become active by themselves."""

from datetime import UTC, datetime, timedelta

import pytest

from app.flow import providers
from app.flow.egress import figures, warming
from app.mail.mailbox_providers import providers as shipped
from app.models import EgressState, EgressUse
from tests import factories

NOW = datetime(2026, 11, 21, 0, 10, tzinfo=UTC)
LONGEST = max(len(provider.limits.warm_up_caps) for provider in shipped().values())


@pytest.fixture
def warming_on(session, pool):
    """An IP that stands at this day of its warm-up."""

    def make(day, address="192.0.2.77"):
        started = NOW.date() - timedelta(days=day - 1)
        return factories.egress_ip(session, pool, address, state=EgressState.WARMING, warm_up_started_on=started)

    return make


def test_ip_on_the_last_day_of_the_longest_schedule_keeps_warming(session, warming_on):
    ip = warming_on(LONGEST)
    assert warming.activate_warm(session, now=NOW) == []
    assert ip.state is EgressState.WARMING


def test_ip_behind_every_schedule_becomes_active_with_reason_and_date(session, warming_on, pool):
    ip, resting = (
        warming_on(LONGEST + 1),
        factories.egress_ip(session, pool, "192.0.2.78", state=EgressState.QUARANTINED),
    )
    assert warming.activate_warm(session, now=NOW) == ["192.0.2.77"]
    session.expire_all()
    assert (ip.state, ip.state_reason, ip.state_since) == (EgressState.ACTIVE, warming.WARM_UP_OVER, NOW)
    assert resting.state is EgressState.QUARANTINED
    assert warming.activate_warm(session, now=NOW) == []


def test_a_schedule_made_longer_keeps_ips_warming(session, warming_on):
    ip, usual = warming_on(LONGEST + 1), shipped()["google"].limits
    longer = tuple(range(1, LONGEST + 6))
    changed = type(usual)(
        messages_per_minute=usual.messages_per_minute, connections=usual.connections,
        messages_per_connection=usual.messages_per_connection, warm_up_caps=longer,
    )  # fmt: skip
    providers.save_limits(session, "google", changed, None)
    assert figures.warm_up_caps(session)["google"] == longer
    assert figures.warm_up_caps(session)["outlook"] == shipped()["outlook"].limits.warm_up_caps
    assert warming.activate_warm(session, now=NOW) == []
    assert ip.state is EgressState.WARMING


def test_today_shows_what_each_cold_ip_has_left_at_each_provider(session, relay, warming_on, ips):
    first, third = warming_on(1, "192.0.2.20"), warming_on(3, "192.0.2.10")
    caps = shipped()["google"].limits.warm_up_caps
    for ip, sent in ((first, 30), (third, caps[2] + 5), (ips[0], 999)):
        session.add(EgressUse(egress_ip_id=ip.id, provider="google", day=NOW.date(), submitted=sent))
    session.add(EgressUse(egress_ip_id=first.id, provider="google", day=NOW.date() - timedelta(days=1), submitted=7))
    session.commit()
    days = warming.today_of(session, relay.id, today=NOW.date())
    google = days[0]
    assert google.provider == "google"
    assert [(place.address, place.day, place.cap, place.sent, place.left) for place in google.places] == [
        ("192.0.2.10", 3, caps[2], caps[2] + 5, 0),
        ("192.0.2.20", 1, caps[0], 30, caps[0] - 30),
    ]
    assert (google.sent, google.left) == (caps[2] + 35, caps[0] - 30)
    assert {one.provider for one in days} == set(shipped())


def test_a_relay_without_warming_ips_has_no_warm_up(session, relay, ips):
    assert warming.today_of(session, relay.id, today=NOW.date()) == []
