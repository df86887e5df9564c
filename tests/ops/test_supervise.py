"""The supervisor keeps processes alive, says what happened, and leaves nothing behind."""

import io
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ops.services.processes import children_of, identify, is_alive, wait_until_gone
from ops.supervise import BackOff, Supervisor

ROOT = Path(__file__).resolve().parents[2]

# A leader with a child of its own; the leader ends on SIGTERM, the child must be told by somebody.
FAMILY = "sh -c 'sleep 300 & echo \"child $!\"; wait'"
STUBBORN = "sh -c 'trap \"\" TERM; echo ready; while :; do sleep 1; done'"
QUICK = BackOff(first_seconds=0.1, longest_seconds=0.4)


class Lines(io.BytesIO):
    def text(self) -> str:
        return self.getvalue().decode()


@pytest.fixture
def supervise():
    running = []

    def start(commands, **options):
        output = Lines()
        supervisor = Supervisor(commands, cwd=ROOT, env=options.pop("env", dict(os.environ)), output=output, **options)
        running.append(supervisor)
        supervisor.start()
        return supervisor, output

    yield start
    for supervisor in running:
        supervisor.stop()


def eventually(condition, seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_each_line_carries_the_name_of_its_process_and_no_colour_off_a_terminal(supervise):
    _, output = supervise({"web": "printf 'one\\ntwo'", "sender": "echo three >&2; sleep 1"})
    assert eventually(lambda: output.text().count("|") >= 3)
    assert "web    | one\n" in output.text()
    assert "web    | two\n" in output.text()
    assert "sender | three\n" in output.text()
    assert "\x1b" not in output.text()


def test_variables_come_from_the_environment_given_and_defaults_hold(supervise):
    _, output = supervise({"web": "echo $PORT ${THREADS:-8}"}, env={"PORT": "81 25", "PATH": os.defpath})
    assert eventually(lambda: "| 81 25 8\n" in output.text())


def test_dead_process_starts_again_and_its_death_is_told(supervise):
    supervisor, output = supervise({"web": "sh -c 'exit 3'", "sender": "sleep 300"}, back_off=QUICK)
    sender = supervisor.pids("sender")
    assert eventually(lambda: supervisor.starts("web") >= 3)
    assert "web ended with status 3; it starts again in 0.1 s" in output.text()
    assert "it starts again in 0.2 s" in output.text()
    assert supervisor.pids("sender") == sender


def test_retired_process_that_dies_stays_dead(supervise):
    supervisor, _ = supervise({"web": "sleep 300", "sender": "sleep 300"}, back_off=QUICK)
    supervisor.retire("web")
    supervisor.kill("web")
    supervisor.kill("sender")
    assert eventually(lambda: supervisor.starts("sender") == 2)
    assert supervisor.starts("web") == 1 and not supervisor.pids("web")


def test_waits_double_up_to_the_longest_and_fall_back_after_a_healthy_run():
    back_off = BackOff()
    waits, waited = [], 0.0
    for _ in range(7):
        waited = back_off.after(waited, ran_seconds=0.1)
        waits.append(waited)
    assert waits == [1, 2, 4, 8, 16, 30, 30]
    assert back_off.after(30, ran_seconds=11) == 1


def test_kill_strikes_the_whole_group_and_only_that(supervise):
    supervisor, output = supervise({"sender": FAMILY, "web": "sleep 300"}, back_off=QUICK)
    assert eventually(lambda: len(supervisor.pids("sender")) == 2)
    family = [identify(pid) for pid in supervisor.pids("sender")]
    web = supervisor.pids("web")
    assert supervisor.kill("sender") == [member.pid for member in family]
    assert not wait_until_gone(family, 5)
    assert eventually(lambda: supervisor.starts("sender") == 2 and len(supervisor.pids("sender")) == 2)
    assert supervisor.pids("web") == web
    assert "sender was ended by SIGKILL" in output.text()


def test_kill_of_one_pid_leaves_the_rest_of_the_group(supervise):
    supervisor, _ = supervise({"sender": FAMILY})
    assert eventually(lambda: len(supervisor.pids("sender")) == 2)
    child = supervisor.pids("sender")[1]
    gone = identify(child)
    assert supervisor.kill("sender", pid=child) == [child]
    assert not wait_until_gone([gone], 5)
    assert supervisor.kill("sender", pid=os.getpid()) == []


def test_orphans_of_a_killed_leader_end_before_the_process_starts_again(supervise):
    supervisor, _ = supervise({"sender": FAMILY}, back_off=QUICK)
    assert eventually(lambda: len(supervisor.pids("sender")) == 2)
    leader, child = (identify(pid) for pid in supervisor.pids("sender"))
    supervisor.kill("sender", pid=leader.pid)
    assert eventually(lambda: supervisor.starts("sender") == 2)
    assert not is_alive(child)


def test_stop_waits_for_the_grace_then_kills_whoever_ignores_sigterm(supervise):
    supervisor, output = supervise({"web": STUBBORN, "sender": FAMILY}, grace_seconds=0.5)
    assert eventually(lambda: "ready" in output.text() and len(supervisor.pids("sender")) == 2)
    everybody = [identify(pid) for name in ("web", "sender") for pid in supervisor.pids(name)]
    began = time.monotonic()
    supervisor.stop()
    assert 0.5 <= time.monotonic() - began < 5
    assert not [member for member in everybody if is_alive(member)]


def test_process_that_dies_while_stopping_is_not_started_again(supervise):
    supervisor, _ = supervise({"web": "sleep 300"}, back_off=QUICK)
    supervisor.stop()
    time.sleep(0.4)
    assert supervisor.starts("web") == 1
    assert supervisor.pids("web") == []


def test_last_words_of_a_stopping_process_are_shown(supervise):
    command = "sh -c 'trap \"echo bye; exit 0\" TERM; echo ready; while :; do sleep 0.1; done'"
    supervisor, output = supervise({"web": command})
    assert eventually(lambda: "ready" in output.text())
    supervisor.stop()
    assert "web    | bye\n" in output.text()


PROGRAM = """
import os, sys
from pathlib import Path
from ops.supervise import Supervisor
commands = {"web": sys.argv[1], "sender": "sleep 300"}
Supervisor(commands, cwd=Path.cwd(), env=os.environ, grace_seconds=60).run()
"""


def start_program(command: str) -> tuple[subprocess.Popen, list]:
    """A supervisor in a process of its own, and the identities of what it started."""
    program = subprocess.Popen([sys.executable, "-c", PROGRAM, command], cwd=ROOT, stdout=subprocess.PIPE)
    assert b"ready" in program.stdout.readline()
    threading.Thread(target=program.stdout.read, daemon=True).start()
    assert eventually(lambda: len(children_of(program.pid)) == 2)
    return program, children_of(program.pid)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_to_stop_ends_everything_cleanly(number):
    program, children = start_program("sh -c 'echo ready; exec sleep 300'")
    program.send_signal(number)
    assert program.wait(10) == 0
    assert not [child for child in children if is_alive(child)]


def test_second_signal_does_not_wait_for_the_grace():
    program, children = start_program(STUBBORN)
    program.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert program.poll() is None
    program.send_signal(signal.SIGINT)
    assert program.wait(10) == 0
    assert not [child for child in children if is_alive(child)]


def test_children_end_when_the_supervisor_is_killed():
    program, children = start_program("sh -c 'echo ready; exec sleep 300'")
    program.send_signal(signal.SIGKILL)
    program.wait()
    assert not wait_until_gone(children, 5)


def run_module(*names: str, **env: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "ops.supervise", *names]
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_only_the_lines_that_were_named_are_run():
    nobody = "postgresql+psycopg://nobody@127.0.0.1:1/none"
    program = run_module("practice", PRACTICE_RELAY_PORT="0", DATABASE_URL=nobody, BROKER_URL="redis://127.0.0.1:1/0")
    try:
        assert program.stdout.readline().startswith(b"practice | ")
        assert len(children_of(program.pid)) == 1
        program.send_signal(signal.SIGTERM)
        assert {line.split(b" ")[0] for line in program.communicate(timeout=30)[0].splitlines()} <= {b"practice"}
        assert program.returncode == 0
    finally:
        program.kill()


def test_name_that_the_procfile_has_not_is_refused_with_those_it_has():
    program = run_module("sender", "postman")
    _output, said = program.communicate(timeout=30)
    assert program.returncode == 2
    assert b"no postman; it has web, dispatcher, sender" in said
