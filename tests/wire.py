"""A client that says exactly what a test wants said: raw bytes over a socket, replies line by line."""

import base64
import socket
from types import TracebackType
from typing import Self


class Wire:
    """A connection to a local SMTP server; ``say`` sends bytes as they are, ``hear`` reads one (multi-line) reply."""

    def __init__(self, port: int, *, timeout_seconds: float = 20) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout_seconds)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")

    def say(self, what: bytes) -> Self:
        self._socket.sendall(what)
        return self

    def hear(self) -> str:
        """Raises ``EOFError`` where the server has gone."""
        lines = []
        while True:
            try:
                line = self._file.readline()
            except ConnectionResetError:
                line = b""
            if not line:
                raise EOFError(f"after {lines}")
            lines.append(line.decode().rstrip("\r\n"))
            if line[3:4] != b"-":
                return "\n".join(lines)

    def hear_codes(self, count: int) -> list[str]:
        return [self.hear()[:3] for _ in range(count)]

    def ask(self, what: bytes) -> str:
        return self.say(what + b"\r\n").hear()

    def greet(self) -> Self:
        assert self.hear().startswith("220")
        assert self.ask(b"EHLO test.example.pe").startswith("250")
        return self

    def log_in(self, user: str, password: str) -> Self:
        token = base64.b64encode(f"\0{user}\0{password}".encode())
        reply = self.ask(b"AUTH PLAIN " + token)
        assert reply.startswith("235"), reply
        return self

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def envelope(recipient: str, sender: str = "rebotes@boletin.example.gob.pe") -> bytes:
    """MAIL, RCPT and DATA in one write (RFC 2920)."""
    return f"MAIL FROM:<{sender}>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n".encode()


def content(message_id: str, body: str = "Hola\r\n", subject: str = "Feria") -> bytes:
    """A small message with its final dot."""
    head = f"From: <noticias@boletin.example.gob.pe>\r\nMessage-ID: {message_id}\r\nSubject: {subject}\r\n"
    return f"{head}\r\n{body}.\r\n".encode()
