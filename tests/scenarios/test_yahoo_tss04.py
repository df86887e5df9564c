"""Yahoo defers one IP with TSS04: that one rests, the others take its share, and it comes back step by step."""

from datetime import timedelta

import pytest

from app.flow.breaker.holds import lift
from app.models import CampaignStatus, HoldKind
from tests.provider_sink import TSS04, ProviderSink, refuses

SICK = "192.0.2.1"


@pytest.fixture
def sink():
    with ProviderSink(judge=refuses(TSS04, SICK)) as sink:
        yield sink


def test_deferred_ip_rests_and_the_others_take_its_mail(stage, sink):
    scene = stage(sink, provider="yahoo")
    scene.send()
    assert scene.factor(SICK) == 0 and scene.factor("192.0.2.2") == 1
    (hold,) = scene.holds()
    assert (hold.kind, hold.rule, hold.egress_ip_id) == (HoldKind.SUSPENDED, "yahoo_tss04", scene.ips[SICK].id)
    assert hold.until - hold.started_at == timedelta(minutes=60) and hold.times >= 3
    assert "[TSS04]" in hold.reply and "@" not in hold.reply
    offered = sink.offered_by_ip()[SICK]
    scene.send_for(30)
    assert sink.offered_by_ip()[SICK] == offered, "its retries left by another IP"
    assert scene.statuses() == {"accepted": 60}
    scene.assert_nothing_lost_or_doubled()


def test_relapse_rests_twice_as_long_and_recovery_ends_by_itself(stage, sink):
    scene = stage(sink, provider="yahoo", people=120)
    scene.send()
    assert scene.factor(SICK) == 0
    scene.pass_minutes(61)
    assert scene.factor(SICK) == 0.05
    scene.send()
    assert scene.factor(SICK) == 0, "still deferred: one reply is enough now"
    first, second = scene.holds()
    assert first.lifted_at is not None and second.until - second.started_at == timedelta(minutes=120)
    sink.judge = lambda mail: None
    scene.pass_minutes(115)
    seen = []
    for _ in range(8):
        seen.append(scene.factor(SICK))
        scene.send()
        scene.pass_minutes(5)
    assert [f for n, f in enumerate(seen) if n == 0 or f != seen[n - 1]] == [0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.0]
    assert all(hold.lifted_at is not None and hold.lifted_by_id is None for hold in scene.holds())
    assert scene.statuses() == {"accepted": 120}
    scene.assert_nothing_lost_or_doubled()


def test_one_odd_reply_stops_nobody(stage, sink):
    odd = iter([True])
    sink.judge = lambda mail: refuses(TSS04)(mail) if next(odd, False) else None
    scene = stage(sink, provider="yahoo")
    scene.send()
    assert all(scene.factor(address) == 1 for address in scene.ips)
    (watched,) = scene.holds()
    assert (watched.kind, watched.factor, watched.times) == (HoldKind.SLOW, 1.0, 1)
    scene.send_for(10)
    assert scene.holds() == [], "and it is forgotten"
    assert scene.statuses() == {"accepted": 60}
    scene.assert_nothing_lost_or_doubled()


def test_odd_replies_of_several_chunks_add_up(stage, sink):
    seen = []

    def one_in_each_batch(mail):
        if mail.ip == SICK and len(seen) < 3 and len(sink.stored) >= 20 * len(seen):
            seen.append(mail)
            return refuses(TSS04)(mail)
        return None

    sink.judge = one_in_each_batch
    scene = stage(sink, provider="yahoo")
    scene.send()
    assert len(seen) == 3 and scene.factor(SICK) == 0
    scene.send_for(30)
    assert scene.statuses() == {"accepted": 60}
    scene.assert_nothing_lost_or_doubled()


def test_lifted_by_hand_it_sends_at_once_and_again_its_whole_share(stage, sink, admin):
    scene = stage(sink, provider="yahoo", people=120)
    scene.send()
    sink.judge = lambda mail: None
    (hold,) = scene.holds()
    lift(scene.session, hold, admin, now=scene.now)
    assert (scene.factor(SICK), hold.lifted_by_id) == (1, admin.id)
    offered = sink.offered_by_ip()[SICK]
    scene.send_for(5, every=1)
    assert sink.offered_by_ip()[SICK] >= offered + 20
    assert scene.statuses() == {"accepted": 120}
    scene.assert_nothing_lost_or_doubled()


def test_every_ip_refused_with_421_waits_and_does_not_pause_the_campaign(stage, sink):
    sink.judge = refuses(TSS04)
    scene = stage(sink, provider="yahoo", relay_failures_before_pause=1, relay_patience_seconds=0)
    scene.send()
    assert [scene.factor(address) for address in scene.ips] == [0, 0, 0] and scene.waits_for() == {"suspended"}
    assert scene.campaign_status() is CampaignStatus.SENDING
    sink.judge = lambda mail: None
    scene.send_for(100, every=10)
    assert scene.statuses() == {"accepted": 60}
    scene.assert_nothing_lost_or_doubled()
