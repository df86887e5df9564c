"""Checked rows into a temporary table, by COPY in its text format (PostgreSQL manual, COPY, "Text Format").

The table lives as long as the transaction and is not written to the log of the database; a kill leaves nothing behind.
"""

import json
from collections.abc import Callable, Iterator
from itertools import islice

from psycopg import Connection

from app.flow.importing.check import Checked, Rejected, RowChecker
from app.flow.importing.read import Row, RowReader
from app.flow.importing.sniff import visible

ROWS_PER_BLOCK = 2000
CREATE = """
    CREATE TEMPORARY TABLE staged (
        line integer NOT NULL, email text COLLATE "C", name text NOT NULL, fields jsonb NOT NULL,
        "column" integer, reason text, cells jsonb
    ) ON COMMIT DROP
"""
encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def stage(
    connection: Connection, reader: RowReader, rows: Iterator[Row], checker: RowChecker, tick: Callable[[int], None]
) -> int:
    """Copy all ``rows``; how many there were (blank ones don't count). ``tick`` gets the bytes read, after each block."""
    connection.execute(CREATE)
    total = 0
    with connection.cursor() as cursor, cursor.copy("COPY staged FROM STDIN") as copy:
        while lines := [
            line for row in islice(rows, ROWS_PER_BLOCK) if (line := copy_line(checker.check(row))) is not None
        ]:
            copy.write("".join(lines))
            total += len(lines)
            tick(reader.bytes_read)
    connection.execute("ANALYZE staged")
    return total


def copy_line(row: Checked | Rejected | None) -> str | None:
    """The row in COPY's text format; None for a blank one."""
    if row is None:
        return None
    if isinstance(row, Checked):
        line, email, name, fields = row
        kept = encode(fields) if fields else "{}"
        if "\\" in kept or "\\" in name or "\\" in email:
            email, name, kept = escape(email), escape(name), escape(kept)
        return f"{line}\t{email}\t{name}\t{kept}\t\\N\t\\N\t\\N\n"
    cells = escape(encode([visible(cell) for cell in row.cells]))
    return f"{row.line}\t\\N\t\t{{}}\t{row.column}\t{row.reason}\t{cells}\n"


def escape(text: str) -> str:
    """Names have no control characters and JSON escapes them, so the backslash is all that is left to escape."""
    return text.replace("\\", "\\\\")
