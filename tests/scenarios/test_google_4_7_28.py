"""Google limits every IP we have: the campaign waits, nobody pauses it, and mail starts again with a trickle."""

from datetime import timedelta

from app.models import CampaignStatus
from tests.provider_sink import GOOGLE_RATE, ProviderSink, refuses
from tests.scenarios.stage import ADDRESSES


def test_all_ips_suspended_waits_and_starts_again_with_a_trickle(stage):
    with ProviderSink(judge=refuses(GOOGLE_RATE)) as sink:
        scene = stage(sink, provider="google", people=120)
        scene.send()
        assert [scene.factor(address) for address in ADDRESSES] == [0, 0, 0]
        assert scene.waits_for() == {"suspended"}
        assert {hold.rule for hold in scene.holds()} == {"google_ip_rate"}
        offered = len(sink.offered)
        assert offered < 200
        scene.send_for(20, every=10)
        assert len(sink.offered) == offered, "nothing goes out meanwhile"
        assert scene.campaign_status() is CampaignStatus.SENDING, "waiting helps: no person has to come"
        sink.judge = lambda mail: None
        scene.pass_minutes(11)
        scene.send()
        # Three hundred a minute, ten seconds' worth of a twentieth: two or three for each IP.
        assert 3 <= len(sink.stored) <= 9
        scene.send_for(60, every=10)
        assert scene.statuses() == {"accepted": 120}
        assert all(hold.lifted_at for hold in scene.holds())
        scene.assert_nothing_lost_or_doubled()


def test_our_domain_limited_holds_every_ip_by_one_hold(stage):
    reply = "450 4.7.28 Gmail has detected an unusual rate of unsolicited mail containing one of your DKIM domains"
    with ProviderSink(judge=refuses(reply, "192.0.2.1")) as sink:
        scene = stage(sink, provider="google", people=60)
        scene.send()
        assert [scene.factor(address) for address in ADDRESSES] == [0, 0, 0]
        (hold,) = scene.holds()
        assert (hold.rule, hold.egress_ip_id) == ("google_domain_rate", None)
        sink.judge = lambda mail: None
        scene.send_for(60, every=10)
        assert scene.statuses() == {"accepted": 60}
        scene.assert_nothing_lost_or_doubled()


def test_relay_without_ips_of_ours_is_held_as_a_whole(stage):
    with ProviderSink(judge=refuses(GOOGLE_RATE)) as sink:
        scene = stage(sink, provider="google", people=60, with_ips=False)
        scene.send()
        assert scene.factor() == 0 and scene.waits_for() == {"suspended"}
        (hold,) = scene.holds()
        assert hold.egress_ip_id is None and hold.until - hold.started_at == timedelta(minutes=30)
        sink.judge = lambda mail: None
        offered = len(sink.offered)
        scene.pass_minutes(31)
        scene.send()
        assert 1 <= len(sink.offered) - offered <= 3 and scene.waits_for() == {"provider_slowed"}
        scene.send_for(60, every=10)
        assert scene.statuses() == {"accepted": 60} and scene.factor() == 1
        scene.assert_nothing_lost_or_doubled()
