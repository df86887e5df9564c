"""A private RabbitMQ: gone with whoever started it, heard on the loopback alone. And an installation that is given one."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ops.installation import Installation, InstallationError
from ops.ports import is_free
from ops.services.errors import ServiceError
from ops.services.processes import children_of, identify, wait_until_gone
from ops.services.rabbitmq import RabbitService, speaks_amqp
from tests.fixtures.services import ROOT

pytestmark = pytest.mark.rabbitmq

OWNER = """
import sys, time
from pathlib import Path
from ops.services.rabbitmq import RabbitService
service = RabbitService(Path(sys.argv[1]))
service.start()
print(service.pid, service.epmd_pid, flush=True)
time.sleep(60)
"""
LISTENING = re.compile(r"LISTEN\s+\d+\s+\d+\s+(\S+):\d+\s.*pid=(\d+),")


def test_node_and_name_server_are_gone_soon_after_their_owner_was_killed(service_dir):
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, service_dir], cwd=ROOT, stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    assert owner.stdout is not None
    started = [identify(int(pid)) for pid in owner.stdout.readline().split()]
    everybody = [one for one in started if one] + [child for one in started if one for child in children_of(one.pid)]
    assert len(everybody) >= 3
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    assert not wait_until_gone(everybody, 20)


def test_all_of_it_listens_on_the_loopback_alone(rabbit):
    told = subprocess.run(["ss", "-ltnp"], capture_output=True, text=True, check=True).stdout
    ours = {str(rabbit.pid), str(rabbit.epmd_pid)}
    addresses = [address for address, pid in LISTENING.findall(told) if pid in ours]
    assert len(addresses) >= 3
    assert set(addresses) <= {"127.0.0.1", "[::1]"}


def test_its_address_stays_the_same_and_nothing_of_it_is_for_others(rabbit):
    before = rabbit.url
    rabbit.stop()
    assert not rabbit.running and not speaks_amqp(rabbit.port)
    with pytest.raises(ServiceError):
        _ = rabbit.pid
    assert rabbit.start() == before
    for secret in ("rabbitmq.conf", "home/.erlang.cookie"):
        assert (rabbit.directory / secret).stat().st_mode & 0o077 == 0


def test_two_at_once_don_t_meet(rabbit, service_dir):
    with_other_ports = RabbitService(Path(service_dir))
    try:
        assert with_other_ports.port != rabbit.port
        assert is_free("127.0.0.1", with_other_ports.port)
    finally:
        with_other_ports.close()


def test_one_that_can_not_start_says_what_its_log_says(service_dir):
    service = RabbitService(Path(service_dir))
    (service.directory / "rabbitmq.conf").write_text("nonsense.of.ours = 1\n")
    with pytest.raises(ServiceError, match=r"(?s)did not start.*nonsense"):
        service.start()
    assert not service.running


# An installation that is given a RabbitMQ.


def start(var: Path, **environ: str) -> dict[str, str]:
    """Broker and Redis as an installation would use them."""
    with Installation(var, environ={"PATH": os.environ["PATH"], **environ}) as installation:
        return installation._broker_settings()


def test_the_embedded_redis_keeps_the_limits_beside_a_given_rabbitmq(rabbit, service_dir):
    found = start(service_dir, BROKER_URL=rabbit.url)
    assert found["BROKER_URL"] == rabbit.url
    assert found["REDIS_URL"].startswith("redis://:")


def test_where_the_database_is_shared_so_must_be_the_redis(rabbit, service_dir):
    shared = {"BROKER_URL": rabbit.url, "DATABASE_URL": "postgresql://base.invalid/chaski"}
    with pytest.raises(InstallationError, match=r"REDIS_URL is not set.*the same one on every host"):
        start(service_dir, **shared)
    assert not (Path(service_dir) / "redis").exists()
    assert start(service_dir, **shared, REDIS_URL="redis://redis.invalid/0")["REDIS_URL"] == "redis://redis.invalid/0"


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (("//chaski:", "//chaski:no-es-"), "refuses the user 'chaski'"),
        (("@127.0.0.1", "@"), "not of the form"),
    ],
)
def test_script_server_ends_at_once_with_what_is_wrong(rabbit, service_dir, changed, told):
    wrong = re.sub(*changed, rabbit.url, count=1)
    assert wrong != rabbit.url
    environment = os.environ | {"CHASKI_VAR": str(service_dir), "BROKER_URL": wrong}
    done = subprocess.run(
        [sys.executable, "-m", "ops.server"],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and told in errors[0]
    assert "Traceback" not in done.stderr
    assert rabbit.password not in done.stdout + done.stderr
    assert not (Path(service_dir) / "postgres").exists(), "it looked too late"
