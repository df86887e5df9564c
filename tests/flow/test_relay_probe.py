"""«Probar conexión» against real SMTP servers: STARTTLS, TLS, log-in, wrong certificates, and what is no relay at all."""

import datetime
import ipaddress
import socket
import ssl
import threading
import time
from contextlib import contextmanager

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.flow import relay_probe
from app.flow.relay_probe import ProbeStatus, probe
from app.flow.relays import RelayEndpoint
from app.models import RelaySecurity


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
    """A certificate authority of our own, and certificates for 127.0.0.1 and for another name."""
    directory = tmp_path_factory.mktemp("tls")
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca = sign("Autoridad de prueba", ca_key, None, ca_key, is_authority=True)
    (directory / "ca.pem").write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    for name, host in (("right", "127.0.0.1"), ("wrong", "192.0.2.1")):
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = sign(host, key, ca, ca_key)
        (directory / f"{name}.pem").write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
    return directory


def sign(name, key, issuer, issuer_key, *, is_authority=False):
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    )
    if not is_authority:
        address = x509.IPAddress(ipaddress.ip_address(name))
        builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def server_context(authority, name="right"):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / f"{name}.pem")
    return context


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
        assert probe(endpoint(port)).status in (ProbeStatus.NOT_SMTP, ProbeStatus.REJECTED)


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
