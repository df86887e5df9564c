"""A provider refuses one of our IPs for good (5xx): nobody bounces, the IP stays away, and the others carry its mail."""

import pytest

from tests.provider_sink import ProviderSink, refuses

BLOCKED = ["192.0.2.1"]
REPLIES = [
    ("yahoo", "550 5.7.1 Service unavailable; client [{ip}] blocked using Spamhaus"),
    ("google", "550-5.7.1 [{ip}] Our system has detected that this message is\r\n550 5.7.1 likely suspicious due to the very "
     "low reputation of the sending IP address."),
    ("apple", "554 5.7.1 [HM08] Message rejected due to local policy."),
]  # fmt: skip


@pytest.mark.parametrize(("provider", "reply"), REPLIES)
def test_mail_of_a_blocked_ip_leaves_by_the_others_and_nobody_bounces(stage, provider, reply):
    with ProviderSink(judge=refuses(reply, *BLOCKED)) as sink:
        scene = stage(sink, provider=provider, people=45)
        scene.send()
        assert scene.factor("192.0.2.1") == 0 and scene.factor("192.0.2.2") == 1
        assert set(scene.statuses()) <= {"accepted", "deferred", "planned"}, "nobody bounced"
        refused = sink.offered_by_ip()["192.0.2.1"]
        scene.send_for(20, every=10)
        assert scene.statuses() == {"accepted": 45}
        assert sink.offered_by_ip()["192.0.2.1"] == refused, "it stays away"
        scene.assert_nothing_lost_or_doubled()


def test_hosts_that_have_nothing_to_do_with_each_other_suspend_nothing_and_bounce_nobody(stage):
    with ProviderSink(judge=refuses("554 5.7.1 IP address [{ip}] blocked", *BLOCKED)) as sink:
        scene = stage(sink, provider="other", people=30)
        scene.send()
        assert scene.factor("192.0.2.1") == 1 and not scene.holds()
        assert set(scene.statuses()) == {"accepted", "deferred"}
        sink.judge = lambda mail: None
        scene.send_for(20, every=10)
        assert scene.statuses() == {"accepted": 30}
        scene.assert_nothing_lost_or_doubled()
