"""Postfix' queue through its own programs. Queue ids go over standard input, never into a command line; every call is
bounded in time, and its output in size."""

import os
import re
import selectors
import shutil
import subprocess
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

from app.mail.postfix_queue import QUEUE_ID, Listing, chunks_of_lines, read_listing
from app.mail.queue_report import QueueTrouble

LISTING_SECONDS = 60.0
MAX_LISTING_BYTES = 1024**3
"""Some 3,000,000 mails."""
COMMAND_SECONDS = 60.0
MAX_WORDS = 4000
_BLOCK_BYTES = 256 * 1024
_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin"
_REFUSED = re.compile(r"superuser|permission denied|not authorized", re.IGNORECASE)
_DONE = re.compile(
    r"^postsuper: ([0-9A-Za-z]{5,20}): (?:placed on hold|released from hold|requeued|removed)$", re.MULTILINE
)


class QueueUnavailable(Exception):
    """Postfix' programs are missing, silent or refuse."""

    def __init__(self, words: str, trouble: QueueTrouble = QueueTrouble.FAILED) -> None:
        super().__init__(words)
        self.trouble = trouble


class PostfixQueue:
    """``config_dir``: of the Postfix instance, where it is not the machine's own."""

    def __init__(self, config_dir: Path | None = None) -> None:
        self._instance = ["-c", str(config_dir)] if config_dir else []

    def listing(self, *, most: int, wanted: frozenset[str] | None = None) -> Listing:
        """What `postqueue -j` tells. Raises :class:`QueueUnavailable` rather than giving half of it."""
        command = [_program("postqueue"), *self._instance, "-j"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            assert process.stdout is not None  # noqa: S101 - asked for a pipe
            try:
                found = read_listing(chunks_of_lines(_blocks(process.stdout)), most=most, wanted=wanted)
                status = process.wait(5)
            except (QueueUnavailable, subprocess.TimeoutExpired) as error:
                raise QueueUnavailable(f"postqueue: {error}") from error
            finally:
                with suppress(ProcessLookupError):
                    process.kill()
        if status:
            raise QueueUnavailable(f"postqueue ended with status {status}")
        return found

    def log_file(self) -> Path | None:
        """Where this Postfix writes its log; None where that is syslog's."""
        told = self._say("postconf", "-h", "maillog_file").strip()
        return Path(told) if told else None

    def hold(self, queue_ids: Collection[str]) -> set[str]:
        """Returns those that are on hold now and were not; so do the following."""
        return self._change("-h", queue_ids, "incoming", "deferred")

    def release(self, queue_ids: Collection[str]) -> set[str]:
        return self._change("-H", queue_ids)

    def requeue(self, queue_ids: Collection[str]) -> set[str]:
        """Never from `active`: a mail that is being delivered would go out twice."""
        moved = self._change("-r", queue_ids, "hold", "deferred")
        if moved:
            self._run("postkick", "public", "pickup", "W")  # By itself it looks once a minute.
        return moved

    def delete_held(self, queue_ids: Collection[str]) -> set[str]:
        """Only from `hold`, which nothing leaves by itself."""
        return self._change("-d", queue_ids, "hold")

    def _change(self, option: str, queue_ids: Collection[str], *queues: str) -> set[str]:
        """``postsuper`` reads the ids from its standard input, one a line."""
        wrong = [one for one in queue_ids if not QUEUE_ID.fullmatch(one)]
        if wrong:
            raise ValueError(f"no queue id: {wrong[0]!r}")
        if not queue_ids:
            return set()
        words = self._run("postsuper", option, "-", *queues, said="".join(f"{one}\n" for one in queue_ids))
        return set(_DONE.findall(words)) & set(queue_ids)

    def _run(self, program: str, *arguments: str, said: str = "") -> str:
        """What it said on standard error, as postsuper does."""
        return self._ran(program, *arguments, said=said).stderr

    def _say(self, program: str, *arguments: str) -> str:
        return self._ran(program, *arguments).stdout

    def _ran(self, program: str, *arguments: str, said: str = "") -> subprocess.CompletedProcess[str]:
        command = [_program(program), *self._instance, *arguments]
        try:
            ran = subprocess.run(
                command,
                input=said,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                timeout=COMMAND_SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise QueueUnavailable(f"{program} did not end within {COMMAND_SECONDS:g} s") from error
        if ran.returncode:
            words = ran.stderr[-MAX_WORDS:].strip()
            trouble = QueueTrouble.REFUSED if _REFUSED.search(words) else QueueTrouble.FAILED
            raise QueueUnavailable(f"{program}: {words}", trouble)
        return ran


def _program(name: str) -> str:
    found = shutil.which(name, path=_PATH)
    if found is None:
        words = f"{name} is not on this machine: the queue agent runs where Postfix does"
        raise QueueUnavailable(words, QueueTrouble.NO_POSTFIX)
    return found


def _blocks(pipe: IO[bytes]) -> Iterator[bytes]:
    deadline, received = time.monotonic() + LISTING_SECONDS, 0
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while True:
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise QueueUnavailable(f"no end of the listing within {LISTING_SECONDS:g} s")
            block = os.read(pipe.fileno(), _BLOCK_BYTES)
            received += len(block)
            if received > MAX_LISTING_BYTES:
                raise QueueUnavailable("the listing is larger than any queue of ours")
            if not block:
                return
            yield block
