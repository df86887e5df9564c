"""A host that wants fewer of us at a time: half the rate, less where it insists, and step by step the whole again."""

from app.models import HoldKind
from tests.provider_sink import ProviderSink, refuses

BUSY = "451 4.7.1 Too many concurrent connections from {ip}, slow down"


def test_ip_slows_down_further_while_the_host_insists_and_recovers(stage):
    with ProviderSink(judge=refuses(BUSY, "192.0.2.1")) as sink:
        scene = stage(sink, provider="zoho", people=120)
        scene.send()
        assert (scene.factor("192.0.2.1"), scene.factor("192.0.2.2")) == (0.5, 1)
        scene.send()
        assert scene.factor("192.0.2.1") == 0.5, "what was on its way doesn't count twice"
        scene.pass_minutes(2)
        scene.send()
        assert scene.factor("192.0.2.1") == 0.25
        (hold,) = scene.holds()
        assert (hold.kind, hold.rule) == (HoldKind.SLOW, "too_many_connections")
        sink.judge = lambda mail: None
        scene.send_for(10)
        assert scene.factor("192.0.2.1") == 0.25
        scene.send_for(5)
        assert scene.factor("192.0.2.1") == 0.5
        scene.send_for(30)
        assert scene.factor("192.0.2.1") == 1 and scene.statuses() == {"accepted": 120}
        scene.assert_nothing_lost_or_doubled()
