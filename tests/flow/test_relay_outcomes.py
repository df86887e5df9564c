"""Outcomes out of order, too early, twice, and of things that are no deliveries; and what a log may be taken to prove."""

import itertools
import random
import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.extensions import db
from app.flow import composing, outcomes, reconciling, relay_outcomes
from app.flow.batches import ClaimedBatch
from app.flow.submission import Answer, AnswerKind
from app.mail.relay_report import Bundle, Seen, Sighting
from app.mail.replies import Stage
from app.mail.tokens import TokenPurpose, make_token, message_id
from tests import factories
from tests.fixtures.laws import arrange
from tests.relay_street import DOMAIN, RelayStreet
from workers.street import ask_relay

NOW = datetime.now(UTC).replace(microsecond=0)

pytestmark = pytest.mark.usefixtures("fresh_now")


@pytest.fixture
def street(session, settings, panel) -> RelayStreet:
    return RelayStreet.laid(session, settings, panel)


def seen(street: RelayStreet, seq: int, sighting: str, **values: object) -> Seen:
    told = {"token": street.token(seq), "queue_id": "4dDcHs3Vqlz9tGx", "at": NOW, **values}
    return Seen(sighting=Sighting(sighting), **told)  # type: ignore[arg-type]


def store(street: RelayStreet, *sightings: Seen, **values: object) -> relay_outcomes.Stored:
    key = composing.token_key(street.settings)
    bundle = Bundle(sightings, **values)  # type: ignore[arg-type]
    return relay_outcomes.store(street.session, street.relay.id, bundle, token_key=key)


LINES = ("queued", "deferred", "sent", "bounced")


@pytest.mark.parametrize("order", list(itertools.permutations(LINES)))
def test_every_order_of_the_lines_ends_alike(street, order):
    for turn, sighting in enumerate(order):
        store(street, seen(street, 1, sighting))
        if turn % 2:
            store(street, seen(street, 1, sighting))
    assert street.statuses()[1] == "bounced"
    assert sorted(street.outcomes()) == [(1, "bounced"), (1, "deferred"), (1, "sent")]
    street.counted()


@pytest.mark.parametrize("status", ["bounced", "failed", "skipped:cancelled"])
def test_final_statuses_stay(session, settings, panel, status):
    street = RelayStreet.laid(session, settings, panel, status=status)
    store(street, seen(street, 1, "sent"), seen(street, 2, "expired"))
    assert set(street.statuses().values()) == {status}


def test_log_that_is_faster_than_the_sender_waits_for_its_record(session, settings, panel):
    street = RelayStreet.laid(session, settings, panel, status="sending")
    store(street, seen(street, 1, "sent"), seen(street, 2, "bounced", reply="550 5.1.1 no"))
    assert set(street.statuses().values()) == {"sending"}
    arrange(session)
    session.execute(text("UPDATE batch SET status = 'claimed', claim = 1"))
    session.execute(text("UPDATE delivery SET claim = 1, attempts = 1, first_attempt_at = now()"))
    session.commit()
    batch = ClaimedBatch(*session.execute(text(
        "SELECT id, campaign_id, frozen_on, first_seq, last_seq, provider, claim FROM batch")).one())  # fmt: skip
    chunk = session.execute(text("SELECT seq, attempts, first_attempt_at, egress_ip_id FROM delivery")).all()
    answers = [Answer(seq, AnswerKind.REPLIED, 250, "ok", Stage.BODY) for seq in (1, 2, 3, 4)]
    outcomes.record(session, settings, batch, chunk, answers)
    assert set(street.statuses().values()) == {"accepted"}
    assert store(street).applied == 2, "an empty bundle applies what waited"
    assert street.statuses() == {1: "delivered", 2: "bounced", 3: "accepted", 4: "accepted"}
    street.counted()


def test_unknown_is_settled_by_the_log_and_its_batch_closes(session, settings, panel):
    street = RelayStreet.laid(session, settings, panel, status="unknown")
    store(street, *(seen(street, seq, "sent") for seq in (1, 2, 3)), seen(street, 4, "expired"))
    assert street.statuses() == {1: "delivered", 2: "delivered", 3: "delivered", 4: "bounced"}
    assert session.scalar(text("SELECT status FROM batch")) == "done"
    street.counted()


def test_foreign_and_forged_tokens_change_nothing_and_are_counted_but_proofs_are_ours(street, session, other_panel):
    other = factories.relay(session, other_panel, 25872)
    key = composing.token_key(street.settings)
    proof = make_token(key, street.campaign.id, 1, purpose=TokenPurpose.PROOF)
    strangers = [make_token(b"someone else's key", street.campaign.id, 1), make_token(key, 2**32 - 1, 1), "a" * 32]
    strangers.append(make_token(key, street.campaign.id, 2**48 - 1))
    told = store(street, *(seen(street, 1, "bounced", token=token) for token in (*strangers, proof)))
    assert (told.known, told.foreign) == (0, 4)
    bundle = Bundle((seen(street, 1, "bounced"),))
    assert relay_outcomes.store(session, other.id, bundle, token_key=key).foreign == 1
    assert set(street.statuses().values()) == {"accepted"}


def test_many_at_once_neither_lock_each_other_nor_lose_count(session, settings, panel, app):
    street = RelayStreet.laid(session, settings, panel, recipients=200)
    key = composing.token_key(settings)
    everything = [seen(street, seq, "bounced" if seq % 5 == 0 else "sent") for seq in range(1, 201)]
    failures: list[Exception] = []

    def tell(number: int) -> None:
        dice = random.Random(number)
        mine = dice.sample(everything, len(everything))
        try:
            with Session(db.engine) as own:
                for start in range(0, 200, 50):
                    part = Bundle(tuple(mine[start : start + 50]))
                    relay_outcomes.store(own, street.relay.id, part, token_key=key)
        except Exception as error:
            failures.append(error)

    def work(number: int) -> None:
        with app.app_context():
            tell(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    store(street)
    assert street.counted() == {"delivered": 160, "bounced": 40}


# What the log proves.


@pytest.fixture
def lost(session, settings, panel) -> RelayStreet:
    """Deliveries given up for lost a quarter of an hour ago, at a relay whose log was read since long before."""
    street = RelayStreet.laid(session, settings, panel, status="unknown")
    store(street)
    session.execute(text("UPDATE relay_log SET complete_since = now() - interval '1 hour', read_until = now()"))
    session.execute(
        text("UPDATE delivery SET last_attempt_at = now() - interval '16 min', unknown_at = now() - interval '15 min'")
    )
    session.commit()
    return street


def asked(street: RelayStreet, seq: int = 1) -> object:
    wanted = message_id(street.token(seq), DOMAIN)
    told = ask_relay(street.session, street.campaign.id, street.relay.id, [wanted])
    street.session.rollback()
    return "no memory" if told is None else told.get(wanted, "provably not")


def change(street: RelayStreet, statement: str) -> None:
    street.session.execute(text(statement))
    street.session.commit()


def test_relay_without_a_follower_has_no_memory(session, settings, panel):
    assert asked(RelayStreet.laid(session, settings, panel, status="unknown")) == "no memory"


def test_log_that_was_complete_and_read_far_enough_proves_that_the_relay_has_not(lost):
    assert asked(lost) == "provably not"


@pytest.mark.parametrize(
    "doubt",
    [
        "UPDATE relay_log SET read_until = NULL",
        "UPDATE relay_log SET read_until = now() - interval '15 min'",
        "UPDATE relay_log SET read_until = now() - interval '11 min'",
        "UPDATE relay_log SET complete_since = now() - interval '15 min'",
        "UPDATE relay_log SET complete_since = now()",
        "UPDATE delivery SET unknown_at = now()",
        "UPDATE delivery SET last_attempt_at = now() - interval '2 hours'",
    ],
)
def test_any_doubt_leaves_it_unknown(lost, doubt):
    change(lost, doubt)
    assert asked(lost) is None


def test_gap_in_the_log_takes_back_what_it_proved(lost):
    store(lost, has_gap=True)
    assert asked(lost) is None


def test_message_that_began_to_arrive_may_be_in_the_relays_queue(lost):
    store(lost, seen(lost, 1, "named"))
    assert asked(lost) is None and asked(lost, 2) == "provably not"


def test_message_that_began_to_arrive_and_was_looked_for_in_vain_is_proven_absent(lost):
    store(lost, seen(lost, 1, "named"), seen(lost, 1, "dropped"))
    assert asked(lost) == "provably not"


@pytest.mark.parametrize(
    "doubt",
    [
        {"at": NOW - timedelta(minutes=11)},  # Looked for when its bytes could still arrive.
        {"queue_id": "4dDcHs3VqlzAAAA"},  # Another try of it was.
    ],
)
def test_look_that_was_too_early_or_at_another_try_proves_nothing(lost, doubt):
    store(lost, seen(lost, 1, "named"), seen(lost, 1, "dropped", **doubt))
    assert asked(lost) is None


def test_message_that_was_dropped_once_and_taken_at_another_try_is_had(lost):
    taken = seen(lost, 1, "queued", queue_id="4dDcHs3VqlzAAAA", at=NOW - timedelta(minutes=1))
    store(lost, seen(lost, 1, "named"), seen(lost, 1, "dropped"), taken)
    assert asked(lost) == "4dDcHs3VqlzAAAA"


@pytest.mark.parametrize("sighting", ["queued", "deferred"])
def test_message_that_was_queued_is_had(lost, sighting):
    store(lost, seen(lost, 1, sighting))
    assert asked(lost) == "4dDcHs3Vqlz9tGx"


def test_message_id_of_another_campaign_proves_nothing(lost):
    key = composing.token_key(lost.settings)
    for stranger in (make_token(key, lost.campaign.id + 1, 1), "a" * 32):
        wanted = message_id(stranger, DOMAIN)
        assert ask_relay(lost.session, lost.campaign.id, lost.relay.id, [wanted]) == {wanted: None}
    unheard_of = message_id(lost.token(999), DOMAIN)
    assert ask_relay(lost.session, lost.campaign.id, lost.relay.id, [unheard_of]) == {unheard_of: None}


def settle(street: RelayStreet) -> dict[str, int]:
    return reconciling.settle(
        street.session,
        street.campaign.id,
        message_id_of=lambda seq: message_id(street.token(seq), DOMAIN),
        ask=ask_relay,
        grace_seconds=0,
    )


def test_reconciling_settles_what_is_proven_and_leaves_the_rest(lost):
    store(lost, seen(lost, 1, "named"), seen(lost, 2, "queued"))
    assert lost.campaign.id in reconciling.campaigns_with_unknown(lost.session, grace_seconds=0)
    assert settle(lost) == {"found": 1, "not_found": 2, "left": 1}
    assert lost.statuses() == {1: "unknown", 2: "accepted", 3: "deferred", 4: "deferred"}
    assert settle(lost) == {"found": 0, "not_found": 0, "left": 1}
    lost.counted()


def test_many_that_can_not_be_told_come_to_an_end(session, settings, panel, monkeypatch):
    street = RelayStreet.laid(session, settings, panel, status="unknown", recipients=25)
    store(street)
    monkeypatch.setattr(reconciling, "SLICE", 4)
    assert settle(street) == {"found": 0, "not_found": 0, "left": 25}
    store(street, seen(street, 20, "queued"))
    assert settle(street) == {"found": 1, "not_found": 0, "left": 24}


def test_person_is_asked_about_what_a_followed_relay_could_not_tell(lost):
    store(lost, has_gap=True)
    waiting = reconciling.waiting_for_a_person(lost.session, [lost.campaign.id])
    assert waiting == {lost.campaign.id: 4}


def test_late_line_of_a_message_that_was_said_to_be_absent_is_no_second_truth(lost):
    settle(lost)
    store(lost, seen(lost, 1, "sent"))
    assert lost.statuses()[1] == "deferred", "it waits until the platform has tried again"
    assert lost.counted() == {"deferred": 4}


def test_time_just_passed_is_no_margin(lost):
    moment = datetime.now(UTC) - timedelta(minutes=15) + timedelta(seconds=299)
    lost.session.execute(text("UPDATE relay_log SET read_until = :moment"), {"moment": moment})
    lost.session.commit()
    assert asked(lost) is None


TOO_FAST = "host mx.example.net[192.0.2.9] said: 421-4.7.28 unusual rate of mail originating from your IP address"


def holds(street: RelayStreet) -> list[tuple[str, str, int]]:
    rows = street.session.execute(text("SELECT provider, rule, times FROM provider_hold ORDER BY id")).all()
    return [tuple(row) for row in rows]


def test_breaker_hears_what_providers_told_the_relay_once(street):
    street.session.execute(text("UPDATE batch SET provider = 'google'"))
    street.session.commit()
    # Not NOW: the file may have been read long before this test runs, and what is old says nothing any more.
    told = [seen(street, seq, "deferred", reply=TOO_FAST, at=datetime.now(UTC)) for seq in (1, 2)]
    for _ in range(3):
        store(street, *told)
    assert [(provider, times) for provider, _rule, times in holds(street)] == [("google", 2)]


def test_breaker_hears_nothing_of_a_log_read_again_after_hours(street):
    street.session.execute(text("UPDATE batch SET provider = 'google'"))
    street.session.commit()
    store(street, *(seen(street, seq, "deferred", reply=TOO_FAST, at=NOW - timedelta(hours=1)) for seq in (1, 2)))
    assert holds(street) == []


def test_bundle_that_does_not_say_how_far_the_log_was_read_proves_nothing(street):
    """Else every heartbeat of a follower that lies hours behind would prove that what it has not read is not there."""
    for _ in range(2):
        relay_outcomes.store(street.session, street.relay.id, Bundle(), token_key=composing.token_key(street.settings))
    assert street.session.scalar(text("SELECT read_until FROM relay_log")) is None
