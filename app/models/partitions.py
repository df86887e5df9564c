"""Monthly partitions of the ledger and the events."""

from datetime import UTC, date, datetime

from sqlalchemy import Connection, text

PARTITIONED_TABLES = ("delivery", "attempt", "engagement", "event")


def month_of(day: date) -> date:
    return day.replace(day=1)


def next_month(day: date) -> date:
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)


def partition_name(table: str, day: date) -> str:
    return f"{table}_{day:%Y_%m}"


def ensure_partitions(connection: Connection, day: date) -> None:
    """Create the partitions of the month of ``day`` where they are missing. Safe in several processes at once."""
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('chaski.partitions'))"))
    first = month_of(day)
    for table in PARTITIONED_TABLES:
        # A bound without a zone would be read in the session's, and months made by two sessions could overlap.
        midnight = " 00:00+00" if table == "event" else ""
        # Heap-only updates need room on the page: a delivery is updated twice.
        storage = " WITH (fillfactor = 60)" if table == "delivery" else ""
        connection.execute(
            text(
                f"CREATE TABLE IF NOT EXISTS {partition_name(table, first)} PARTITION OF {table} "
                f"FOR VALUES FROM ('{first}{midnight}') TO ('{next_month(first)}{midnight}'){storage}"
            )
        )


def ensure_coming_partitions(connection: Connection) -> None:
    """This month's and next month's."""
    today = datetime.now(UTC).date()
    for day in (today, next_month(today)):
        ensure_partitions(connection, day)
