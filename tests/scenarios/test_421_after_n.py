"""A host that takes so many messages a connection and then says 421: another connection takes the rest."""

from tests.provider_sink import ProviderSink


def test_421_after_n_messages_is_a_new_connection_and_nothing_else(stage):
    with ProviderSink(messages_before_421=4) as sink:
        scene = stage(sink, provider="comcast")
        scene.send()
        scene.send_for(5, every=1)
        assert scene.holds() == [] and scene.statuses() == {"accepted": 60}
        attempts = scene.session.connection().exec_driver_sql("SELECT max(attempts) FROM delivery").scalar()
        assert attempts == 1, "nobody had to wait for it"
        assert sink.connections >= 15
        scene.assert_nothing_lost_or_doubled()
