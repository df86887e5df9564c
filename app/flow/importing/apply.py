"""The analysed rows become contacts and subscriptions, in the caller's one transaction."""

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert

from app.flow import emptying
from app.flow.importing.guess import FIELD_PREFIX, folded
from app.flow.importing.planning import prepare_bulk, renew_statistics
from app.flow.importing.problems import FileProblem, ImportProblem
from app.flow.sessions import AnySession, rows_changed
from app.models import CustomField, FieldType, Import, MailingList, RowOutcome

APPLIED = [
    outcome.value
    for outcome in (
        RowOutcome.NEW,
        RowOutcome.CHANGED,
        RowOutcome.UNCHANGED,
        RowOutcome.SUPPRESSED,
        RowOutcome.UNSUBSCRIBED,
    )
]
"""Rows whose person is kept up to date; whether they are mailed is a matter of consent and suppression."""

# In the order of addresses, so that two transactions that touch the same people take them in the same order.
UPSERT = """
    WITH upserted AS (
        INSERT INTO contact AS kept (panel_id, email, domain, name, fields)
        SELECT :panel_id, r.email, substring(r.email FROM '[^@]*$'), r.name, r.fields
        FROM import_row AS r LEFT JOIN contact AS c ON c.panel_id = :panel_id AND c.email = r.email
        WHERE r.import_id = :import_id AND r.outcome = ANY(:applied)
            AND (c.id IS NULL OR (r.name <> '' AND r.name <> c.name) OR NOT c.fields @> r.fields)
        ORDER BY r.email
        ON CONFLICT (panel_id, email) DO UPDATE SET
            name = COALESCE(NULLIF(excluded.name, ''), kept.name), fields = kept.fields || excluded.fields,
            updated_at = now()
        RETURNING xmax = 0 AS created
    )
    SELECT count(*) FILTER (WHERE created), count(*) FILTER (WHERE NOT created) FROM upserted
"""
# A subscription that is there stays as it is, above all an ended one: an import is no consent.
SUBSCRIBE = """
    INSERT INTO subscription (list_id, contact_id, status, source)
    SELECT :list_id, c.id, 'subscribed', :source
    FROM import_row AS r JOIN contact AS c ON c.panel_id = :panel_id AND c.email = r.email
    WHERE r.import_id = :import_id AND r.outcome = ANY(:applied)
    ORDER BY c.id
    ON CONFLICT (list_id, contact_id) DO NOTHING
"""
ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtext('chaski.apply_import'), :panel_id)"


def apply_rows(session: AnySession, job: Import) -> tuple[int, dict[str, int]]:
    """The list's id, and counts: contacts ``created``, ``updated``, and ``subscribed`` to the list. Does not commit."""
    session.execute(text(ONE_AT_A_TIME), {"panel_id": job.panel_id})
    rows = job.counts.get("total", 0)
    prepare_bulk(session, rows)
    list_id = _target_list(session, job)
    _make_fields(session, job)
    values = {"panel_id": job.panel_id, "import_id": job.id, "applied": APPLIED}
    created, updated = session.execute(text(UPSERT), values).one()
    subscribed = rows_changed(session, text(SUBSCRIBE), {**values, "list_id": list_id, "source": f"import:{job.id}"})
    renew_statistics(session, created + subscribed)
    return list_id, {"created": created, "updated": updated, "subscribed": subscribed}


def _target_list(session: AnySession, job: Import) -> int:
    """The chosen list, or the one to be made; by its name, where somebody made it meanwhile."""
    if job.list_id is not None:
        return job.list_id
    if not job.list_name:
        raise ImportProblem(FileProblem.NO_LIST)
    named = insert(MailingList).values(panel_id=job.panel_id, name=job.list_name)
    session.execute(named.on_conflict_do_nothing(index_elements=["panel_id", "name"]))
    return session.scalars(
        select(MailingList.id).where(MailingList.panel_id == job.panel_id, MailingList.name == job.list_name)
    ).one()


def _make_fields(session: AnySession, job: Import) -> None:
    """Fields of the mapping that do not exist yet, named as their column, behind the panel's others. Where somebody made
    one of that name meanwhile, the key tells them apart."""
    position = session.scalar(
        text("SELECT COALESCE(max(position), 0) FROM custom_field WHERE panel_id = :panel_id"),
        {"panel_id": job.panel_id},
    )
    labels = session.scalars(select(CustomField.label).where(CustomField.panel_id == job.panel_id))
    taken = {folded(label) for label in labels}
    wanted = [(int(index), target) for index, target in job.mapping.items() if target.startswith(FIELD_PREFIX)]
    for offset, (index, target) in enumerate(sorted(wanted), start=1):
        key = target.removeprefix(FIELD_PREFIX)
        emptying.empty_at_once(session, job.panel_id, key)
        label = job.header[index][:100] or key
        field = insert(CustomField).values(
            panel_id=job.panel_id,
            key=key,
            label=label if folded(label) not in taken else f"{label[:58]} ({key})",
            type=FieldType.TEXT,
            position=(position or 0) + offset,
        )
        session.execute(field.on_conflict_do_nothing(index_elements=["panel_id", "key"]))
