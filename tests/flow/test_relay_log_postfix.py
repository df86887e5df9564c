"""The log of a real Postfix is followed: what its sink knows of each mail is what the platform knows in the end.

One Postfix serves the whole file. Each test has recipients of its own.
"""

import random
import time

import pytest
from sqlalchemy import text

from app.flow import reconciling
from app.mail.tokens import message_id, return_path
from tests.egress_sink import wait_for
from tests.fixtures.relay import EgressRelay
from tests.relay_street import DOMAIN, RelayStreet, turn_until
from workers.relay import arrivals as arrivals_module
from workers.relay.arrivals import Arrivals, queue_of_log
from workers.relay.follow import Follower
from workers.relay.handover import IntoDatabase
from workers.relay.memory import Memory
from workers.relay.queue import PostfixQueue
from workers.street import ask_relay

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


def lost_long_ago(session, street: RelayStreet) -> None:
    """The log was read since before the attempt, and nobody waits for an answer any more."""
    session.execute(text("UPDATE relay_log SET complete_since = now() - interval '1 hour'"))
    moments = "last_attempt_at = now() - interval '20 min', unknown_at = now() - interval '15 min'"
    session.execute(text(f"UPDATE delivery SET {moments}"))
    session.commit()


def follower_with_queue(street: RelayStreet, relay: EgressRelay, directory) -> Follower:
    queue = queue_of_log(PostfixQueue(relay.service.config_dir), relay.service.log)
    assert queue is not None
    arrivals = Arrivals(queue, first_look_seconds=0.5)
    memory = Memory(directory / "follower.sqlite")
    return Follower(relay.service.log, memory, IntoDatabase(street.settings, street.relay.id), arrivals)


def settled(street: RelayStreet) -> dict[str, int]:
    return reconciling.settle(
        street.session,
        street.campaign.id,
        message_id_of=lambda seq: message_id(street.token(seq), DOMAIN),
        ask=ask_relay,
        grace_seconds=0,
    )


def test_message_that_was_cut_off_is_settled_as_not_taken_and_one_that_was_taken_as_taken(
    relay, session, settings, panel, tmp_path, monkeypatch
):
    monkeypatch.setattr(arrivals_module, "LOG_DELAY_SECONDS", 0.3)
    street = RelayStreet.laid(session, settings, panel, recipients=3, status="unknown")
    follower = follower_with_queue(street, relay, tmp_path)
    turn_until(follower, lambda: not follower.turn(), "the log's end")
    lost_long_ago(session, street)
    with relay.client() as client:
        client.mail(return_path(street.token(1), f"rebotes.{DOMAIN}"))
        client.rcpt(street.recipient(1))
        client.docmd("DATA")
        client.send(f"Message-ID: {message_id(street.token(1), DOMAIN)}\r\nSubject: x\r\n\r\n" + "hola\r\n" * 2000)
        client.close()
    street.submit(relay, 2)
    told = text("SELECT count(*) FROM relay_outcome WHERE seq = 1 AND status = :status")
    turn_until(follower, lambda: session.scalar(told, {"status": "named"}), "that it began to arrive")
    settled(street)
    assert street.statuses()[1] == "unknown", "it may be in the queue"
    turn_until(follower, lambda: session.scalar(told, {"status": "dropped"}), "that it was dropped")
    settled(street)
    turn_until(follower, lambda: street.statuses()[2] == "delivered", "the outcome of the second")
    assert street.statuses() == {1: "deferred", 2: "delivered", 3: "deferred"}


def test_relay_that_was_killed_and_started_again_can_still_prove_what_it_has_not(
    relay, session, settings, panel, tmp_path
):
    street = RelayStreet.laid(session, settings, panel, recipients=3, status="unknown")
    follower = follower_with_queue(street, relay, tmp_path)
    turn_until(follower, lambda: not follower.turn(), "the log's end")
    lost_long_ago(session, street)
    relay.sink.refuse(street.recipient(2), times=1000)
    street.submit(relay, 2)
    wait_for(lambda: [one for one in relay.sink.attempts if one.rcpt_to == street.recipient(2)], "a try")
    relay.service.kill()
    relay.service.start()
    street.submit(relay, 3)  # The relay is seen to write on.
    read = text("SELECT read_until > now() - interval '10 s' FROM relay_log WHERE relay_id = :id")
    turn_until(follower, lambda: session.scalar(read, {"id": street.relay.id}), "the reading behind the start")
    settled(street)
    turn_until(follower, lambda: street.statuses()[3] == "delivered", "the outcome of the third")
    assert street.statuses() == {1: "deferred", 2: "accepted", 3: "delivered"}


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
