"""Opening a connection to a relay: connect, EHLO, STARTTLS or TLS, AUTH. The standard library does it; afterwards the
socket is ours."""

import smtplib
import socket
from dataclasses import dataclass

from app.flow.relays import RelayEndpoint
from app.flow.smtp_opening import conversation, greet, tls_context, words_of
from app.models import OwnReply, RelaySecurity, coded


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
        with conversation(endpoint, helo_name=helo_name) as client:
            _log_in(client, endpoint)
    except smtplib.SMTPResponseException as error:
        raise RelayUnavailable(words_of(error), code=error.smtp_code) from error
    except (OSError, smtplib.SMTPException, ValueError) as error:
        raise RelayUnavailable(coded(OwnReply.NO_CONNECTION, f"{endpoint.host}:{endpoint.port}: {error}")) from error
    return _taken_over(client, endpoint)


def _log_in(client: smtplib.SMTP, endpoint: RelayEndpoint) -> None:
    greet(client, endpoint)
    client.ehlo_or_helo_if_needed()
    if endpoint.security is RelaySecurity.STARTTLS:
        client.starttls(context=tls_context(endpoint))  # Raises where it isn't offered: never on in the clear.
        client.ehlo()
    if endpoint.username:
        client.login(endpoint.username, endpoint.password)


def _taken_over(client: smtplib.SMTP, endpoint: RelayEndpoint) -> OpenSocket:
    sock = client.sock
    if sock is None:
        raise RelayUnavailable(coded(OwnReply.RELAY_CLOSED))
    client.sock, client.file = None, None
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setblocking(False)
    return OpenSocket(sock, pipelining="pipelining" in client.esmtp_features)
