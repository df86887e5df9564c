"""What a follower remembers across restarts: its place in the log and the open queue ids, always of the same moment."""

import sqlite3
from collections.abc import Mapping
from pathlib import Path

from workers.relay.joining import Open
from workers.relay.tail import Place

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
SCHEMA = """
    CREATE TABLE IF NOT EXISTS place (one INTEGER PRIMARY KEY CHECK (one = 1), inode INTEGER, position INTEGER, first_line TEXT);
    CREATE TABLE IF NOT EXISTS boot (one INTEGER PRIMARY KEY CHECK (one = 1), id TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS open (queue_id TEXT PRIMARY KEY, named TEXT NOT NULL, sender TEXT NOT NULL);
"""


class Memory:
    """A SQLite file: each :meth:`keep` is one transaction, whole or not at all, whenever the process is killed. A second
    follower with the same file is refused."""

    def __init__(self, path: Path, *, boot_id: str | None = None) -> None:
        self._boot_id = boot_id if boot_id is not None else BOOT_ID.read_text().strip()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, timeout=5, isolation_level=None)
        self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.executescript(SCHEMA)
        self._connection.execute("BEGIN EXCLUSIVE")
        self._connection.execute("COMMIT")

    def place(self) -> Place | None:
        row = self._connection.execute("SELECT inode, position, first_line FROM place").fetchone()
        return Place(*row) if row else None

    def knows_this_boot(self) -> bool:
        """Whether the machine has not been started since the place was kept. What was logged before a power cut may never have
        reached the disk, and the log ends without a trace of it. True where there is no place yet."""
        row = self._connection.execute("SELECT id FROM boot").fetchone()
        return self.place() is None or (row is not None and row[0] == self._boot_id)

    def open(self) -> dict[str, Open]:
        rows = self._connection.execute("SELECT queue_id, named, sender FROM open ORDER BY rowid")
        return {queue_id: Open(named, sender) for queue_id, named, sender in rows}

    def keep(self, place: Place | None, changes: Mapping[str, Open | None]) -> None:
        gone = [(queue_id,) for queue_id in changes]
        there = [(queue_id, one.named, one.sender) for queue_id, one in changes.items() if one is not None]
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            self._connection.executemany("DELETE FROM open WHERE queue_id = ?", gone)
            self._connection.executemany("INSERT INTO open VALUES (?, ?, ?)", there)
            self._connection.execute("REPLACE INTO boot VALUES (1, ?)", (self._boot_id,))
            if place is not None:
                values = (place.inode, place.offset, place.first_line)
                self._connection.execute("REPLACE INTO place VALUES (1, ?, ?, ?)", values)
            self._connection.execute("COMMIT")
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise

    def close(self) -> None:
        self._connection.close()
