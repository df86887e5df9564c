"""Pools, IPs, states and assignments: what is kept, and what is refused."""

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.extensions import db
from app.flow.egress import assignments, pools
from app.flow.egress import ips as flow
from app.flow.egress.addresses import checked_address, checked_helo
from app.flow.egress.ips import IpDetails
from app.flow.egress.problems import EgressProblem
from app.models import EgressAssignment, EgressIp, EgressPool, EgressState, EgressUse, MailStream
from tests import factories

NOW = datetime(2026, 11, 21, 23, 30, tzinfo=UTC)


def refused(code, function, *arguments, **named):
    with pytest.raises(EgressProblem) as caught:
        function(*arguments, **named)
    assert caught.value.code == code
    return caught.value


def details(pool, address="192.0.2.9", helo_name="mail-9.example.gob.pe", weight=1):
    return IpDetails(address=address, helo_name=helo_name, pool_id=pool.id, weight=weight)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        (" 192.0.2.1 ", "192.0.2.1"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("127.0.1.48", "127.0.1.48"),
    ],
)
def test_address_is_kept_in_its_one_spelling(typed, kept):
    assert checked_address(typed) == kept


@pytest.mark.parametrize(
    "typed", ["", "192.0.2", "192.0.2.256", "192.0.2.01", "fe80::1%eth0", "mail.example.pe", "١.1.1.1"]
)
def test_what_is_no_address_is_refused(typed):
    refused("address_invalid", checked_address, typed)


@pytest.mark.parametrize("typed", ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255", "::ffff:0.0.0.0"])  # noqa: S104  # binds nothing
def test_address_that_cannot_send_is_refused(typed):
    refused("address_unusable", checked_address, typed)


def test_helo_is_a_host_name_in_lower_case_and_a_labels():
    assert checked_helo(" Mail-1.Example.GOB.pe. ") == "mail-1.example.gob.pe"
    assert checked_helo("ñandú.example.pe") == "xn--and-6ma2c.example.pe"
    for typed in (
        "",
        "localhost",
        "mail_1.example.pe",
        "192.0.2.1",
        "-a.example.pe",
        "a b.example.pe",
        "x\r\ny.example.pe",
    ):
        refused("helo_invalid", checked_helo, typed)


def test_new_ip_warms_up_from_today(session, relay, pool):
    ip = flow.add_ip(session, relay.id, details(pool), now=NOW)
    assert (ip.state, ip.warm_up_started_on, ip.state_since) == (EgressState.WARMING, date(2026, 11, 21), NOW)
    assert flow.warm_up_day(ip, today=date(2026, 11, 21)) == 1
    assert flow.warm_up_day(ip, today=date(2026, 11, 25)) == 5


def test_the_day_is_that_of_utc(session, relay, pool):
    lima = datetime.fromisoformat("2026-11-21T22:00:00-05:00")
    ip = flow.add_ip(session, relay.id, details(pool), now=lima)
    assert ip.warm_up_started_on == date(2026, 11, 22)


def test_address_is_unique_within_its_relay_in_any_spelling(session, relay, other_relay, ips, pool):
    refused("address_taken", flow.add_ip, session, relay.id, details(pool, "::ffff:192.0.2.1"), now=NOW)
    elsewhere = factories.egress_pool(session, other_relay)
    assert flow.add_ip(session, other_relay.id, details(elsewhere, "192.0.2.1"), now=NOW).id


def test_pool_of_another_relay_is_none(session, relay, other_relay, ips):
    foreign = factories.egress_pool(session, other_relay)
    refused("pool_missing", flow.add_ip, session, relay.id, details(foreign), now=NOW)
    refused("pool_missing", flow.change_ip, session, ips[0], details(foreign, "192.0.2.1"))
    refused("pool_missing", flow.move_ips, session, relay.id, [ips[0].id], foreign.id)
    refused("pool_missing", assignments.assign, session, relay.id, {(1, MailStream.BULK): foreign.id})


def test_moving_takes_no_ip_of_another_relay_along(session, relay, other_relay, pool, ips):
    foreign = factories.egress_ip(session, factories.egress_pool(session, other_relay), "198.51.100.1")
    second = factories.egress_pool(session, relay, "Urgente")
    assert flow.move_ips(session, relay.id, [ips[0].id, foreign.id], second.id) == 1
    assert session.get(EgressIp, foreign.id).pool.relay_id == other_relay.id


def test_address_that_has_sent_is_not_rewritten(session, pool, ips):
    flow.change_ip(session, ips[0], details(pool, "192.0.2.77"))
    session.add(EgressUse(egress_ip_id=ips[0].id, provider="google", day=NOW.date(), submitted=1))
    session.commit()
    refused("address_used", flow.change_ip, session, ips[0], details(pool, "192.0.2.78"))
    flow.change_ip(session, ips[0], details(pool, "192.0.2.77", "mail-x.example.gob.pe", 7))
    assert (ips[0].helo_name, ips[0].weight) == ("mail-x.example.gob.pe", 7)


def test_weight_has_bounds(session, relay, pool):
    for weight in (0, -1, 1001):
        refused("weight_invalid", flow.add_ip, session, relay.id, details(pool, weight=weight), now=NOW)


def test_quarantine_needs_a_reason_and_keeps_it_with_its_time(session, ips):
    refused("reason_missing", flow.quarantine, session, ips[0], "  ", now=NOW)
    flow.quarantine(session, ips[0], " En  la lista de Spamhaus ", now=NOW)
    assert (ips[0].state, ips[0].state_reason) == (EgressState.QUARANTINED, "En la lista de Spamhaus")
    assert ips[0].state_since == NOW
    problem = refused("wrong_state", flow.quarantine, session, ips[0], "otra vez", now=NOW)
    assert problem.details == {"state": EgressState.QUARANTINED}


def test_release_starts_the_warm_up_again_or_goes_on_where_it_stood(session, ips):
    started = factories.egress_ip(
        session, ips[0].pool, "192.0.2.50", state=EgressState.WARMING, warm_up_started_on=date(2026, 11, 12)
    )
    flow.quarantine(session, started, "prueba", now=NOW)
    assert flow.day_to_resume(started) == 10
    later = NOW + timedelta(days=6)
    flow.change_state(session, started, EgressState.WARMING, "", now=later, resume=True)
    assert flow.warm_up_day(started, today=later.date()) == 10
    flow.quarantine(session, started, "prueba", now=later)
    flow.change_state(session, started, EgressState.WARMING, "", now=later)
    assert flow.warm_up_day(started, today=later.date()) == 1


def test_warming_starts_only_once(session, ips):
    flow.change_state(session, ips[0], EgressState.WARMING, "descansó", now=NOW)
    refused("wrong_state", flow.change_state, session, ips[0], EgressState.WARMING, "", now=NOW)


def test_pool_names(session, relay, other_relay, pool):
    refused("name_taken", pools.make_pool, session, relay.id, " Masivo ")
    refused("name_missing", pools.make_pool, session, relay.id, " ")
    refused("name_too_long", pools.make_pool, session, relay.id, "x" * 61)
    assert pools.make_pool(session, other_relay.id, "Masivo").id
    second = pools.make_pool(session, relay.id, "Urgente")
    refused("name_taken", pools.rename_pool, session, second, "Masivo")
    pools.rename_pool(session, second, "Urgentes")
    assert [one.name for one in pools.pools_of(session, relay.id)] == ["Masivo", "Urgentes"]


def test_only_an_empty_pool_is_deleted_with_its_assignments(session, relay, panel, pool, ips):
    second = factories.egress_pool(session, relay, "Urgente")
    flow.move_ips(session, relay.id, [ips[2].id], second.id)
    assignments.assign(session, relay.id, {(panel.id, MailStream.URGENT): second.id})
    assert refused("pool_not_empty", pools.delete_pool, session, second).details == {"count": 1}
    flow.move_ips(session, relay.id, [ips[2].id], pool.id)
    pools.delete_pool(session, second)
    assert session.query(EgressAssignment).count() == 0


def test_pool_stays_while_an_ip_is_put_into_it(session, relay, pool):
    flow.pool_of_relay(session, relay.id, pool.id)
    with pytest.raises(OperationalError, match="lock timeout"), Session(db.engine) as other:
        other.execute(text("SET LOCAL lock_timeout = '200ms'"))
        pools.delete_pool(other, other.get(EgressPool, pool.id))


def test_assignments_are_stored_all_or_none(session, relay, panel, other_panel, pool, ips):
    empty = factories.egress_pool(session, relay, "Vacío")
    wanted = {(panel.id, MailStream.BULK): pool.id, (other_panel.id, MailStream.BULK): empty.id}
    assert refused("pool_empty", assignments.assign, session, relay.id, wanted).details == {"name": "Vacío"}
    session.rollback()
    assert assignments.assignments_of(session, relay.id) == {}
    wanted[other_panel.id, MailStream.BULK] = None
    assert assignments.assign(session, relay.id, wanted) == 1
    assert assignments.assign(session, relay.id, wanted) == 0
    assert assignments.assignments_of(session, relay.id) == {(panel.id, MailStream.BULK): pool.id}
    assert assignments.assign(session, relay.id, {(panel.id, MailStream.BULK): None}) == 1
    assert assignments.assignments_of(session, relay.id) == {}


def test_default_pool_is_the_oldest_that_has_ips(session, relay, pool):
    second = factories.egress_pool(session, relay, "Urgente")
    assert assignments.default_pool(session, relay.id) is None
    factories.egress_ip(session, second, "192.0.2.1")
    assert assignments.default_pool(session, relay.id).id == second.id
    factories.egress_ip(session, pool, "192.0.2.2")
    assert assignments.default_pool(session, relay.id).id == pool.id


def test_find_by_any_spelling(session, relay, other_relay, ips):
    assert flow.find_ip(session, relay.id, " ::ffff:192.0.2.1").id == ips[0].id
    assert flow.find_ip(session, other_relay.id, "192.0.2.1") is None
    refused("address_invalid", flow.find_ip, session, relay.id, "x")
