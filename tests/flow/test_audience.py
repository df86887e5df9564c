"""Freezing: everyone once, nobody who left, providers interleaved; a kill costs at most a slice."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.config import Settings
from app.extensions import db
from app.flow import audience
from app.flow.sessions import AnySession
from app.models import Batch, Campaign, CampaignStatus, Delivery, MailDomain, Panel, SubscriptionStatus, Suppression
from tests import factories
from tests.fixtures.laws import arrange


@pytest.fixture
def campaign(session: AnySession, settings: Settings, panel: Panel) -> Campaign:
    factories.signed_domain(session, settings, panel)
    mailing_list = factories.mailing_list(session, panel)
    return factories.campaign(session, panel, mailing_list, status=CampaignStatus.PREPARING)


def deliveries(session: AnySession, campaign: Campaign) -> list[Delivery]:
    return list(session.scalars(select(Delivery).where(Delivery.campaign_id == campaign.id).order_by(Delivery.seq)))


def test_everyone_is_in_once_over_several_lists(session: AnySession, settings: Settings, campaign: Campaign) -> None:
    panel = session.get_one(Panel, campaign.panel_id)
    second = factories.mailing_list(session, panel, "Segunda")
    campaign.lists.append(second)
    factories.contacts(session, panel, campaign.lists[0], 130)
    session.execute(
        text(
            "INSERT INTO subscription (list_id, contact_id, status) SELECT :l, id, 'subscribed' FROM contact WHERE id % 2 = 0"
        ),
        {"l": second.id},
    )
    session.commit()
    assert audience.prepare(session, settings, campaign.id)
    rows = deliveries(session, campaign)
    assert [d.seq for d in rows] == list(range(1, 131))
    assert len({d.contact_id for d in rows}) == 130
    assert {d.status for d in rows} == {"planned"}
    session.refresh(campaign)
    assert (campaign.status, campaign.audience_size, campaign.audience_expected) == ("sending", 130, 130)


def test_who_left_or_is_suppressed_is_in_the_ledger_as_skipped(
    session: AnySession, settings: Settings, campaign: Campaign
) -> None:
    panel = session.get_one(Panel, campaign.panel_id)
    one, two = campaign.lists[0], factories.mailing_list(session, panel, "Segunda")
    campaign.lists.append(two)
    gone = factories.contact(session, panel, "gone@example.pe", one, status=SubscriptionStatus.UNSUBSCRIBED)
    half = factories.contact(session, panel, "half@example.pe", one)
    session.execute(
        text("INSERT INTO subscription (list_id, contact_id, status) VALUES (:l, :c, 'unsubscribed')"),
        {"l": two.id, "c": half.id},
    )
    everywhere = factories.contact(session, panel, "everywhere@example.pe", one)
    here = factories.contact(session, panel, "here@example.pe", one)
    other = factories.panel(session, "otra")
    session.add_all(
        [
            Suppression(panel_id=None, email="everywhere@example.pe", reason="complaint"),
            Suppression(panel_id=panel.id, email="here@example.pe", reason="manual"),
            Suppression(panel_id=other.id, email="half@example.pe", reason="manual"),
        ]
    )
    session.commit()
    audience.prepare(session, settings, campaign.id)
    found = {d.contact_id: (d.status.value, d.skip_reason) for d in deliveries(session, campaign)}
    assert found == {
        gone.id: ("skipped", "unsubscribed"),
        half.id: ("planned", None),
        everywhere.id: ("skipped", "suppressed"),
        here.id: ("skipped", "suppressed"),
    }
    batch = session.scalars(select(Batch)).one()
    assert (batch.planned, batch.skipped, batch.status) == (1, 3, "ready")


def test_kill_between_slices_is_resumed_without_gap_or_double(
    session: AnySession, settings: Settings, campaign: Campaign
) -> None:
    panel = session.get_one(Panel, campaign.panel_id)
    factories.contacts(session, panel, campaign.lists[0], 1000, "example.pe", "example.com", "example.org")

    class Killed(Exception):
        pass

    def die() -> None:
        raise Killed

    assert audience.claim(session, campaign.id, lease_seconds=60)
    with pytest.raises(Killed):
        audience.freeze(session, campaign.id, batch_size=50, lease_seconds=60, slice_contacts=200, after_slice=die)
    session.rollback()
    assert not audience.claim(session, campaign.id, lease_seconds=60), "its lease still holds"
    session.execute(text("UPDATE campaign SET lease_expires_at = now() - interval '1 second'"))
    session.commit()
    assert audience.start_due(session) == [campaign.id]
    assert audience.claim(session, campaign.id, lease_seconds=60)
    assert audience.freeze(session, campaign.id, batch_size=50, lease_seconds=60, slice_contacts=200)
    rows = deliveries(session, campaign)
    assert [d.seq for d in rows] == list(range(1, 1001))
    assert len({d.contact_id for d in rows}) == 1000
    batches = session.scalars(select(Batch).order_by(Batch.first_seq)).all()
    assert [(b.first_seq, b.last_seq) for b in batches] == [(n, n + 49) for n in range(1, 1001, 50)]


def test_domains_are_spread_over_the_batches(session: AnySession, settings: Settings, campaign: Campaign) -> None:
    panel = session.get_one(Panel, campaign.panel_id)
    factories.contacts(session, panel, campaign.lists[0], 300, "example.com")
    session.execute(
        text("UPDATE contact SET domain = 'example.org', email = 'q' || id || '@example.org' WHERE id % 3 = 0")
    )
    session.commit()
    audience.claim(session, campaign.id, lease_seconds=60)
    audience.freeze(session, campaign.id, batch_size=30, lease_seconds=60)
    for start in range(0, 300, 30):
        domains = Counter(d.email.split("@")[1] for d in deliveries(session, campaign)[start : start + 30])
        assert 9 <= domains["example.org"] <= 11


def test_each_batch_has_one_provider_and_all_providers_progress_alike(
    session: AnySession, settings: Settings, campaign: Campaign
) -> None:
    panel = session.get_one(Panel, campaign.panel_id)
    factories.contacts(session, panel, campaign.lists[0], 600, "a.test")
    for domain, provider, every in (("b.test", "google", 2), ("c.test", "google", 6), ("d.test", "microsoft", 5)):
        session.execute(
            text(
                "UPDATE contact SET domain = CAST(:d AS text), email = 'q' || id || '@' || CAST(:d AS text) WHERE id % :n = 0"
            ),
            {"d": domain, "n": every},
        )
        session.add(MailDomain(domain=domain, provider=provider, expires_at=datetime.now(UTC)))
    session.commit()
    audience.claim(session, campaign.id, lease_seconds=60)
    audience.freeze(session, campaign.id, batch_size=30, lease_seconds=60)

    providers = {"a.test": "other", "b.test": "google", "c.test": "google", "d.test": "microsoft"}
    rows = deliveries(session, campaign)
    assert [d.seq for d in rows] == list(range(1, 601))
    batches = session.scalars(select(Batch).order_by(Batch.first_seq)).all()
    assert [b.first_seq for b in batches] == [1, *(b.last_seq + 1 for b in batches[:-1])]
    assert batches[-1].last_seq == 600
    for batch in batches:
        inside = rows[batch.first_seq - 1 : batch.last_seq]
        assert {providers[d.email.split("@")[1]] for d in inside} == {batch.provider}
    # In the first half of the batches stands half of each provider, give or take one batch.
    for provider in ("google", "microsoft", "other"):
        sizes = [b.last_seq - b.first_seq + 1 if b.provider == provider else 0 for b in batches]
        assert abs(sum(sizes[: len(sizes) // 2]) - sum(sizes) / 2) <= 30


def test_two_workers_at_once_freeze_everyone_once(session: AnySession, settings: Settings, campaign: Campaign) -> None:
    import threading

    panel = session.get_one(Panel, campaign.panel_id)
    factories.contacts(session, panel, campaign.lists[0], 2000)
    audience.claim(session, campaign.id, lease_seconds=60)
    campaign_id = campaign.id
    session.commit()
    engine = db.engine

    def work() -> None:
        with Session(engine) as own:
            audience.freeze(own, campaign_id, batch_size=50, lease_seconds=60, slice_contacts=100)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    session.expire_all()
    rows = deliveries(session, campaign)
    assert [d.seq for d in rows] == list(range(1, 2001))
    assert len({d.contact_id for d in rows}) == 2000


def test_pause_while_preparing_stops_and_resuming_completes(
    session: AnySession, settings: Settings, campaign: Campaign
) -> None:
    panel = session.get_one(Panel, campaign.panel_id)
    factories.contacts(session, panel, campaign.lists[0], 400)
    audience.claim(session, campaign.id, lease_seconds=60)

    def pause() -> None:
        session.execute(text("UPDATE campaign SET status = 'paused' WHERE audience_size >= 200"))
        session.commit()

    assert not audience.freeze(
        session, campaign.id, batch_size=50, lease_seconds=60, slice_contacts=100, after_slice=pause
    )
    assert len(deliveries(session, campaign)) == 200
    session.execute(text("UPDATE campaign SET status = 'preparing'"))
    session.commit()
    assert audience.freeze(session, campaign.id, batch_size=50, lease_seconds=60, slice_contacts=100)
    assert len({d.contact_id for d in deliveries(session, campaign)}) == 400


def test_schedule_starts_at_its_time_and_not_before(session: AnySession, campaign: Campaign) -> None:
    arrange(session)
    campaign.status = CampaignStatus.SCHEDULED
    campaign.scheduled_at = datetime.now(UTC) + timedelta(minutes=5)
    session.commit()
    assert audience.start_due(session) == []
    campaign.scheduled_at = datetime.now(UTC) - timedelta(seconds=1)
    session.commit()
    assert audience.start_due(session) == [campaign.id]


def test_campaign_without_key_is_paused_with_its_reason_and_mails_nobody(
    session: AnySession, settings: Settings, campaign: Campaign
) -> None:
    session.execute(text("UPDATE dkim_key SET is_active = false"))
    session.commit()
    assert not audience.prepare(session, settings, campaign.id)
    session.refresh(campaign)
    assert campaign.status is CampaignStatus.PAUSED
    assert campaign.status_reason == "cannot_compose:no_dkim_key:boletin.example.gob.pe"
    assert deliveries(session, campaign) == []
