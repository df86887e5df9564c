"""What happens to senders, recipients and messages: who may submit, who gets which answer, what is stored."""

import asyncio
import hmac
from typing import cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from app.config import Settings
from app.flow.practice import queue_id
from app.flow.relays import practice_password, practice_username
from app.logs import get_logger
from app.mail.captured import identify
from app.mail.practice_rules import ACCEPTED, AnswerKind, PracticeAnswer, answer_for
from workers.practice.collector import MessageCollector, NotStorable, StoreUnavailable
from workers.practice.connection import PracticeConnection, PracticeEnvelope
from workers.practice.tries import TryCounter

log = get_logger(__name__)

MAX_RECIPIENTS = 100
"""RFC 5321 §4.5.3.1.8."""
MAX_ADDRESS_CHARACTERS = 320
GOODBYE = "421 4.3.2 The practice relay is shutting down"
STORE_AWAY = "451 4.3.0 The mail store is away, try again later"
USERNAME_PREFIX = practice_username("")


class PracticeHandler:
    """One for all connections; aiosmtpd calls the ``handle_…`` methods."""

    def __init__(self, settings: Settings, collector: MessageCollector) -> None:
        self._settings = settings
        self._collector = collector
        self._tries = TryCounter()
        self.connections: set[PracticeConnection] = set()
        self.is_stopping = False

    def authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, login: LoginPassword
    ) -> AuthResult:
        """``panel-<slug>`` with the password that only this installation can derive."""
        slug = login.login.decode("ascii", "replace").removeprefix(USERNAME_PREFIX)
        is_right = practice_username(slug).encode("ascii", "replace") == login.login and hmac.compare_digest(
            login.password, practice_password(self._settings, slug).encode()
        )
        if not is_right:
            log.warning("practice_login_refused")
        return AuthResult(success=is_right, handled=False, auth_data=slug if is_right else None)

    async def handle_EHLO(
        self, _server: SMTP, session: Session, _envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        return [*responses[:-1], "250-PIPELINING", "250-ENHANCEDSTATUSCODES", responses[-1]]

    async def handle_MAIL(
        self, server: PracticeConnection, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.is_stopping:
            await server.say_goodbye(GOODBYE)
            return GOODBYE
        if server.panel_id is None:
            try:
                server.panel_id = await self._collector.panel_id_of(str(session.auth_data))
            except StoreUnavailable:
                return STORE_AWAY
        if server.panel_id is None:
            return "550 5.7.1 This platform does not exist any more"
        if len(address) > MAX_ADDRESS_CHARACTERS:
            return "553 5.1.7 Address too long"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 Ok"

    async def handle_RCPT(
        self,
        server: PracticeConnection,
        _session: Session,
        envelope: PracticeEnvelope,
        address: str,
        _options: list[str],
    ) -> str:
        if address == "<>" or len(address) > MAX_ADDRESS_CHARACTERS:
            return "553 5.1.3 Bad recipient address"
        if len(envelope.rcpt_tos) >= MAX_RECIPIENTS:
            return "452 4.5.3 Too many recipients"
        answer = self._answer_now(server, address)
        if answer.kind is AnswerKind.CLOSE:
            await server.say_goodbye(answer.reply)
        if answer.kind in (AnswerKind.CLOSE, AnswerKind.REFUSE_RECIPIENT):
            return answer.reply
        if envelope.content_answer is ACCEPTED:
            envelope.content_answer = answer
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    def _answer_now(self, server: PracticeConnection, address: str) -> PracticeAnswer:
        answer = answer_for(address)
        if answer.tries is None or server.panel_id is None:
            return answer
        return answer if answer.holds_at(self._tries.next_try(server.panel_id, address)) else ACCEPTED

    async def take_content(self, server: PracticeConnection, content: bytes) -> str | None:
        """The reply after the final dot; none where the connection was cut instead."""
        answer = server.transaction.content_answer
        if answer.kind is AnswerKind.REFUSE_MESSAGE:
            return answer.reply
        try:
            first_id = await self._store(server, content)
        except StoreUnavailable:
            return STORE_AWAY
        except NotStorable:
            return "550 5.6.0 The mail store refuses this message"
        if answer.kind is AnswerKind.DROP_AFTER_STORING:
            server.cut()
            return None
        if answer.kind is AnswerKind.SLOW:
            await asyncio.sleep(answer.delay_seconds)
        return f"250 2.0.0 Ok: queued as {queue_id(first_id)}"

    async def _store(self, server: PracticeConnection, content: bytes) -> int:
        """One row per recipient; the id of the first one."""
        transaction, identity = server.transaction, identify(content)
        ids = await asyncio.gather(
            *(
                self._collector.put(
                    panel_id=cast(int, server.panel_id),
                    mail_from=(transaction.mail_from or "").replace("<>", ""),
                    rcpt_to=recipient,
                    raw=content,
                    identity=identity,
                )
                for recipient in transaction.rcpt_tos
            )
        )
        return ids[0]

    async def handle_exception(self, error: Exception) -> str:
        """A fault of ours is never the recipient's: it is told as temporary, without details."""
        log.error("practice_connection_failed", exc_info=error)
        return "451 4.3.0 Internal error, try again later"
