"""An SMTP server that takes everything as fast as Python can: what bench and chaos send into.

    python -m ops.sink --port 0 --record FILE [--witness] [--latency-ms N] [--failures 451:0.01,disconnect:0.001] [--seed N]

Its first line on standard output is its port; its last one, after SIGTERM, a JSON summary (``Summary``). ``FILE`` gets
one line per accepted recipient, ``recipient<TAB>Message-ID``, at most a tenth of a second after the answer: the senders
are killed in such tests, the sink is not. As a witness of a relay it adds the address that the mail came from, the name in
EHLO, and the relay's queue id out of the topmost Received line. Dots are not unstuffed, since nothing is kept of the content.

Faster than any framework because it is less: one ``asyncio.BufferedProtocol`` (a plain one allocates a quarter of a
megabyte for each packet), no stream reader, the end of a message found by ``bytes.find`` across packets, one ``write``
for all replies to a packet. ``ops.sink_process`` runs it from Python.
"""

import argparse
import asyncio
import gc
import json
import re
import signal
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import cast

from ops.sink_failures import Failure, FailurePlan, FailureStage

END = b"\r\n.\r\n"
KEPT_HEAD_BYTES = 16 * 1024
"""The Message-ID is looked for in this much of a message."""
MAX_COMMAND_BYTES = 4096
PACKET_BYTES = 128 * 1024
WRITE_EVERY_SECONDS = 0.1

_RECEIVED_AS = re.compile(rb"\bwith E?SMTPS?A? id ([0-9A-Za-z]{5,30})\b")
_MESSAGE_ID = re.compile(rb"^message-id[ \t]*:\s*(<[^>\r\n]{1,300}>)", re.IGNORECASE | re.MULTILINE)
_ENVELOPE = re.compile(rb"MAIL FROM:<[^\r\n]*\r\nRCPT TO:<([^>\t\r\n]+)>\r\nDATA\r\n").match
"""An envelope for one recipient in one packet, as a pipelining client writes it."""
_QUICK_MESSAGE_ID = b"\r\nMessage-ID: <"

_EHLO = b"250-sink.invalid\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE 0\r\n250-ENHANCEDSTATUSCODES\r\n250 AUTH PLAIN LOGIN\r\n"
_OK = b"250 2.0.0 Ok\r\n"
_GO_AHEAD = b"354 End data with <CR><LF>.<CR><LF>\r\n"
_BAD_SEQUENCE = b"503 5.5.1 Bad sequence of commands\r\n"
_ENVELOPE_TAKEN = b"250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n" + _GO_AHEAD
_NO_RECIPIENTS = b"554 5.5.1 No valid recipients\r\n"


@dataclass
class Summary:
    """What the sink took. ``messages`` are those answered 250, and those whose answer a planned failure swallowed."""

    messages: int = 0
    bytes: int = 0
    distinct_message_ids: int = 0
    distinct_recipients: int = 0
    connections: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    cpu_seconds: float = 0.0


class Sink:
    """The memory of all connections, and its file."""

    def __init__(
        self,
        record: Path | None,
        *,
        latency_seconds: float = 0.0,
        plan: FailurePlan | None = None,
        is_witness: bool = False,
    ) -> None:
        self.latency_seconds = latency_seconds
        self.is_witness = is_witness
        self.plan = plan
        self.summary = Summary()
        self._message_ids: set[bytes] = set()
        self._recipients: set[bytes] = set()
        self._unwritten: list[bytes] = []
        self._file = record.open("ab", buffering=0) if record else None

    def take(self, recipients: list[bytes], message_id: bytes, size_bytes: int, testimony: bytes = b"") -> None:
        self.summary.messages += 1
        self.summary.bytes += size_bytes
        self._message_ids.add(message_id)
        for recipient in recipients:
            self._recipients.add(recipient)
            self._unwritten.append(b"%b\t%b%b\n" % (recipient, message_id, testimony))

    def fail(self, failure: Failure) -> None:
        self.summary.failures[failure.name] = self.summary.failures.get(failure.name, 0) + 1

    def write(self) -> None:
        lines, self._unwritten = self._unwritten, []
        if lines and self._file is not None:
            self._file.write(b"".join(lines))

    async def write_forever(self) -> None:
        while True:
            await asyncio.sleep(WRITE_EVERY_SECONDS)
            self.write()

    def finish(self) -> Summary:
        self.write()
        self.summary.distinct_message_ids = len(self._message_ids)
        self.summary.distinct_recipients = len(self._recipients)
        self.summary.cpu_seconds = round(time.process_time(), 2)
        return self.summary


class SinkConnection(asyncio.BufferedProtocol):
    """One client. Its state is either commands (``_rest`` holds an unfinished line) or content (``_head``, ``_tail``)."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._buffer = bytearray(PACKET_BYTES)
        self._view = memoryview(self._buffer)
        self._rest = b""
        self._is_waiting = False
        """An answer is being delayed; what arrives meanwhile is ``_held``."""
        self._held: list[bytes] = []
        self._is_leaving = False
        self._client = b""
        """Its address and the name that it gave itself, for a witness."""
        self._testimony = b""
        self._auth_lines = 0
        """Lines still to come of an AUTH dialogue."""
        self._begin_transaction()

    def _begin_transaction(self) -> None:
        self._has_sender = False
        self._recipients: list[bytes] = []
        self._failure: Failure | None = None
        self._is_in_content = False
        self._head = b""
        self._tail = b"\r\n"
        self._size_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._sink.summary.connections += 1
        self._transport.write(b"220 sink.invalid ESMTP\r\n")

    def get_buffer(self, _sizehint: int) -> memoryview:
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(bytes(self._view[:nbytes]))

    def data_received(self, data: bytes) -> None:
        if self._pauses():
            self._held.append(data)
            return
        if self._rest:
            data, self._rest = self._rest + data, b""
        replies: list[bytes] = []
        position, length = 0, len(data)
        while position < length and not self._pauses():
            if self._is_in_content:
                position = self._read_content(data, position, replies)
            else:
                position = self._read_command(data, position, replies)
        if replies and not self._transport.is_closing():
            self._transport.write(b"".join(replies))
        if self._is_leaving:
            self._transport.close()
        elif self._is_waiting:
            self._held.append(data[position:])

    def _pauses(self) -> bool:
        """Nothing more of this packet is read: the connection ends, or an answer is being delayed."""
        return self._is_leaving or self._is_waiting

    # Content.

    def _read_content(self, data: bytes, position: int, replies: list[bytes]) -> int:
        """Where the commands go on; the end of ``data`` where the content goes on in the next packet."""
        if self._failure is not None and self._failure.stage is FailureStage.IN_CONTENT:
            return self._cut(self._failure, data)
        seam = self._tail + data[position : position + 4]
        at_seam = seam.find(END)
        if at_seam >= 0:
            after = position + at_seam + len(END) - len(self._tail)
        else:
            found = data.find(END, position)
            after = found + len(END) if found >= 0 else -1
        if after < 0:
            return self._keep(data, position)
        self._size_bytes += after - position
        if self._sink.is_witness:
            head = self._head + data[position : min(after, position + KEPT_HEAD_BYTES)]
            self._testimony = b"\t%b\t%b" % (self._client, received_as(head))
        message_id = (
            message_id_of(self._head + data[position : min(after, position + KEPT_HEAD_BYTES)])
            if self._head
            else message_id_in(data, position, after)
        )
        self._end_message(message_id, replies)
        return after

    def _keep(self, data: bytes, position: int) -> int:
        self._size_bytes += len(data) - position
        if len(self._head) < KEPT_HEAD_BYTES:
            self._head += data[position : position + KEPT_HEAD_BYTES]
        self._tail = (self._tail + data[max(position, len(data) - 4) :])[-4:]
        return len(data)

    def _end_message(self, message_id: bytes, replies: list[bytes]) -> None:
        recipients, size_bytes, failure = self._recipients, self._size_bytes, self._failure
        self._begin_transaction()
        if failure is not None and failure.stage is FailureStage.CONTENT:
            self._sink.fail(failure)
            self._give(failure.reply, replies)
            return
        self._sink.take(recipients, message_id, size_bytes, self._testimony)
        if failure is not None:
            self._cut(failure, b"")
            return
        self._give(_OK, replies)

    def _cut(self, failure: Failure, data: bytes) -> int:
        self._sink.fail(failure)
        self._is_leaving = True
        self._transport.abort()
        return len(data)

    def _give(self, reply: bytes, replies: list[bytes]) -> None:
        """The answer to a message: now, or after the latency, during which nothing else of this client is read."""
        if not self._sink.latency_seconds:
            replies.append(reply)
            return
        self._is_waiting = True
        self._transport.pause_reading()
        asyncio.get_running_loop().call_later(self._sink.latency_seconds, self._give_now, reply)

    def _give_now(self, reply: bytes) -> None:
        if self._transport.is_closing():
            return
        self._transport.write(reply)
        held, self._held, self._is_waiting = b"".join(self._held), [], False
        self._transport.resume_reading()
        if held:
            self.data_received(held)

    # Commands.

    def _read_command(self, data: bytes, position: int, replies: list[bytes]) -> int:
        if self._sink.plan is None and not self._has_sender and (envelope := _ENVELOPE(data, position)):
            self._recipients.append(envelope[1])
            self._has_sender = self._is_in_content = True
            replies.append(_ENVELOPE_TAKEN)
            return envelope.end()
        end = data.find(b"\r\n", position)
        if end < 0:
            self._rest = data[position:]
            self._is_leaving = len(self._rest) > MAX_COMMAND_BYTES
            return len(data)
        if self._auth_lines:
            replies.append(self._take_auth_line())
        else:
            verb = data[position : position + 4].upper()
            replies.append(self._answer(verb, data[position:end]))
        return end + 2

    def _answer(self, verb: bytes, line: bytes) -> bytes:
        if verb == b"MAIL":
            return self._mail()
        if verb == b"RCPT":
            return self._rcpt(line)
        if verb == b"DATA":
            return self._data()
        if verb in (b"EHLO", b"HELO"):
            self._begin_transaction()
            self._client = b"%b\t%b" % (self._address(), line[5:].strip().replace(b"\t", b" "))
            return _EHLO if verb == b"EHLO" else _OK
        if verb == b"RSET":
            self._begin_transaction()
            return _OK
        if verb == b"AUTH":
            return self._auth(line)
        if verb == b"QUIT":
            self._is_leaving = True
            return b"221 2.0.0 Bye\r\n"
        return _OK if verb == b"NOOP" else b"502 5.5.1 Not implemented\r\n"

    def _address(self) -> bytes:
        return str(self._transport.get_extra_info("peername")[0]).encode()

    def _mail(self) -> bytes:
        if self._has_sender:
            return _BAD_SEQUENCE
        self._has_sender = True
        return b"250 2.1.0 Ok\r\n"

    def _rcpt(self, line: bytes) -> bytes:
        if not self._has_sender:
            return _BAD_SEQUENCE
        recipient = line[line.find(b"<") + 1 : line.rfind(b">")].replace(b"\t", b" ")
        failure = self._sink.plan.next_for(recipient) if self._sink.plan else None
        if failure is not None and failure.stage is FailureStage.RECIPIENT:
            self._sink.fail(failure)
            self._is_leaving = failure.closes
            return failure.reply
        self._failure = self._failure or failure
        self._recipients.append(recipient)
        return b"250 2.1.5 Ok\r\n"

    def _data(self) -> bytes:
        if not self._recipients:
            return _NO_RECIPIENTS if self._has_sender else _BAD_SEQUENCE
        self._is_in_content = True
        return _GO_AHEAD

    def _auth(self, line: bytes) -> bytes:
        """Any user with any password."""
        words = line.split()
        self._auth_lines = (2 if words[1:2] == [b"LOGIN"] else 1) - (len(words) > 2)
        return self._auth_reply()

    def _take_auth_line(self) -> bytes:
        self._auth_lines -= 1
        return self._auth_reply()

    def _auth_reply(self) -> bytes:
        return b"334 \r\n" if self._auth_lines else b"235 2.7.0 Welcome\r\n"


def message_id_in(data: bytes, start: int, end: int) -> bytes:
    """The Message-ID of the message in ``data[start:end]``, without copying it where it is written as ours are."""
    end = min(end, start + KEPT_HEAD_BYTES)
    header_end = data.find(b"\r\n\r\n", start, end)
    header_end = header_end if header_end >= 0 else end
    found = data.find(_QUICK_MESSAGE_ID, start, header_end)
    close = data.find(b">", found, header_end) if found >= 0 else -1
    if close < 0:
        return message_id_of(data[start:end])
    return data[found + len(_QUICK_MESSAGE_ID) - 1 : close + 1]


def message_id_of(head: bytes) -> bytes:
    match = _MESSAGE_ID.search(head.partition(b"\r\n\r\n")[0])
    return match[1] if match else b""


def received_as(head: bytes) -> bytes:
    """The queue id of the relay that handed the message over; empty where it tells none."""
    match = _RECEIVED_AS.search(head.partition(b"\r\n\r\n")[0])
    return match[1] if match else b""


async def serve(sink: Sink, port: int) -> None:
    """Until SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    server = await loop.create_server(lambda: SinkConnection(sink), "127.0.0.1", port, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    writer = asyncio.create_task(sink.write_forever())
    await stopped.wait()
    server.close()
    writer.cancel()
    with suppress(asyncio.CancelledError):
        await writer
    print(json.dumps(asdict(sink.finish())), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m ops.sink", description="An SMTP server that takes everything.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--record", type=Path)
    parser.add_argument("--witness", action="store_true", help="note also where each message came from")
    parser.add_argument("--latency-ms", type=float, default=0.0)
    parser.add_argument("--failures", default="", help="for example 451:0.01,data-554:0.01,disconnect:0.001")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    try:
        plan = FailurePlan.parse(arguments.failures, arguments.seed)
    except ValueError as error:
        parser.error(str(error))
    gc.freeze()
    latency_seconds = arguments.latency_ms / 1000
    sink = Sink(arguments.record, latency_seconds=latency_seconds, plan=plan, is_witness=arguments.witness)
    asyncio.run(serve(sink, arguments.port))


if __name__ == "__main__":
    main()
