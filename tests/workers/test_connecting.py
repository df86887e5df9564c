"""A sender's way to a relay: encrypted where it should be, checked against the relay's name, never held up."""

import time

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

from app.flow import smtp_opening
from app.flow.relays import RelayEndpoint
from app.models import RelaySecurity
from tests.flow.test_relay_probe import endless, free_port
from tests.tls import make_authority, server_context
from workers.smtp.connecting import RelayUnavailable, open_socket


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return make_authority(tmp_path_factory.mktemp("tls"))


class ImplicitTls(Controller):
    def factory(self):
        return SMTP(self.handler, **self.SMTP_kwargs)


def log_in(server, session, envelope, mechanism, login):
    right = (login.login, login.password) == (b"chaski", b"correcta")
    return AuthResult(success=right, handled=right)


@pytest.fixture(params=[RelaySecurity.TLS, RelaySecurity.STARTTLS])
def relay(request, authority):
    """A relay with a certificate for 127.0.0.1, in each kind of security: ``(port, security)``."""
    context = server_context(authority)
    options = {"authenticator": log_in, "auth_require_tls": False, "hostname": "127.0.0.1", "port": free_port()}
    implicit = request.param is RelaySecurity.TLS
    kind = ImplicitTls if implicit else Controller
    controller = kind(object(), ready_timeout=10, **options, **{"ssl_context" if implicit else "tls_context": context})
    controller.start()
    yield controller.port, request.param
    controller.stop()


def endpoint(port, security=RelaySecurity.NONE, **values):
    return RelayEndpoint(
        **{
            "key": "relay:1",
            "host": "127.0.0.1",
            "port": port,
            "security": security,
            "verify_certificate": True,
            "username": "chaski",
            "password": "correcta",
            "connections": 1,
            "messages_per_connection": 10,
            "timeout_seconds": 5,
            **values,
        }
    )


def test_certificate_of_the_relays_own_name_is_taken(relay, authority, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "ca.pem"))
    opened = open_socket(endpoint(*relay), helo_name="[127.0.0.1]")
    assert opened.sock.version() == "TLSv1.3"
    opened.sock.close()


def test_certificate_for_another_name_is_refused(relay, authority, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "ca.pem"))
    with pytest.raises(RelayUnavailable, match="certificate is not valid for 'localhost'"):
        open_socket(endpoint(*relay, host="localhost"), helo_name="[127.0.0.1]")


def test_certificate_from_nowhere_is_refused_unless_it_is_set_up_so(relay):
    with pytest.raises(RelayUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
        open_socket(endpoint(*relay), helo_name="[127.0.0.1]")
    open_socket(endpoint(*relay, verify_certificate=False), helo_name="[127.0.0.1]").sock.close()


def test_wrong_password_carries_the_relays_code(relay):
    with pytest.raises(RelayUnavailable) as caught:
        open_socket(endpoint(*relay, verify_certificate=False, password="otra"), helo_name="[127.0.0.1]")
    assert caught.value.code == 535


@pytest.mark.parametrize("said", [(b"2",), (b"220 hello\r\n", b"250-x\r\n")])
def test_relay_that_drips_is_cut_off(said, monkeypatch):
    monkeypatch.setattr(smtp_opening, "CONNECT_SECONDS", 1.0)
    begun = time.monotonic()
    with endless(*said, pause_seconds=0.3) as port, pytest.raises(RelayUnavailable, match="too long"):
        open_socket(endpoint(port, timeout_seconds=1), helo_name="[127.0.0.1]")
    assert time.monotonic() - begun < 5
