"""Which IPs may send for a panel's stream: always those of its pool, and never one in quarantine."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event

from app.extensions import db
from app.flow.egress import assignments
from app.flow.egress import ips as flow
from app.flow.egress.choosing import EgressCandidate, candidates
from app.models import EgressState, MailStream
from tests import factories

NOW = datetime.now(UTC)

pytestmark = pytest.mark.usefixtures("fresh_now")


@pytest.fixture
def urgent(session, relay, pool):
    pool = factories.egress_pool(session, relay, "Urgente")
    factories.egress_ip(session, pool, "192.0.2.40")
    return pool


def addresses(session, relay, panel, stream=MailStream.BULK):
    return [one.address for one in candidates(session, relay.id, panel.id, stream)]


def test_relay_without_ips_sends_without_naming_one(session, relay, panel, pool):
    assert candidates(session, relay.id, panel.id, MailStream.BULK) is None


def test_without_assignment_it_is_the_oldest_pool(session, relay, panel, ips, urgent):
    assert addresses(session, relay, panel) == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]


def test_an_older_pool_without_ips_is_passed_over(session, relay, panel, pool, urgent):
    assert addresses(session, relay, panel) == ["192.0.2.40"]


def test_stream_of_a_panel_keeps_to_its_pool(session, relay, panel, other_panel, ips, urgent):
    assignments.assign(session, relay.id, {(panel.id, MailStream.URGENT): urgent.id})
    assert addresses(session, relay, panel, MailStream.URGENT) == ["192.0.2.40"]
    assert len(addresses(session, relay, panel)) == 3
    assert len(addresses(session, relay, other_panel, MailStream.URGENT)) == 3


def test_quarantined_ip_is_none_and_comes_back(session, relay, panel, ips):
    flow.quarantine(session, ips[1], "lista negra", now=NOW)
    assert addresses(session, relay, panel) == ["192.0.2.1", "192.0.2.3"]
    flow.change_state(session, ips[1], EgressState.ACTIVE, "salió de la lista", now=NOW)
    assert len(addresses(session, relay, panel)) == 3


def test_pool_that_is_all_quarantined_holds_mail_back(session, relay, panel, ips, urgent):
    """Not «no IPs», and not another pool's IPs: its mail must not leave by an address that nobody chose."""
    for ip in ips:
        flow.quarantine(session, ip, "lista negra", now=NOW)
    assert candidates(session, relay.id, panel.id, MailStream.BULK) == []


def test_assigned_pool_that_lost_its_ips_holds_mail_back(session, relay, panel, ips, urgent):
    assignments.assign(session, relay.id, {(panel.id, MailStream.BULK): urgent.id})
    flow.remove_ip(session, urgent.ips[0])
    assert candidates(session, relay.id, panel.id, MailStream.BULK) == []


def test_another_relays_ips_are_never_chosen(session, relay, other_relay, panel, ips):
    assert candidates(session, other_relay.id, panel.id, MailStream.BULK) is None


def test_what_the_send_path_needs_to_know(session, relay, panel, pool):
    today = NOW.date()
    ip = factories.egress_ip(
        session, pool, "192.0.2.9", weight=5, state=EgressState.WARMING, warm_up_started_on=today - timedelta(days=3)
    )
    later = factories.egress_ip(session, pool, "192.0.2.10", state=EgressState.WARMING)
    active = factories.egress_ip(session, pool, "192.0.2.11", warm_up_started_on=today - timedelta(days=30))
    assert candidates(session, relay.id, panel.id, MailStream.BULK) == [
        EgressCandidate(ip.id, "192.0.2.9", 5, None, EgressState.WARMING, 4),
        EgressCandidate(later.id, "192.0.2.10", 1, None, EgressState.WARMING, 1),
        EgressCandidate(active.id, "192.0.2.11", 1, None, EgressState.ACTIVE, None),
    ]


def test_one_question_to_the_database(session, relay, panel, ips):
    relay_id, panel_id, asked = relay.id, panel.id, []
    event.listen(db.engine, "before_cursor_execute", lambda *facts: asked.append(facts[2]))
    assert candidates(session, relay_id, panel_id, MailStream.BULK)
    assert len(asked) == 1
