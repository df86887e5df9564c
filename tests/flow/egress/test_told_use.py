"""What the relay's log adds to the use of IPs: nothing twice, and nothing missed that left by another IP."""

from datetime import UTC, datetime, timedelta

import pytest
from redis import Redis
from sqlalchemy import select, text

from app.flow import composing, relay_outcomes
from app.flow.egress import figures
from app.flow.rates.buckets import Buckets, DayCap
from app.mail.relay_report import Bundle, Seen, Sighting
from app.models import EgressUse
from tests import factories
from tests.relay_street import RelayStreet

NOW = datetime.now(UTC).replace(microsecond=0)

pytestmark = pytest.mark.usefixtures("fresh_now")


@pytest.fixture
def street(session, settings, panel):
    return RelayStreet.laid(session, settings, panel)


@pytest.fixture
def ips(session, street):
    """The platform chose the first for all four deliveries, and counted that."""
    pool = factories.egress_pool(session, street.relay)
    rows = [factories.egress_ip(session, pool, f"192.0.2.{n}") for n in (1, 2)]
    session.execute(text("UPDATE delivery SET egress_ip_id = :ip"), {"ip": rows[0].id})
    session.execute(text("UPDATE batch SET provider = 'google'"))
    session.add(EgressUse(egress_ip_id=rows[0].id, provider="google", day=NOW.date(), submitted=4))
    session.commit()
    return rows


def tell(street, *told, relay=None):
    """``told``: seq, sighting, IP and, where it matters, seconds from now."""
    seen = tuple(
        Seen(
            Sighting(sighting),
            street.token(seq),
            "4dDcHs3Vqlz9tGx",
            NOW + timedelta(seconds=seconds),
            egress_ip_id=ip.id if ip else None,
            reply="450 4.2.0 later" if sighting == "deferred" else "",
        )
        for seq, sighting, ip, seconds in told
    )
    key = composing.token_key(street.settings)
    relay_outcomes.store(street.session, (relay or street.relay).id, Bundle(seen), token_key=key)


def uses(session, ip):
    """Day by day: handed over, deferred, bounced, delivered."""
    session.rollback()
    rows = session.scalars(select(EgressUse).where(EgressUse.egress_ip_id == ip.id).order_by(EgressUse.day))
    return [(row.provider, row.submitted, row.deferred, row.bounced, row.delivered) for row in rows]


def test_what_left_by_the_chosen_ip_is_not_handed_over_twice(street, session, ips):
    tell(street, (1, "deferred", ips[0], 0), (1, "deferred", ips[0], 60), (1, "sent", ips[0], 120))
    tell(street, (2, "bounced", ips[0], 0), (3, "sent", ips[0], 0))
    assert uses(session, ips[0]) == [("google", 4, 2, 1, 2)]


def test_same_lines_again_add_nothing(street, session, ips):
    lines = [(1, "deferred", ips[0], 0), (1, "sent", ips[1], 9), (2, "sent", ips[0], 0)]
    for _ in range(3):
        tell(street, *lines)
        tell(street, *reversed(lines))
    assert (uses(session, ips[0]), uses(session, ips[1])) == ([("google", 4, 1, 0, 1)], [("google", 1, 0, 0, 1)])


def test_mail_that_moved_to_another_ip_counts_once_there(street, session, ips):
    tell(street, (1, "deferred", ips[0], 0))
    tell(street, (1, "deferred", ips[1], 60), (1, "deferred", ips[1], 120))
    tell(street, (1, "deferred", ips[1], 180))
    tell(street, (1, "sent", ips[1], 240), (2, "sent", ips[1], 240))
    assert uses(session, ips[1]) == [("google", 2, 3, 0, 2)]
    assert uses(session, ips[0]) == [("google", 4, 1, 0, 0)]


def test_moved_mail_uses_up_the_warm_up_of_its_new_ip_though_redis_did_not_hear_of_it(street, session, ips, redis_url):
    key = "chaski:warm-up:told"
    buckets = Buckets(Redis.from_url(redis_url))
    assert buckets.take({DayCap(key, 10, 0): 3})
    tell(street, *((seq, "sent", ips[1], 0) for seq in (1, 2, 3, 4)))
    used = uses(session, ips[1])[0][1] + 3
    (room,) = buckets.room([DayCap(key, 10, used)], 5)
    assert room.free == 3
    assert buckets.take({DayCap(key, 10, used): 3}) and not buckets.take({DayCap(key, 10, used): 1})


def test_day_is_the_lines_own_and_never_one_that_is_still_to_come(street, session, ips):
    tell(street, (1, "sent", ips[1], -2 * 86400), (2, "sent", ips[1], 3 * 86400))
    days = session.scalars(select(EgressUse.day).where(EgressUse.egress_ip_id == ips[1].id).order_by(EgressUse.day))
    assert list(days) == [(NOW - timedelta(days=2)).date(), datetime.now(UTC).date()]


def test_ip_of_another_relay_and_lines_without_one_are_not_counted(street, session, ips, other_panel):
    other = factories.relay(session, other_panel, 25871)
    foreign = factories.egress_ip(session, factories.egress_pool(session, other), "192.0.2.9")
    tell(street, (1, "sent", foreign, 0), (2, "sent", None, 0))
    tell(street, (3, "sent", foreign, 0), relay=other)
    assert uses(session, foreign) == [] and uses(session, ips[0]) == [("google", 4, 0, 0, 0)]


def test_pages_sum_what_was_delivered(street, session, ips):
    tell(street, (1, "sent", ips[0], 0), (2, "sent", ips[0], 0), (3, "bounced", ips[0], 0))
    told = figures.use_by_provider(session, ips[0].id, today=datetime.now(UTC).date())["google"]
    assert (told.week, told.delivered, told.bounced) == (4, 2, 1)
