"""Hosts on one machine: they reach this side, a pulled cable takes it from them without a word, nothing is left behind."""

import shlex
import socket
import subprocess
import sys
import threading

import pytest

from ops.bench.network import Network

pytestmark = pytest.mark.network

CALL = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=1).recv(2)"


@pytest.fixture
def network():
    with Network(["a", "b"]) as network:
        yield network


@pytest.fixture
def port(network):
    """Somebody who answers on this side."""
    with socket.create_server((network.gateway, 0)) as server:

        def greet() -> None:
            while True:
                try:
                    with server.accept()[0] as client:
                        client.sendall(b"hi")
                except OSError:
                    return

        threading.Thread(target=greet, daemon=True).start()
        yield server.getsockname()[1]


def reaches(network: Network, host: str, port: int) -> bool:
    command = network.inside(host, shlex.join([sys.executable, "-c", CALL, network.gateway, str(port)]))
    return said(command)[0] == 0


def said(command: str) -> tuple[int, str]:
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False, timeout=20)
    return done.returncode, done.stdout


def test_hosts_reach_this_side_until_their_cable_is_pulled(network, port):
    assert reaches(network, "a", port) and reaches(network, "b", port)
    network.cut("a")
    assert not reaches(network, "a", port)
    assert reaches(network, "b", port)
    network.mend("a")
    assert reaches(network, "a", port)


def test_hosts_reach_nothing_else(network):
    routes = said(network.inside("a", "ip route"))[1].splitlines()
    assert [line.split()[0] for line in routes] == [f"{network.gateway.rpartition('.')[0]}.0/24"]


def test_nothing_is_left_behind():
    with Network(["a"]) as network:
        name = network.name("a")
    listed = said("ip netns; ip link")[1]
    assert name not in listed and name.partition("-")[0] not in listed
