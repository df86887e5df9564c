"""NOTIFY: tells the dispatcher that there is work. Part of the transaction, so it rings only when the commit succeeded;
a lost ring costs at most the dispatcher's sweep interval."""

from sqlalchemy import text

from app.flow.sessions import AnySession

CHANNEL = "chaski_work"


def ring_dispatcher(session: AnySession) -> None:
    session.execute(text(f"NOTIFY {CHANNEL}"))
