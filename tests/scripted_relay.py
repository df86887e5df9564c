"""A relay for tests that does exactly what it is told, recipient by recipient, over real sockets.

    with ScriptedRelay({"x@example.pe": Behaviour(rcpt="550 5.1.1 no such user")}) as relay:
        relay.port; relay.stored

It takes one connection per thread and answers command by command, so that pipelined input is served as a slow,
correct relay would. ``stored`` holds what it accepted responsibility for, also where the client never heard so.
"""

import contextlib
import re
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email import message_from_bytes

PATH = re.compile(rb"<([^>]*)>")


@dataclass(frozen=True)
class Behaviour:
    """What a recipient's transaction meets. Texts are whole replies."""

    mail: str = "250 2.1.0 ok"
    rcpt: str = "250 2.1.5 ok"
    data: str = "354 go on"
    body: str = "250 2.0.0 Ok: queued"
    drop: str = ""
    """Close the connection at: ``rcpt`` (before its reply), ``data``, ``mid_body``, ``stored`` (stored, no reply)."""
    delay_seconds: float = 0.0
    """Before the reply to the content."""
    times: int = 1_000_000
    """How often; afterwards the recipient is accepted."""


@dataclass(frozen=True)
class Stored:
    mail_from: str
    rcpt_to: str
    message_id: str
    content: bytes
    connection: int


@dataclass
class ScriptedRelay:
    script: Mapping[str, Behaviour] = field(default_factory=dict)
    pipelining: bool = True
    greeting: str = "220 relay.test ESMTP"
    greeting_after_seconds: float = 0.0
    goodbye: str = "221 bye"
    """Empty: it hangs up without a word."""
    messages_before_421: int = 1_000_000
    """Per connection; then the next MAIL is answered 421 and the connection closed."""
    default: Behaviour = field(default_factory=Behaviour)
    stored: list[Stored] = field(default_factory=list)
    connections: int = 0
    commands: list[str] = field(default_factory=list)

    def __enter__(self) -> "ScriptedRelay":
        self._lock = threading.Lock()
        self._met: dict[str, int] = {}
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Close the listener and all connections, at once."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in list(self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        self._thread.join(timeout=5)

    def message_ids(self) -> list[str]:
        return [stored.message_id for stored in self.stored]

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _address = self._listener.accept()
                # Else the kernel holds each small reply back for forty milliseconds.
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self._lock:
                    self.connections += 1
                    number = self.connections
                self._open.add(sock)
                threading.Thread(target=self._serve, args=(sock, number), daemon=True).start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError, ConnectionError, _Dropped):
            _Dialogue(self, sock, number).run()
        self._open.discard(sock)
        sock.close()

    def behaviour_for(self, recipient: str) -> Behaviour:
        with self._lock:
            behaviour = self.script.get(recipient, self.default)
            met = self._met[recipient] = self._met.get(recipient, 0) + 1
        return behaviour if met <= behaviour.times else Behaviour()

    def behaviour_for_content(self, recipient: str, content: bytes, behaviour: Behaviour) -> Behaviour:
        """For those who decide when they have seen the message."""
        return behaviour


class _Dropped(Exception):
    """The script closes this connection."""


class _Dialogue:
    def __init__(self, relay: ScriptedRelay, sock: socket.socket, number: int) -> None:
        self.relay, self.sock, self.number = relay, sock, number
        self.file = sock.makefile("rb")
        self.taken = 0

    def run(self) -> None:
        time.sleep(self.relay.greeting_after_seconds)
        self.reply(self.relay.greeting)
        mail_from, rcpt_to, behaviour = "", "", self.relay.default
        while line := self.file.readline():
            verb = line[:4].upper().strip()
            self.relay.commands.append(verb.decode("ascii", "replace"))
            if verb == b"EHLO":
                self.reply(
                    "250-relay.test\r\n250-PIPELINING\r\n250 8BITMIME" if self.relay.pipelining else "250 relay.test"
                )
            elif verb == b"MAIL":
                if mail_from:
                    self.reply("503 5.5.1 nested MAIL command")
                    continue
                if self.taken >= self.relay.messages_before_421:
                    self.reply("421 4.7.0 enough for now")
                    return
                mail_from = PATH.search(line)[1].decode()  # type: ignore[index]
                self.reply(self.relay.default.mail)
            elif verb == b"RCPT":
                rcpt_to = PATH.search(line)[1].decode()  # type: ignore[index]
                behaviour = self.relay.behaviour_for(rcpt_to)
                self.drop_if(behaviour, "rcpt")
                self.reply(behaviour.rcpt)
                if behaviour.rcpt.startswith("421"):
                    return
                if not behaviour.rcpt.startswith("2"):
                    rcpt_to = ""
            elif verb == b"DATA":
                self.drop_if(behaviour, "data")
                if not rcpt_to:
                    self.reply("554 5.5.1 no valid recipients")
                    continue
                self.reply(behaviour.data)
                if behaviour.data.startswith("354"):
                    self.content(mail_from, rcpt_to, behaviour)
                    mail_from, rcpt_to = "", ""
            elif verb == b"RSET":
                mail_from, rcpt_to = "", ""
                self.reply("250 2.0.0 ok")
            elif verb == b"QUIT":
                if self.relay.goodbye:
                    self.reply(self.relay.goodbye)
                return
            else:
                self.reply("500 5.5.2 unknown command")

    def content(self, mail_from: str, rcpt_to: str, behaviour: Behaviour) -> None:
        lines = []
        while (line := self.file.readline()) not in (b".\r\n", b""):
            lines.append(line)
            self.drop_if(behaviour, "mid_body")
        if line == b"":
            raise _Dropped
        content = b"".join(lines)
        behaviour = self.relay.behaviour_for_content(rcpt_to, content, behaviour)
        time.sleep(behaviour.delay_seconds)
        if behaviour.body.startswith("2"):
            stored = Stored(mail_from, rcpt_to, str(message_from_bytes(content)["Message-ID"]), content, self.number)
            with self.relay._lock:
                self.relay.stored.append(stored)
        self.drop_if(behaviour, "stored")
        self.taken += 1
        self.reply(behaviour.body)
        if behaviour.body.startswith("421"):
            raise _Dropped

    def drop_if(self, behaviour: Behaviour, moment: str) -> None:
        if behaviour.drop == moment:
            self.sock.shutdown(socket.SHUT_RDWR)
            raise _Dropped

    def reply(self, text: str) -> None:
        self.sock.sendall(text.encode() + b"\r\n")
