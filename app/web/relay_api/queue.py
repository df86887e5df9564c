"""What the queue agent sees, what it is to do, and what became of that. Told twice, everything means the same; a listing counts
in its own turn only."""

from typing import Any

from flask import jsonify

from app.current import current_settings
from app.extensions import db
from app.flow.relay_queue import commands, turns
from app.flow.relay_queue.commands import Order
from app.mail.queue_report import MAX_PACKED_BYTES, MalformedReport, read_outcomes, read_trouble, unpack
from app.models import QueueOutcome
from app.web.relay_api.entry import Answer, refused, told_json, told_to

SMALL_BYTES = 128 * 1024
MAX_INTEGER = 2**31 - 1
OUTCOMES = frozenset(outcome.value for outcome in QueueOutcome)


@told_to("/queue/next", most_bytes=SMALL_BYTES)
def queue_next(relay_id: int, _body: bytes) -> Answer:
    """The oldest order that is not carried out yet, and the turn of the next listing."""
    turn = turns.turn_of(db.session, relay_id)
    order = commands.next_order(db.session, relay_id)
    return jsonify(turn=turn, order=_told(order) if order else None), 200


def _told(order: Order) -> dict[str, Any]:
    mails = [[mail.queue_id, mail.arrived_at, mail.is_held] for mail in order.mails]
    return {"command": order.command_id, "action": order.action.value, "mails": mails}


@told_to("/queue/listing", most_bytes=MAX_PACKED_BYTES)
def queue_listing(relay_id: int, body: bytes) -> Answer:
    told = unpack(body)
    if not turns.store_in_turn(db.session, current_settings(), relay_id, told):
        return refused(409, "not_its_turn")
    return jsonify(mails=len(told.listing.mails), unreadable=told.listing.unreadable), 200


@told_to("/queue/outcomes", most_bytes=SMALL_BYTES)
def queue_outcomes(relay_id: int, body: bytes) -> Answer:
    told = told_json(body)
    command_id = told.get("command") if isinstance(told, dict) else None
    if type(command_id) is not int or not 0 < command_id <= MAX_INTEGER:
        raise MalformedReport("no command")
    outcomes = read_outcomes(told.get("outcomes"), OUTCOMES)
    commands.report(
        db.session, relay_id, command_id, {queue_id: QueueOutcome(one) for queue_id, one in outcomes.items()}
    )
    return jsonify(taken=len(outcomes)), 200


@told_to("/queue/trouble", most_bytes=SMALL_BYTES)
def queue_trouble(relay_id: int, body: bytes) -> Answer:
    """What keeps the agent from the queue."""
    turns.note_trouble(db.session, relay_id, *read_trouble(told_json(body)))
    return jsonify(taken=1), 200
