"""Runs every process of the Procfile: starts them, shows what they say, restarts those that die, stops all.

Each process is a process group of its own, so that whatever it forked goes with it. All of them end when the
supervisor dies, however it dies (PR_SET_PDEATHSIG). From a program:

    supervisor = Supervisor(read_procfile(path), cwd=checkout, env=environment)
    supervisor.start()
    supervisor.pids("sender")            # the leader first, then what it forked
    supervisor.kill("sender")            # SIGKILL to the whole group; it is started again
    supervisor.stop()
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from ops.services import processes

_COLOURS = (36, 33, 32, 35, 34, 31)
_TICK_SECONDS = 0.05
_HEALTHY_SECONDS = 10.0  # having run this long, a process that dies is started again without a growing wait
_CLEARING_SECONDS = 5.0  # how long the rest of a group may take to follow its dead leader


@dataclass(frozen=True)
class BackOff:
    """Waits between restarts: doubling from the first to the longest."""

    first_seconds: float = 1.0
    longest_seconds: float = 30.0

    def after(self, waited_seconds: float, ran_seconds: float) -> float:
        if ran_seconds >= _HEALTHY_SECONDS or not waited_seconds:
            return self.first_seconds
        return min(waited_seconds * 2, self.longest_seconds)


class Printer:
    """Whole lines, each with the name of the process that said it; coloured on a terminal."""

    def __init__(self, stream: IO[bytes], width: int, *, colour: bool) -> None:
        self._stream = stream
        self._width = width
        self._colour = colour
        self._lock = threading.Lock()
        self.heard: set[str] = set()
        self.spoke_at = time.monotonic()

    def line(self, name: str, number: int, text: bytes) -> None:
        self.heard.add(name)
        self.spoke_at = time.monotonic()
        prefix = f"{name:<{self._width}} |"
        if self._colour:
            prefix = f"\x1b[{_COLOURS[number % len(_COLOURS)]}m{prefix}\x1b[0m"
        with self._lock, suppress(OSError, ValueError):  # nobody reads any more: go on without saying it
            self._stream.write(prefix.encode() + b" " + text.rstrip(b"\r\n") + b"\n")
            self._stream.flush()


@dataclass
class _Child:
    """One line of the Procfile: running, clearing (its leader died, the rest follows) or waiting."""

    name: str
    command: str
    number: int
    process: subprocess.Popen[bytes] | None = None
    reader: threading.Thread | None = None
    started_at: float = 0.0
    start_at: float = 0.0
    waited_seconds: float = 0.0
    clearing_until: float | None = None
    starts: int = 0
    retired: bool = False
    orphans_told: bool = False
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def pgid(self) -> int | None:
        return self.process.pid if self.process else None

    def members(self) -> list[processes.ProcessIdentity]:
        """Living processes of the group, the leader first."""
        if self.pgid is None:
            return []
        return sorted(processes.members_of_group(self.pgid), key=lambda member: member.pid != self.pgid)


class Supervisor:
    """Keeps the given processes running from `start()` to `stop()`.

    Parameters:
      commands: name → shell command (`read_procfile`).
      cwd: their working directory.
      env: their whole environment; the shell expands `$VARIABLES` of the commands from it.
      grace_seconds: between SIGTERM and SIGKILL when stopping.
      output: where their lines go; standard output when None.
    """

    def __init__(
        self,
        commands: Mapping[str, str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        grace_seconds: float = 15.0,
        back_off: BackOff | None = None,
        output: IO[bytes] | None = None,
    ) -> None:
        self._children = {name: _Child(name, command, i) for i, (name, command) in enumerate(commands.items())}
        self._cwd = cwd
        self._env = dict(env)
        self._grace_seconds = grace_seconds
        self._back_off = back_off or BackOff()
        stream = output or sys.stdout.buffer
        width = max((len(name) for name in [*commands, "chaski"]), default=0)
        self._printer = Printer(stream, width, colour=stream.isatty())
        self._stopping = threading.Event()
        self._hurry = threading.Event()
        self._monitor = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    # What others may ask.

    @property
    def names(self) -> list[str]:
        return list(self._children)

    def pids(self, name: str) -> list[int]:
        """Living processes of this line of the Procfile: its leader first, then what it forked."""
        return [member.pid for member in self._children[name].members()]

    def starts(self, name: str) -> int:
        """How often it has been started: 1 when it never died."""
        return self._children[name].starts

    def kill(self, name: str, *, pid: int | None = None, number: signal.Signals = signal.SIGKILL) -> list[int]:
        """Send a signal to the whole group, or to one process of it; returns the pids that got it."""
        child = self._children[name]
        with child.lock:  # nothing is reaped meanwhile, so no number can belong to somebody else
            struck = [member for member in child.members() if pid is None or member.pid == pid]
            processes.send(struck, number)
        return [member.pid for member in struck]

    def retire(self, name: str) -> None:
        """When it ends, it is not started again."""
        self._children[name].retired = True

    # From start to stop.

    def start(self) -> None:
        for child in self._children.values():
            self._launch(child)
        self._monitor.start()

    def run(self) -> None:
        """Start and stay until SIGINT, SIGTERM or SIGHUP; a second one ends all at once. Main thread only."""
        previous = self.stop_on_signals()
        try:
            self.start()
            self.wait_for_signal()
        finally:
            self.stop()
            for number, handler in previous.items():
                signal.signal(number, handler)

    def stop_on_signals(self) -> dict[signal.Signals, signal.Handlers]:
        """Take over the signals that mean "stop"; returns the handlers that were there."""
        wanted = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        return {number: signal.signal(number, self._on_signal) for number in wanted}  # type: ignore[misc]  # a method is a handler

    def wait_for_signal(self) -> None:
        while not self._stopping.wait(0.5):
            pass

    def wait_until_calm(self, *, quiet_seconds: float, at_most_seconds: float) -> None:
        """Until every process has said something and none says more: whatever is printed now is not scrolled away."""
        deadline = time.monotonic() + at_most_seconds
        while time.monotonic() < deadline and not self._stopping.wait(_TICK_SECONDS):
            is_quiet = time.monotonic() - self._printer.spoke_at >= quiet_seconds
            if is_quiet and self._printer.heard >= set(self._children):
                return

    def _on_signal(self, number: int, frame: object) -> None:
        if self._stopping.is_set():
            self._hurry.set()
        self._stopping.set()

    @property
    def stop_requested(self) -> bool:
        return self._stopping.is_set()

    def stop(self) -> None:
        """SIGTERM to every leader, SIGKILL to what still lives after the grace; returns when all are gone."""
        self._stopping.set()
        if self._monitor.is_alive():
            self._monitor.join()
        for child in self._children.values():
            self._signal_leader(child, signal.SIGTERM)
        self._await_end(time.monotonic() + self._grace_seconds)
        for child in self._children.values():
            processes.send(child.members(), signal.SIGKILL)
        self._await_end(time.monotonic() + 5.0)
        for child in self._children.values():
            if child.reader is not None:
                child.reader.join(1.0)

    def _signal_leader(self, child: _Child, number: signal.Signals) -> None:
        """The leader alone: it tells its children; to Dramatiq's a second SIGTERM means "drop everything"."""
        with child.lock:
            if child.process is not None and child.process.poll() is None:
                child.process.send_signal(number)
            else:
                processes.send(child.members(), number)

    def _await_end(self, deadline: float) -> None:
        living = list(self._children.values())
        while living and time.monotonic() < deadline and not self._hurry.is_set():
            for child in living:
                self._release_orphans(child)
            living = [child for child in living if child.members()]
            time.sleep(_TICK_SECONDS)
        self._hurry.clear()

    def _release_orphans(self, child: _Child) -> None:
        """What a leader forgot when it ended is told once, too."""
        if child.process is not None and child.process.poll() is not None and not child.orphans_told:
            processes.send(child.members(), signal.SIGTERM)
            child.orphans_told = True

    # One child's life.

    def _launch(self, child: _Child) -> None:
        with child.lock:
            child.process = processes.spawn(
                ["/bin/sh", "-c", f"exec {child.command}"],
                cwd=self._cwd,
                env=self._env,
                output=subprocess.PIPE,
            )
            child.started_at = time.monotonic()
            child.starts += 1
            child.reader = threading.Thread(target=self._relay, args=(child, child.process), daemon=True)
            child.reader.start()

    def _relay(self, child: _Child, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None  # noqa: S101 - asked for a pipe
        for line in process.stdout:
            self._printer.line(child.name, child.number, line)

    def _watch(self) -> None:
        while not self._stopping.wait(_TICK_SECONDS):
            for child in self._children.values():
                with child.lock:
                    self._tend(child, time.monotonic())

    def _tend(self, child: _Child, now: float) -> None:
        if child.clearing_until is not None:
            self._clear(child, child.clearing_until, now)
        elif child.process is None:
            if now >= child.start_at and not child.retired:
                self._launch(child)
        elif child.process.poll() is not None:
            self._say_death(child, child.process.returncode, now)
            processes.send(child.members(), signal.SIGTERM)
            child.clearing_until = now + _CLEARING_SECONDS

    def _clear(self, child: _Child, until: float, now: float) -> None:
        remaining = child.members()
        if remaining and now < until:
            return
        processes.send(remaining, signal.SIGKILL)
        child.clearing_until = None
        child.process = None

    def _say_death(self, child: _Child, status: int, now: float) -> None:
        child.waited_seconds = self._back_off.after(child.waited_seconds, now - child.started_at)
        child.start_at = now + child.waited_seconds
        how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        self._say(f"{child.name} {how}; it starts again in {child.waited_seconds:g} s")

    def _say(self, text: str) -> None:
        self._printer.line("chaski", len(self._children), text.encode())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the Procfile of this checkout, or some of its lines, with the caller's environment and services."""
    from ops.procfile import read_procfile

    checkout = Path(__file__).resolve().parents[1]
    commands = read_procfile(checkout / "Procfile")
    parser = argparse.ArgumentParser(prog="python -m ops.supervise", description="Run lines of the Procfile.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which ones (default: all): {', '.join(commands)}")
    names = parser.parse_args(arguments).names
    unknown = sorted(set(names) - commands.keys())
    if unknown:
        parser.error(f"the Procfile has no {', '.join(unknown)}; it has {', '.join(commands)}")
    wanted = {name: command for name, command in commands.items() if not names or name in names}
    # Its commands say `python` and mean the one that runs this.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    Supervisor(wanted, cwd=checkout, env={**os.environ, "PATH": path}).run()


if __name__ == "__main__":
    main()
