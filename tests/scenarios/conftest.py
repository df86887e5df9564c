"""``stage(sink, provider=…)`` sets a scenario up."""

from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis

from tests.provider_sink import ProviderSink
from tests.scenarios.stage import Stage, set_up


@pytest.fixture
def stage(session: Any, settings: Any, panel: Any, redis: Redis) -> Callable[..., Stage]:
    def make(sink: ProviderSink, **wanted: Any) -> Stage:
        return set_up(session, settings, panel, redis, sink, **wanted)

    return make
