"""The queue agent's way to the platform: the database where they share a host, HTTPS from the relay's own."""

from collections.abc import Mapping
from typing import Any, Protocol

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.config import Settings
from app.connections import one_connection
from app.flow.relay_queue import commands, snapshot, turns
from app.flow.relay_queue.commands import Order, OrderedMail
from app.mail.postfix_queue import QUEUE_ID, Listing
from app.mail.queue_report import QueueTrouble, pack
from app.models import QueueAction, QueueOutcome
from workers.relay.platform_api import NotTaken, PlatformApi

Outcomes = Mapping[str, QueueOutcome]


class QueuePlatform(Protocol):
    """All of it raises NotTaken (or SQLAlchemyError) where the platform is away; then it is told again."""

    def tell(self, listing: Listing) -> None: ...
    def next_order(self) -> Order | None: ...
    def report(self, command_id: int, outcomes: Outcomes) -> None: ...
    def trouble(self, trouble: QueueTrouble, detail: str) -> None: ...


class LocalPlatform:
    """Implements ``QueuePlatform`` on the platform's own database."""

    def __init__(self, settings: Settings, relay_id: int) -> None:
        self._settings = settings
        self._relay_id = relay_id
        self._engine = one_connection(settings.database_url)

    def tell(self, listing: Listing) -> None:
        with Session(self._engine) as session:
            snapshot.store(session, self._settings, self._relay_id, listing)

    def next_order(self) -> Order | None:
        with Session(self._engine) as session:
            return commands.next_order(session, self._relay_id)

    def report(self, command_id: int, outcomes: Outcomes) -> None:
        with Session(self._engine) as session:
            commands.report(session, self._relay_id, command_id, outcomes)

    def trouble(self, trouble: QueueTrouble, detail: str) -> None:
        with Session(self._engine) as session:
            turns.note_trouble(session, self._relay_id, trouble, detail)


class RemotePlatform:
    """Implements ``QueuePlatform`` over HTTPS. A listing carries the turn that the platform gave out with its last answer:
    it is taken once, and never after a newer one."""

    def __init__(self, api: PlatformApi) -> None:
        self._api = api
        self._turn = ""

    def tell(self, listing: Listing) -> None:
        self._api.post("queue/listing", pack(self._turn, listing))

    def next_order(self) -> Order | None:
        told = self._api.post("queue/next", {})
        self._turn = str(told.get("turn", ""))
        try:
            return read_order(told["order"]) if told.get("order") is not None else None
        except (KeyError, TypeError, ValueError) as error:
            raise NotTaken(f"an order that is none: {error!r}"[:500]) from error

    def report(self, command_id: int, outcomes: Outcomes) -> None:
        told = {queue_id: outcome.value for queue_id, outcome in outcomes.items()}
        self._api.post("queue/outcomes", {"command": command_id, "outcomes": told})

    def trouble(self, trouble: QueueTrouble, detail: str) -> None:
        self._api.post("queue/trouble", {"problem": trouble.value, "detail": detail})


def read_order(told: Any) -> Order:
    """Raises KeyError, TypeError or ValueError: nothing is done with mails that an order doesn't name properly."""
    mails = tuple(
        OrderedMail(str(queue_id), int(arrived_at), is_held is True) for queue_id, arrived_at, is_held in told["mails"]
    )
    if not all(QUEUE_ID.fullmatch(mail.queue_id) for mail in mails):
        raise ValueError("no queue id")
    return Order(int(told["command"]), QueueAction(told["action"]), mails)


AWAY = (NotTaken, SQLAlchemyError, OSError)
"""What the platform's absence looks like."""
