"""The reply to the final dot comes after our patience (one second here, a minute in earnest): the mail may be there, so it is
never sent again blindly."""

from tests.provider_sink import ProviderSink
from tests.scripted_relay import Behaviour


def test_reply_after_the_time_out_is_unknown_and_not_sent_again(stage):
    with ProviderSink() as sink:
        scene = stage(sink, provider="zoho", people=20, smtp_timeout_seconds=1)
        people = scene.session.connection().exec_driver_sql("SELECT email FROM delivery ORDER BY seq").scalars().all()
        late = set(people[:2])
        sink.judge = lambda mail: Behaviour(delay_seconds=2.5) if mail.rcpt_to in late else None
        scene.send()
        assert scene.statuses() == {"accepted": 18, "unknown": 2}
        scene.send_for(30)
        assert scene.statuses() == {"accepted": 18, "unknown": 2}
        assert len(sink.offered) == 20, "no second try while nobody knows"
        assert scene.holds() == []
        scene.assert_nothing_lost_or_doubled()
