"""CPU seconds of the parts of an installation, from the kernel's accounts of their processes."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import psutil

Pids = Callable[[], Iterable[int]]


@dataclass
class CpuMeter:
    """What each part has used since :meth:`begin`. Call :meth:`look` now and then: a process that ends between two looks
    takes what it used since the last one with it."""

    parts: Mapping[str, Pids]
    _seen: dict[str, dict[tuple[int, float], float]] = field(default_factory=dict)
    _begun: dict[str, float] = field(default_factory=dict)

    def begin(self) -> None:
        self._begun = self._total()

    def look(self) -> None:
        self._total()

    def used(self) -> dict[str, float]:
        """CPU seconds by part."""
        return {part: total - self._begun.get(part, 0.0) for part, total in self._total().items()}

    def _total(self) -> dict[str, float]:
        for part, pids in self.parts.items():
            seen = self._seen.setdefault(part, {})
            for pid in pids():
                try:
                    process = psutil.Process(pid)
                    times = process.cpu_times()
                    seen[pid, process.create_time()] = times.user + times.system
                except psutil.Error:
                    continue
        return {part: sum(seen.values()) for part, seen in self._seen.items()}


def with_children(pid: int) -> list[int]:
    try:
        return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    except psutil.Error:
        return []
