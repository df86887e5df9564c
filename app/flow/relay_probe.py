"""«Probar conexión»: one real conversation with a relay up to the log-in, and a clear word about where it ended.

Nothing is submitted. Time-outs are short, since a person waits for the answer.
"""

import smtplib
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from app.flow.relays import RelayEndpoint
from app.flow.smtp_opening import conversation, greet, own_name, tls_context, words_of
from app.models import RelaySecurity

PROBE_SECONDS = 8
MAX_REPLY_CHARACTERS = 300


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


def probe(endpoint: RelayEndpoint) -> ProbeResult:
    """Connect, greet, encrypt, log in, and leave. Never raises for what the relay does, and ends in time whatever that is."""
    try:
        with conversation(endpoint, helo_name=own_name()) as client:
            _connect(client, endpoint)
            result = _converse(client, endpoint)
            with suppress(smtplib.SMTPException, OSError):
                client.quit()  # How it says goodbye is no matter.
            client.close()
    except ProbeStopped as stopped:
        return stopped.result
    except (smtplib.SMTPException, OSError, ValueError) as error:
        if _is_timeout(error):
            return ProbeResult(status=ProbeStatus.TIMED_OUT)
        return ProbeResult(status=ProbeStatus.NOT_SMTP, detail=str(error)[:MAX_REPLY_CHARACTERS])
    return result


def _connect(client: smtplib.SMTP, endpoint: RelayEndpoint) -> None:
    try:
        greet(client, endpoint)
    except (socket.gaierror, UnicodeError) as error:
        raise ProbeStopped(ProbeStatus.UNKNOWN_HOST, str(error)) from error
    except ssl.SSLCertVerificationError as error:
        raise ProbeStopped(ProbeStatus.CERTIFICATE, error.verify_message) from error
    except ssl.SSLError as error:
        raise ProbeStopped(ProbeStatus.TLS_FAILED, str(error.reason or error)) from error
    except smtplib.SMTPConnectError as error:
        is_answer = 400 <= error.smtp_code <= 599
        raise ProbeStopped(ProbeStatus.REJECTED if is_answer else ProbeStatus.NOT_SMTP, words_of(error)) from error
    except (smtplib.SMTPException, TimeoutError):
        raise
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
    return ProbeResult(
        status=ProbeStatus.OK,
        tls_version=client.sock.version() or "" if isinstance(client.sock, ssl.SSLSocket) else "",
        logged_in=bool(endpoint.username),
        pipelining=client.has_extn("pipelining"),
    )


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
        raise ProbeStopped(ProbeStatus.TLS_FAILED, words_of(error)) from error
    _greet(client)


def _log_in(client: smtplib.SMTP, endpoint: RelayEndpoint) -> None:
    if not client.has_extn("auth"):
        raise ProbeStopped(ProbeStatus.AUTH_MISSING)
    try:
        client.login(endpoint.username, endpoint.password)
    except smtplib.SMTPAuthenticationError as error:
        raise ProbeStopped(ProbeStatus.AUTH_REFUSED, words_of(error)) from error
    except (smtplib.SMTPException, UnicodeError) as error:
        if type(error) in (smtplib.SMTPServerDisconnected, smtplib.SMTPHeloError):
            raise
        # No way of logging in that both know, or a password that none of them can carry.
        raise ProbeStopped(ProbeStatus.AUTH_MISSING, str(error)) from error
