"""What a follower remembers across restarts: its place in the log and the open queue ids, always of the same moment."""

import sqlite3
from collections.abc import Mapping
from pathlib import Path

from workers.relay.joining import Open
from workers.relay.tail import Place

SCHEMA = """
    CREATE TABLE IF NOT EXISTS place (one INTEGER PRIMARY KEY CHECK (one = 1), inode INTEGER, position INTEGER, first_line TEXT);
    CREATE TABLE IF NOT EXISTS open (queue_id TEXT PRIMARY KEY, named TEXT NOT NULL, sender TEXT NOT NULL);
"""


class Memory:
    """A SQLite file: each :meth:`keep` is one transaction, whole or not at all, whenever the process is killed. A second
    follower with the same file is refused."""

    def __init__(self, path: Path) -> None:
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
            if place is not None:
                values = (place.inode, place.offset, place.first_line)
                self._connection.execute("REPLACE INTO place VALUES (1, ?, ?, ?)", values)
            self._connection.execute("COMMIT")
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise

    def close(self) -> None:
        self._connection.close()
