"""A provider that defers every first try: nothing about us, so nobody goes slower for it."""

from tests.provider_sink import ProviderSink
from tests.scripted_relay import Behaviour

GREYLISTED = "451 4.7.1 Greylisting in action, please come back in 5 minutes"


def test_greylisting_slows_nothing_down_and_all_arrive_once(stage):
    with ProviderSink(default=Behaviour(rcpt=GREYLISTED, times=1)) as sink:
        scene = stage(sink, provider="gmx")
        scene.send()
        assert scene.statuses() == {"deferred": 30, "planned": 30}, "ten seconds' worth of sixty a minute, by three IPs"
        assert scene.standing().factors == {}
        scene.send_for(12, every=3)
        assert scene.holds() == []
        assert scene.statuses() == {"accepted": 60}
        scene.assert_nothing_lost_or_doubled()
