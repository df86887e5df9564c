"""The sink as a process of its own, for bench, chaos and tests:

with SinkProcess(record=path) as sink:
    send_to("127.0.0.1", sink.port)
    sink.summary()          # ends it
    list(sink.records())    # (recipient, Message-ID)
"""

import json
import signal
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from ops.sink import Summary

CHECKOUT = Path(__file__).resolve().parent.parent
STOP_SECONDS = 30


class Witnessed(NamedTuple):
    """A message that a relay handed over."""

    recipient: str
    message_id: str
    source: str
    """The address that it came from."""
    helo: str
    queue_id: str
    """The relay's; empty where it told none."""


class SinkProcess:
    """Starts ``python -m ops.sink``; a context manager.

    Parameters:
      record: file that gets one line per accepted recipient.
      latency_ms: every message's answer comes this much later.
      is_witness: each line also says from where the message came (``witnessed``).
      failures: as ``ops.sink_failures`` describes; ``seed`` decides who meets them.
    """

    def __init__(
        self,
        *,
        record: Path,
        latency_ms: float = 0,
        failures: str = "",
        seed: int = 1,
        port: int = 0,
        is_witness: bool = False,
    ) -> None:
        self.record = record
        self._summary: Summary | None = None
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "ops.sink", "--port", str(port), "--record", str(record)),
                *(["--witness"] if is_witness else []),
                *("--latency-ms", str(latency_ms), "--failures", failures, "--seed", str(seed)),
            ],
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        first_line = self._process.stdout.readline() if self._process.stdout else ""
        if not first_line.strip().isdigit():
            self._process.kill()
            raise RuntimeError(f"The sink did not start (exit code {self._process.wait()}); its errors are above.")
        self.port = int(first_line)

    @property
    def pid(self) -> int:
        return self._process.pid

    def summary(self) -> Summary:
        """Ends the sink and tells what it took."""
        if self._summary is None:
            self._process.send_signal(signal.SIGTERM)
            output, _ = self._process.communicate(timeout=STOP_SECONDS)
            self._summary = Summary(**json.loads(output.splitlines()[-1]))
        return self._summary

    def records(self) -> Iterator[tuple[str, str]]:
        """Recipient and Message-ID of every accepted message so far, a tenth of a second late while the sink runs."""
        for recipient, message_id, *_testimony in self._lines():
            yield recipient, message_id

    def witnessed(self) -> Iterator[Witnessed]:
        """The same with what a witness knows."""
        for fields in self._lines():
            yield Witnessed(*fields)

    def _lines(self) -> Iterator[list[str]]:
        if not self.record.exists():
            return
        with self.record.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.endswith("\n"):
                    yield line[:-1].split("\t")

    def known_message_ids(self, message_ids: Collection[str]) -> set[str]:
        """Which of ``message_ids`` the sink took: what a relay's log is for reconciling."""
        return {message_id for _, message_id in self.records() if message_id in message_ids}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
