"""A batch over the real transport to a scripted relay: every answer, every crash, nothing lost, nothing twice."""

import threading
import time
from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import dkim
import pytest
from psycopg.types.json import Jsonb
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.config import Settings
from app.extensions import db
from app.flow import audience, batches, outcomes, reconciling, sending
from app.flow.rates.reserving import Grant
from app.flow.sessions import AnySession
from app.flow.submission import Answer, AnswerKind
from app.models import Attempt, Batch, Campaign, CampaignStatus, DkimKey, Panel, PanelMode, Suppression
from tests import factories
from tests.flow.streets import Unlimited, message_id_of, street
from tests.scripted_relay import Behaviour, ScriptedRelay


@pytest.fixture
def frozen(session: AnySession, settings: Settings, panel: Panel) -> Campaign:
    """A campaign of 60 recipients, frozen into batches of 20, sending."""
    factories.signed_domain(session, settings, panel)
    mailing_list = factories.mailing_list(session, panel)
    factories.contacts(session, panel, mailing_list, 60)
    campaign = factories.campaign(session, panel, mailing_list, status=CampaignStatus.PREPARING)
    assert audience.prepare(session, replace(settings, batch_size=20), campaign.id)
    return session.get_one(Campaign, campaign.id, populate_existing=True)


def statuses(session: AnySession) -> Counter[str]:
    return Counter(dict(session.execute(text("SELECT status::text, count(*) FROM delivery GROUP BY 1")).all()))


def counted(session: AnySession) -> Counter[str]:
    """The batches' own sums, which must be the truth at every moment (law 4)."""
    names = ["planned", "sending", "accepted", "delivered", "deferred", "bounced", "failed", "skipped", "unknown"]
    sums = session.execute(text("SELECT " + ", ".join(f"sum({n})" for n in names) + " FROM batch")).one()
    return Counter({name: n for name, n in zip(names, sums, strict=True) if n})


def batch_ids(session: AnySession) -> list[int]:
    return list(session.scalars(select(Batch.id).order_by(Batch.id)))


def test_batch_is_accepted_and_signed(session: AnySession, settings: Settings, panel: Panel, frozen: Campaign) -> None:
    record = session.scalars(select(DkimKey.public_record)).one()
    with ScriptedRelay() as relay:
        factories.relay(session, panel, relay.port)
        for batch_id in batch_ids(session):
            assert sending.send_batch(session, street(settings), batch_id) == 20
        assert statuses(session) == counted(session) == {"accepted": 60}
        assert sorted(relay.message_ids()) == sorted(message_id_of(settings, frozen, n) for n in range(1, 61))
        for stored in relay.stored[:5]:
            assert dkim.verify(stored.content, dnsfunc=lambda name, timeout=5: record.encode())
        assert Counter(b.status.value for b in session.scalars(select(Batch))) == {"done": 3}
        assert outcomes.finish_campaigns(session) == [frozen.id]


def test_replies_become_statuses(session: AnySession, settings: Settings, panel: Panel, frozen: Campaign) -> None:
    script = {
        "p1@example.pe": Behaviour(rcpt="550 5.1.1 no such user"),
        "p2@example.pe": Behaviour(rcpt="451 4.2.0 greylisted"),
        "p3@example.pe": Behaviour(body="552 5.2.2 mailbox full"),
        "p4@example.pe": Behaviour(drop="stored"),
    }
    with ScriptedRelay(script) as relay:
        factories.relay(session, panel, relay.port)
        for batch_id in batch_ids(session):
            sending.send_batch(session, street(settings), batch_id)
        assert statuses(session) == counted(session) == {"accepted": 56, "bounced": 2, "deferred": 1, "unknown": 1}
        tries = session.scalars(select(Attempt)).all()
        assert sorted((t.outcome, t.stage, t.reply_code) for t in tries) == [
            ("bounced", "body", 552),
            ("bounced", "rcpt_to", 550),
            ("deferred", "rcpt_to", 451),
            ("unknown", "body", None),
        ]
        assert outcomes.finish_campaigns(session) == []


def test_451_is_tried_again_with_the_same_message_id_and_not_before_its_time(
    session: AnySession, settings: Settings, panel: Panel, frozen: Campaign
) -> None:
    with ScriptedRelay({"p7@example.pe": Behaviour(rcpt="451 4.2.0 later", times=2)}) as relay:
        factories.relay(session, panel, relay.port)
        for batch_id in batch_ids(session):
            sending.send_batch(session, street(settings), batch_id)
        assert statuses(session) == {"accepted": 59, "deferred": 1}
        assert batches.ring_due(session, window=16, ring_again_seconds=15) == []
        waits = []
        for _ in range(2):
            waits.append(
                session.scalar(
                    text("SELECT extract(epoch FROM next_attempt_at - now()) FROM delivery WHERE status = 'deferred'")
                )
            )
            session.execute(text("UPDATE delivery SET next_attempt_at = now() WHERE status = 'deferred'"))
            session.execute(text("UPDATE batch SET next_attempt_at = now(), rung_at = NULL WHERE status = 'ready'"))
            session.commit()
            [due] = batches.ring_due(session, window=16, ring_again_seconds=15)
            sending.send_batch(session, street(settings), due)
        assert float(waits[1]) > float(waits[0]) * 1.5, "waits grow"
        assert statuses(session) == counted(session) == {"accepted": 60}
        [again] = [s for s in relay.stored if s.rcpt_to == "p7@example.pe"]
        seq, attempts = session.execute(text("SELECT seq, attempts FROM delivery WHERE email = 'p7@example.pe'")).one()
        assert again.message_id == message_id_of(settings, frozen, seq)
        assert attempts == 3


def test_too_old_to_be_tried_again_has_failed(
    session: AnySession, settings: Settings, panel: Panel, frozen: Campaign
) -> None:
    with ScriptedRelay({"p7@example.pe": Behaviour(rcpt="451 4.2.0 later")}) as relay:
        factories.relay(session, panel, relay.port)
        impatient = replace(settings, max_retry_age_seconds=30, first_retry_seconds=60)
        for _ in range(outcomes.MIN_ATTEMPTS):
            assert statuses(session)["failed"] == 0, "before it had its tries"
            session.execute(text("UPDATE delivery SET next_attempt_at = now() WHERE status = 'deferred'"))
            session.execute(text("UPDATE batch SET next_attempt_at = NULL WHERE status = 'ready'"))
            session.commit()
            for batch_id in batch_ids(session):
                sending.send_batch(session, street(impatient), batch_id)
        assert statuses(session) == {"accepted": 59, "failed": 1}
        assert outcomes.finish_campaigns(session) == [frozen.id]


def test_recipient_whose_data_blow_the_mail_up_fails_alone_and_says_why(
    session: AnySession, settings: Settings, panel: Panel, frozen: Campaign
) -> None:
    session.execute(text("UPDATE campaign SET html = repeat('{{ ciudad }}', 450)"))
    huge = {"ciudad": '"' * 100_000}
    session.execute(text("UPDATE contact SET fields = :fields WHERE email = 'p9@example.pe'"), {"fields": Jsonb(huge)})
    session.commit()
    with ScriptedRelay() as relay:
        factories.relay(session, panel, relay.port)
        for batch_id in batch_ids(session):
            sending.send_batch(session, street(settings), batch_id)
        assert "p9@example.pe" not in {stored.rcpt_to for stored in relay.stored}
    assert statuses(session) == counted(session) == {"accepted": 59, "failed": 1}
    [failed] = session.execute(text("SELECT email, reply_text FROM delivery WHERE status = 'failed'")).all()
    assert failed == ("p9@example.pe", "cannot_compose:too_large:2000000")
    assert outcomes.finish_campaigns(session) == [frozen.id]


def test_suppressed_or_unsubscribed_after_freezing_is_not_mailed(
    session: AnySession, settings: Settings, panel: Panel, frozen: Campaign
) -> None:
    session.add(Suppression(panel_id=panel.id, email="p5@example.pe", reason="complaint"))
    session.execute(
        text(
            "UPDATE subscription SET status = 'unsubscribed' FROM contact c WHERE c.id = contact_id AND c.email = 'p6@example.pe'"
        )
    )
    session.execute(text("DELETE FROM contact WHERE email = 'p8@example.pe'"))
    session.commit()
    with ScriptedRelay() as relay:
        factories.relay(session, panel, relay.port)
        for batch_id in batch_ids(session):
            sending.send_batch(session, street(settings), batch_id)
        reached = {s.rcpt_to for s in relay.stored}
        assert reached.isdisjoint({"p5@example.pe", "p6@example.pe", "p8@example.pe"})
        assert len(reached) == 57
        reasons = dict(session.execute(text("SELECT email, skip_reason FROM delivery WHERE status = 'skipped'")).all())
        assert reasons == {"p5@example.pe": "suppressed", "p6@example.pe": "unsubscribed", "p8@example.pe": "erased"}
        assert counted(session) == {"accepted": 57, "skipped": 3}


def test_two_workers_for_one_batch_send_it_once(
    session: AnySession, settings: Settings, panel: Panel, frozen: Campaign
) -> None:
    ids, engine = batch_ids(session), db.engine
    with ScriptedRelay() as relay:
        factories.relay(session, panel, relay.port)
        session.commit()

        def work() -> None:
            own_street = street(settings)
            for batch_id in ids:
                with Session(engine) as own:
                    sending.send_batch(own, own_street, batch_id)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert max(Counter(relay.message_ids()).values()) == 1
        assert statuses(session) == {"accepted": 60}


class DyingTransport:
    """A worker killed in mid-chunk: some messages are out, no answer was written down."""

    def __init__(self, real, take: int) -> None:  # type: ignore[no-untyped-def]
        self.real, self.take = real, take

    def submit(self, messages, lease):  # type: ignore[no-untyped-def]
        from itertools import islice

        self.real.submit(islice(messages, self.take), lease)
        raise SystemExit("killed")


def test_killed_worker_leaves_unknowns_that_are_settled_by_message_id(
    session: AnySession, settings: Settings, panel: Panel, frozen: Campaign
) -> None:
    with ScriptedRelay() as relay:
        factories.relay(session, panel, relay.port)
        first = batch_ids(session)[0]
        real = street(settings)
        endpoint = real.endpoint(session, frozen.id)
        dying = street(settings, DyingTransport(real.transport(endpoint), take=7), worker="dying")
        with pytest.raises(SystemExit):
            sending.send_batch(session, dying, first)
        session.rollback()
        assert len(relay.stored) == 7
        assert statuses(session) == counted(session) == {"sending": 20, "planned": 40}

        assert sending.send_batch(session, real, first) == 0, "the dead worker's lease still holds"
        session.execute(
            text("UPDATE batch SET lease_expires_at = now() - interval '1 second' WHERE status = 'claimed'")
        )
        session.commit()
        [expired] = batches.expire_leases(session)
        assert (expired.id, expired.unknown) == (first, 20)
        assert sending.send_batch(session, real, first) == 0, "unknown is never sent again blindly"
        assert reconciling.campaigns_with_unknown(session, grace_seconds=0) == [], "a relay that can't be asked"
        relay_ids = [endpoint.relay_id]
        assert reconciling.campaigns_with_unknown(session, grace_seconds=0, relay_ids=relay_ids) == [frozen.id]

        known = {stored.message_id: "Q1" for stored in relay.stored}
        settled = reconciling.settle(
            session,
            frozen.id,
            message_id_of=lambda seq: message_id_of(settings, frozen, seq),
            ask=lambda _session, _campaign, _relay, wanted: {mid: known[mid] for mid in wanted if mid in known},
            grace_seconds=0,
        )
        assert settled == {"found": 7, "not_found": 13, "left": 0}
        assert statuses(session) == counted(session) == {"accepted": 7, "deferred": 13, "planned": 40}
        for batch_id in batches.ring_due(session, window=16, ring_again_seconds=0):
            sending.send_batch(session, real, batch_id)
        assert statuses(session) == counted(session) == {"accepted": 60}
        assert max(Counter(relay.message_ids()).values()) == 1
        assert len(relay.stored) == 60


def test_relay_without_memory_leaves_unknown_as_unknown(
    session: AnySession, settings: Settings, panel: Panel, frozen: Campaign
) -> None:
    with ScriptedRelay({"p4@example.pe": Behaviour(drop="stored")}) as relay:
        factories.relay(session, panel, relay.port)
        for batch_id in batch_ids(session):
            sending.send_batch(session, street(settings), batch_id)
        reconciling.settle(
            session, frozen.id, message_id_of=lambda seq: f"<{seq}>", ask=lambda *_: None, grace_seconds=0
        )
        assert statuses(session) == {"accepted": 59, "unknown": 1}
        assert batches.ring_due(session, window=16, ring_again_seconds=0) == []


def test_slow_worker_that_lost_its_lease_cannot_write_over_the_new_one(
    session: AnySession, settings: Settings, panel: Panel, frozen: Campaign
) -> None:
    first = batch_ids(session)[0]
    old = batches.claim(session, first, worker="old", lease_seconds=60)
    assert old is not None
    chunk = sending.mark(session, old, relay_id=1, grant=Grant(20))
    session.execute(
        text("UPDATE batch SET lease_expires_at = now() - interval '1 second' WHERE id = :id"), {"id": first}
    )
    session.commit()
    batches.expire_leases(session)
    assert not batches.renew(session, old, lease_seconds=60)
    reconciling.settle(session, frozen.id, message_id_of=str, ask=lambda *_: {}, grace_seconds=0)
    new = batches.claim(session, first, worker="new", lease_seconds=60)
    assert new is not None
    again = sending.mark(session, new, relay_id=1, grant=Grant(20))
    assert len(again) == 20
    answers = [Answer(seq=d.seq, kind=AnswerKind.REPLIED, code=550, text="5.1.1 no") for d in chunk]
    sending.record(session, settings, old, chunk, answers)
    assert statuses(session)["bounced"] == 0
    assert sending.mark(session, old, relay_id=1, grant=Grant(20)) == [], "nor begin another chunk"


def test_late_answer_of_a_slow_worker_settles_an_unknown(
    session: AnySession, settings: Settings, panel: Panel, frozen: Campaign
) -> None:
    first = batch_ids(session)[0]
    old = batches.claim(session, first, worker="old", lease_seconds=60)
    assert old is not None
    chunk = sending.mark(session, old, relay_id=1, grant=Grant(20))
    session.execute(
        text("UPDATE batch SET lease_expires_at = now() - interval '1 second' WHERE id = :id"), {"id": first}
    )
    session.commit()
    batches.expire_leases(session)
    answers = [Answer(seq=d.seq, kind=AnswerKind.REPLIED, code=250, text="2.0.0 ok") for d in chunk]
    sending.record(session, settings, old, chunk, answers)
    assert statuses(session) == counted(session) == {"accepted": 20, "planned": 40}


def test_pause_between_chunks_stops_after_the_chunk_in_work(
    session: AnySession, settings: Settings, panel: Panel, frozen: Campaign
) -> None:
    with ScriptedRelay() as relay:
        factories.relay(session, panel, relay.port)
        small = replace(settings, chunk_size=5)
        asked = 0

        class PauseAtTheThird(Unlimited):
            def reserve(self, session: AnySession, **what: Any) -> Grant:
                nonlocal asked
                asked += 1
                if asked == 3:
                    session.execute(text("UPDATE campaign SET status = 'paused'"))
                    session.commit()
                return super().reserve(session, **what)

        first = batch_ids(session)[0]
        assert sending.send_batch(session, replace(street(small), rates=PauseAtTheThird()), first) == 10
        assert len(relay.stored) == 10
        assert session.get_one(Batch, first, populate_existing=True).status == "ready"
        assert batches.ring_due(session, window=16, ring_again_seconds=0) == []
        session.execute(text("UPDATE campaign SET status = 'sending'"))
        session.commit()
        for batch_id in batches.ring_due(session, window=16, ring_again_seconds=0):
            sending.send_batch(session, street(small), batch_id)
        assert statuses(session) == {"accepted": 60}
        assert max(Counter(relay.message_ids()).values()) == 1


def test_dead_relay_pauses_the_campaign_and_says_why(
    session: AnySession, settings: Settings, panel: Panel, frozen: Campaign
) -> None:
    with ScriptedRelay() as relay:
        factories.relay(session, panel, relay.port)
    few = replace(settings, relay_failures_before_pause=3, relay_patience_seconds=0)
    for n in range(1, 4):
        session.execute(text("UPDATE batch SET next_attempt_at = NULL"))
        session.commit()
        sending.send_batch(session, street(few), batch_ids(session)[0])
        campaign = session.get_one(Campaign, frozen.id, populate_existing=True)
        assert campaign.relay_failures == n
    assert campaign.status is CampaignStatus.PAUSED
    assert campaign.status_reason is not None
    assert campaign.status_reason.startswith("relay_failures:no_connection:127.0.0.1:")
    assert statuses(session) == counted(session) == {"planned": 60}
    assert session.scalar(text("SELECT max(attempts) FROM delivery")) == 0


def test_one_success_ends_the_run_of_relay_failures(
    session: AnySession, settings: Settings, panel: Panel, frozen: Campaign
) -> None:
    session.execute(text("UPDATE campaign SET relay_failures = 2, relay_failing_since = now()"))
    session.commit()
    with ScriptedRelay(messages_before_421=4) as relay:
        factories.relay(session, panel, relay.port)
        sending.send_batch(session, street(settings), batch_ids(session)[0])
    assert session.execute(text("SELECT relay_failures, relay_failing_since FROM campaign")).one() == (0, None)


def test_relay_that_is_away_for_a_moment_pauses_nothing_however_many_notice(
    session: AnySession, settings: Settings, panel: Panel, frozen: Campaign
) -> None:
    with ScriptedRelay() as relay:
        factories.relay(session, panel, relay.port)
    few = replace(settings, relay_failures_before_pause=3, relay_patience_seconds=60)

    def try_all() -> CampaignStatus:
        session.execute(text("UPDATE batch SET next_attempt_at = NULL"))
        session.commit()
        for batch_id in batch_ids(session):
            sending.send_batch(session, street(few), batch_id)
        return session.get_one(Campaign, frozen.id, populate_existing=True).status

    assert [try_all() for _ in range(3)] == [CampaignStatus.SENDING] * 3
    assert session.scalar(text("SELECT relay_failures FROM campaign")) == 9
    session.execute(text("UPDATE campaign SET relay_failing_since = relay_failing_since - interval '61 seconds'"))
    assert try_all() is CampaignStatus.PAUSED


def test_relay_that_refuses_our_sender_burns_nobody(
    session: AnySession, settings: Settings, panel: Panel, frozen: Campaign
) -> None:
    with ScriptedRelay(default=Behaviour(mail="553 5.7.1 sender not allowed", rcpt="503 5.5.1 need MAIL")) as relay:
        factories.relay(session, panel, relay.port)
        sending.send_batch(session, street(settings), batch_ids(session)[0])
    assert statuses(session) == {"deferred": 20, "planned": 40}
    assert session.scalar(text("SELECT relay_failures FROM campaign")) == 1


def test_database_that_goes_away_before_recording_loses_no_answer(
    session: AnySession, settings: Settings, panel: Panel, frozen: Campaign
) -> None:
    """The connection is cut between submitting and recording; the answers are written by the next try."""
    pid_of = text("SELECT pg_backend_pid()")
    with ScriptedRelay() as relay:
        factories.relay(session, panel, relay.port)
        first = batch_ids(session)[0]
        real = street(settings)
        transport = real.transport(real.endpoint(session, frozen.id))

        class Cutting:
            def submit(self, messages, lease):  # type: ignore[no-untyped-def]
                answers = transport.submit(messages, lease)
                pid = session.scalar(pid_of)
                with db.engine.connect() as other:
                    other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
                return answers

        assert sending.send_batch(session, street(settings, Cutting()), first) == 20
        assert statuses(session) == counted(session) == {"accepted": 20, "planned": 40}


def test_ring_window_bounds_what_is_out_and_lost_rings_come_again(
    session: AnySession, settings: Settings, frozen: Campaign
) -> None:
    assert len(batches.ring_due(session, window=2, ring_again_seconds=15)) == 2
    assert batches.ring_due(session, window=2, ring_again_seconds=15) == []
    assert len(batches.ring_due(session, window=3, ring_again_seconds=15)) == 1
    session.execute(text("UPDATE batch SET rung_at = now() - interval '20 seconds'"))
    session.commit()
    assert len(batches.ring_due(session, window=16, ring_again_seconds=15)) == 3


def test_unknown_is_asked_of_the_relay_that_had_it_whatever_the_panel_uses_now(
    session: AnySession, settings: Settings, panel: Panel, frozen: Campaign
) -> None:
    with ScriptedRelay({"p4@example.pe": Behaviour(drop="stored")}) as relay:
        first = factories.relay(session, panel, relay.port)
        for batch_id in batch_ids(session):
            sending.send_batch(session, street(settings), batch_id)
        panel.mode = PanelMode.PRACTICE
        session.commit()
        asked = []

        def ask(_session: AnySession, _campaign: int, relay_id: int, wanted: Collection[str]) -> None:
            asked.append((relay_id, len(wanted)))

        reconciling.settle(session, frozen.id, message_id_of=str, ask=ask, grace_seconds=0)
        assert asked == [(first.id, 1)]
        assert statuses(session) == {"accepted": 59, "unknown": 1}


def test_pause_in_mid_chunk_stops_a_slow_relay_within_seconds(
    session: AnySession, settings: Settings, panel: Panel, frozen: Campaign
) -> None:
    engine, first = db.engine, batch_ids(session)[0]
    with ScriptedRelay(default=Behaviour(delay_seconds=0.4)) as relay:
        factories.relay(session, panel, relay.port, connections=1)

        def work() -> None:
            with Session(engine) as own:
                sending.send_batch(own, street(settings), first)

        thread = threading.Thread(target=work)
        thread.start()
        while not relay.stored:
            time.sleep(0.05)
        session.execute(text("UPDATE campaign SET status = 'paused'"))
        session.commit()
        paused_at = time.monotonic()
        thread.join()
        assert time.monotonic() - paused_at < 3.0
        assert len(relay.stored) < 12
        assert statuses(session) == counted(session)
        assert statuses(session)["accepted"] == len(relay.stored)
        assert statuses(session)["planned"] == 60 - len(relay.stored)


def test_process_that_is_asked_to_stop_leaves_nothing_unknown(
    session: AnySession, settings: Settings, panel: Panel, frozen: Campaign
) -> None:
    with ScriptedRelay() as relay:
        factories.relay(session, panel, relay.port)
        stopping = replace(street(settings), stopping=lambda: len(relay.stored) >= 5)
        sending.send_batch(session, stopping, batch_ids(session)[0])
        assert 5 <= len(relay.stored) < 20
        assert statuses(session) == counted(session)
        assert statuses(session)["accepted"] == len(relay.stored)
        assert statuses(session)["planned"] == 60 - len(relay.stored)
