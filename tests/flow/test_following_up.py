"""Only to those who were provably not reached, and to nobody twice, whatever happens between the draft and the freezing."""

import threading
from types import SimpleNamespace

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.extensions import db
from app.flow import audience, cancelling, following_up, review
from app.flow.campaigns import CampaignProblem
from app.models import Campaign, CampaignStatus, Delivery, MailStream, Subscription, Suppression
from tests import factories, ledger
from tests.fixtures.app import log_in
from tests.fixtures.laws import arrange
from tests.pages import submit

STATUSES = {
    1: "accepted", 2: "delivered", 3: "bounced", 4: "failed", 5: "failed", 6: "failed", 7: "skipped:cancelled",
    8: "skipped:suppressed", 9: "skipped:unsubscribed", 10: "unknown", 11: "failed", 12: "skipped:cancelled",
    13: "skipped:cancelled",
}  # fmt: skip
MISSED = {4, 5, 6, 7, 13}


@pytest.fixture
def mailing_list(session, panel):
    return factories.mailing_list(session, panel)


@pytest.fixture
def people(session, panel, mailing_list):
    """By number; only their ids, which outlive them."""
    made = {seq: factories.contact(session, panel, f"persona{seq}@example.pe", mailing_list) for seq in STATUSES}
    return {seq: SimpleNamespace(id=contact.id) for seq, contact in made.items()}


@pytest.fixture
def origin(session, settings, panel, mailing_list, people):
    """A cancelled campaign with one recipient of each kind: 4 could not be rendered, 5 was deferred too long, 6 refused for
    our fault; 11 was deleted from the queue; the answer of 12 was lost once, that of 13 too, but the relay had not got it."""
    factories.signed_domain(session, settings, panel)
    row = factories.campaign(session, panel, mailing_list)
    for delivery in ledger.freeze(session, row, list(STATUSES.values()), status=CampaignStatus.CANCELLED):
        delivery.contact_id = people[delivery.seq].id
    session.flush()
    for seq, change in {
        4: "reply_text = 'not_rendered:x'",
        5: "reply_code = 451, reply_text = '4.7.1 later'",
        6: "reply_code = 550, reply_text = 'relaying denied'",
        11: "reply_text = 'deleted_from_queue:ABCDEF'",
        12: "unknown_at = now()",
        13: "unknown_at = now(), reply_text = 'not_found_at_relay'",
    }.items():
        session.execute(text(f"UPDATE delivery SET {change} WHERE seq = {seq}"))
    session.commit()
    return row


def follow_up(session, origin, name="Otra vez"):
    return following_up.follow_up(session, origin.panel_id, origin.id, name=name)


def frozen(session, settings, campaign):
    """Freeze it now; contact -> status."""
    arrange(session)
    session.execute(text("UPDATE campaign SET status = 'preparing' WHERE id = :id"), {"id": campaign.id})
    session.commit()
    assert audience.prepare(session, settings, campaign.id)
    rows = session.execute(
        text("SELECT contact_id, status::text, skip_reason FROM delivery WHERE campaign_id = :id"), {"id": campaign.id}
    )
    return {contact_id: reason or status for contact_id, status, reason in rows}


def seqs(people, audience_of) -> set[int]:
    by_id = {contact.id: seq for seq, contact in people.items()}
    return {by_id[contact_id] for contact_id in audience_of}


def test_dry_run_counts_with_reasons(session, origin):
    told = following_up.missed(session, origin)
    assert told.reasons == {"ours": 1, "too_old": 1, "refused": 1, "cancelled": 2}
    assert told.left_out == {"bounced": 1, "skipped": 2, "unknown": 2, "deleted": 1}
    assert (told.people, told.recipients) == (len(MISSED), len(MISSED))


def test_audience_is_exactly_those(session, settings, origin, people):
    draft = follow_up(session, origin)
    assert review.review(session, settings, draft).audience.recipients == len(MISSED)
    told = frozen(session, settings, draft)
    assert seqs(people, told) == MISSED and set(told.values()) == {"planned"}


def test_follow_up_of_an_urgent_campaign_is_not_urgent_by_itself(session, origin):
    """Who may write campaigns may make one; that it goes before all others is a manager's word."""
    origin.stream = MailStream.URGENT
    session.commit()
    assert follow_up(session, origin).stream is MailStream.BULK


def test_who_left_or_was_suppressed_meanwhile_is_skipped(session, settings, origin, people, panel):
    draft = follow_up(session, origin)
    session.add(Suppression(panel_id=panel.id, email="persona4@example.pe", reason="manual"))
    session.execute(
        text("UPDATE subscription SET status = 'unsubscribed' WHERE contact_id = :id"), {"id": people[5].id}
    )
    session.query(Subscription).filter_by(contact_id=people[6].id).delete()
    session.commit()
    told = frozen(session, settings, draft)
    assert told == {
        people[4].id: "suppressed",
        people[5].id: "unsubscribed",
        people[7].id: "planned",
        people[13].id: "planned",
    }


@pytest.mark.parametrize("status", ["accepted", "delivered", "bounced", "unknown", "deferred", "sending", "planned"])
def test_status_that_changed_after_the_draft_counts(session, settings, origin, people, status):
    draft = follow_up(session, origin)
    arrange(session)
    session.execute(
        text("UPDATE delivery SET status = CAST(:s AS delivery_status) WHERE campaign_id = :id AND seq IN (4, 7)"),
        {"s": status, "id": origin.id},
    )
    session.commit()
    assert seqs(people, frozen(session, settings, draft)) == MISSED - {4, 7}


def test_address_taken_over_from_somebody_who_was_reached_is_not_mailed_again(session, settings, origin, people):
    draft = follow_up(session, origin)
    session.execute(text("DELETE FROM subscription WHERE contact_id = :id"), {"id": people[1].id})
    session.execute(text("DELETE FROM contact WHERE id = :id"), {"id": people[1].id})
    session.execute(text("UPDATE contact SET email = 'persona1@example.pe' WHERE id = :id"), {"id": people[4].id})
    session.commit()
    assert seqs(people, frozen(session, settings, draft)) == MISSED - {4}


def test_other_lists_in_the_draft_add_nobody(session, settings, origin, people, panel):
    draft = follow_up(session, origin)
    other = factories.mailing_list(session, panel, "Otra")
    factories.contact(session, panel, "nueva@example.pe", other)
    draft.lists = [*draft.lists, other]
    session.commit()
    assert seqs(people, frozen(session, settings, draft)) == MISSED


def test_second_follow_up_is_refused_while_the_first_lives(session, settings, origin):
    first = follow_up(session, origin)
    with pytest.raises(CampaignProblem) as refused:
        follow_up(session, origin)
    assert refused.value.code == "already_followed_up"
    frozen(session, settings, first)
    with pytest.raises(CampaignProblem):
        follow_up(session, origin)


def test_two_people_who_press_at_once_make_one_draft(app, session, origin):
    origin_id, panel_id, engine = origin.id, origin.panel_id, db.engine
    session.commit()
    ready, codes = threading.Barrier(4), []

    def press() -> None:
        with Session(engine) as own:
            ready.wait()
            try:
                following_up.follow_up(own, panel_id, origin_id, name="x")
                codes.append("made")
            except CampaignProblem as problem:
                codes.append(problem.code)

    threads = [threading.Thread(target=press) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == ["already_followed_up"] * 3 + ["made"]


def test_follow_up_after_a_cancelled_one_leaves_its_people_to_it(session, settings, origin, people):
    """The first was cancelled when half of its audience was frozen, one of them reached."""
    first = follow_up(session, origin)
    arrange(session)
    first.status = CampaignStatus.PREPARING
    session.commit()
    assert audience.claim(session, first.id, lease_seconds=60)
    assert audience.freeze_slice(session, first.id, 2, 6, 60), "a slice of the list's first six"
    reached = {row.contact_id for row in session.query(Delivery).filter_by(campaign_id=first.id)}
    assert seqs(people, reached) == {4, 5, 6}
    arrange(session)
    session.execute(
        text("UPDATE delivery SET status = 'accepted' WHERE campaign_id = :id AND seq = 1"), {"id": first.id}
    )
    session.execute(text("UPDATE campaign SET status = 'cancelled' WHERE id = :id"), {"id": first.id})
    session.commit()
    assert cancelling.skip_remaining(session, campaign_id=first.id) == 2
    second = follow_up(session, origin)
    assert seqs(people, frozen(session, settings, second)) == {7, 13}
    third = follow_up(session, session.get_one(Campaign, first.id, populate_existing=True))
    told = frozen(session, settings, third)
    assert len(told) == 2 and seqs(people, told) < {4, 5, 6}


@pytest.mark.parametrize("status", ["draft", "sending", "paused", "preparing", "scheduled"])
def test_campaign_that_is_not_over_is_not_followed_up(session, origin, status):
    arrange(session)
    origin.status = CampaignStatus(status)
    session.commit()
    with pytest.raises(CampaignProblem) as refused:
        follow_up(session, origin)
    assert refused.value.code == "not_over"


def test_campaign_that_reached_everybody_is_not_followed_up(session, panel):
    row = factories.campaign(session, panel)
    ledger.freeze(session, row, ["accepted"], status=CampaignStatus.FINISHED)
    with pytest.raises(CampaignProblem) as refused:
        follow_up(session, row)
    assert refused.value.code == "nobody_missed"


def test_other_panels_campaign_is_not_found(session, origin, other_panel):
    with pytest.raises(CampaignProblem) as refused:
        following_up.follow_up(session, other_panel.id, origin.id, name="x")
    assert refused.value.code == "not_found"


def test_page_counts_and_makes_the_draft(client, alice, origin, panel, session):
    log_in(client, alice)
    home = f"/p/{panel.slug}/campaigns/{origin.id}"
    assert "follow-up" in client.get(f"{home}/report").text
    shown = client.get(f"{home}/follow-up").text
    assert "Hoy la recibirían 5 personas." in shown and "Sin certeza" in shown
    answer = submit(client, f"{home}/follow-up", follow_redirects=True)
    assert "Este es el borrador" in answer.text and "no les llegó la campaña anterior" in answer.text
    again = submit(client, f"{home}/follow-up", follow_redirects=True)
    assert "ya tiene un envío" in again.text
    assert session.query(Campaign).filter_by(follow_up_of_id=origin.id).count() == 1


def test_viewer_makes_no_draft(client, bob, origin, panel, session):
    log_in(client, bob)
    assert submit(client, f"/p/{panel.slug}/campaigns/{origin.id}/follow-up").status_code == 403
    assert session.query(Campaign).filter_by(follow_up_of_id=origin.id).count() == 0
