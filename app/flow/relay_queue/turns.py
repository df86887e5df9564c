"""What an agent over HTTPS needs beside listings and commands: turns, so that an old listing never comes again, and a way to
say what keeps it from the queue."""

import secrets

from sqlalchemy import text

from app.config import Settings
from app.flow.relay_queue import snapshot
from app.flow.sessions import AnySession
from app.mail.queue_report import MAX_DETAIL, QueueTrouble, ToldListing


def turn_of(session: AnySession, relay_id: int) -> str:
    """What the next listing has to carry. Commits."""
    turn: str = session.execute(text(GIVE), {"relay": relay_id, "new": secrets.token_hex(16)}).scalar_one()
    session.commit()
    return turn


GIVE = """
    INSERT INTO relay_queue (relay_id, seen_at, turn) VALUES (:relay, NULL, :new)
    ON CONFLICT (relay_id) DO UPDATE
    SET turn = CASE WHEN relay_queue.turn = '' THEN excluded.turn ELSE relay_queue.turn END, heard_at = now()
    RETURNING turn
"""


def store_in_turn(session: AnySession, settings: Settings, relay_id: int, told: ToldListing) -> bool:
    """False, and nothing is stored, where the turn is another's or was used. Commits."""
    facts = {"relay": relay_id, "turn": told.turn, "new": secrets.token_hex(16)}
    if not told.turn or session.execute(text(TAKE), facts).first() is None:
        session.rollback()
        return False
    snapshot.store(session, settings, relay_id, told.listing)
    return True


TAKE = "UPDATE relay_queue SET turn = :new WHERE relay_id = :relay AND turn = :turn RETURNING relay_id"


def note_trouble(session: AnySession, relay_id: int, trouble: QueueTrouble, detail: str) -> None:
    """Until the next listing. Commits."""
    facts = {"relay": relay_id, "problem": trouble.value, "detail": detail[:MAX_DETAIL].replace("\0", " ")}
    session.execute(text(NOTE), facts)
    session.commit()


NOTE = """
    INSERT INTO relay_queue (relay_id, seen_at, problem, problem_detail) VALUES (:relay, NULL, :problem, :detail)
    ON CONFLICT (relay_id) DO UPDATE
    SET heard_at = now(), problem = excluded.problem, problem_detail = excluded.problem_detail
"""
