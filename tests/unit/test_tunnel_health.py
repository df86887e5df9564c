"""Tunnel down or relay down: the words of swanctl, and what they mean together with the probe."""

import pytest

from app.flow.relay_config.health import PathHealth, TunnelState, path_health, tunnel_of
from app.flow.relay_config.security_associations import parse_associations
from app.flow.relay_probe import ProbeResult, ProbeStatus

# What `swanctl --list-sas --raw` of Debian 12's strongSwan 5.9.8 said of the rendered configuration, between two network
# namespaces: the IKE SA stands, and the kernel there offered no ESP, so it has no child.
CHILDLESS = (
    "list-sa event {chaski-relay {uniqueid=2 version=2 state=ESTABLISHED local-host=192.0.2.10 local-port=4500"
    " local-id=plataforma.example.pe remote-host=192.0.2.20 remote-port=4500 remote-id=relay.example.pe initiator=yes"
    " initiator-spi=4e28501594130bab responder-spi=6bc909e5815ee10c encr-alg=AES_GCM_16 encr-keysize=256"
    " prf-alg=PRF_HMAC_SHA2_384 dh-group=ECP_384 established=3 rekey-time=14130 child-sas {}}}\n"
    "list-sas reply {}\n"
)
# The same with a child, its fields as strongSwan 5.9 writes them.
CHILD = (
    "chaski-submission-{n} {{name=chaski-submission uniqueid={n} reqid=1 state={state} mode=TUNNEL protocol=ESP"
    " spi-in=cafe0be1 spi-out=c351239f encr-alg=AES_GCM_16 encr-keysize=256 dh-group=ECP_384 bytes-in=588 packets-in=7"
    " use-in=1790 bytes-out=588 packets-out=7 use-out=1790 rekey-time=1206 life-time=1734 install-time=1866"
    " local-ts=[192.0.2.10/32[tcp]] remote-ts=[198.51.100.20/32[tcp/587]]}}"
)
IKE = (
    "list-sa event {{{name} {{uniqueid=1 version=2 state={state} local-host=192.0.2.10 local-port=4500"
    " local-id=C=PE, O=Entidad de ejemplo, CN=plataforma.example.pe remote-host=198.51.100.20 remote-port=4500"
    " remote-id=relay.example.pe initiator=yes initiator-spi=94fe0de3ab9ca06a responder-spi=9c1f4b059b81071d"
    " encr-alg=AES_GCM_16 encr-keysize=256 prf-alg=PRF_HMAC_SHA2_384 dh-group=ECP_384 established=1866 rekey-time=26451"
    " child-sas {{{children}}}}}}}\n"
)
REPLY = "list-sas reply {}\n"


def said(*, name="chaski-relay", state="ESTABLISHED", children=("INSTALLED",)):
    told = " ".join(CHILD.format(n=number, state=child) for number, child in enumerate(children, start=4))
    return IKE.format(name=name, state=state, children=told)


def test_one_association_with_all_that_stands_in_it():
    (found,) = parse_associations("plugin 'x': failed to load\n" + said() + REPLY)
    assert (found.connection, found.state, found.remote_host) == ("chaski-relay", "ESTABLISHED", "198.51.100.20")
    assert found.children == (("chaski-submission", "INSTALLED"),)


def test_ike_alone_is_told_and_carries_nothing():
    (found,) = parse_associations(CHILDLESS)
    assert (found.is_established, found.children, found.remote_host) == (True, (), "192.0.2.20")
    assert tunnel_of(CHILDLESS).detail == "ESTABLISHED: -"


def test_each_event_is_an_association_and_their_braces_are_kept_apart():
    found = parse_associations(
        said() + said(name="otra-red", children=()) + said(children=("REKEYED", "INSTALLED")) + REPLY
    )
    assert [one.connection for one in found] == ["chaski-relay", "otra-red", "chaski-relay"]
    assert [len(one.children) for one in found] == [1, 0, 2]


@pytest.mark.parametrize("raw", ["", REPLY, "list-sa event {", "list-sa event {}}}", said()[:40], "x" * 5000])
def test_cut_or_foreign_output_is_no_tunnel_and_no_error(raw):
    assert tunnel_of(raw).state is TunnelState.DOWN


@pytest.mark.parametrize(
    ("raw", "state"),
    [
        (said(), TunnelState.UP),
        (CHILDLESS, TunnelState.DOWN),
        (said(children=("REKEYING",)), TunnelState.UP),
        (said(state="CONNECTING", children=()), TunnelState.DOWN),
        (said(children=()), TunnelState.DOWN),
        (said(children=("ROUTED",)), TunnelState.DOWN),
        (said(name="otra-red"), TunnelState.DOWN),
        # The other side reconnects: a half-open one of the same name stands beside the one that carries traffic.
        (said() + said(state="CREATED", children=()), TunnelState.UP),
        (said(state="CREATED", children=()) + said(), TunnelState.UP),
    ],
)
def test_tunnel_is_up_where_one_of_ours_is_established_and_carries_submissions(raw, state):
    assert tunnel_of(raw + REPLY).state is state


REFUSED, OK = ProbeResult(status=ProbeStatus.REFUSED), ProbeResult(status=ProbeStatus.OK)
TIMED_OUT, LOGIN = ProbeResult(status=ProbeStatus.TIMED_OUT), ProbeResult(status=ProbeStatus.AUTH_REFUSED)


@pytest.mark.parametrize(
    ("tunnel", "probe", "health"),
    [
        (TunnelState.UP, OK, PathHealth.OK),
        (TunnelState.DOWN, TIMED_OUT, PathHealth.TUNNEL_DOWN),
        (TunnelState.UP, REFUSED, PathHealth.RELAY_DOWN),
        (TunnelState.UP, LOGIN, PathHealth.RELAY_REFUSES),
        (TunnelState.DOWN, OK, PathHealth.BYPASSED),
        (TunnelState.NOT_INSTALLED, OK, PathHealth.OK),
        (TunnelState.NOT_INSTALLED, TIMED_OUT, PathHealth.UNREACHED),
        (TunnelState.UNKNOWN, REFUSED, PathHealth.UNREACHED),
    ],
)
def test_tunnel_down_is_told_from_relay_down(tunnel, probe, health):
    assert path_health(tunnel, probe) is health
