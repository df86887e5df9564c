"""One SMTP connection after its log-in: what to write next and what an answer means.

With PIPELINING (RFC 2920 §3.1) a message's envelope (MAIL, RCPT, DATA) is one write, and the envelope of the next
message follows in the same write as the content of this one: one round trip per message. Without it, each command waits
for its answer. The connection knows at every moment whether a message's final dot has been handed to the kernel: before
that it is provably not sent, after that a lost answer means that nobody knows.
"""

import socket
import ssl
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto

from app.flow.submission import Answer, AnswerKind, OutgoingMessage
from app.mail.replies import Stage
from app.mail.smtp_reply import NotAReply, ReplyReader, ReplyTooLong
from app.models import OwnReply, coded, read_coded

CLOSING = 421
READ_BYTES = 16 * 1024


class Await(Enum):
    """The answer that the relay owes next for a message."""

    RSET = auto()
    MAIL = auto()
    RCPT = auto()
    DATA = auto()
    BODY = auto()


STAGES = {
    Await.RSET: Stage.MAIL_FROM,
    Await.MAIL: Stage.MAIL_FROM,
    Await.RCPT: Stage.RCPT_TO,
    Await.DATA: Stage.DATA,
    Await.BODY: Stage.BODY,
}


Refusal = tuple[int, str, Stage]


def refused(message: OutgoingMessage, refusal: Refusal) -> Answer:
    code, text, stage = refusal
    return Answer(seq=message.seq, kind=AnswerKind.REPLIED, code=code, text=text, stage=stage)


def _as_said(code: int, words: str) -> str:
    """A relay's words; with their number where they would read as a note of the platform's own."""
    return words if read_coded(OwnReply, words)[0] is None else f"{code} {words}"


class ConnectionLost(Exception):
    """The relay closed, answered 421, went silent, or spoke nonsense; or our lease ended. ``relay_failed`` tells which."""

    def __init__(self, message: str, *, code: int = 0, relay_failed: bool = True) -> None:
        super().__init__(message)
        self.code = code
        self.relay_failed = relay_failed


@dataclass(slots=True)
class Transaction:
    """One message on its way through the connection."""

    message: OutgoingMessage
    refusal: Refusal | None = None
    final_dot_at: int | None = None
    """Position in the stream behind the final dot; None until the content was queued."""


@dataclass(eq=False)
class SmtpConnection:
    """Feed it with :meth:`begin`, let the selector call :meth:`on_readable` and :meth:`on_writable`; collect
    :attr:`answers`. Any trouble raises :class:`ConnectionLost`; then :meth:`abandon` says what became of each message."""

    sock: socket.socket
    pipelining: bool
    timeout_seconds: float
    answers: list[Answer] = field(default_factory=list)
    messages_begun: int = 0
    _out: list[bytes] = field(default_factory=list)
    """Queued and not yet offered to the kernel."""
    _unsent: memoryview = field(default_factory=lambda: memoryview(b""))
    """Offered, and not taken for want of room."""
    _queued: int = 0
    _written: int = 0
    _replies: ReplyReader = field(default_factory=ReplyReader)
    _owed: deque[tuple[Await, Transaction]] = field(default_factory=deque)
    _current: Transaction | None = None
    """The message whose envelope or content is in work."""
    _next: Transaction | None = None
    """The message whose envelope went out behind the content of the current one."""
    _reset_owed: bool = False
    """A transaction was refused before its content: RSET goes before the next envelope."""
    _heard_at: float = field(default_factory=time.monotonic)
    idle_since: float = field(default_factory=time.monotonic)

    @property
    def wants_message(self) -> bool:
        """Whether another message can be taken now (one ahead, so that its envelope rides with the content before)."""
        return self._next is None and (self._current is None or self.pipelining)

    @property
    def is_idle(self) -> bool:
        return self._current is None and self._next is None

    @property
    def owes_verdict(self) -> bool:
        """Whether the relay has the whole content of a message and has not answered yet."""
        return self._current is not None and self._has_whole(self._current)

    def _has_whole(self, transaction: Transaction) -> bool:
        return transaction.final_dot_at is not None and self._written >= transaction.final_dot_at

    @property
    def wants_write(self) -> bool:
        return bool(self._out or self._unsent)

    def begin(self, message: OutgoingMessage) -> None:
        """Take a message. Its envelope is queued at once where nothing is in work, else with the content before it."""
        self.messages_begun += 1
        transaction = Transaction(message)
        if self._current is None:
            self._heard_at = time.monotonic()
            self._current = transaction
            self._queue_envelope(transaction)
        else:
            self._next = transaction
            if self._current.final_dot_at is not None:
                self._queue_envelope(transaction)

    def on_writable(self) -> None:
        """Hand over what is queued, in one write: a content, its final dot and the next envelope travel together."""
        while self.wants_write:
            if not self._unsent:
                self._unsent = memoryview(b"".join(self._out))
                self._out.clear()
            try:
                sent = self.sock.send(self._unsent)
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                return
            except OSError as error:
                self._hear_last_words()
                raise ConnectionLost(coded(OwnReply.CONNECTION_BROKE, error)) from error
            self._written += sent
            self._unsent = self._unsent[sent:]

    def on_readable(self) -> None:
        closed = False
        while True:
            try:
                received = self.sock.recv(READ_BYTES)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                break
            except OSError as error:
                raise ConnectionLost(coded(OwnReply.CONNECTION_BROKE, error)) from error
            if not received:
                closed = True
                break
            self._read_replies(received)
            if len(received) < READ_BYTES and not isinstance(self.sock, ssl.SSLSocket):
                break
        if closed:
            raise ConnectionLost(coded(OwnReply.RELAY_CLOSED))

    def _hear_last_words(self) -> None:
        """A relay that is gone may have answered before: what it said lies in our kernel, and makes an unknown a known."""
        with suppress(ConnectionLost):
            self.on_readable()

    def check_silence(self, now: float) -> None:
        """Raises where an answer has been owed for longer than the time-out."""
        if (self._owed or self.wants_write) and now - self._heard_at > self.timeout_seconds:
            raise ConnectionLost(coded(OwnReply.RELAY_SILENT, f"{self.timeout_seconds:.0f}"))

    def abandon(self, lost: ConnectionLost) -> tuple[list[Answer], list[tuple[OutgoingMessage, bool]]]:
        """After a loss: answers for messages that nobody can know about, and the messages that were provably not sent,
        each with whether it was the one in work."""
        self.close()
        answers: list[Answer] = []
        unsent: list[tuple[OutgoingMessage, bool]] = []
        for transaction in (self._current, self._next):
            if transaction is None:
                continue
            if transaction.refusal is not None:
                answers.append(refused(transaction.message, transaction.refusal))
            elif self._has_whole(transaction):
                answers.append(
                    Answer(
                        seq=transaction.message.seq,
                        kind=AnswerKind.LOST,
                        text=str(lost),
                        relay_trouble=lost.relay_failed,
                    )
                )
            else:
                unsent.append((transaction.message, transaction is self._current))
        self._current = self._next = None
        return answers, unsent

    def close(self) -> None:
        self.sock.close()

    def quit(self) -> None:
        """Say goodbye without waiting for the answer."""
        with suppress(OSError):
            self.sock.send(b"QUIT\r\n")
        self.close()

    # What goes out.

    def _queue(self, data: bytes) -> None:
        self._out.append(data)
        self._queued += len(data)

    def _queue_envelope(self, transaction: Transaction) -> None:
        message = transaction.message
        reset, self._reset_owed = self._reset_owed, False
        if reset:
            self._owed.append((Await.RSET, transaction))
        if self.pipelining:
            self._queue(
                b"%sMAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\n"
                % (b"RSET\r\n" if reset else b"", message.mail_from.encode(), message.rcpt_to.encode())
            )
            self._owed.extend((step, transaction) for step in (Await.MAIL, Await.RCPT, Await.DATA))
        elif reset:
            self._queue(b"RSET\r\n")
        else:
            self._queue(b"MAIL FROM:<%s>\r\n" % message.mail_from.encode())
            self._owed.append((Await.MAIL, transaction))

    def _queue_content(self, transaction: Transaction, content: bytes) -> None:
        self._queue(content)
        self._queue(b".\r\n")
        transaction.final_dot_at = self._queued
        self._owed.append((Await.BODY, transaction))
        if self._next is not None and self.pipelining:
            self._queue_envelope(self._next)

    # What comes in.

    def _read_replies(self, received: bytes) -> None:
        try:
            for code, text in self._replies.feed(received):
                self._heard_at = time.monotonic()  # A reply counts when it is complete: one that drips is silence.
                if not self._owed:
                    raise self._unasked(code, text)
                step, transaction = self._owed.popleft()
                self._on_reply(step, transaction, code, text)
        except ReplyTooLong as error:
            raise ConnectionLost(coded(OwnReply.ANSWER_TOO_LONG)) from error
        except NotAReply as error:
            raise ConnectionLost(coded(OwnReply.NOT_SMTP, error)) from error

    @staticmethod
    def _unasked(code: int, text: str) -> ConnectionLost:
        if code == CLOSING:
            return ConnectionLost(f"421 {_as_said(code, text)}", code=CLOSING)
        return ConnectionLost(coded(OwnReply.NOT_SMTP, f"{code} {text}"))

    def _on_reply(self, step: Await, transaction: Transaction, code: int, text: str) -> None:
        if code == CLOSING:
            self._on_closing(step, transaction, text)
        if step is Await.RSET:
            if not self.pipelining:
                self._queue_envelope(transaction)
        elif step is Await.MAIL or step is Await.RCPT:
            self._on_envelope_reply(step, transaction, code, text)
        elif step is Await.DATA:
            self._on_data_reply(transaction, code, text)
        else:
            self._finish(transaction, code, text)

    def _on_closing(self, step: Await, transaction: Transaction, text: str) -> None:
        """421 ends the connection. As the answer to the content it is an answer: this message was not taken. Before
        that, the message goes to another connection."""
        if step is Await.BODY:
            self._finish(transaction, CLOSING, text)
        raise ConnectionLost(f"421 {_as_said(CLOSING, text)}", code=CLOSING)

    def _on_envelope_reply(self, step: Await, transaction: Transaction, code: int, text: str) -> None:
        if code >= 400 and transaction.refusal is None:
            transaction.refusal = (code, _as_said(code, text), STAGES[step])
        if self.pipelining:
            return
        if transaction.refusal is not None:
            self._end_refused(transaction)
        elif step is Await.MAIL:
            self._queue(b"RCPT TO:<%s>\r\n" % transaction.message.rcpt_to.encode())
            self._owed.append((Await.RCPT, transaction))
        else:
            self._queue(b"DATA\r\n")
            self._owed.append((Await.DATA, transaction))

    def _on_data_reply(self, transaction: Transaction, code: int, text: str) -> None:
        if code == 354:
            # A relay that refused the recipient and takes DATA all the same gets an empty message for nobody
            # (RFC 2920 §3.1 foresees it); its answer ends the transaction.
            self._queue_content(transaction, b"" if transaction.refusal else transaction.message.content)
            return
        if transaction.refusal is None:
            transaction.refusal = (code, _as_said(code, text), Stage.DATA)
        self._end_refused(transaction)

    def _end_refused(self, transaction: Transaction) -> None:
        """The transaction was refused before its content: reset it together with the next envelope."""
        if transaction.refusal is not None:
            self.answers.append(refused(transaction.message, transaction.refusal))
        self._advance(reset=True)

    def _finish(self, transaction: Transaction, code: int, text: str) -> None:
        if transaction.refusal is not None:
            self.answers.append(refused(transaction.message, transaction.refusal))
        else:
            self.answers.append(
                Answer(
                    seq=transaction.message.seq,
                    kind=AnswerKind.REPLIED,
                    code=code,
                    text=_as_said(code, text),
                    stage=Stage.BODY,
                    relay_trouble=code == CLOSING,
                )
            )
        self._advance(reset=False)

    def _advance(self, *, reset: bool) -> None:
        """The current message is done; the next one, if taken, becomes current."""
        following, self._next = self._next, None
        self._current = following
        self._reset_owed = reset
        if reset and following is not None:
            # Its envelope was not sent yet: it rides only behind content, and there was none.
            self._queue_envelope(following)
        if following is None:
            self.idle_since = time.monotonic()
