"""To whom a follower's bundles go: the database, or the platform over HTTPS.

Both tell a moment of the platform's clock that has surely passed. "Read until" is said in it, so that the relay's own clock
proves nothing.
"""

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.config import Settings
from app.connections import one_connection
from app.flow import composing, relay_outcomes
from app.mail.relay_report import Bundle, to_json

TIMEOUT_SECONDS = 30.0
MAX_ANSWER_BYTES = 64 * 1024


class NotTaken(Exception):
    """The bundle was not taken, or nobody knows; it has to be handed over again."""


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


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A key goes to nobody but whom it is meant for."""

    def redirect_request(self, *_args: Any, **_kwargs: Any) -> None:
        return None


class OverHttps:
    """From the relay's own host.

    Parameters:
      platform: its address, ``https://…``.
      ca_file: the authority of its certificate, where that is one's own.
    """

    def __init__(self, platform: str, relay_id: int, key: str, ca_file: Path | None = None) -> None:
        self._url = f"{platform.rstrip('/')}/api/relay/{relay_id}/log-outcomes"
        self._key = key
        context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context), _NoRedirects
        )
        self._heard: datetime | None = None

    def clock(self) -> datetime | None:
        return self._heard

    def hand(self, bundle: Bundle) -> None:
        request = urllib.request.Request(  # noqa: S310  # the address is the administrator's
            self._url,
            data=json.dumps(to_json(bundle)).encode(),
            headers={"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"},
        )
        try:
            with self._opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
                told = json.loads(answer.read(MAX_ANSWER_BYTES))
            self._heard = datetime.fromisoformat(told["now"])
        except urllib.error.HTTPError as error:
            raise NotTaken(f"{error.code} {error.reason}") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise NotTaken(repr(error)[:500]) from error
