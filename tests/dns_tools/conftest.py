"""One name server for the run; every test starts with it empty and well-behaved."""

import pytest

from tests.dns_tools.nameserver import NameServer


@pytest.fixture(scope="session")
def running_nameserver():
    server = NameServer().start()
    yield server
    server.stop()


@pytest.fixture
def nameserver(running_nameserver):
    running_nameserver.reset()
    return running_nameserver


@pytest.fixture
def resolver(nameserver):
    return nameserver.resolver()
