"""Monthly partitions of the ledger and the events."""

import re
from datetime import UTC, date, datetime

from sqlalchemy import Connection, text

PARTITIONED_TABLES = ("delivery", "attempt", "engagement", "event", "relay_outcome")
PARTITION_NAME = re.compile(rf"({'|'.join(PARTITIONED_TABLES)})_\d{{4}}_\d{{2}}")


def month_of(day: date) -> date:
    return day.replace(day=1)


def next_month(day: date) -> date:
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)


def partition_name(table: str, day: date) -> str:
    return f"{table}_{day:%Y_%m}"


def is_partition(table: str) -> bool:
    return PARTITION_NAME.fullmatch(table) is not None


def ensure_partitions(connection: Connection, day: date) -> None:
    """Create the partitions of the month of ``day`` where they are missing. Safe in several processes at once.

    A table is made beside its parent and attached, which waits for nobody who reads or writes the parent (CREATE …
    PARTITION OF would)."""
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('chaski.partitions'))"))
    first = month_of(day)
    for table in PARTITIONED_TABLES:
        name = partition_name(table, first)
        if connection.scalar(text("SELECT to_regclass(:name)"), {"name": name}) is None:
            _create_partition(connection, table, name, first)


def _create_partition(connection: Connection, table: str, name: str, first: date) -> None:
    # A bound without a zone would be read in the session's, and months made by two sessions could overlap.
    midnight = " 00:00+00" if table == "event" else ""
    # Heap-only updates need room on the page: a delivery is updated twice.
    storage = " WITH (fillfactor = 60)" if table == "delivery" else ""
    for statement in (
        f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS){storage}",
        f"ALTER TABLE {table} ATTACH PARTITION {name} "
        f"FOR VALUES FROM ('{first}{midnight}') TO ('{next_month(first)}{midnight}')",
    ):
        connection.execute(text(statement))


def ensure_coming_partitions(connection: Connection) -> None:
    """This month's and next month's."""
    today = datetime.now(UTC).date()
    for day in (today, next_month(today)):
        ensure_partitions(connection, day)
