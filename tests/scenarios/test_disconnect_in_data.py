"""A host that hangs up at DATA. Before the content it can't have the message, which is then sent again and arrives once. In the
content, when our final dot is already with the kernel, nobody can know: unknown, and not sent again."""

import pytest

from tests.provider_sink import ProviderSink
from tests.scripted_relay import Behaviour


@pytest.mark.parametrize(
    ("moment", "statuses"), [("data", {"accepted": 60}), ("mid_body", {"accepted": 57, "unknown": 3})]
)
def test_connection_lost_at_data(stage, moment, statuses):
    with ProviderSink() as sink:
        scene = stage(sink, provider="zoho")
        people = scene.session.connection().exec_driver_sql("SELECT email FROM delivery ORDER BY seq").scalars().all()
        scene.session.rollback()
        sink.script = {email: Behaviour(drop=moment, times=4) for email in people[::20]}
        scene.send()
        scene.send_for(12, every=3)
        assert scene.holds() == []
        assert scene.statuses() == statuses
        scene.assert_nothing_lost_or_doubled()
