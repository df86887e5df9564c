"""A relay with one pool of three IPs, and another relay."""

import pytest

from tests import factories


@pytest.fixture
def relay(session, panel):
    return factories.relay(session, panel, 2601)


@pytest.fixture
def other_relay(session, other_panel):
    return factories.relay(session, other_panel, 2602)


@pytest.fixture
def pool(session, relay):
    return factories.egress_pool(session, relay)


@pytest.fixture
def ips(session, pool):
    return [factories.egress_ip(session, pool, f"192.0.2.{number}") for number in (1, 2, 3)]
