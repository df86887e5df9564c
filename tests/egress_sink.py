"""The world behind the relay: an SMTP server that remembers from which address and under which name each mail came.

with EgressSink() as sink:
    sink.refuse("rosa@example.pe")     # 451 to its next RCPT
    sink.port; sink.mails; sink.attempts
"""

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from aiosmtpd.smtp import SMTP, Envelope, Session


@dataclass(frozen=True)
class Mail:
    source: str
    helo: str
    mail_from: str
    rcpt_to: str
    content: bytes


@dataclass(frozen=True)
class Attempt:
    """A RCPT, whatever became of it."""

    source: str
    helo: str
    rcpt_to: str
    reply: str


class EgressSink:
    def __init__(self) -> None:
        self.mails: list[Mail] = []
        self.attempts: list[Attempt] = []
        self._refusals: dict[str, int] = {}
        self._replies: dict[str, str] = {}

    def refuse(self, recipient: str, *, times: int = 1, reply: str = "451 4.7.1 not now") -> None:
        """Answer so to its next attempts."""
        self._refusals[recipient], self._replies[recipient] = times, reply

    def forgive(self) -> None:
        """Refuse nobody any more."""
        self._refusals.clear()

    def __enter__(self) -> "EgressSink":
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        self.port: int = server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_error: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    async def _listen(self) -> asyncio.Server:
        return await self._loop.create_server(lambda: SMTP(self, hostname="sink.test", loop=self._loop), "127.0.0.1", 0)

    async def handle_RCPT(
        self, _server: SMTP, session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        left = self._refusals.get(address, 0)
        self._refusals[address] = left - 1
        reply = self._replies[address] if left > 0 else "250 2.1.5 ok"
        self.attempts.append(Attempt(session.peer[0], str(session.host_name), address, reply))
        if left <= 0:
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:
        content = bytes(envelope.original_content or b"")
        for recipient in envelope.rcpt_tos:
            mail = Mail(session.peer[0], str(session.host_name), str(envelope.mail_from), recipient, content)
            self.mails.append(mail)
        return "250 2.0.0 ok"

    def to(self, recipient: str) -> list[Mail]:
        return [mail for mail in self.mails if mail.rcpt_to == recipient]


def wait_for(condition: Callable[[], object], what: str, *, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.02)
