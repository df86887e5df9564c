"""Opens and clicks over keep-alive connections, from a process of its own: a selector, no thread, one request in flight
per connection. ``python -m ops.bench.hit_load HOST PORT SECONDS CONNECTIONS``, one path a line on standard input,
one line of JSON on standard output. Each request names itself in its User-Agent: ``bench/<number>``.
"""

import json
import re
import selectors
import socket
import sys
import time
from dataclasses import dataclass, field
from itertools import cycle

LENGTH = re.compile(rb"\r\nContent-Length: (\d+)", re.IGNORECASE)
EXPECTED = {b"/o/": b"200", b"/c/": b"302"}
STALL_SECONDS = 10.0


@dataclass
class Connection:
    sock: socket.socket
    number: int = 0
    sent_at: float = 0.0
    expected: bytes = b""
    received: bytearray = field(default_factory=bytearray)

    def complete(self) -> bool:
        """Header and body are there."""
        end = self.received.find(b"\r\n\r\n")
        if end < 0:
            return False
        length = LENGTH.search(self.received, 0, end)
        return len(self.received) >= end + 4 + (int(length[1]) if length else 0)


class Load:
    def __init__(self, host: str, port: int, paths: list[bytes]) -> None:
        self._address = (host, port)
        self._paths = cycle(paths)
        self._selector = selectors.DefaultSelector()
        self._sent = 0
        self.failed: list[int] = []
        self.latencies: list[float] = []

    def run(self, seconds: float, connections: int) -> dict[str, object]:
        for _ in range(connections):
            self._connect()
        started = time.perf_counter()
        end = started + seconds
        while self._selector.get_map():
            ready = self._selector.select(STALL_SECONDS)
            if not ready:
                self._give_up()
            for key, _events in ready:
                self._receive(key.data, end)
        return self._result(time.perf_counter() - started)

    def _connect(self) -> None:
        sock = socket.create_connection(self._address, timeout=STALL_SECONDS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(sock)
        self._selector.register(sock, selectors.EVENT_READ, connection)
        self._send(connection)

    def _send(self, connection: Connection) -> None:
        path = next(self._paths)
        self._sent += 1
        connection.number, connection.expected = self._sent, EXPECTED[path[:3]]
        connection.received.clear()
        request = b"GET %b HTTP/1.1\r\nHost: bench.test\r\nUser-Agent: bench/%d\r\nAccept: */*\r\n\r\n"
        connection.sent_at = time.perf_counter()
        connection.sock.sendall(request % (path, self._sent))

    def _receive(self, connection: Connection, end: float) -> None:
        try:
            received = connection.sock.recv(65536)
        except OSError:
            received = b""
        if not received:
            self.failed.append(connection.number)
            self._close(connection)
            if time.perf_counter() < end:
                self._connect()
            return
        connection.received += received
        if not connection.complete():
            return
        now = time.perf_counter()
        self.latencies.append(now - connection.sent_at)
        if connection.received[9:12] != connection.expected:
            self.failed.append(connection.number)
        if now < end:
            self._send(connection)
        else:
            self._close(connection)

    def _close(self, connection: Connection) -> None:
        self._selector.unregister(connection.sock)
        connection.sock.close()

    def _give_up(self) -> None:
        for key in list(self._selector.get_map().values()):
            self.failed.append(key.data.number)
            self._close(key.data)

    def _result(self, seconds: float) -> dict[str, object]:
        ordered = sorted(self.latencies)
        return {
            "sent": self._sent,
            "failed": self.failed,
            "seconds": seconds,
            "p50_ms": 1000 * ordered[len(ordered) // 2] if ordered else None,
            "p95_ms": 1000 * ordered[int(len(ordered) * 0.95)] if ordered else None,
            "max_ms": 1000 * ordered[-1] if ordered else None,
        }


def main() -> None:
    host, port, seconds, connections = sys.argv[1:5]
    paths = sys.stdin.buffer.read().split()
    print(json.dumps(Load(host, int(port), paths).run(float(seconds), int(connections))))


if __name__ == "__main__":
    main()
