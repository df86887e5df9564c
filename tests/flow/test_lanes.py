"""Which batches are rung: by lane, by weight, evenly among a panel's campaigns; and when a batch in work makes room."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from app.flow import batches, lanes
from app.models import Batch, BatchStatus, CampaignStatus, MailStream
from tests import factories

DAY = date(2026, 11, 20)


@given(st.dictionaries(st.integers(1, 9), st.integers(1, 100), max_size=5), st.integers(1, 64))
def test_windows_are_exactly_in_proportion_and_never_empty(weights, window):
    shares = lanes.share_out(weights, window)
    assert shares.keys() == weights.keys()
    assert all(shares[a] * weights[b] == shares[b] * weights[a] for a in weights for b in weights)
    assert all(size >= 1 for size in shares.values())


def test_a_panel_alone_has_the_whole_window():
    assert lanes.share_out({7: 3}, 16) == {7: 16}


@pytest.fixture
def sending(session):
    """A campaign with so many ready batches."""

    def make(panel, count=50, stream=MailStream.BULK):
        campaign = factories.campaign(
            session, panel, status=CampaignStatus.SENDING, frozen_on=DAY, stream=stream
        )  # fmt: skip
        session.add_all(
            Batch(campaign_id=campaign.id, frozen_on=DAY, first_seq=n, last_seq=n, status=BatchStatus.READY, planned=1)
            for n in range(1, count + 1)
        )
        session.commit()
        return campaign

    return make


def rung(session, window=16, stream=MailStream.BULK):
    ids = batches.ring_due(session, window=window, ring_again_seconds=15, stream=stream)
    owners = dict(session.execute(text("SELECT id, campaign_id FROM batch")).all())
    return [owners[id_] for id_ in ids]


def test_panels_are_rung_by_weight_one_after_the_other(session, panel, other_panel, sending):
    panel.weight, other_panel.weight = 3, 1
    session.commit()
    heavy, light = sending(panel), sending(other_panel)
    order = rung(session)
    assert (order.count(heavy.id), order.count(light.id)) == (24, 8)
    for n in range(0, 32, 4):
        assert order[n : n + 4].count(light.id) == 1
    assert rung(session) == []


def test_a_panels_campaigns_share_its_part_evenly(session, panel, sending):
    one, two = sending(panel), sending(panel)
    order = rung(session)
    assert (order.count(one.id), order.count(two.id)) == (8, 8)


def test_who_came_later_gets_the_places_that_become_free(session, panel, sending):
    first = sending(panel)
    assert rung(session, 4) == [first.id] * 4
    second = sending(panel)
    session.execute(text("UPDATE batch SET status = 'done', planned = 0 WHERE rung_at IS NOT NULL AND id <= 2"))
    session.commit()
    assert rung(session, 4) == [second.id] * 2


def test_lanes_do_not_take_places_from_each_other(session, panel, sending):
    bulk, urgent = sending(panel), sending(panel, stream=MailStream.URGENT)
    assert rung(session, 4) == [bulk.id] * 4
    assert rung(session, 4, MailStream.URGENT) == [urgent.id] * 4


# Making room.


@pytest.fixture
def at_work(session, panel, sending):
    campaign = sending(panel, count=1)
    batch_id = session.scalar(text("SELECT id FROM batch WHERE campaign_id = :id"), {"id": campaign.id})
    return batches.claim(session, batch_id, worker="test", lease_seconds=60)


def ring_of(session, campaign, seconds_ago, **values):
    changed = {"rung_at": f"now() - interval '{seconds_ago} seconds'", **values}
    settings = ", ".join(f"{name} = {value}" for name, value in changed.items())
    session.execute(text(f"UPDATE batch SET {settings} WHERE campaign_id = {campaign.id}"))
    session.commit()


def makes_room(session, batch):
    return batches.standing(session, batch).urgent_waits


def test_a_batch_makes_room_for_an_urgent_one_that_nobody_takes(session, panel, sending, at_work):
    urgent = sending(panel, count=2, stream=MailStream.URGENT)
    assert not makes_room(session, at_work), "it wasn't rung yet: perhaps a thread is free"
    ring_of(session, urgent, 1)
    assert makes_room(session, at_work)
    ring_of(session, urgent, 0)
    assert not makes_room(session, at_work)
    ring_of(session, urgent, 3600)
    assert not makes_room(session, at_work), "the ring got lost: nobody would take the place"


def test_nobody_makes_room_for_urgent_work_that_waits_for_a_limit(session, panel, sending, at_work):
    urgent = sending(panel, count=2, stream=MailStream.URGENT)
    ring_of(session, urgent, 1, next_attempt_at="now() + interval '1 minute'")
    assert not makes_room(session, at_work)


def test_further_batches_of_an_urgent_campaign_under_way_have_more_patience(session, panel, sending, at_work):
    urgent = sending(panel, count=3, stream=MailStream.URGENT)
    ring_of(session, urgent, 1)
    first = session.scalar(text("SELECT min(id) FROM batch WHERE campaign_id = :id"), {"id": urgent.id})
    batches.claim(session, first, worker="other", lease_seconds=60)
    assert not makes_room(session, at_work)
    session.execute(text("UPDATE batch SET rung_at = now() - interval '4 seconds' WHERE status = 'ready'"))
    session.commit()
    assert makes_room(session, at_work)


def test_urgent_work_does_not_make_room_for_urgent_work_nor_for_what_is_paused(session, panel, sending):
    urgent, other = (sending(panel, count=1, stream=MailStream.URGENT) for _ in range(2))
    id_ = session.scalar(text("SELECT id FROM batch WHERE campaign_id = :id"), {"id": urgent.id})
    held = batches.claim(session, id_, worker="test", lease_seconds=60)
    ring_of(session, other, 1)
    assert not makes_room(session, held)
