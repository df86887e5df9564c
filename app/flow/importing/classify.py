"""What the import would do with each staged row: one statement over all of them."""

from sqlalchemy import text

from app.flow.importing.planning import prepare_bulk
from app.flow.sessions import AnySession
from app.models import Import, RowOutcome

FORGET = "DELETE FROM import_row WHERE import_id = :import_id"

# A contact that is kept as it is but joins the list counts as changed: something is done for it. The first row of an
# address counts, whatever comes later. Suppressions of the whole installation have no panel.
CLASSIFY = """
    INSERT INTO import_row (import_id, line, email, name, fields, outcome, "column", reason, cells)
    SELECT :import_id, s.line, s.email, s.name, s.fields,
        CASE
            WHEN s.email IS NULL THEN 'invalid'
            WHEN s.first_line < s.line THEN 'duplicate'
            WHEN x.email IS NOT NULL THEN 'suppressed'
            WHEN l.status = 'unsubscribed' THEN 'unsubscribed'
            WHEN c.id IS NULL THEN 'new'
            WHEN l.status IS NULL OR (s.name <> '' AND s.name <> c.name) OR NOT c.fields @> s.fields THEN 'changed'
            ELSE 'unchanged'
        END,
        CASE WHEN s.first_line < s.line THEN :email_column ELSE s."column" END,
        CASE WHEN s.first_line < s.line THEN 'duplicate:' || s.first_line ELSE s.reason END,
        s.cells
    FROM (
        SELECT *, CASE WHEN email IS NOT NULL THEN first_value(line) OVER (PARTITION BY email ORDER BY line) END AS first_line
        FROM staged
    ) AS s
    LEFT JOIN contact AS c ON c.panel_id = :panel_id AND c.email = s.email
    LEFT JOIN subscription AS l ON l.list_id = :list_id AND l.contact_id = c.id
    LEFT JOIN (
        SELECT DISTINCT email FROM suppression WHERE panel_id = :panel_id OR panel_id IS NULL
    ) AS x ON x.email = s.email
"""
COUNT = "SELECT outcome, count(*) FROM import_row WHERE import_id = :import_id GROUP BY outcome"


def classify(session: AnySession, job: Import, *, rows: int, list_id: int | None, email_column: int) -> dict[str, int]:
    """Fill ``import_row`` from ``staged``; counts by outcome, and ``total``. ``rows`` are
    staged; ``email_column`` counts from 1."""
    prepare_bulk(session, rows)
    session.execute(text(FORGET), {"import_id": job.id})
    session.execute(
        text(CLASSIFY),
        {"import_id": job.id, "panel_id": job.panel_id, "list_id": list_id, "email_column": email_column},
    )
    found: dict[str, int] = dict(session.execute(text(COUNT), {"import_id": job.id}).tuples().all())
    counts = {outcome.value: found.get(outcome.value, 0) for outcome in RowOutcome}
    return {**counts, "total": sum(counts.values())}
