"""What every flow function takes as its session."""

from typing import Any

from sqlalchemy.orm import Session, scoped_session

AnySession = Session | scoped_session[Any]
