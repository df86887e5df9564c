"""One client of the practice relay: aiosmtpd's SMTP, with what a bulk sender needs of it.

- The content is read up to its final dot at once instead of line by line (20 kB of 76-character lines cost aiosmtpd a
  millisecond; here they cost some ten microseconds).
- Replies to pipelined commands leave together (RFC 2920 §3.2), as soon as no further command is waiting.
- Every reply carries an enhanced status code (RFC 2034).
"""

import asyncio
import contextlib
import re
from typing import TYPE_CHECKING, Any, cast

from aiosmtpd.smtp import SMTP, Envelope

from app.mail.practice_rules import ACCEPTED, AnswerKind, PracticeAnswer

if TYPE_CHECKING:
    from workers.practice.handler import PracticeHandler

MAX_MESSAGE_BYTES = 25 * 1024 * 1024
FAREWELL_SECONDS = 2.0
"""How long the client's remaining bytes are read after a 421, so that the reply is not lost in a reset connection."""

_END_OF_DATA = b"\r\n.\r\n"
_LACKS_ENHANCED_CODE = re.compile(rb"([245])\d\d (?![245]\.\d)")
# aiosmtpd's own replies have no enhanced codes (RFC 3463 §3).
_ENHANCED_CODES = {
    b"500": b"5.5.2", b"501": b"5.5.4", b"502": b"5.5.1", b"503": b"5.5.1", b"504": b"5.5.4", b"552": b"5.3.4",
    b"553": b"5.1.3", b"555": b"5.5.4", b"554": b"5.7.0",
}  # fmt: skip
# The addresses that bulk senders write; aiosmtpd's own parser (RFC 5322 in full) takes 60 µs for one.
_PLAIN_ADDRESS = re.compile(r"<([A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[A-Za-z0-9.-]+)>(?: +(.*))?")
_NULL_SENDER = re.compile(r"<>(?: +(.*))?")


class PracticeEnvelope(Envelope):
    """The transaction, and what its recipients asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.content_answer: PracticeAnswer = ACCEPTED
        """The first answer asked for that comes with the content."""


class PracticeConnection(SMTP):
    """``handler`` decides; this class speaks."""

    line_length_limit = 128 * 1024
    """Also how much the reader buffers: with aiosmtpd's 1001 the socket would be paused twice per message. Commands
    longer than 512 bytes are refused all the same."""

    def __init__(self, handler: "PracticeHandler", **options: Any) -> None:
        super().__init__(handler, data_size_limit=MAX_MESSAGE_BYTES, **options)
        self._handler = handler
        self._pending = bytearray()
        self._speaks_enhanced_codes = False
        self._has_said_goodbye = False
        self.panel_id: int | None = None
        """Whose mail this is; known from the first MAIL on."""

    @property
    def is_idle(self) -> bool:
        """Between two messages."""
        return self.transaction.mail_from is None

    @property
    def transaction(self) -> PracticeEnvelope:
        return cast(PracticeEnvelope, self.envelope)

    @property
    def _input(self) -> bytearray:
        """What the client has sent and nobody has read yet."""
        return cast(Any, self._reader)._buffer  # type: ignore[no-any-return]  # private

    def _create_envelope(self) -> PracticeEnvelope:
        return PracticeEnvelope()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._handler.connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._handler.connections.discard(self)
        super().connection_lost(error)

    # Replies.

    async def push(self, status: str | bytes) -> None:
        """Send a reply; later, together with the following ones, where the client has already sent more commands."""
        if self._has_said_goodbye:
            return
        reply = status.encode("ascii", "replace") if isinstance(status, str) else status
        if self._speaks_enhanced_codes:
            reply = with_enhanced_code(reply)
        self._pending += reply + b"\r\n"
        if reply[:1] == b"3" or b"\n" not in self._input:
            await self.flush()

    async def flush(self) -> None:
        if self._pending:
            self._writer.write(bytes(self._pending))
            self._pending.clear()
            await self._writer.drain()

    async def smtp_EHLO(self, hostname: str) -> None:
        self._speaks_enhanced_codes = False
        await super().smtp_EHLO(hostname)
        self._speaks_enhanced_codes = True

    async def smtp_QUIT(self, arg: str) -> None:
        if not arg:
            self._pending += b"221 2.0.0 Bye\r\n"
            await self.flush()
        await super().smtp_QUIT(arg)

    # Commands.

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        if match := _PLAIN_ADDRESS.fullmatch(arg):
            return match[1], match[2] or ""
        if match := _NULL_SENDER.fullmatch(arg):
            return "<>", match[1] or ""
        address, rest = super()._getaddr(arg)
        return (address, rest) if address is not None and "@" in address else (None, None)

    async def smtp_DATA(self, arg: str | None) -> None:
        if await self._must_not_send_content(arg):
            return
        await self.push("354 End data with <CR><LF>.<CR><LF>")
        if self.transaction.content_answer.kind is AnswerKind.DROP:
            await self._some_bytes()
            self.cut()
            return
        content = await self._read_content()
        if content is None:
            self.envelope = self._create_envelope()
            await self.push("552 5.3.4 Message too big")
            return
        status = await self._handler.take_content(self, content)
        self.envelope = self._create_envelope()
        if status is not None:
            await self.push(status)

    async def _must_not_send_content(self, arg: str | None) -> bool:
        if await self.check_helo_needed() or await self.check_auth_needed("DATA"):
            return True
        if not self.transaction.rcpt_tos:
            await self.push(
                "554 5.5.1 No valid recipients" if self.transaction.mail_from else "503 5.5.1 Need MAIL first"
            )
            return True
        if arg:
            await self.push("501 5.5.4 Syntax: DATA")
            return True
        return False

    async def _read_content(self) -> bytes | None:
        """Everything up to the final dot, dots unstuffed (RFC 5321 §4.5.2); none where it is too big, read anyway."""
        content = bytearray(b"\r\n")  # So that a lone dot in the very first line ends an empty message.
        is_too_big = False
        while True:
            scanned_from = max(0, len(content) - len(_END_OF_DATA) + 1)
            content += await self._some_bytes()
            end = content.find(_END_OF_DATA, scanned_from)
            if end >= 0:
                break
            if len(content) > MAX_MESSAGE_BYTES + len(_END_OF_DATA) + 2:
                is_too_big = True
                del content[: -len(_END_OF_DATA)]
        self._give_back(bytes(content[end + len(_END_OF_DATA) :]))
        if is_too_big or end > MAX_MESSAGE_BYTES:
            return None
        return bytes(content[: end + 2]).replace(b"\r\n.", b"\r\n")[2:]

    async def _some_bytes(self) -> bytes:
        self._reset_timeout()
        some = await self._reader.read(self.line_length_limit)
        if not some:
            raise ConnectionResetError("the client left in the middle of its message")
        return bytes(some)

    def _give_back(self, rest: bytes) -> None:
        """Commands that came behind the final dot in the same packet: back to the front of the reader."""
        if rest:
            self._input[:0] = rest

    # Endings.

    async def dismiss(self, reply: str) -> None:
        """Say ``reply`` to a client that is between two messages, and close."""
        await self.push(reply)
        await self.flush()
        self._has_said_goodbye = True
        if self.transport is not None:
            self.transport.close()

    async def say_goodbye(self, reply: str) -> None:
        """Answer a command with ``reply`` and close, once the client has read it (or its time is up)."""
        await self.push(reply)
        await self.flush()
        self._has_said_goodbye = True
        if self.transport is not None:
            self._writer.write_eof()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FAREWELL_SECONDS):
                    while await self._reader.read(self.line_length_limit):
                        pass
        self.cut()

    def cut(self) -> None:
        """End the connection without a word."""
        self._has_said_goodbye = True
        if self.transport is not None:
            cast(asyncio.WriteTransport, self.transport).abort()


def with_enhanced_code(reply: bytes) -> bytes:
    """``250 OK`` -> ``250 2.0.0 OK``; replies that have a code, and intermediate ones, stay as they are."""
    match = _LACKS_ENHANCED_CODE.match(reply)
    if match is None:
        return reply
    code = _ENHANCED_CODES.get(reply[:3], match[1] + b".0.0")
    return reply[:4] + code + reply[3:]
