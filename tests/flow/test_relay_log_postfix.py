"""The log of a real Postfix is followed: what its sink knows of each mail is what the platform knows in the end.

One Postfix serves the whole file. Each test has recipients of its own.
"""

import random
import time

import pytest
from sqlalchemy import text

from tests.egress_sink import wait_for
from tests.fixtures.relay import EgressRelay
from tests.relay_street import RelayStreet, turn_until

pytestmark = pytest.mark.postfix


@pytest.fixture
def relay(egress_relay: EgressRelay):
    yield egress_relay
    egress_relay.sink.forgive()
    egress_relay.service.delete("hold", "deferred")


def test_delivered_deferred_and_bounced_are_told_with_host_ip_delay_and_reply(
    relay, session, settings, panel, tmp_path
):
    street = RelayStreet.laid(session, settings, panel)
    relay.sink.refuse(street.recipient(2), times=2)
    relay.sink.refuse(street.recipient(3), times=99, reply="550 5.1.1 no such user")
    street.submit(relay, 1, 2, 3, ip=7)
    follower = street.follower(relay.service.log, tmp_path)
    expected = {1: "delivered", 2: "delivered", 3: "bounced", 4: "accepted"}
    turn_until(follower, lambda: street.statuses() == expected, "all outcomes")
    assert street.outcomes() == [(1, "sent"), (2, "deferred"), (2, "deferred"), (2, "sent"), (3, "bounced")]
    assert street.counted() == {"delivered": 2, "bounced": 1, "accepted": 1}
    row = session.execute(text("SELECT * FROM relay_outcome WHERE seq = 3 AND status = 'bounced'")).one()
    assert (row.remote_address, row.egress_ip_id, row.dsn) == ("127.0.0.1", 7, "5.1.1")
    assert "550 5.1.1 no such user" in row.reply and row.delay_ms is not None
    delivery = session.execute(text("SELECT reply_code, reply_text FROM delivery WHERE seq = 3")).one()
    assert delivery.reply_code == 550 and "no such user" in delivery.reply_text


def test_expired_is_bounced_with_the_last_words_of_its_host(relay, session, settings, panel, tmp_path):
    street = RelayStreet.laid(session, settings, panel)
    relay.sink.refuse(street.recipient(1), times=99, reply="452 4.2.2 mailbox full")
    lifetimes = ("maximal_queue_lifetime=2d", "maximal_queue_lifetime=0")
    relay.service._run("postconf", "-e", lifetimes[1])
    relay.service.reload()
    try:
        street.submit(relay, 1)
        follower = street.follower(relay.service.log, tmp_path)
        turn_until(follower, lambda: street.statuses()[1] == "bounced", "the expiry")
    finally:
        relay.service._run("postconf", "-e", lifetimes[0])
        relay.service.reload()
    assert street.outcomes() == [(1, "deferred"), (1, "expired")]
    delivery = session.execute(text("SELECT reply_code, reply_text FROM delivery WHERE seq = 1")).one()
    assert delivery.reply_code == 452 and "mailbox full" in delivery.reply_text


@pytest.mark.parametrize("way", ["rename", "logrotate", "copytruncate"])
def test_rotation_in_the_middle_loses_nothing(relay, session, settings, panel, tmp_path, way):
    street = RelayStreet.laid(session, settings, panel, recipients=12)
    log = relay.service.log
    follower = street.follower(log, tmp_path)
    rotated = log.with_name(f"{log.name}.{way}.1")
    for first in (1, 5, 9):
        street.submit(relay, *range(first, first + 4))
        follower.turn()
        if first == 5:
            if way == "rename":
                log.rename(rotated)
            elif way == "logrotate":
                relay.service._run("postfix", "logrotate")
            else:
                wait_for(lambda: all(relay.sink.to(street.recipient(seq)) for seq in range(1, 9)), "eight mails")
                time.sleep(0.5)  # What is written between copying and cutting is lost, by copytruncate's own nature.
                rotated.write_bytes(log.read_bytes())
                log.write_bytes(b"")
            relay.service.reload()
    turn_until(follower, lambda: set(street.statuses().values()) == {"delivered"}, "all outcomes")
    assert street.outcomes() == [(seq, "sent") for seq in range(1, 13)]
    rotated.unlink(missing_ok=True)


def test_follower_that_is_killed_again_and_again_ends_with_what_the_sink_knows(
    relay, session, settings, panel, tmp_path
):
    street = RelayStreet.laid(session, settings, panel, recipients=120)
    dice = random.Random(4)
    kinds = {seq: dice.choice(["sent", "sent", "late", "refused"]) for seq in range(1, 121)}
    for seq, kind in kinds.items():
        if kind == "late":
            relay.sink.refuse(street.recipient(seq), times=dice.randint(1, 2))
        if kind == "refused":
            relay.sink.refuse(street.recipient(seq), times=99, reply="550 5.1.1 no such user")
    expected = {seq: "bounced" if kind == "refused" else "delivered" for seq, kind in kinds.items()}
    for first in range(1, 121, 20):
        street.submit(relay, *range(first, first + 20))
        with street.process(relay.service.log, tmp_path):
            time.sleep(dice.uniform(0.6, 2.5))
    with street.process(relay.service.log, tmp_path):
        wait_for(lambda: street.statuses() == expected, "all outcomes", seconds=60)
    tries = [
        (seq, {"4": "deferred", "5": "bounced", "2": "sent"}[attempt.reply[0]])
        for seq in kinds
        for attempt in relay.sink.attempts
        if attempt.rcpt_to == street.recipient(seq)
    ]
    assert sorted(street.outcomes()) == sorted(tries), "every try once, none lost"
    refused = list(kinds.values()).count("refused")
    assert street.counted() == {"delivered": 120 - refused, "bounced": refused}
