"""From the question to the outcome, mail by mail; and what deleting does to the ledger."""

import threading

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.extensions import db
from app.flow import reports
from app.flow.relay_queue import commands
from app.flow.relay_queue.commands import QueueProblem
from app.flow.relay_queue.figures import QueueFilter
from app.models import OwnReply, QueueAction, QueueCommand, QueueCommandStatus, QueueOutcome
from tests import ledger


@pytest.fixture
def full(tell, queued, campaign):
    """1 active, 2 and 3 deferred, 4 on hold, one foreign."""
    tell(
        queued(campaign, 1, queue="active"),
        queued(campaign, 2),
        queued(campaign, 3),
        queued(campaign, 4, queue="hold"),
        queued(campaign, 5, sender="root@example.pe", queue_id="FOREIGN1"),
    )


def confirmed(session, relay, action, *queue_ids):
    command = commands.propose(session, relay.id, action, queue_ids=queue_ids)
    commands.confirm(session, relay.id, command.id)
    return command


def test_proposal_counts_exactly_what_suits_and_does_nothing(session, full, relay):
    everything = QueueFilter()
    counts = {action: commands.propose(session, relay.id, action, chosen=everything).mails for action in QueueAction}
    assert counts == {
        QueueAction.HOLD: 3, QueueAction.RELEASE: 1, QueueAction.REQUEUE: 4, QueueAction.DELETE: 4,
    }  # fmt: skip
    assert commands.next_order(session, relay.id) is None


def test_mail_that_is_being_delivered_is_never_in_a_command(session, full, relay):
    for action in QueueAction:
        with pytest.raises(QueueProblem) as refused:
            commands.propose(session, relay.id, action, queue_ids=["QUEUE0001"])
        assert refused.value.code == "nothing_suits"


def test_command_keeps_to_the_mails_that_were_confirmed(session, full, relay, tell, queued, campaign):
    command = commands.propose(session, relay.id, QueueAction.HOLD, chosen=QueueFilter(campaign_id=campaign.id))
    tell(*(queued(campaign, seq) for seq in (2, 3, 5, 6)))
    commands.confirm(session, relay.id, command.id)
    order = commands.next_order(session, relay.id)
    assert order is not None and {mail.queue_id for mail in order.mails} == {"QUEUE0002", "QUEUE0003"}


def test_order_comes_again_until_it_is_reported_and_then_the_next(session, full, relay):
    first = confirmed(session, relay, QueueAction.HOLD, "QUEUE0002", "QUEUE0003")
    second = confirmed(session, relay, QueueAction.RELEASE, "QUEUE0004")
    assert commands.next_order(session, relay.id) == commands.next_order(session, relay.id)
    commands.report(session, relay.id, first.id, {"QUEUE0002": QueueOutcome.DONE})
    left = commands.next_order(session, relay.id)
    assert left is not None and [mail.queue_id for mail in left.mails] == ["QUEUE0003"]
    commands.report(session, relay.id, first.id, {"QUEUE0003": QueueOutcome.GONE})
    order = commands.next_order(session, relay.id)
    assert order is not None and order.command_id == second.id
    view = commands.recent(session, relay.id)[-1]
    assert view.command.status is QueueCommandStatus.DONE and view.outcomes == {"done": 1, "gone": 1}


def test_command_is_confirmed_once(session, full, relay):
    command = confirmed(session, relay, QueueAction.HOLD, "QUEUE0002")
    with pytest.raises(QueueProblem):
        commands.confirm(session, relay.id, command.id)


def test_command_of_another_relay_is_not_found(session, full, relay):
    command = commands.propose(session, relay.id, QueueAction.HOLD, queue_ids=["QUEUE0002"])
    with pytest.raises(QueueProblem):
        commands.confirm(session, relay.id + 1, command.id)
    commands.report(session, relay.id + 1, command.id, {"QUEUE0002": QueueOutcome.DONE})
    assert commands.recent(session, relay.id) == []


def test_withdrawn_command_gives_no_further_order(session, full, relay):
    command = confirmed(session, relay, QueueAction.HOLD, "QUEUE0002")
    commands.withdraw(session, relay.id, command.id)
    assert commands.next_order(session, relay.id) is None
    commands.report(session, relay.id, command.id, {"QUEUE0002": QueueOutcome.DONE})
    (view,) = commands.recent(session, relay.id)
    assert (view.command.status, view.outcomes) == (QueueCommandStatus.WITHDRAWN, {"done": 1})


def test_deleted_mail_makes_its_delivery_failed_with_its_reason(session, full, relay, campaign):
    command = confirmed(session, relay, QueueAction.DELETE, "QUEUE0002", "QUEUE0003", "FOREIGN1")
    done = dict.fromkeys(("QUEUE0002", "QUEUE0003", "FOREIGN1"), QueueOutcome.DONE)
    commands.report(session, relay.id, command.id, {**done, "QUEUE0003": QueueOutcome.GONE})
    assert ledger.statuses_of(session, campaign) == {**dict.fromkeys(range(1, 7), "accepted"), 2: "failed"}
    note = session.scalar(text("SELECT reply_text FROM delivery WHERE status = 'failed'"))
    assert note == f"{OwnReply.DELETED_FROM_QUEUE}:QUEUE0002"
    now = reports.counts(session, campaign.id)
    assert (now.planned, now.accepted, now.failed) == (6, 5, 1)


def test_held_is_no_outcome_and_fails_nothing(session, full, relay, campaign):
    command = confirmed(session, relay, QueueAction.DELETE, "QUEUE0002")
    commands.report(session, relay.id, command.id, {"QUEUE0002": QueueOutcome.HELD})
    order = commands.next_order(session, relay.id)
    assert order is not None and order.mails[0].is_held
    assert set(ledger.statuses_of(session, campaign).values()) == {"accepted"}


def test_what_the_log_told_before_stays(session, full, relay, campaign):
    command = confirmed(session, relay, QueueAction.DELETE, "QUEUE0002", "QUEUE0003")
    session.execute(text("UPDATE delivery SET status = 'delivered' WHERE seq = 2"))
    session.execute(text("UPDATE delivery SET status = 'bounced' WHERE seq = 3"))
    session.commit()
    commands.report(session, relay.id, command.id, dict.fromkeys(("QUEUE0002", "QUEUE0003"), QueueOutcome.DONE))
    statuses = ledger.statuses_of(session, campaign)
    assert (statuses[2], statuses[3]) == ("delivered", "bounced")


def test_held_or_released_mail_keeps_its_status(session, full, relay, campaign):
    for action, queue_id in ((QueueAction.HOLD, "QUEUE0002"), (QueueAction.RELEASE, "QUEUE0004")):
        command = confirmed(session, relay, action, queue_id)
        commands.report(session, relay.id, command.id, {queue_id: QueueOutcome.DONE})
    assert set(ledger.statuses_of(session, campaign).values()) == {"accepted"}


def test_report_of_mails_that_were_not_ordered_changes_nothing(session, full, relay, campaign):
    command = confirmed(session, relay, QueueAction.DELETE, "QUEUE0002")
    commands.report(session, relay.id, command.id, {"QUEUE0003": QueueOutcome.DONE, "'; DROP": QueueOutcome.DONE})
    assert set(ledger.statuses_of(session, campaign).values()) == {"accepted"}
    assert session.get_one(QueueCommand, command.id, populate_existing=True).status is QueueCommandStatus.WAITING


def test_two_reports_at_once_fail_each_delivery_once(app, session, full, relay, campaign):
    command = confirmed(session, relay, QueueAction.DELETE, "QUEUE0002", "QUEUE0003")
    told = dict.fromkeys(("QUEUE0002", "QUEUE0003"), QueueOutcome.DONE)
    relay_id, command_id = relay.id, command.id
    session.commit()
    engine, failures = db.engine, []

    def report() -> None:
        try:
            with Session(engine) as own:
                commands.report(own, relay_id, command_id, told)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=report) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    now = reports.counts(session, campaign.id)
    assert (now.planned, now.accepted, now.failed) == (6, 4, 2)


def test_proposals_that_nobody_confirmed_are_forgotten(session, full, relay):
    old = commands.propose(session, relay.id, QueueAction.HOLD, queue_ids=["QUEUE0002"]).id
    session.execute(text("UPDATE relay_queue_command SET requested_at = now() - interval '2 hours'"))
    session.commit()
    commands.propose(session, relay.id, QueueAction.HOLD, queue_ids=["QUEUE0003"])
    assert session.get(QueueCommand, old, populate_existing=True) is None
