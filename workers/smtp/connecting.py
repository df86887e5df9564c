"""Opening a connection to a relay: connect, EHLO, STARTTLS or TLS, AUTH. The standard library does it; afterwards the
socket is ours."""

import smtplib
import socket
import ssl
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

from app.flow.relays import RelayEndpoint
from app.models import OwnReply, RelaySecurity, coded

CONNECT_SECONDS = 8.0
"""For all addresses of a relay together."""
HANDSHAKE_SECONDS = 12.0
"""From the connection to the accepted log-in. Both together stay under two thirds of the default lease, since the lease is not
renewed while a connection is opened."""


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
    except (OSError, smtplib.SMTPException, ValueError, TooTalkative) as error:
        raise RelayUnavailable(coded(OwnReply.NO_CONNECTION, f"{endpoint.host}:{endpoint.port}: {error}")) from error
    sock = client.sock
    if sock is None:
        raise RelayUnavailable(coded(OwnReply.RELAY_CLOSED))
    client.sock, client.file = None, None
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setblocking(False)
    return OpenSocket(sock, pipelining="pipelining" in client.esmtp_features)


class _CountedFile:
    """The lines of one log-in, at most ``MAX_LINES`` of them."""

    MAX_LINES = 500

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._lines = 0

    def readline(self, limit: int = -1) -> bytes:
        self._lines += 1
        if self._lines > self.MAX_LINES:
            raise TooTalkative("the relay's answer has no end")
        return self._file.readline(limit)

    def close(self) -> None:
        self._file.close()


def connect_within(host: str, port: int, seconds: float) -> socket.socket:
    """The first of the host's addresses that answers, all of them within ``seconds``."""
    deadline = time.monotonic() + seconds
    failure: OSError = OSError(f"{host} has no address")
    for family, kind, protocol, _name, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(max(0.1, deadline - time.monotonic()))
            sock.connect(address)
        except OSError as error:
            sock.close()
            failure = error
            continue
        return sock
    raise failure


class TooTalkative(Exception):
    """A reply without end."""


class _PlainClient(smtplib.SMTP):
    def getreply(self) -> tuple[int, bytes]:
        """The library keeps every line of a multi-line reply; an endless one would fill the memory."""
        if self.file is None and self.sock is not None:
            self.file = _CountedFile(self.sock.makefile("rb"))
        return super().getreply()

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        sock = connect_within(host, port, min(CONNECT_SECONDS, timeout))
        sock.settimeout(timeout)
        return sock


class _TlsClient(smtplib.SMTP_SSL, _PlainClient):
    """TLS from the first byte, over the same way of connecting."""


def _connect(endpoint: RelayEndpoint, helo_name: str) -> smtplib.SMTP:
    """Connected and logged in, or an exception, within ``CONNECT_SECONDS`` + ``HANDSHAKE_SECONDS`` whatever the relay does:
    one that answers a byte at a time is cut off, too."""
    seconds = min(HANDSHAKE_SECONDS, endpoint.timeout_seconds)
    tls = endpoint.security is RelaySecurity.TLS
    client: smtplib.SMTP = (
        _TlsClient(local_hostname=helo_name, timeout=seconds, context=tls_context(endpoint))
        if tls
        else _PlainClient(local_hostname=helo_name, timeout=seconds)
    )
    watchdog = threading.Timer(CONNECT_SECONDS + seconds, _cut, [client])
    watchdog.daemon = True
    watchdog.start()
    try:
        code, greeting = client.connect(endpoint.host, endpoint.port)
        if code != 220:
            raise smtplib.SMTPConnectError(code, greeting)
        client.ehlo_or_helo_if_needed()
        if endpoint.security is RelaySecurity.STARTTLS:
            client.starttls(context=tls_context(endpoint))  # Raises where it isn't offered: never on in the clear.
            client.ehlo()
        if endpoint.username:
            client.login(endpoint.username, endpoint.password)
    except BaseException:
        client.close()
        raise
    finally:
        watchdog.cancel()
    return client


def _cut(client: smtplib.SMTP) -> None:
    sock = client.sock
    if sock is not None:
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


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
