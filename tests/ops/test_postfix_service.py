"""A private Postfix: gone with whoever started it, also after SIGKILL, and started again on what its queue holds."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.flow.relay_config.rendering import render_postfix
from ops.services.errors import ServiceError
from ops.services.postfix import PostfixService
from ops.services.processes import identify, wait_until_gone
from tests.egress_sink import EgressSink, wait_for
from tests.fixtures.relay import EgressRelay, private_postfix
from tests.fixtures.services import ROOT

pytestmark = pytest.mark.postfix

OWNER = """
import sys, time
from pathlib import Path
from tests.fixtures.relay import private_postfix
with private_postfix(Path(sys.argv[1]), sink_port=1) as (service, plan):
    print(service.pid, flush=True)
    time.sleep(60)
"""


def test_postfix_is_gone_soon_after_its_owner_was_killed(service_dir):
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, service_dir], cwd=ROOT, stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    assert owner.stdout is not None
    master = identify(int(owner.stdout.readline()))
    assert master is not None
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    assert not wait_until_gone([master], 20)


def test_killed_postfix_delivers_its_queue_when_started_again(service_dir):
    with EgressSink() as sink, private_postfix(service_dir, sink_port=sink.port) as (service, plan):
        relay = EgressRelay(service, sink, plan)
        sink.refuse("rosa@example.pe", times=1000)
        relay.submit(("rosa@example.pe", b"From: a@example.pe\r\nSubject: x\r\n\r\nHola\r\n"))
        wait_for(lambda: sink.attempts, "the first attempt")
        service.kill()
        sink.forgive()
        time.sleep(0.2)
        assert not sink.mails
        with pytest.raises(ServiceError):
            _ = service.pid
        service.start()
        wait_for(lambda: sink.to("rosa@example.pe"), "the mail")
        assert len(sink.to("rosa@example.pe")) == 1


def test_postfix_that_can_not_start_says_what_its_log_says(service_dir):
    texts = {"main.cf": "compatibility_level = 3.6\nmyhostname = relay.example.pe\n", "master.cf": "nonsense\n"}
    service = PostfixService(Path(service_dir), texts, {})
    with pytest.raises(ServiceError, match=r"did not start|bad"):
        service.start()


def test_rendered_configuration_passes_postfix_own_check(service_dir):
    with private_postfix(service_dir, sink_port=1) as (service, plan):
        assert render_postfix(plan)["master.cf"] == (service.config_dir / "master.cf").read_text()
        assert "daemon started" in service.words()
