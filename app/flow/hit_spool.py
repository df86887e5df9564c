"""Where hits wait while Redis is away: an append-only file on the tracking host, one line a hit.

Written by many threads and processes, taken by the tracker (``workers.tracker``) of the same host. Each line is one
``write`` under the file's lock, in the page cache when the answer leaves (a crash of the machine, not of
a process, may cost the last seconds). To take the file, the tracker renames it, then waits once for its lock: whoever
checked the name before the rename has written by then, whoever checks after it starts a new file.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from app.flow.hits import MAX_HIT_BYTES

WAITING = "hits.jsonl"
TAKEN_PATTERN = "hits.*.taken"


class HitSpool:
    """Parameters: ``directory``, made when first needed; it holds people's addresses, so it is its owner's only."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._waiting = directory / WAITING

    def append(self, hit: bytes) -> None:
        """Raises OSError where the disk does not take it."""
        # A line that a full disk cut short must not swallow its successor: hence the newline in front, too.
        line = b"\n" + hit + b"\n"
        with self._locked_waiting_file() as descriptor:
            written = os.write(descriptor, line)
        if written != len(line):
            raise OSError(f"{self._waiting}: only {written} of {len(line)} bytes were written")

    @contextmanager
    def _locked_waiting_file(self) -> Iterator[int]:
        while True:
            descriptor = self._open()
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                if self._still_has_its_name(descriptor):
                    yield descriptor
                    return
            finally:
                os.close(descriptor)

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        try:
            return os.open(self._waiting, flags, 0o600)
        except FileNotFoundError:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            return os.open(self._waiting, flags, 0o600)

    def _still_has_its_name(self, descriptor: int) -> bool:
        try:
            return os.stat(self._waiting).st_ino == os.fstat(descriptor).st_ino  # noqa: PTH116 - beside fstat
        except FileNotFoundError:
            return False

    def take(self) -> list[Path]:
        """Files that no one writes to any more, oldest first: the waiting one, and what a killed tracker left behind."""
        with suppress(FileNotFoundError):
            taken = self.directory / f"hits.{os.urandom(8).hex()}.taken"
            self._waiting.rename(taken)
        files = sorted(self.directory.glob(TAKEN_PATTERN), key=lambda path: path.stat().st_mtime)
        for path in files:
            _wait_for_last_writer(path)
        return files


def _wait_for_last_writer(path: Path) -> None:
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)


def read_spooled(path: Path) -> Iterator[bytes]:
    """The lines of a taken file; one that is too long comes in bounded pieces, which ``decode_hit`` refuses."""
    with path.open("rb") as file:
        while line := file.readline(MAX_HIT_BYTES + 2):
            if hit := line.strip():
                yield hit
