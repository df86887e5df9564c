"""A host that answers slowly: mail takes its time, and that is all."""

from tests.provider_sink import ProviderSink
from tests.scripted_relay import Behaviour


def test_slow_answers_are_waited_for(stage):
    with ProviderSink(default=Behaviour(delay_seconds=0.15), greeting_after_seconds=0.3) as sink:
        scene = stage(sink, provider="zoho", people=20, smtp_timeout_seconds=5)
        scene.send()
        assert scene.statuses() == {"accepted": 20} and scene.holds() == []
        scene.assert_nothing_lost_or_doubled()
