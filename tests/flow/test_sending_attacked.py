"""Attacks on the send path: clocks that jump, statements that overlap, relays that are silent, babble or speak nonsense."""

import socket
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.config import Settings
from app.extensions import db
from app.flow import batches, outcomes, practice, reconciling, sending
from app.flow.batches import ClaimedBatch
from app.flow.rates.reserving import Grant
from app.flow.reconciling import Settlement
from app.flow.sending import MarkedDelivery
from app.flow.sessions import AnySession
from app.flow.submission import Answer, AnswerKind
from app.models import Campaign, OwnReply, Panel
from app.secrets import seal
from tests import factories
from tests.flow.streets import message_id_of, street
from tests.flow.test_sending import batch_ids, counted, frozen, statuses
from tests.scripted_relay import Behaviour, ScriptedRelay

__all__ = ["frozen"]


def expire(session: AnySession) -> list[batches.ExpiredBatch]:
    session.execute(text("UPDATE batch SET lease_expires_at = now() - interval '1 second' WHERE status = 'claimed'"))
    session.commit()
    return batches.expire_leases(session)


def answers(chunk: list[MarkedDelivery], code: int) -> list[Answer]:
    return [Answer(seq=d.seq, kind=AnswerKind.REPLIED, code=code, text="x") for d in chunk]


def half_unknown(session: AnySession) -> tuple[int, ClaimedBatch, list[MarkedDelivery]]:
    """The first batch: ten unknown after a killed worker, ten marked by a second worker that holds the claim."""
    first = batch_ids(session)[0]
    killed = batches.claim(session, first, worker="killed", lease_seconds=60)
    assert killed is not None
    sending.mark(session, killed, relay_id=0, grant=Grant(10))
    expire(session)
    session.execute(text("UPDATE delivery SET unknown_at = now() - interval '1 minute' WHERE status = 'unknown'"))
    session.commit()
    second = batches.claim(session, first, worker="second", lease_seconds=60)
    assert second is not None
    chunk = sending.mark(session, second, relay_id=0, grant=Grant(250))
    assert len(chunk) == 10
    return first, second, chunk


def slowed(monkeypatch: pytest.MonkeyPatch, name: str, *, thread_name: str) -> threading.Event:
    """``batches.<name>`` holds its locks for a second longer in that thread; set when it got there."""
    real, there = getattr(batches, name), threading.Event()

    def slow(own: AnySession, ids: list[int]) -> None:
        real(own, ids)
        if threading.current_thread().name == thread_name:
            there.set()
            time.sleep(1.0)

    monkeypatch.setattr(batches, name, slow)
    return there


def knows_all(_session: AnySession, _campaign: int, _relay: int, wanted: Collection[str]) -> dict[str, str]:
    """A relay that has every mail."""
    return dict.fromkeys(wanted, "P1")


def test_recording_and_reconciling_one_batch_at_once_keep_its_counts_true(
    session: AnySession, settings: Settings, frozen: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    _first, second, chunk = half_unknown(session)
    in_record, engine = slowed(monkeypatch, "recount", thread_name="worker"), db.engine

    def work() -> None:
        with Session(engine) as own:
            outcomes.record(own, settings, second, chunk, answers(chunk, 250))
            batches.release(own, second)

    thread = threading.Thread(target=work, name="worker")
    thread.start()
    in_record.wait(10)
    reconciling.settle(session, frozen.id, message_id_of=str, ask=knows_all, grace_seconds=10)
    thread.join()
    session.commit()
    assert statuses(session) == counted(session) == {"accepted": 20, "planned": 40}
    assert session.scalar(text("SELECT count(*) FROM batch WHERE status = 'done'")) == 1


def test_releasing_while_reconciling_defers_forgets_no_retry(
    session: AnySession, settings: Settings, frozen: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, chunk = half_unknown(session)
    outcomes.record(session, settings, second, chunk, answers(chunk, 250))
    ready = slowed(monkeypatch, "close_finished", thread_name="reconciler")
    engine, campaign_id = db.engine, frozen.id

    def work() -> None:
        with Session(engine) as own:
            reconciling.settle(own, campaign_id, message_id_of=str, ask=lambda *_: {}, grace_seconds=10)

    thread = threading.Thread(target=work, name="reconciler")
    thread.start()
    ready.wait(10)
    batches.release(session, second)
    thread.join()
    session.commit()
    assert first in batches.ring_due(session, window=16, ring_again_seconds=0)


@pytest.mark.parametrize("code", [250, 451])
def test_answer_recorded_after_the_lease_expired_strands_nothing(
    session: AnySession, settings: Settings, frozen: Campaign, code: int
) -> None:
    first = batch_ids(session)[0]
    slow = batches.claim(session, first, worker="slow", lease_seconds=60)
    assert slow is not None
    chunk = sending.mark(session, slow, relay_id=7, grant=Grant(250))
    expire(session)
    outcomes.record(session, settings, slow, chunk, answers(chunk, code))
    batches.release(session, slow)
    row = session.execute(
        text("SELECT status, next_attempt_at < now() + interval '1 hour' AS is_soon FROM batch WHERE id = :id"),
        {"id": first},
    ).one()
    assert row.status == "done" if code == 250 else row.is_soon


def test_unsent_heard_after_the_lease_expired_is_due_again_not_unknown(
    session: AnySession, settings: Settings, frozen: Campaign
) -> None:
    first = batch_ids(session)[0]
    slow = batches.claim(session, first, worker="slow", lease_seconds=60)
    assert slow is not None
    chunk = sending.mark(session, slow, relay_id=7, grant=Grant(250))
    expire(session)
    unsent = [Answer(seq=d.seq, kind=AnswerKind.NOT_SENT) for d in chunk]
    outcomes.record(session, settings, slow, chunk, unsent)
    assert statuses(session) == counted(session) == {"deferred": 20, "planned": 40}
    assert first in batches.ring_due(session, window=16, ring_again_seconds=0)


def test_attempt_that_never_was_does_not_age_a_delivery(
    session: AnySession, settings: Settings, frozen: Campaign
) -> None:
    claim = batches.claim(session, batch_ids(session)[0], worker="one", lease_seconds=60)
    assert claim is not None
    chunk = sending.mark(session, claim, relay_id=7, grant=Grant(250))
    outcomes.record(session, settings, claim, chunk, [Answer(seq=d.seq, kind=AnswerKind.NOT_SENT) for d in chunk])
    assert session.scalar(text("SELECT count(*) FROM delivery WHERE first_attempt_at IS NOT NULL OR attempts > 0")) == 0


def test_clock_that_jumps_makes_nobody_get_it_twice(
    session: AnySession, settings: Settings, panel: Panel, frozen: Campaign
) -> None:
    """The database's clock is two minutes ahead of the lease (a suspended machine, an NTP step) in mid-chunk."""
    small, engine = replace(settings, chunk_size=20), db.engine
    with ScriptedRelay(default=Behaviour(delay_seconds=0.4)) as relay:
        row = factories.relay(session, panel, relay.port)
        first = batch_ids(session)[0]

        def work() -> None:
            with Session(engine) as own:
                sending.send_batch(own, street(small), first)

        thread = threading.Thread(target=work)
        thread.start()
        while not relay.stored:
            time.sleep(0.05)
        [expired] = expire(session)
        assert expired.id == first
        waiting = {"grace_seconds": 3, "relay_ids": [row.id]}
        assert reconciling.campaigns_with_unknown(session, **waiting) == [], "the grace counts from now"
        thread.join()  # It notices within a second that the claim is gone, and records what it heard.
        time.sleep(3.5)
        reconciling.settle(
            session,
            frozen.id,
            message_id_of=lambda seq: message_id_of(settings, frozen, seq),
            ask=lambda _s, _c, _r, wanted: {mid: "Q" for mid in relay.message_ids() if mid in wanted},
            grace_seconds=3,
        )
        assert first in batches.ring_due(session, window=16, ring_again_seconds=0)
        sending.send_batch(session, street(small), first)
        assert len(relay.message_ids()) == len(set(relay.message_ids())) == 20


@contextmanager
def server(serve) -> Iterator[int]:  # type: ignore[no-untyped-def]
    """A listener on the loopback that gives each connection to ``serve``; yields its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        with suppress(OSError):
            while True:
                sock, _address = listener.accept()
                threading.Thread(target=quietly, args=(sock,), daemon=True).start()

    def quietly(sock: socket.socket) -> None:
        with suppress(OSError):
            serve(sock)

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


def never_greets(sock: socket.socket) -> None:
    time.sleep(30)


def greets_without_end(sock: socket.socket) -> None:
    while True:
        sock.sendall(b"220-" + b"x" * 400 + b"\r\n")


def asks_nonsense(sock: socket.socket) -> None:
    sock.sendall(b"220 x\r\n")
    for line in sock.makefile("rb"):
        verb = line[:4].upper()
        reply = b"250-x\r\n250 AUTH CRAM-MD5\r\n" if verb == b"EHLO" else b"334 abcde\r\n"
        sock.sendall(reply)


@pytest.mark.parametrize("serve", [never_greets, greets_without_end, asks_nonsense])
def test_relay_that_never_becomes_usable_leaves_everybody_planned(
    session: AnySession, settings: Settings, panel: Panel, frozen: Campaign, serve
) -> None:
    with server(serve) as port:
        row = factories.relay(session, panel, port, username="u")
        row.password_encrypted = seal(settings, "p")
        session.commit()
        quick = replace(settings, smtp_timeout_seconds=3)
        started = time.monotonic()
        sending.send_batch(session, street(quick), batch_ids(session)[0])
        assert time.monotonic() - started < 15
    assert statuses(session) == counted(session) == {"planned": 60}
    assert session.scalar(text("SELECT relay_failures FROM campaign")) == 1


def test_reply_that_drips_is_silence(session: AnySession, settings: Settings, panel: Panel, frozen: Campaign) -> None:
    def drips(sock: socket.socket) -> None:
        sock.sendall(b"220 x\r\n")
        file = sock.makefile("rb")
        file.readline()
        sock.sendall(b"250-x\r\n250 PIPELINING\r\n")
        file.readline()
        while True:
            sock.sendall(b"250-w\r\n")
            time.sleep(0.3)

    with server(drips) as port:
        factories.relay(session, panel, port, connections=1)
        quick = replace(settings, smtp_timeout_seconds=2, chunk_size=2)
        started = time.monotonic()
        sending.send_batch(session, street(quick), batch_ids(session)[0])
        assert time.monotonic() - started < 25
    assert statuses(session)["unknown"] == statuses(session)["sending"] == 0


def test_mailbox_is_not_emptied_while_an_answer_is_open(
    session: AnySession, settings: Settings, panel: Panel, frozen: Campaign
) -> None:
    half_unknown(session)
    session.execute(text("UPDATE campaign SET status = 'paused'"))
    session.commit()
    with pytest.raises(practice.MailboxInUse):
        practice.clear(session, panel.id)


@pytest.fixture
def one_lost_at_a_relay_without_memory(
    session: AnySession, settings: Settings, panel: Panel, frozen: Campaign
) -> Iterator[ScriptedRelay]:
    """The fourth delivery: taken, and the connection cut before the answer. A minute ago."""
    with ScriptedRelay({"p4@example.pe": Behaviour(drop="stored", times=1)}) as relay:
        factories.relay(session, panel, relay.port)
        for batch_id in batch_ids(session):
            sending.send_batch(session, street(settings), batch_id)
        assert statuses(session) == {"accepted": 59, "unknown": 1}
        assert session.scalar(text("SELECT reply_text FROM delivery WHERE status = 'unknown'")) == OwnReply.RELAY_CLOSED
        assert reconciling.waiting_for_a_person(session, [frozen.id]) == {}, "its worker may still know the answer"
        session.execute(text("UPDATE delivery SET unknown_at = now() - interval '13 minutes' WHERE status = 'unknown'"))
        session.commit()
        yield relay


def test_person_says_that_it_was_sent(
    session: AnySession, panel: Panel, frozen: Campaign, one_lost_at_a_relay_without_memory: ScriptedRelay
) -> None:
    other = factories.panel(session, "otra")
    assert reconciling.settle_by_hand(session, other.id, frozen.id, Settlement.AS_SENT) == 0
    assert reconciling.waiting_for_a_person(session, [frozen.id]) == {frozen.id: 1}
    assert reconciling.settle_by_hand(session, panel.id, frozen.id, Settlement.AS_SENT) == 1
    assert statuses(session) == counted(session) == {"accepted": 60}
    assert outcomes.finish_campaigns(session) == [frozen.id]
    assert len(one_lost_at_a_relay_without_memory.stored) == 60


def test_people_are_asked_only_when_no_worker_can_still_write_down_what_it_heard() -> None:
    assert reconciling.BY_HAND_AFTER_SECONDS > outcomes.RECORD_PATIENCE_SECONDS


def test_person_has_it_sent_again(
    session: AnySession,
    settings: Settings,
    panel: Panel,
    frozen: Campaign,
    one_lost_at_a_relay_without_memory: ScriptedRelay,
) -> None:
    assert reconciling.settle_by_hand(session, panel.id, frozen.id, Settlement.TO_SEND_AGAIN) == 1
    assert statuses(session) == counted(session) == {"accepted": 59, "deferred": 1}
    for batch_id in batch_ids(session):
        sending.send_batch(session, street(settings), batch_id)
    assert statuses(session) == counted(session) == {"accepted": 60}
    assert outcomes.finish_campaigns(session) == [frozen.id]


def test_what_the_practice_relay_can_tell_is_not_settled_by_hand(
    session: AnySession, panel: Panel, frozen: Campaign
) -> None:
    first, _second, _chunk = half_unknown(session)
    session.execute(text("UPDATE delivery SET unknown_at = now() - interval '1 hour' WHERE status = 'unknown'"))
    session.execute(text("UPDATE batch SET status = 'ready' WHERE id = :id"), {"id": first})
    session.commit()
    assert reconciling.waiting_for_a_person(session, [frozen.id]) == {}
    assert reconciling.settle_by_hand(session, panel.id, frozen.id, Settlement.AS_SENT) == 0
    assert statuses(session)["unknown"] == 10
