"""Children that die with us, and processes found by what they are rather than by their name.

Linux only: it reads `/proc` and uses PR_SET_PDEATHSIG.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ops.services.account import Account, popen_account

_PR_SET_PDEATHSIG = 1
_prctl = ctypes.CDLL(None, use_errno=True).prctl

# The kernel sends the death signal when the *thread* that forked ends, so every child is forked by
# this one thread, which lives as long as the process does.
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")


@dataclass(frozen=True)
class ProcessIdentity:
    """A pid alone is reused by the kernel; together with its start time it names one process for good."""

    pid: int
    started_ticks: int


def spawn(
    argv: Sequence[object],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    output: IO[bytes] | int | None = None,
    account: Account | None = None,
    death_signal: signal.Signals = signal.SIGTERM,
) -> subprocess.Popen[bytes]:
    """Start `argv` in its own process group; `death_signal` reaches it when we die, however we do."""

    def fork() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [str(part) for part in argv],
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if output is not None else None,
            process_group=0,
            # Only calls prctl and getppid, so no lock that another thread may hold is touched.
            preexec_fn=_die_with_parent(os.getpid(), death_signal),  # noqa: PLW1509  # see above
            **popen_account(account),
        )

    return _spawner.submit(fork).result()


def _die_with_parent(parent_pid: int, death_signal: signal.Signals) -> Callable[[], None]:
    number = int(death_signal)

    def before_exec() -> None:
        _prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent_pid:  # the parent died between fork and prctl: nobody would send the signal
            os._exit(1)

    return before_exec


def identify(pid: int) -> ProcessIdentity | None:
    """The living process with this number; None when there is none or only its zombie is left."""
    fields = _stat_fields(pid)
    if fields is None or fields[0] in "ZX":
        return None
    return ProcessIdentity(pid, int(fields[19]))


def is_alive(process: ProcessIdentity) -> bool:
    return identify(process.pid) == process


def children_of(pid: int) -> list[ProcessIdentity]:
    return _matching(lambda fields: int(fields[1]) == pid)


def members_of_group(pgid: int) -> list[ProcessIdentity]:
    return _matching(lambda fields: int(fields[2]) == pgid)


def working_in(directory: Path) -> list[ProcessIdentity]:
    """Living processes whose working directory is `directory` (only those that we may look at)."""
    wanted = str(directory.resolve())
    found = []
    for pid in _all_pids():
        with suppress(OSError):
            if str(Path(f"/proc/{pid}/cwd").readlink()) == wanted:
                found.append(identify(pid))
    return [process for process in found if process is not None]


def send(processes: Iterable[ProcessIdentity], number: signal.Signals) -> None:
    for process in processes:
        if is_alive(process):
            with suppress(ProcessLookupError):
                os.kill(process.pid, number)


def wait_until_gone(processes: Iterable[ProcessIdentity], timeout_seconds: float) -> list[ProcessIdentity]:
    """Wait until none of them lives; return those that still do when the time is over."""
    deadline = time.monotonic() + timeout_seconds
    remaining = [process for process in processes if is_alive(process)]
    while remaining and time.monotonic() < deadline:
        time.sleep(0.02)
        remaining = [process for process in remaining if is_alive(process)]
    return remaining


def _matching(wanted: Callable[[list[str]], bool]) -> list[ProcessIdentity]:
    found = []
    for pid in _all_pids():
        fields = _stat_fields(pid)
        if fields is not None and fields[0] not in "ZX" and wanted(fields):
            found.append(ProcessIdentity(pid, int(fields[19])))
    return found


def _all_pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - names, not paths


def _stat_fields(pid: int) -> list[str] | None:
    """Fields 3 and on of proc(5) `/proc/PID/stat`: state, parent, group, …; the 20th is the start time."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return text[text.rindex(")") + 2 :].split()
