"""To whom a follower's bundles go: the database, or the platform over HTTPS.

Both tell a moment of the platform's clock that has surely passed. "Read until" is said in it, so that the relay's own clock
proves nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Protocol

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.config import Settings
from app.connections import one_connection
from app.flow import composing, relay_outcomes
from app.mail.relay_report import Bundle, to_json
from workers.relay.platform_api import NotTaken, PlatformApi

__all__ = ["Handover", "IntoDatabase", "NotTaken", "OverHttps"]


class Handover(Protocol):
    def clock(self) -> datetime | None:
        """A moment of the platform's clock that has passed; None while none is known. Raises NotTaken."""
        ...

    def hand(self, bundle: Bundle) -> None:
        """Returns when the bundle is kept for good. Raises NotTaken."""
        ...


class IntoDatabase:
    """Where the platform and its relay share a host."""

    def __init__(self, settings: Settings, relay_id: int) -> None:
        self._engine = one_connection(settings.database_url)
        self._relay_id = relay_id
        self._token_key = composing.token_key(settings)

    def clock(self) -> datetime | None:
        with self._session() as session:
            moment: datetime | None = session.scalar(text("SELECT clock_timestamp()"))
            return moment

    def hand(self, bundle: Bundle) -> None:
        with self._session() as session:
            relay_outcomes.store(session, self._relay_id, bundle, token_key=self._token_key)

    @contextmanager
    def _session(self) -> Iterator[Session]:
        try:
            with Session(self._engine) as session:
                yield session
        except SQLAlchemyError as error:
            raise NotTaken(str(error).splitlines()[0][:500]) from error


class OverHttps:
    """From the relay's own host. Parameters: as of :class:`PlatformApi`."""

    def __init__(self, platform: str, relay_id: int, key: str, ca_file: Path | None = None) -> None:
        self._api = PlatformApi(platform, relay_id, key, ca_file)
        self._heard: datetime | None = None

    def clock(self) -> datetime | None:
        return self._heard

    def hand(self, bundle: Bundle) -> None:
        told = self._api.post("log-outcomes", to_json(bundle))
        try:
            self._heard = datetime.fromisoformat(told["now"])
        except (ValueError, KeyError, TypeError) as error:
            raise NotTaken(repr(error)[:500]) from error
