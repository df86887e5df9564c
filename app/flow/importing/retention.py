"""What imports keep of people, and how it goes: at once for somebody who is erased, after some days for all."""

import re
from datetime import datetime

from sqlalchemy import Text, delete, func, select, text

from app.config import Settings
from app.flow.importing import store
from app.flow.importing.claims import ENDED
from app.flow.sessions import AnySession, rows_changed
from app.models import Import, ImportRow

# A cell may hold more than the address («Ana <ana@example.pe>», «?correo=ana%40example.pe»), but «mariana@example.pe» is
# somebody else. Where it is not clear, the row goes: it was rejected, and nobody misses it.
MENTIONED = r"(?:(?<![\w.+-])|(?<=%[0-9a-f][0-9a-f])){local_part}\s*(?:@|%40)\s*{domain}(?![\w-]|\.\w)"
FORGET = """
    DELETE FROM import_row USING import
    WHERE import.id = import_row.import_id
        AND (import.finished_at < :before OR import.status = 'cancelled' AND import.moved_at < :before)
"""
# From these statuses only a person moves an import on; nobody did, and this is no move.
ABANDON = """
    UPDATE import SET status = 'cancelled', finished_at = :now
    WHERE status IN ('uploaded', 'ready') AND moved_at < :before
"""


def forget_person(session: AnySession, panel_id: int, email: str) -> int:
    """Every row of the panel's imports that stands for ``email``, or that was rejected and mentions it; how many. Does
    not commit."""
    imports = session.scalars(select(Import.id).where(Import.panel_id == panel_id)).all()
    # The rows of one address by its index; the rejected ones, which have none, by theirs.
    own = delete(ImportRow).where(ImportRow.email == email, ImportRow.import_id.in_(imports))
    cell = func.jsonb_array_elements_text(ImportRow.cells).column_valued("cell")
    mentions = select(cell).where(cell.regexp_match(mention_of(email), flags="i")).exists()
    # The expression for each cell of 200,000 rows takes seconds; most rows are out of the question at first sight.
    may_mention = ImportRow.cells.cast(Text).ilike(first_sight_of(email))
    rejected = delete(ImportRow).where(
        ImportRow.cells.is_not(None), ImportRow.import_id.in_(imports), may_mention, mentions
    )
    return rows_changed(session, own) + rows_changed(session, rejected)


def mention_of(email: str) -> str:
    """A regular expression, for PostgreSQL, that finds the address within a text."""
    local_part, _, domain = email.rpartition("@")
    signs = (sign if sign.isalnum() else f"(?:{re.escape(sign)}|%{ord(sign):02x})" for sign in local_part)
    return MENTIONED.format(local_part="".join(signs), domain=re.escape(domain))


def first_sight_of(email: str) -> str:
    """A pattern for ILIKE that every text with a mention matches: the address without its signs, of which any may be
    written otherwise in a link."""
    return f"%{'%'.join(re.findall('[a-z0-9]+', email))}%"


def forget_old(session: AnySession, settings: Settings, *, now: datetime, before: datetime) -> int:
    """The rows of imports that ended before then; how many. Imports that nobody went on with since then are cancelled,
    and files that no import needs any more are deleted. Commits."""
    session.execute(text(ABANDON), {"now": now, "before": before})
    forgotten = rows_changed(session, text(FORGET), {"before": before})
    session.commit()
    needed = session.scalars(select(Import.stored_path).where(Import.status.not_in(ENDED))).all()
    session.commit()
    store.sweep(settings, needed=frozenset(needed))
    return forgotten
