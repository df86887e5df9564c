"""552 is the mailbox's trouble (full) or the message's (too big), never the IP's."""

import pytest

from tests.provider_sink import ProviderSink, refuses


@pytest.mark.parametrize(
    ("reply", "status"),
    [("552 5.2.2 Mailbox full, over quota", "bounced"), ("552 5.3.4 Message too big for this system", "failed")],
)
def test_552_holds_nobody_back(stage, reply, status):
    with ProviderSink(judge=refuses(reply, "192.0.2.1")) as sink:
        scene = stage(sink, provider="zoho")
        scene.send()
        scene.send_for(10)
        assert scene.holds() == []
        assert scene.statuses() == {"accepted": 40, status: 20}
        scene.assert_nothing_lost_or_doubled()


def test_452_of_a_full_mailbox_is_tried_again_at_the_same_pace(stage):
    with ProviderSink(
        judge=refuses("452 4.2.2 The recipient's inbox is out of storage space and inactive. - gsmtp")
    ) as sink:
        scene = stage(sink, provider="google")
        scene.send()
        assert scene.holds() == [] and scene.statuses()["deferred"] == 60
        sink.judge = lambda mail: None
        scene.send_for(10)
        assert scene.statuses() == {"accepted": 60}
        scene.assert_nothing_lost_or_doubled()
