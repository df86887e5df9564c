"""What every flow function takes as its session."""

from collections.abc import Mapping
from typing import Any, cast

from sqlalchemy import CursorResult, Executable
from sqlalchemy.orm import Session, scoped_session

AnySession = Session | scoped_session[Any]


def rows_changed(session: AnySession, statement: Executable, values: Mapping[str, Any] | None = None) -> int:
    """How many rows an INSERT, UPDATE or DELETE touched; objects in the session are left for the caller to expire."""
    result = session.execute(statement, values, execution_options={"synchronize_session": False})
    return cast(CursorResult[Any], result).rowcount
