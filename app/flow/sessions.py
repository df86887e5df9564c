"""What every flow function takes as its session."""

from sqlalchemy.orm import Session, scoped_session

AnySession = Session | scoped_session[Session]
