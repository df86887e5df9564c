"""«Probar conexión» against real SMTP servers: STARTTLS, TLS, log-in, wrong certificates, and what is no relay at all."""

import socket
import threading
import time
from contextlib import contextmanager, suppress

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

from app.flow import relay_probe, smtp_opening
from app.flow.relay_probe import ProbeStatus, probe
from app.flow.relays import RelayEndpoint
from app.models import RelaySecurity
from tests.scripted_relay import ScriptedRelay
from tests.tls import make_authority, server_context


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def endpoint(port, security=RelaySecurity.STARTTLS, **values) -> RelayEndpoint:
    return RelayEndpoint(
        **{
            "key": "relay:1",
            "host": "127.0.0.1",
            "port": port,
            "security": security,
            "verify_certificate": False,
            "username": "chaski",
            "password": "correcta",
            "connections": 1,
            "messages_per_connection": 1,
            "timeout_seconds": 10,
            **values,
        }
    )


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return make_authority(tmp_path_factory.mktemp("tls"))


class Sink:
    async def handle_DATA(self, server, session, envelope):
        raise AssertionError("a probe submits nothing")


def authenticate(server, session, envelope, mechanism, login):
    right = (login.login, login.password) == (b"chaski", b"correcta")
    return AuthResult(success=right, handled=right)


class ImplicitTls(Controller):
    """TLS from the first byte, with log-in allowed within it."""

    def factory(self):
        return SMTP(self.handler, **self.SMTP_kwargs)


@contextmanager
def relay(**options):
    controller_type = ImplicitTls if options.get("ssl_context") else Controller
    controller = controller_type(Sink(), hostname="127.0.0.1", port=free_port(), ready_timeout=10, **options)
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()


@pytest.fixture
def starttls_port(authority):
    with relay(tls_context=server_context(authority), authenticator=authenticate, auth_required=True) as port:
        yield port


def trusting(authority, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "ca.pem"))


def test_starttls_with_log_in_works(starttls_port):
    result = probe(endpoint(starttls_port))
    assert result.ok
    assert result.logged_in
    assert result.tls_version == "TLSv1.3"


def test_a_certificate_from_a_known_authority_is_taken(starttls_port, authority, monkeypatch):
    trusting(authority, monkeypatch)
    assert probe(endpoint(starttls_port, verify_certificate=True)).ok


def test_a_certificate_from_nowhere_is_refused_before_the_password_leaves(starttls_port):
    result = probe(endpoint(starttls_port, verify_certificate=True))
    assert result.status is ProbeStatus.CERTIFICATE
    assert "unable to get local issuer certificate" in result.detail


def test_a_certificate_for_another_name_is_refused(authority, monkeypatch):
    trusting(authority, monkeypatch)
    with relay(tls_context=server_context(authority, "wrong"), authenticator=authenticate) as port:
        result = probe(endpoint(port, verify_certificate=True))
    assert result.status is ProbeStatus.CERTIFICATE
    assert "192.0.2.1" in result.detail or "127.0.0.1" in result.detail


def test_a_wrong_password_is_named(starttls_port):
    result = probe(endpoint(starttls_port, password="incorrecta"))
    assert result.status is ProbeStatus.AUTH_REFUSED
    assert result.detail.startswith("535")


def test_without_starttls_nothing_is_sent_in_the_clear():
    with relay(authenticator=authenticate, auth_require_tls=False) as port:
        assert probe(endpoint(port)).status is ProbeStatus.STARTTLS_MISSING


def test_a_relay_without_log_in_says_so():
    with relay() as port:
        assert probe(endpoint(port, RelaySecurity.NONE)).status is ProbeStatus.AUTH_MISSING
        assert probe(endpoint(port, RelaySecurity.NONE, username="")).ok


def test_implicit_tls_works_and_checks_the_certificate(authority, monkeypatch):
    options = {"ssl_context": server_context(authority), "authenticator": authenticate, "auth_require_tls": False}
    with relay(**options) as port:
        assert probe(endpoint(port, RelaySecurity.TLS)).ok
        assert probe(endpoint(port, RelaySecurity.TLS, verify_certificate=True)).status is ProbeStatus.CERTIFICATE
        trusting(authority, monkeypatch)
        assert probe(endpoint(port, RelaySecurity.TLS, verify_certificate=True)).ok


def test_tls_towards_a_plain_server_says_to_check_the_port():
    with relay() as port:
        assert probe(endpoint(port, RelaySecurity.TLS)).status is ProbeStatus.TLS_FAILED


def test_a_closed_port_is_refused():
    assert probe(endpoint(free_port())).status is ProbeStatus.REFUSED


def test_an_unknown_host_is_named():
    assert probe(endpoint(25, host="relay.invalid")).status is ProbeStatus.UNKNOWN_HOST


@contextmanager
def scripted(greeting: bytes | None, answers: bytes = b""):
    """A server that says `greeting`, answers each line with `answers`, and else stays silent."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                if greeting:
                    connection.sendall(greeting)
                while answers and connection.recv(1000):
                    connection.sendall(answers)
                if not answers:
                    time.sleep(1.5)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]


def test_silence_ends_soon():
    with scripted(None) as port:
        start = time.monotonic()
        assert probe(endpoint(port, timeout_seconds=1)).status is ProbeStatus.TIMED_OUT
        assert time.monotonic() - start < 6


def test_what_is_no_mail_server_is_named():
    with scripted(b"HTTP/1.1 400 Bad Request\r\n\r\n", b"nonsense\r\n") as port:
        assert probe(endpoint(port)).status is ProbeStatus.NOT_SMTP


def test_a_relay_that_refuses_our_address_is_quoted():
    with scripted(b"554 5.7.1 not from 127.0.0.1\r\n") as port:
        result = probe(endpoint(port))
    assert result.status is ProbeStatus.REJECTED
    assert result.detail == "554 5.7.1 not from 127.0.0.1"


def test_an_endless_answer_is_cut():
    with scripted(b"220 ok\r\n", b"500 " + b"x" * 900 + b"\r\n") as port:
        result = probe(endpoint(port))
    assert not result.ok
    assert len(result.detail) <= relay_probe.MAX_REPLY_CHARACTERS


@contextmanager
def endless(*said: bytes, pause_seconds: float = 0.0):
    """A server that says the first words at once, and the last ones again and again until the other side has enough."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            with suppress(OSError):
                connection, _ = server.accept()
                with connection:
                    for words in said[:-1]:
                        connection.sendall(words)
                    while True:
                        connection.sendall(said[-1])
                        time.sleep(pause_seconds)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join(10)
        assert not thread.is_alive(), "the connection was left open"


@pytest.mark.parametrize("security", list(RelaySecurity))
@pytest.mark.parametrize(
    "said",
    [
        (b"220-more\r\n",),
        (b"220 hello\r\n", b"250-more\r\n"),
        (b"220 hello\r\n250-AUTH CRAM-MD5 PLAIN\r\n250 STARTTLS\r\n", b"334 not base64!\r\n"),
        (b"x" * 100_000,),
        (b"\0" * 100 + b"\r\n",),
        (b"\xff\xfe 12\r\n",),
        (b"\r\n",),
    ],
)
def test_babble_ends_soon_with_a_word(said, security):
    begun = time.monotonic()
    with endless(*said) as port:
        result = probe(endpoint(port, security, timeout_seconds=2))
    assert not result.ok
    assert len(result.detail) <= relay_probe.MAX_REPLY_CHARACTERS
    assert time.monotonic() - begun < 8


@pytest.mark.parametrize("said", [(b"2",), (b"220 hello\r\n", b"2"), (b"220 hello\r\n250-x\r\n", b"250-x\r\n")])
def test_a_relay_that_drips_is_cut_off(said, monkeypatch):
    monkeypatch.setattr(smtp_opening, "CONNECT_SECONDS", 1.0)
    begun = time.monotonic()
    with endless(*said, pause_seconds=0.3) as port:
        assert probe(endpoint(port, RelaySecurity.NONE, timeout_seconds=1)).status is ProbeStatus.TIMED_OUT
    assert time.monotonic() - begun < 5


def test_a_name_server_that_is_silent_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: time.sleep(5))
    begun = time.monotonic()
    assert probe(endpoint(25, host="relay.example.pe", timeout_seconds=1)).status is ProbeStatus.TIMED_OUT
    assert time.monotonic() - begun < 3


def test_a_log_in_that_only_others_know_is_named():
    with scripted(b"220 hello\r\n", b"250-relay.test\r\n250 AUTH GSSAPI\r\n") as port:
        assert probe(endpoint(port, RelaySecurity.NONE)).status is ProbeStatus.AUTH_MISSING


def test_a_relay_that_leaves_without_goodbye_works_all_the_same():
    with ScriptedRelay(goodbye="") as relay:
        assert probe(endpoint(relay.port, RelaySecurity.NONE, username="")).ok
