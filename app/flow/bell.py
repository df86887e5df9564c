"""NOTIFY: tells the dispatcher that there is work. Part of the transaction, so it rings only when the commit succeeded;
a lost ring costs at most the dispatcher's sweep interval."""

from sqlalchemy import text
from sqlalchemy.orm import Session, scoped_session

CHANNEL = "chaski_work"


def ring_dispatcher(session: Session | scoped_session[Session]) -> None:
    session.execute(text(f"NOTIFY {CHANNEL}"))
