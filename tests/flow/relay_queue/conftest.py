"""A relay, a campaign that it accepted, and its queue as an agent would tell it."""

import json
import time
from collections.abc import Callable

import pytest

from app.flow import composing
from app.flow.relay_queue import snapshot
from app.mail.postfix_queue import Listing, read_listing
from app.mail.tokens import make_token, return_path
from tests import factories, ledger

SAID = "host mx[198.51.100.25] said: 452 4.2.2 mailbox full (in reply to RCPT TO command)"
Tell = Callable[..., Listing]


@pytest.fixture
def campaign(session, panel, ip):
    row = factories.campaign(session, panel)
    ledger.freeze(session, row, ["accepted"] * 6, egress_ip_id=ip.id, relay_id=ip.relay_id)
    return row


@pytest.fixture
def sender_of(settings):
    def sender(campaign, seq: int) -> str:
        token = make_token(composing.token_key(settings), campaign.id, seq)
        return return_path(token, "rebotes.boletin.example.gob.pe")

    return sender


@pytest.fixture
def queued(sender_of):
    """One line of `postqueue -j`: mail number ``seq`` of a campaign."""

    def line(campaign, seq: int, *, queue: str = "deferred", age: int = 60, **changes: object) -> bytes:
        told = {
            "queue_name": queue,
            "queue_id": f"QUEUE{seq:04}",
            "arrival_time": int(time.time()) - age,
            "message_size": 1000,
            "sender": sender_of(campaign, seq),
            "recipients": [{"address": f"persona{seq}@example.pe", "delay_reason": SAID}],
        }
        return json.dumps({**told, **changes}).encode()

    return line


@pytest.fixture
def tell(session, settings, relay) -> Tell:
    def told(*lines: bytes) -> Listing:
        listing = read_listing(lines, most=1000)
        snapshot.store(session, settings, relay.id, listing)
        return listing

    return told
