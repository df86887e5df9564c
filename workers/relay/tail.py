"""A log file's lines, each once, whatever rotation does to the file.

A place is known by the file's inode, the offset, and a fingerprint of the file's first line: an inode may be given to another
file, and a file that was cut to nothing keeps its inode. Rotation by rename and by copy (copytruncate) both leave a file with
the same first line beside the log; from there reading goes on, file by file, up to the live one. Which file comes next is asked
anew at the end of each: names move on with every rotation, and the log may be turned over again while one file is being read.
Only where a file is not found (it was deleted or compressed meanwhile) lines may be missing, and ``Portion.has_gap`` says so.
"""

import hashlib
import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

CHUNK_BYTES = 256 * 1024
MAX_FIRST_LINE_BYTES = 4096
LINGER_SECONDS = 5.0
"""How long a log that was renamed is still read: its writer goes on with it until it is told."""
PACKED = (".gz", ".xz", ".bz2", ".zst")


@dataclass(frozen=True)
class Place:
    inode: int
    offset: int
    first_line: str
    """Its fingerprint; empty while there is none."""


@dataclass(frozen=True)
class Portion:
    lines: list[str]
    place: Place | None
    """Where to go on behind these lines; None while there is no file."""
    at_end: bool
    """Whether the live log has nothing more at this moment."""
    has_gap: bool


class Left(Enum):
    """What stands in a file behind the lines that were taken."""

    MORE = auto()
    A_BEGINNING = auto()  # Of a line that is being written; in a rotated file it never ends.
    NOTHING = auto()


@dataclass(frozen=True)
class Rotated:
    """A file beside the live log."""

    path: Path
    inode: int
    written_ns: int
    """When it was last written to."""


class _File:
    """One open file of the log."""

    def __init__(self, path: Path, offset: int = 0) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.offset = offset
        try:
            self.inode = os.fstat(self._fd).st_ino
            self.first_line = self.fingerprint()
        except OSError:
            self.close()
            raise

    def fingerprint(self) -> str:
        line, newline, _rest = os.pread(self._fd, MAX_FIRST_LINE_BYTES, 0).partition(b"\n")
        is_whole = newline or len(line) == MAX_FIRST_LINE_BYTES
        return hashlib.sha256(line).hexdigest()[:32] if is_whole else ""

    def was_cut(self) -> bool:
        """Whether this is no longer what was read so far."""
        self.first_line = self.first_line or self.fingerprint()
        return self.size() < self.offset or self.fingerprint() != self.first_line

    def size(self) -> int:
        return os.fstat(self._fd).st_size

    def written_ns(self) -> int:
        return os.fstat(self._fd).st_mtime_ns

    def read(self) -> bytes:
        return os.pread(self._fd, CHUNK_BYTES, self.offset)

    def place(self) -> Place:
        self.first_line = self.first_line or self.fingerprint()
        return Place(self.inode, self.offset, self.first_line)

    def close(self) -> None:
        os.close(self._fd)


class LogTail:
    """Parameters:
    path: the live log; its rotated copies lie beside it as ``NAME.*`` or ``NAME-*``.
    place: where to go on; None begins at the live log's start.
    """

    def __init__(self, path: Path, place: Place | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._start = place
        self._current: _File | None = None
        self._was_live = False
        """Whether the current file was the live one while it was read: then somebody may still write to it."""
        self._skips_line = False
        self._renamed_at: float | None = None
        self.trouble: OSError | None = None
        """Why no file could be opened when it was last tried."""

    def behind_bytes(self) -> int:
        """Written and not read yet."""
        file = self._current
        if file is None:
            return 0
        left = max(0, file.size() - file.offset)
        if self._is_live(file):
            return left
        later = [one.path for one in self._rotated() if one.inode != file.inode and one.written_ns > file.written_ns()]
        return left + sum(map(_size, [*later, self._path]))

    def read(self) -> Portion:
        """What comes next, at most ``CHUNK_BYTES`` of it; only whole lines."""
        has_gap = False
        if self._current is None:
            has_gap = self._open()
        elif self._current.was_cut():
            has_gap = self._find_again(self._current.place())
        if self._current is None:
            return Portion([], None, at_end=False, has_gap=has_gap)
        lines, left = self._take(self._current)
        if left is Left.MORE:
            return Portion(lines, self._current.place(), at_end=False, has_gap=has_gap)
        is_live = self._is_live(self._current)
        if is_live:
            self._was_live = True
        if lines:
            self._renamed_at = None
        elif not is_live:
            has_gap |= self._go_on(self._current)
        at_end = is_live and left is Left.NOTHING
        return Portion(lines, self._current.place(), at_end=at_end, has_gap=has_gap)

    def close(self) -> None:
        if self._current is not None:
            self._current.close()
            self._current = None

    def _take(self, file: _File) -> tuple[list[str], Left]:
        """Whole lines, and what is left behind them."""
        raw = file.read()
        whole, newline, rest = raw.rpartition(b"\n")
        if not newline:
            # A line without an end is none; the rest of it is passed over as well.
            if len(raw) == CHUNK_BYTES:
                file.offset += len(raw)
                self._skips_line = True
                return [], Left.MORE
            return [], Left.A_BEGINNING if raw else Left.NOTHING
        file.offset += len(whole) + 1
        lines = whole.decode("utf-8", "replace").split("\n")
        if self._skips_line:
            lines, self._skips_line = lines[1:], False
        if len(raw) == CHUNK_BYTES:
            return lines, Left.MORE
        return lines, Left.A_BEGINNING if rest else Left.NOTHING

    def _is_live(self, file: _File) -> bool:
        try:
            return self._path.stat().st_ino == file.inode
        except FileNotFoundError:
            return False

    # Opening and changing files.

    def _open(self) -> bool:
        start, self._start = self._start, None
        if start is None:
            self._begin(self._path)
            return self._current is not None
        has_gap = self._find_again(start)
        if self._current is None:
            self._start = start  # Not even the live log is there: look again.
        return has_gap

    def _find_again(self, place: Place) -> bool:
        """Go on where ``place`` is now. Returns whether lines may be missing."""
        self.close()
        self._renamed_at = None
        if _holds(self._path, place):  # First, since someone may have made a copy of it.
            self._begin(self._path, place.offset)
            return False
        for one in self._rotated():
            if _holds(one.path, place):
                self._begin(one.path, place.offset)
                return False
        self._begin(self._path)
        return True

    def _rotated(self) -> list[Rotated]:
        """Rotated files that can be read, the oldest first."""
        beside = [*self._path.parent.glob(f"{self._path.name}.*"), *self._path.parent.glob(f"{self._path.name}-*")]
        found = [one for path in beside if path.suffix not in PACKED and (one := _rotated(path))]
        return sorted(found, key=lambda one: one.written_ns)

    def _begin(self, path: Path, offset: int = 0) -> None:
        self._was_live = False
        try:
            self._current, self.trouble = _File(path, offset), None
        except OSError as error:
            self._current, self.trouble = None, error

    def _go_on(self, file: _File) -> bool:
        """A rotated file was read to its end: the next one, or the live log once nobody writes to this one any more. Returns
        whether lines may be missing."""
        path, _is_known = self._successor(file)
        if path == self._path and not path.exists():
            return False
        if (path == self._path or self._was_live) and not self._has_lingered():
            return False
        try:
            following = _File(path)
        except FileNotFoundError:
            return False
        again, is_known = self._successor(file)
        if again != path or following.inode != _inode(path):  # Turned over once more at this very moment.
            following.close()
            return False
        file.close()
        self._current, self._renamed_at, self._skips_line, self._was_live = following, None, False, False
        return not is_known

    def _has_lingered(self) -> bool:
        now = self._clock()
        if self._renamed_at is None:
            self._renamed_at = now
        return now - self._renamed_at >= LINGER_SECONDS

    def _successor(self, file: _File) -> tuple[Path, bool]:
        """What was begun after this file, and whether that is sure: where it is gone itself, others may be gone with it."""
        files = self._rotated()
        places = [index for index, one in enumerate(files) if one.inode == file.inode]
        later = files[places[0] + 1 :] if places else [one for one in files if one.written_ns > file.written_ns()]
        return (later[0].path if later else self._path), bool(places)


def _rotated(path: Path) -> Rotated | None:
    try:
        known = path.stat()
    except FileNotFoundError:
        return None
    return Rotated(path, known.st_ino, known.st_mtime_ns) if stat.S_ISREG(known.st_mode) else None


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _holds(path: Path, place: Place) -> bool:
    """Whether this is the file in which the place lies."""
    try:
        file = _File(path)
    except OSError:
        return False
    try:
        is_same = file.first_line == place.first_line if place.first_line else file.inode == place.inode
        return is_same and file.size() >= place.offset
    finally:
        file.close()
