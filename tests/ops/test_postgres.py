"""The embedded PostgreSQL keeps data and URL through everything that happens to its process."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg
import pytest

from ops.services import AlreadyRunningError, EmbeddedPostgres, ServiceError
from ops.services.processes import identify, is_alive, wait_until_gone, working_in

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def cluster():
    """One stopped cluster below a long path with spaces, as initdb is the slow part."""
    place = Path(tempfile.mkdtemp(prefix="chaski una vía con espacios "))
    parent = place / ("a long directory name " * 6).strip()
    postgres = EmbeddedPostgres(parent / "datos 1", durable=False)
    postgres.start()
    postgres.stop()
    yield postgres.data_dir
    postgres.discard()
    shutil.rmtree(place)


@pytest.fixture
def postgres(cluster):
    service = EmbeddedPostgres(cluster, durable=False)
    service.start()
    yield service
    service.stop("immediate")


def connect(service: EmbeddedPostgres) -> psycopg.Connection:
    return psycopg.connect(service.url.replace("+psycopg", ""), autocommit=True)


def test_path_longer_than_a_socket_path_and_with_spaces_works(postgres):
    assert len(str(postgres.data_dir)) > 107
    with connect(postgres) as connection:
        assert connection.execute("SELECT current_database()").fetchone() == ("chaski",)
        assert connection.execute("SHOW server_version_num").fetchone()[0].startswith("18")
        assert connection.execute("SHOW server_encoding").fetchone() == ("UTF8",)


def test_lower_knows_spanish_letters_without_help_of_the_operating_system(postgres):
    with connect(postgres) as connection:
        assert connection.execute("SELECT lower('ÑANDÚ')").fetchone() == ("ñandú",)


def test_listens_on_no_network_port_and_only_its_owner_may_enter_the_socket_directory(postgres):
    with connect(postgres) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
        socket_dir = Path(connection.info.host)
    assert stat.S_IMODE(socket_dir.stat().st_mode) == 0o700
    assert len(os.fsencode(socket_dir / ".s.PGSQL.5432")) <= 107
    if os.geteuid() == 0:
        assert socket_dir.stat().st_uid != 0


def test_durable_settings_never_trade_safety_for_speed(cluster):
    service = EmbeddedPostgres(cluster)
    service.start()
    try:
        with connect(service) as connection:
            for name, value in {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}.items():
                assert connection.execute(f"SHOW {name}").fetchone() == (value,)
            assert connection.execute("SHOW shared_buffers").fetchone() == ("512MB",)
    finally:
        service.stop("immediate")


def test_committed_rows_and_url_survive_sigkill_and_no_child_is_left(postgres):
    url = postgres.url
    with connect(postgres) as connection:
        connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS number")
    family = working_in(postgres.data_dir)
    assert len(family) > 1
    postgres.kill()
    assert not [process for process in family if is_alive(process)]
    assert postgres.start() == url
    with connect(postgres) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (1000,)
        connection.execute("DROP TABLE kept")


def test_restart_keeps_the_url(postgres):
    url, pid = postgres.url, postgres.pid
    assert postgres.restart() == url
    assert postgres.pid != pid


def test_a_new_object_on_the_same_directory_has_the_same_url(postgres, cluster):
    url = postgres.url
    postgres.stop()
    again = EmbeddedPostgres(cluster, durable=False)
    assert again.start() == url
    again.stop()


def test_pid_file_with_the_number_of_some_other_program_does_not_stop_the_start(postgres):
    postgres.kill()
    pid_file = postgres.data_dir / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        postgres.start()
        with connect(postgres) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_second_owner_is_told_who_holds_the_directory(postgres, cluster):
    with pytest.raises(AlreadyRunningError, match=rf"process {os.getpid()}\b"):
        EmbeddedPostgres(cluster, durable=False).start()
    with connect(postgres) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_socket_directory_that_a_stranger_could_read_is_not_reused(postgres):
    url = postgres.url
    postgres.stop()
    opened = Path(postgres.data_dir.with_name(postgres.data_dir.name + ".socket").read_text().strip())
    opened.chmod(0o755)
    assert postgres.start() != url
    shutil.rmtree(opened)


def test_closing_leaves_nothing_in_the_temporary_directory_and_the_next_start_has_the_same_url(postgres):
    url = postgres.url
    socket_dir = Path(postgres.data_dir.with_name(postgres.data_dir.name + ".socket").read_text().strip())
    postgres.close()
    assert not socket_dir.exists()
    assert postgres.start() == url
    assert stat.S_IMODE(socket_dir.stat().st_mode) == 0o700


def test_name_of_the_closed_socket_directory_taken_by_a_stranger_is_given_up(postgres):
    url = postgres.url
    socket_dir = Path(postgres.data_dir.with_name(postgres.data_dir.name + ".socket").read_text().strip())
    postgres.close()
    socket_dir.mkdir()
    socket_dir.chmod(0o777)
    try:
        assert postgres.start() != url
    finally:
        shutil.rmtree(socket_dir)


def test_failed_start_says_what_the_server_said(postgres):
    postgres.stop()
    local = postgres.data_dir / "local.conf"
    local.write_text("no_such_setting = 1\n")
    try:
        with pytest.raises(ServiceError, match="no_such_setting"):
            postgres.start()
    finally:
        local.unlink()
    postgres.start()


def test_directory_with_foreign_files_is_left_alone(tmp_path):
    target = tmp_path / "data"
    target.mkdir()
    (target / "letter.txt").write_text("mine")
    with pytest.raises(ServiceError, match="holds files but no database"):
        EmbeddedPostgres(target, durable=False).start()
    assert (target / "letter.txt").read_text() == "mine"


def test_cluster_of_another_version_is_refused_by_name(tmp_path):
    target = tmp_path / "data"
    target.mkdir()
    (target / "PG_VERSION").write_text("16\n")
    with pytest.raises(ServiceError, match="PostgreSQL 16"):
        EmbeddedPostgres(target, durable=False).start()


OWNER = """
import sys, time
from ops.services import EmbeddedPostgres
service = EmbeddedPostgres(sys.argv[1], durable=False)
service.start()
print(service.pid, flush=True)
time.sleep(120)
"""


def test_database_ends_when_its_owner_is_killed_and_the_next_start_recovers(cluster):
    owner = subprocess.Popen([sys.executable, "-c", OWNER, cluster], cwd=ROOT, stdout=subprocess.PIPE)
    postmaster = identify(int(owner.stdout.readline()))
    family = working_in(cluster)
    assert postmaster in family
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    service = EmbeddedPostgres(cluster, durable=False)
    service.start()  # at once, while the old one may still be shutting down
    try:
        assert not wait_until_gone(family, 0)
        with connect(service) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        service.stop()


def test_backends_that_outlive_their_postmaster_do_not_stop_the_start(cluster):
    owner = subprocess.Popen([sys.executable, "-c", OWNER, cluster], cwd=ROOT, stdout=subprocess.PIPE)
    postmaster = int(owner.stdout.readline())
    stopped = next(process for process in working_in(cluster) if process.pid != postmaster)
    os.kill(stopped.pid, signal.SIGSTOP)  # a backend that can't notice
    os.kill(postmaster, signal.SIGKILL)
    owner.kill()
    owner.wait()
    service = EmbeddedPostgres(cluster, durable=False)
    began = time.monotonic()
    service.start()
    service.stop("immediate")
    assert not is_alive(stopped)
    assert time.monotonic() - began < 30
