"""``flask egress holds|lift``: what the pages show and do, for scripts."""

import json
from datetime import UTC, datetime

import pytest

from app.flow import breaker
from app.flow.breaker import Heard
from tests import factories


@pytest.fixture
def relay(session, panel):
    relay = factories.relay(session, panel, 2601)
    ip = factories.egress_ip(session, factories.egress_pool(session, relay), "192.0.2.1")
    replies = [Heard(ip.id, 421, "4.7.0 [TSS04] temporarily deferred")] * 3
    breaker.heard(session, relay_id=relay.id, provider="yahoo", replies=replies, now=datetime.now(UTC))
    session.commit()
    return relay


def run(app, relay, *arguments):
    return app.test_cli_runner().invoke(args=["egress", *map(str, arguments), "--relay", relay.name])


def test_holds_are_listed_and_lifted_once(app, relay):
    (hold,) = json.loads(run(app, relay, "holds", "--json").output)
    assert (hold["address"], hold["provider"], hold["state"], hold["factor"]) == ("192.0.2.1", "yahoo", "suspended", 0)
    assert "TSS04" in run(app, relay, "holds").output
    lifted = run(app, relay, "lift", hold["id"], "--json")
    assert lifted.exit_code == 0 and json.loads(lifted.output)["state"] == "ended"
    assert json.loads(run(app, relay, "holds", "--json").output) == []
    again = run(app, relay, "lift", hold["id"], "--json")
    assert again.exit_code == 1 and "already_ended" in again.output


def test_hold_of_another_relay_is_refused(app, session, panel, relay):
    other = factories.relay(session, panel, 2602)
    (hold,) = json.loads(run(app, relay, "holds", "--json").output)
    refused = run(app, other, "lift", hold["id"], "--json")
    assert refused.exit_code == 1 and "no_hold" in refused.output
    assert len(json.loads(run(app, relay, "holds", "--json").output)) == 1
