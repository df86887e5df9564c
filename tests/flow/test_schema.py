"""What the migrations build is what the models say: an upgraded installation and a fresh one are the same."""

from datetime import date
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from app.extensions import Base, db
from app.models.partitions import ensure_partitions, is_partition

# Alembic does not compare such indexes; the last test below does.
pytestmark = pytest.mark.filterwarnings("ignore:Expression #. .* detected to include an operator clause")

CONSTRAINTS = """
    SELECT c.relname, k.conname, pg_get_constraintdef(k.oid)
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = :schema AND k.contype <> 'n' ORDER BY 1, 2
"""
INDEXES = "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = :schema ORDER BY 1, 2"
COLUMNS = """
    SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
           pg_get_expr(d.adbin, d.adrelid)
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE n.nspname = :schema AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped ORDER BY 1, 2
"""
PARTITIONING = """
    SELECT c.relname, pg_get_partkeydef(c.oid) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = :schema AND c.relkind = 'p' ORDER BY 1
"""


@pytest.fixture
def connection(app) -> Connection:
    return db.session.connection()


def differences(connection: Connection) -> list[Any]:
    """As Alembic sees them. Left out: partitions, which come and go by the calendar, and Alembic's own table."""
    options = {"compare_type": True, "compare_server_default": True, "include_object": is_comparable}
    return compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata)


def is_comparable(_object: Any, name: str | None, kind: str, *_more: Any) -> bool:
    """An index over an expression comes back from PostgreSQL in other words: the last test below compares those."""
    return not (kind == "table" and is_partition(name or "")) and (kind, name) != (
        "index",
        "ix_contact_panel_id_name_key",
    )


def test_migrated_database_has_no_difference_to_the_models(connection):
    ensure_partitions(connection, date(2026, 11, 1))
    assert differences(connection) == []


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE campaign ADD COLUMN surplus integer",
        "ALTER TABLE campaign DROP COLUMN preheader",
        "ALTER TABLE contact ALTER COLUMN name DROP NOT NULL",
        "ALTER TABLE contact ALTER COLUMN email TYPE varchar(100)",
        "DROP INDEX ix_batch_open",
        "CREATE TABLE delivery_of_2026 (id integer)",
    ],
)
def test_a_difference_would_be_found(connection, change):
    connection.execute(text(change))
    assert differences(connection)


@pytest.mark.parametrize("query", [COLUMNS, CONSTRAINTS, INDEXES, PARTITIONING])
def test_migrated_database_is_the_one_that_the_models_would_create(connection, query):
    """Alembic sees neither check constraints nor partial indexes' conditions; PostgreSQL's own words do."""
    connection.execute(text("CREATE SCHEMA by_models"))
    Base.metadata.create_all(connection.execution_options(schema_translate_map={None: "by_models"}))
    connection.execution_options(schema_translate_map={})
    assert rows(connection, query, "public") == rows(connection, query, "by_models") != []


def rows(connection: Connection, query: str, schema: str) -> list[tuple[Any, ...]]:
    found = [tuple(row) for row in connection.execute(text(query), {"schema": schema})]
    ours = [row for row in found if row[0] != "alembic_version" and not is_partition(row[0])]
    return [tuple(str(value).replace(f"{schema}.", "") for value in row) for row in ours]
