"""Opening a connection to a relay: connect, EHLO, STARTTLS or TLS, AUTH. The standard library does it; afterwards the
socket is ours."""

import smtplib
import socket
import ssl
from dataclasses import dataclass

from app.flow.relays import RelayEndpoint
from app.models import RelaySecurity


class RelayUnavailable(Exception):
    """No usable connection. ``code`` is the relay's answer, or 0 where it gave none; trying again later may help."""

    def __init__(self, message: str, *, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class OpenSocket:
    sock: socket.socket
    pipelining: bool
    """Whether the relay offers PIPELINING (RFC 2920)."""


def open_socket(endpoint: RelayEndpoint, *, helo_name: str) -> OpenSocket:
    """A logged-in, non-blocking socket. Raises :class:`RelayUnavailable`."""
    try:
        client = _connect(endpoint, helo_name)
    except smtplib.SMTPResponseException as error:
        raise RelayUnavailable(f"{error.smtp_code} {_text(error.smtp_error)}", code=error.smtp_code) from error
    except (OSError, smtplib.SMTPException, ssl.SSLError, UnicodeError) as error:
        raise RelayUnavailable(f"{endpoint.host}:{endpoint.port}: {error}") from error
    sock = client.sock
    if sock is None:
        raise RelayUnavailable(f"{endpoint.host}:{endpoint.port}: the connection was closed while logging in")
    client.sock, client.file = None, None
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setblocking(False)
    return OpenSocket(sock, pipelining="pipelining" in client.esmtp_features)


def _connect(endpoint: RelayEndpoint, helo_name: str) -> smtplib.SMTP:
    if endpoint.security is RelaySecurity.TLS:
        client: smtplib.SMTP = smtplib.SMTP_SSL(
            endpoint.host,
            endpoint.port,
            local_hostname=helo_name,
            timeout=endpoint.timeout_seconds,
            context=tls_context(endpoint),
        )
    else:
        client = smtplib.SMTP(endpoint.host, endpoint.port, local_hostname=helo_name, timeout=endpoint.timeout_seconds)
    try:
        client.ehlo_or_helo_if_needed()
        if endpoint.security is RelaySecurity.STARTTLS:
            client.starttls(context=tls_context(endpoint))  # Raises where it isn't offered: never on in the clear.
            client.ehlo()
        if endpoint.username:
            client.login(endpoint.username, endpoint.password)
    except BaseException:
        client.close()
        raise
    return client


def tls_context(endpoint: RelayEndpoint) -> ssl.SSLContext:
    """TLS 1.2 or newer; the certificate and its name are checked unless the relay is set up not to."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not endpoint.verify_certificate:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _text(reply: bytes | str) -> str:
    return reply.decode("utf-8", "replace") if isinstance(reply, bytes) else reply
