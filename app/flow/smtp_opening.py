"""The first words with a relay, for the probe in the web and the transport of the senders: a client of the standard library
that whoever answers can't hold up. What it may cost is bounded in time (name, connection, greeting, TLS and log-in together)
and in lines.
"""

import queue
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, BinaryIO

from app.flow.relays import RelayEndpoint
from app.models import RelaySecurity

CONNECT_SECONDS = 8.0
"""For the name and all addresses of a relay together."""
HANDSHAKE_SECONDS = 12.0
"""From the connection to the accepted log-in. Both together stay under two thirds of the default lease, which is looked
after between one connection's opening and the next."""
CUT_AGAIN_SECONDS = 0.2

AddressInfo = list[tuple[Any, ...]]


class TooTalkative(smtplib.SMTPException):
    """A reply without end."""


class TooSlow(TimeoutError):
    """Something came again and again, but the conversation came to no end."""


@contextmanager
def conversation(endpoint: RelayEndpoint, *, helo_name: str) -> Iterator[smtplib.SMTP]:
    """A client to call :func:`greet` with. When the time is up it is cut off, whatever is going on, and :class:`TooSlow`
    raised; after any error it is closed."""
    client = _client(endpoint, helo_name)
    watchdog = _Watchdog(client, CONNECT_SECONDS + _handshake_seconds(endpoint))
    watchdog.start()
    try:
        yield client
    except BaseException as error:
        client.close()
        if watchdog.has_bitten:
            raise TooSlow("the conversation took too long") from error
        raise
    finally:
        watchdog.done.set()


def greet(client: smtplib.SMTP, endpoint: RelayEndpoint) -> None:
    """Connect, within TLS where the relay's security says so, and hear the greeting. Raises OSError, or SMTPConnectError
    where it is none that welcomes."""
    code, greeting = client.connect(endpoint.host, endpoint.port)
    if code != 220:
        raise smtplib.SMTPConnectError(code, greeting)


def tls_context(endpoint: RelayEndpoint) -> ssl.SSLContext:
    """TLS 1.2 or newer; the certificate and its name are checked unless the relay is set up not to."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not endpoint.verify_certificate:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


@cache
def own_name() -> str:
    """EHLO wants a name with a dot or an address literal (RFC 5321 §4.1.3); a bare host name is neither."""
    name = socket.gethostname()
    return name if "." in name and name.isascii() else "[127.0.0.1]"


def words_of(error: smtplib.SMTPResponseException) -> str:
    """The relay's own answer: code and text."""
    text = error.smtp_error
    return f"{error.smtp_code} {text.decode('utf-8', 'replace') if isinstance(text, bytes) else text}"


class _PlainClient(smtplib.SMTP):
    def __init__(self, *, host: str, **options: Any) -> None:
        super().__init__(**options)
        # Without it nobody's certificate would be asked for: the library sets it only where it connects at once.
        self._host = host

    def getreply(self) -> tuple[int, bytes]:
        """The library keeps every line of a multi-line reply; an endless one would fill the memory."""
        if self.file is None and self.sock is not None:
            self.file = _CountedFile(self.sock.makefile("rb"))
        return super().getreply()

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        sock = connect_within(host, port, min(CONNECT_SECONDS, timeout))
        sock.settimeout(timeout)
        return sock


class _TlsClient(_PlainClient, smtplib.SMTP_SSL):
    """TLS from the first byte, over the same way of connecting."""

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        sock = super()._get_socket(host, port, timeout)
        return self.context.wrap_socket(sock, server_hostname=self._host)


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


class _Watchdog(threading.Thread):
    """Cuts a client off when its time is up: a time-out per read alone would let one live that says a byte at a time."""

    def __init__(self, client: smtplib.SMTP, seconds: float) -> None:
        super().__init__(daemon=True)
        self._client = client
        self._seconds = seconds
        self.done = threading.Event()
        self.has_bitten = False

    def run(self) -> None:
        wait = self._seconds
        # Again and again: during a TLS handshake the client has no socket that could be cut.
        while not self.done.wait(wait):
            self.has_bitten, wait = True, CUT_AGAIN_SECONDS
            sock = self._client.sock
            if sock is not None:
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)


def _client(endpoint: RelayEndpoint, helo_name: str) -> smtplib.SMTP:
    seconds = _handshake_seconds(endpoint)
    if endpoint.security is RelaySecurity.TLS:
        context = tls_context(endpoint)
        return _TlsClient(host=endpoint.host, local_hostname=helo_name, timeout=seconds, context=context)
    return _PlainClient(host=endpoint.host, local_hostname=helo_name, timeout=seconds)


def _handshake_seconds(endpoint: RelayEndpoint) -> float:
    return min(HANDSHAKE_SECONDS, endpoint.timeout_seconds)


def connect_within(host: str, port: int, seconds: float) -> socket.socket:
    """The first of the host's addresses that answers: its name and all of them within ``seconds``."""
    deadline = time.monotonic() + seconds
    failure: OSError = OSError(f"{host} has no address")
    for family, kind, protocol, _name, address in resolve_within(host, port, seconds):
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


def resolve_within(host: str, port: int, seconds: float) -> AddressInfo:
    """The host's addresses. The system's resolver takes no time-out, so it is asked in a thread that may be left behind; it
    ends by itself, after half a minute or so."""
    answers: queue.SimpleQueue[AddressInfo | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, ValueError) as error:
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"the name server says nothing about {host}") from None
    if isinstance(answer, Exception):
        raise answer
    return answer
