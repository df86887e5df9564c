"""How PostgreSQL should go about the bulk statements of an import."""

from sqlalchemy import text

from app.flow.sessions import AnySession

MANY_ROWS = 1000
ANALYSE_FROM_ROWS = 10_000
WORK_MEMORY = "64MB"


def prepare_bulk(session: AnySession, rows: int) -> None:
    """For this transaction. A panel's first import meets statistics that know nobody of the panel; the planner would then
    compare every row with every contact, so nested loops are left to small imports. A killed worker's statement
    ends within a second instead of keeping its locks."""
    session.execute(text(f"SET LOCAL work_mem = '{WORK_MEMORY}'"))
    session.execute(text("SET LOCAL client_connection_check_interval = '1s'"))
    if rows >= MANY_ROWS:
        session.execute(text("SET LOCAL enable_nestloop = off"))


def renew_statistics(session: AnySession, rows: int) -> None:
    """After many new rows, so that the pages and the next audience don't wait for autovacuum to notice them."""
    if rows >= ANALYSE_FROM_ROWS:
        session.execute(text("ANALYZE contact, subscription"))
