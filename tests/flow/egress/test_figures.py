"""What IPs sent, and where they stand."""

from datetime import date, timedelta

from app.flow.egress import figures
from app.flow.egress.figures import Step, Use
from app.models import EgressState, EgressUse
from tests import factories

TODAY = date(2026, 11, 21)


def test_today_and_seven_days_by_provider(session, ips):
    def used(ip, provider, days_ago, submitted, deferred=0, bounced=0):
        day = TODAY - timedelta(days=days_ago)
        session.add(
            EgressUse(
                egress_ip_id=ip.id, provider=provider, day=day, submitted=submitted, deferred=deferred, bounced=bounced
            )
        )

    used(ips[0], "google", 0, 10, deferred=2)
    used(ips[0], "google", 6, 5, bounced=1)
    used(ips[0], "google", 7, 1000)
    used(ips[0], "microsoft", 1, 3)
    used(ips[1], "google", 0, 1)
    session.commit()
    assert figures.use_by_provider(session, ips[0].id, today=TODAY) == {
        "google": Use(10, 15, 2, 1),
        "microsoft": Use(0, 3, 0, 0),
    }
    assert figures.use_of_ips(session, [ip.id for ip in ips], today=TODAY) == {
        ips[0].id: Use(10, 18, 2, 1),
        ips[1].id: Use(1, 1, 0, 0),
    }


def test_shares_of_the_pool_leave_out_who_is_in_quarantine(session, relay, pool):
    one = factories.egress_ip(session, pool, "192.0.2.1", weight=3)
    two = factories.egress_ip(session, pool, "192.0.2.2")
    out = factories.egress_ip(session, pool, "192.0.2.3", weight=9, state=EgressState.QUARANTINED)
    assert figures.pool_shares(session, relay.id) == {one.id: 0.75, two.id: 0.25, out.id: 0.0}
    assert figures.others_sending(session, out) == 2
    assert figures.others_sending(session, one) == 1


def test_steps_of_a_warm_up():
    caps = {"google": [50, 100], "microsoft": [20]}
    steps = list(figures.warm_up_steps(2, caps, {"google": Use(today=25)}))
    assert steps == [Step("google", 2, 2, 100, 25), Step("microsoft", 2, 1, None, 0)]
    assert [step.share for step in steps] == [0.25, 0.0]
