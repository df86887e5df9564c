"""The queue as pages see it: whose mail it is, by what it can be filtered, how old the news is."""

import pytest
from sqlalchemy import text

from app.flow.relay_queue import figures, snapshot
from app.flow.relay_queue.figures import QueueFilter
from app.mail.postfix_queue import Listing
from app.mail.tokens import TokenPurpose, make_token, return_path
from app.models import MailDomain, RelayQueueMail
from tests import factories, ledger


def rows(session):
    session.expire_all()
    return {row.queue_id: row for row in session.query(RelayQueueMail)}


def test_mail_of_a_campaign_is_known_by_its_sender(session, tell, queued, campaign, relay, ip):
    session.add(MailDomain(domain="example.pe", provider="google", expires_at=campaign.created_at))
    session.commit()
    tell(queued(campaign, 3))
    row = rows(session)["QUEUE0003"]
    assert (row.panel_id, row.campaign_id, row.seq, row.egress_ip_id) == (campaign.panel_id, campaign.id, 3, ip.id)
    assert (row.provider, row.reason_kind) == ("google", "mailbox_full")


def foreign_senders(settings, campaign):
    proof = make_token(settings.derived_key("other"), campaign.id, 1, purpose=TokenPurpose.PROOF)
    forged = make_token(b"the key of somebody else", campaign.id, 1)
    return ["", "root@example.pe", return_path(proof, "x.example.pe"), return_path(forged, "x.example.pe")]


def test_mail_of_others_is_shown_and_counts_for_no_campaign(session, settings, tell, queued, campaign, relay):
    senders = foreign_senders(settings, campaign)
    tell(*(queued(campaign, 1, sender=one, queue_id=f"FOREIGN{at}") for at, one in enumerate(senders)))
    found = rows(session)
    assert len(found) == len(senders) and {row.campaign_id for row in found.values()} == {None}
    assert figures.of_campaign(session, campaign.panel_id, campaign.id) is None
    assert figures.figures(session, relay.id, QueueFilter(campaign_id=0)).mails == len(senders)


def test_sender_of_ours_to_somebody_else_is_no_mail_of_ours(session, tell, queued, campaign):
    tell(queued(campaign, 1, recipients=[{"address": "otra@example.pe", "delay_reason": ""}]))
    assert rows(session)["QUEUE0001"].campaign_id is None


def test_next_listing_replaces_the_last_one_and_writes_only_what_changed(
    session, settings, tell, queued, campaign, relay
):
    lines = [queued(campaign, seq) for seq in (1, 2, 3)]
    tell(*lines)
    again = tell(lines[1], queued(campaign, 3, queue="hold", arrival_time=rows_epoch(session, "QUEUE0003")))
    assert {key: row.queue for key, row in rows(session).items()} == {"QUEUE0002": "deferred", "QUEUE0003": "hold"}
    assert snapshot.store(session, settings, relay.id, again) == 0, "nothing changed, nothing is written"


def rows_epoch(session, queue_id: str) -> int:
    return int(rows(session)[queue_id].arrived_at.timestamp())


def test_number_that_is_used_again_is_another_mail(session, tell, queued, campaign):
    tell(queued(campaign, 1, age=500))
    tell(queued(campaign, 2, queue_id="QUEUE0001", age=5))
    assert rows(session)["QUEUE0001"].seq == 2


def test_mail_told_twice_while_it_moved_stands_once(session, tell, queued, campaign):
    tell(queued(campaign, 1), queued(campaign, 1, queue="active"))
    assert len(rows(session)) == 1


def test_figures_and_filters_agree(session, tell, queued, campaign, relay, ip):
    tell(
        queued(campaign, 1, age=10, recipients=[{"address": "persona1@example.pe"}], queue="active"),
        queued(campaign, 2, age=3600),
        queued(campaign, 3, age=400_000, queue="hold"),
        queued(campaign, 4, sender="", queue_id="FOREIGN1"),
    )
    told = figures.figures(session, relay.id, QueueFilter())
    assert told.mails == 4 and told.oldest == min(row.arrived_at for row in rows(session).values())
    assert {one.key: one.mails for one in told.queues} == {"active": 1, "deferred": 2, "hold": 1}
    assert {(one.key, one.name): one.mails for one in told.ips} == {(ip.id, "192.0.2.1"): 3, (0, ""): 1}
    assert {one.key: one.mails for one in told.campaigns} == {campaign.id: 3, 0: 1}
    assert told.ages == [2, 0, 1, 0, 0, 0, 1] and sum(told.ages) == told.mails
    for name, groups in (("queue", told.queues), ("ip_id", told.ips), ("campaign_id", told.campaigns)):
        for one in groups:
            assert figures.figures(session, relay.id, QueueFilter(**{name: one.key})).mails == one.mails
    for one in told.reasons:
        assert figures.figures(session, relay.id, QueueFilter(reason=one.key or "none")).mails == one.mails


def test_silent_agent_makes_the_snapshot_stale_and_the_panels_figure_disappear(session, tell, queued, campaign, relay):
    assert figures.state(session, relay.id) is None
    tell(queued(campaign, 1))
    now = figures.state(session, relay.id)
    assert now is not None and not now.is_stale
    share = figures.of_campaign(session, campaign.panel_id, campaign.id)
    assert share is not None and share.mails == 1
    session.execute(text("UPDATE relay_queue SET seen_at = now() - interval '31 seconds'"))
    now = figures.state(session, relay.id)
    assert now is not None and now.is_stale
    assert figures.of_campaign(session, campaign.panel_id, campaign.id) is None


def test_other_panel_sees_nothing_of_it(session, tell, queued, campaign, other_panel):
    tell(queued(campaign, 1))
    assert figures.of_campaign(session, other_panel.id, campaign.id) is None


def test_queues_of_two_relays_do_not_mix(session, settings, tell, queued, campaign, other_panel, relay):
    other = factories.relay(session, other_panel, 2526)
    tell(queued(campaign, 1))
    snapshot.store(session, settings, other.id, Listing())
    assert figures.figures(session, relay.id, QueueFilter()).mails == 1
    assert figures.figures(session, other.id, QueueFilter()).mails == 0


def test_mails_beyond_the_bound_are_counted(session, settings, tell, queued, campaign, relay, monkeypatch):
    monkeypatch.setattr(snapshot, "MOST_MAILS", 2)
    tell(*(queued(campaign, seq) for seq in (1, 2, 3, 4)))
    now = figures.state(session, relay.id)
    assert now is not None and now.total == 4 and len(rows(session)) == 2


@pytest.mark.parametrize("nothing", [0, 1])
def test_ledger_is_untouched_by_what_an_agent_tells(session, tell, queued, campaign, nothing):
    before = ledger.statuses_of(session, campaign)
    tell(*[queued(campaign, 1)] * nothing)
    assert ledger.statuses_of(session, campaign) == before
