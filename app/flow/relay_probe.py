"""«Probar conexión»: one real conversation with a relay up to the log-in, and a clear word about where it ended.

Nothing is submitted. Time-outs are short, since a person waits for the answer.
"""

import smtplib
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from app.flow.relays import RelayEndpoint
from app.models import RelaySecurity

PROBE_SECONDS = 8
MAX_REPLY_CHARACTERS = 300

Connect = Callable[[RelayEndpoint], smtplib.SMTP]


class ProbeStatus(StrEnum):
    OK = "ok"
    UNKNOWN_HOST = "unknown_host"
    REFUSED = "refused"  # Nobody listens at that port, or no way there.
    TIMED_OUT = "timed_out"
    NOT_SMTP = "not_smtp"  # Something answers, but not as an SMTP server in this kind of security.
    REJECTED = "rejected"  # The relay does not talk to us: its greeting or EHLO answer is an error.
    STARTTLS_MISSING = "starttls_missing"
    CERTIFICATE = "certificate"
    TLS_FAILED = "tls_failed"
    AUTH_MISSING = "auth_missing"  # User and password are set up, but the relay offers no log-in.
    AUTH_REFUSED = "auth_refused"


@dataclass(frozen=True, kw_only=True)
class ProbeResult:
    status: ProbeStatus
    detail: str = ""
    """The relay's own words, or the system's."""
    tls_version: str = ""
    logged_in: bool = False
    pipelining: bool = False

    @property
    def ok(self) -> bool:
        return self.status is ProbeStatus.OK


class ProbeStopped(Exception):
    def __init__(self, status: ProbeStatus, detail: str = "") -> None:
        super().__init__(status)
        self.result = ProbeResult(status=status, detail=detail[:MAX_REPLY_CHARACTERS])


def connect(endpoint: RelayEndpoint) -> smtplib.SMTP:
    """A connection that has greeted; within TLS already where the relay's security says so."""
    if endpoint.security is RelaySecurity.TLS:
        return smtplib.SMTP_SSL(
            endpoint.host, endpoint.port, timeout=endpoint.timeout_seconds, context=tls_context(endpoint)
        )
    return smtplib.SMTP(endpoint.host, endpoint.port, timeout=endpoint.timeout_seconds)


def tls_context(endpoint: RelayEndpoint) -> ssl.SSLContext:
    """TLS 1.2 or newer; the certificate and its name are checked unless the relay is set up not to."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not endpoint.verify_certificate:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def probe(endpoint: RelayEndpoint, connect: Connect = connect) -> ProbeResult:
    """Connect, greet, encrypt, log in, and leave. Never raises for what the relay does."""
    try:
        client = _connected(endpoint, connect)
    except ProbeStopped as stopped:
        return stopped.result
    try:
        return _converse(client, endpoint)
    except ProbeStopped as stopped:
        return stopped.result
    except (smtplib.SMTPException, OSError) as error:
        if _is_timeout(error):
            return ProbeResult(status=ProbeStatus.TIMED_OUT)
        return ProbeResult(status=ProbeStatus.NOT_SMTP, detail=str(error)[:MAX_REPLY_CHARACTERS])
    finally:
        client.close()


def _connected(endpoint: RelayEndpoint, connect: Connect) -> smtplib.SMTP:
    try:
        return connect(endpoint)
    except (socket.gaierror, UnicodeError) as error:
        raise ProbeStopped(ProbeStatus.UNKNOWN_HOST, str(error)) from error
    except TimeoutError as error:
        raise ProbeStopped(ProbeStatus.TIMED_OUT) from error
    except ssl.SSLCertVerificationError as error:
        raise ProbeStopped(ProbeStatus.CERTIFICATE, error.verify_message) from error
    except ssl.SSLError as error:
        raise ProbeStopped(ProbeStatus.TLS_FAILED, str(error.reason or error)) from error
    except smtplib.SMTPConnectError as error:
        raise ProbeStopped(ProbeStatus.REJECTED, _words(error)) from error
    except smtplib.SMTPException as error:
        status = ProbeStatus.TIMED_OUT if _is_timeout(error) else ProbeStatus.NOT_SMTP
        raise ProbeStopped(status, str(error)) from error
    except OSError as error:
        raise ProbeStopped(ProbeStatus.REFUSED, error.strerror or str(error)) from error


def _is_timeout(error: BaseException) -> bool:
    """smtplib calls a time-out in the middle of a reply a closed connection."""
    return isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError)


def _converse(client: smtplib.SMTP, endpoint: RelayEndpoint) -> ProbeResult:
    _greet(client)
    if endpoint.security is RelaySecurity.STARTTLS:
        _encrypt(client, endpoint)
    if endpoint.username:
        _log_in(client, endpoint)
    result = ProbeResult(
        status=ProbeStatus.OK,
        tls_version=client.sock.version() or "" if isinstance(client.sock, ssl.SSLSocket) else "",
        logged_in=bool(endpoint.username),
        pipelining=client.has_extn("pipelining"),
    )
    client.quit()
    return result


def _greet(client: smtplib.SMTP) -> None:
    code, answer = client.ehlo()
    if not 200 <= code <= 299:
        raise ProbeStopped(ProbeStatus.REJECTED, f"{code} {answer.decode('utf-8', 'replace')}")


def _encrypt(client: smtplib.SMTP, endpoint: RelayEndpoint) -> None:
    if not client.has_extn("starttls"):
        raise ProbeStopped(ProbeStatus.STARTTLS_MISSING)
    try:
        client.starttls(context=tls_context(endpoint))
    except ssl.SSLCertVerificationError as error:
        raise ProbeStopped(ProbeStatus.CERTIFICATE, error.verify_message) from error
    except ssl.SSLError as error:
        raise ProbeStopped(ProbeStatus.TLS_FAILED, str(error.reason or error)) from error
    except smtplib.SMTPResponseException as error:
        raise ProbeStopped(ProbeStatus.TLS_FAILED, _words(error)) from error
    _greet(client)


def _log_in(client: smtplib.SMTP, endpoint: RelayEndpoint) -> None:
    if not client.has_extn("auth"):
        raise ProbeStopped(ProbeStatus.AUTH_MISSING)
    try:
        client.login(endpoint.username, endpoint.password)
    except smtplib.SMTPAuthenticationError as error:
        raise ProbeStopped(ProbeStatus.AUTH_REFUSED, _words(error)) from error
    except (smtplib.SMTPNotSupportedError, UnicodeError) as error:
        raise ProbeStopped(ProbeStatus.AUTH_MISSING, str(error)) from error


def _words(error: smtplib.SMTPResponseException) -> str:
    words = error.smtp_error.decode("utf-8", "replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
    return f"{error.smtp_code} {words}"
