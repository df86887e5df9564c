"""The queue agent on a real Postfix: what it tells, what it does, and what a crash in the middle leaves."""

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest
from sqlalchemy import text
from werkzeug.serving import make_server

from app.flow import composing, relay_keys
from app.flow.relay_queue import commands, figures
from app.flow.relay_queue.figures import QueueFilter
from app.mail.egress_header import EGRESS_HEADER
from app.mail.tokens import make_token, return_path
from app.models import QueueAction, QueueOutcome
from tests import factories, ledger
from tests.egress_sink import wait_for
from tests.fixtures.app import served
from tests.fixtures.relay import EgressRelay, address_of
from tests.fixtures.services import ROOT
from tests.tls import make_authority, server_context
from workers.relay import queue as queue_module
from workers.relay.platform_api import NotTaken, PlatformApi
from workers.relay.queue import PostfixQueue, QueueUnavailable
from workers.relay.queue_agent import QueueAgent
from workers.relay.queue_platform import LocalPlatform, RemotePlatform, read_order

pytestmark = pytest.mark.postfix
PEOPLE = 4
CONTENT = b"From: a@example.pe\r\nSubject: x\r\n\r\nHola\r\n"


@pytest.fixture(scope="module")
def calm_relay(egress_relay: EgressRelay) -> EgressRelay:
    """What was deferred stays so until somebody does something: nothing moves while a test looks."""
    for name in ("minimal_backoff_time", "maximal_backoff_time", "queue_run_delay"):
        egress_relay.service._run("postconf", "-e", f"{name} = 1000s")
    egress_relay.service.reload()
    return egress_relay


@pytest.fixture
def postfix(calm_relay: EgressRelay):
    egress_relay = calm_relay
    yield egress_relay
    egress_relay.sink.forgive()
    egress_relay.service.delete("hold", "deferred", "active", "incoming", "maildrop")
    egress_relay.sink.mails.clear()
    egress_relay.sink.attempts.clear()


@pytest.fixture
def campaign(session, panel, relay):
    """Four accepted deliveries, each by another IP."""
    pool = factories.egress_pool(session, relay)
    ips = [factories.egress_ip(session, pool, address_of(number)) for number in range(1, PEOPLE + 1)]
    row = factories.campaign(session, panel)
    for delivery, ip in zip(ledger.freeze(session, row, ["accepted"] * PEOPLE), ips, strict=True):
        delivery.egress_ip_id = ip.id
    session.commit()
    return row


@pytest.fixture
def deferred(postfix, settings, campaign):
    """All of them and a foreign mail lie deferred in the relay's queue."""
    for seq in range(1, PEOPLE + 1):
        postfix.sink.refuse(f"persona{seq}@example.pe", times=1000)
        sender = return_path(make_token(composing.token_key(settings), campaign.id, seq), "rebotes.example.pe")
        header = f"{EGRESS_HEADER}: {address_of(seq)}\r\n".encode()
        postfix.submit((f"persona{seq}@example.pe", header + CONTENT), mail_from=sender)
    postfix.sink.refuse("ajena@example.pe", times=1000)
    postfix.submit(("ajena@example.pe", CONTENT), mail_from="root@example.pe")
    wait_for(lambda: len(in_queue(postfix, "deferred")) == PEOPLE + 1, "the deferred mails")


def in_queue(postfix: EgressRelay, *queues: str) -> dict[str, str]:
    """Recipient -> queue id."""
    return {
        mail["recipients"][0]["address"]: mail["queue_id"]
        for mail in postfix.service.queue()
        if mail["queue_name"] in queues
    }


@pytest.fixture
def queue(postfix) -> PostfixQueue:
    return PostfixQueue(postfix.service.config_dir)


@pytest.fixture
def agent(queue, settings, relay) -> QueueAgent:
    return QueueAgent(queue, LocalPlatform(settings, relay.id))


def order(session, relay, action, **which):
    command = commands.propose(session, relay.id, action, **(which or {"chosen": QueueFilter()}))
    commands.confirm(session, relay.id, command.id)
    return command


def outcomes(session, relay):
    return commands.recent(session, relay.id)[0].outcomes


def test_agent_tells_ip_reason_and_campaign_of_each_mail(deferred, agent, session, relay, campaign):
    agent.turn()
    told = figures.figures(session, relay.id, QueueFilter(campaign_id=campaign.id))
    assert told.mails == PEOPLE
    assert {one.name: one.mails for one in told.ips} == {address_of(number): 1 for number in range(1, PEOPLE + 1)}
    (foreign,) = session.scalars(figures.mails(relay.id, QueueFilter(campaign_id=0)))
    assert (foreign.recipient, foreign.queue, foreign.egress_ip_id) == ("ajena@example.pe", "deferred", None)
    assert "451 4.7.1 not now" in foreign.reason


def test_hold_release_and_delivery(deferred, agent, session, relay, campaign, postfix):
    agent.turn()
    order(session, relay, QueueAction.HOLD, chosen=QueueFilter(campaign_id=campaign.id))
    agent.turn()
    assert outcomes(session, relay) == {"done": PEOPLE}
    assert set(in_queue(postfix, "hold")) == {f"persona{seq}@example.pe" for seq in range(1, PEOPLE + 1)}
    assert set(in_queue(postfix, "deferred")) == {"ajena@example.pe"}, "foreign mail was not chosen"
    postfix.sink.forgive()
    postfix.service.flush()
    wait_for(lambda: postfix.sink.to("ajena@example.pe"), "what is not on hold")
    assert not postfix.sink.to("persona1@example.pe")
    order(session, relay, QueueAction.RELEASE)
    agent.turn()
    postfix.service.flush()
    wait_for(lambda: all(postfix.sink.to(f"persona{seq}@example.pe") for seq in range(1, PEOPLE + 1)), "the released")
    for seq in range(1, PEOPLE + 1):
        (mail,) = postfix.sink.to(f"persona{seq}@example.pe")
        assert mail.source == address_of(seq), "the IP is kept"
    assert set(ledger.statuses_of(session, campaign).values()) == {"accepted"}


def test_deleted_mail_is_gone_and_its_delivery_failed(deferred, agent, session, relay, campaign, postfix):
    agent.turn()
    chosen = in_queue(postfix, "deferred")
    order(session, relay, QueueAction.DELETE, queue_ids=[chosen["persona2@example.pe"], chosen["ajena@example.pe"]])
    agent.turn()
    assert outcomes(session, relay) == {"done": 2}
    assert set(in_queue(postfix, "deferred", "hold")) == {f"persona{seq}@example.pe" for seq in (1, 3, 4)}
    assert ledger.statuses_of(session, campaign) == {1: "accepted", 2: "failed", 3: "accepted", 4: "accepted"}
    assert figures.figures(session, relay.id, QueueFilter()).mails == 3, "the same turn tells the new queue"


def test_requeued_mail_leaves_once(deferred, agent, session, relay, postfix):
    agent.turn()
    postfix.sink.forgive()
    command = order(session, relay, QueueAction.REQUEUE)
    twice = commands.next_order(session, relay.id)
    agent.turn()
    assert twice is not None
    agent.carry_out(twice)  # An agent that was killed before it could report.
    wait_for(lambda: len(postfix.sink.mails) == PEOPLE + 1, "the requeued mails")
    wait_for(lambda: not postfix.service.queue(), "an empty queue")
    assert len(postfix.sink.mails) == PEOPLE + 1
    assert outcomes(session, relay) == {"done": PEOPLE + 1}
    assert command.mails == PEOPLE + 1


def test_agent_killed_between_hold_and_delete_leaves_a_true_ledger(
    deferred, agent, queue, session, relay, campaign, postfix
):
    agent.turn()
    ids = in_queue(postfix, "deferred")
    command = order(
        session, relay, QueueAction.DELETE, queue_ids=[ids["persona1@example.pe"], ids["persona2@example.pe"]]
    )
    both = {ids["persona1@example.pe"], ids["persona2@example.pe"]}
    # What the first agent did before it died: held and told so, deleted one of them, told nobody.
    assert queue.hold(both) == both
    commands.report(session, relay.id, command.id, dict.fromkeys(both, QueueOutcome.HELD))
    assert queue.delete_held({ids["persona1@example.pe"]})
    agent.turn()
    assert outcomes(session, relay) == {"done": 2}
    assert ledger.statuses_of(session, campaign) == {1: "failed", 2: "failed", 3: "accepted", 4: "accepted"}


def test_mail_delivered_before_the_agent_came_is_gone_and_stays_accepted(
    deferred, agent, session, relay, campaign, postfix
):
    agent.turn()
    order(session, relay, QueueAction.DELETE, queue_ids=list(in_queue(postfix, "deferred").values()))
    postfix.sink.forgive()
    postfix.service.flush()
    wait_for(lambda: not postfix.service.queue(), "an empty queue")
    agent.turn()
    assert outcomes(session, relay) == {"gone": PEOPLE + 1}
    assert set(ledger.statuses_of(session, campaign).values()) == {"accepted"}


def test_number_of_another_mail_is_left_alone(deferred, agent, session, relay, campaign, postfix):
    agent.turn()
    order(session, relay, QueueAction.DELETE)
    session.execute(text("UPDATE relay_queue_command_mail SET arrived_at = arrived_at - interval '1 hour'"))
    session.commit()
    agent.turn()
    assert outcomes(session, relay) == {"gone": PEOPLE + 1}
    assert len(in_queue(postfix, "deferred")) == PEOPLE + 1


@pytest.mark.parametrize("bad", ["ALL", "-d", "ABCDE\nALL", "ABCDE FGHIJ", "../ABCDE", ""])
def test_what_is_no_queue_id_reaches_no_program(queue, bad):
    for act in (queue.hold, queue.release, queue.requeue, queue.delete_held):
        with pytest.raises(ValueError, match="no queue id"):
            act([bad])


def program(directory, name: str, script: str):
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.mark.parametrize(
    "script, words",
    [
        ("sleep 30", "no end of the listing"),
        ("yes '{}'", "larger than any queue"),
        ("echo '{}'; exit 69", "status 69"),
    ],
)
def test_postqueue_that_hangs_floods_or_fails_gives_no_half_listing(tmp_path, monkeypatch, script, words):
    program(tmp_path, "postqueue", script)
    monkeypatch.setattr(queue_module, "_PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(queue_module, "LISTING_SECONDS", 0.5)
    monkeypatch.setattr(queue_module, "MAX_LISTING_BYTES", 100_000)
    with pytest.raises(QueueUnavailable, match=words):
        PostfixQueue().listing(most=10)


def test_machine_without_postfix_is_told_so(monkeypatch, tmp_path):
    monkeypatch.setattr(queue_module, "_PATH", str(tmp_path))
    with pytest.raises(QueueUnavailable, match="not on this machine"):
        PostfixQueue().listing(most=10)


# Over HTTPS, and as a process.


@contextmanager
def served_over_https(app, authority, certificate="right"):
    server = make_server("127.0.0.1", 0, app, threaded=True, ssl_context=server_context(authority, certificate))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def key(session, relay):
    return relay_keys.make_key(session, relay.id)


@pytest.fixture
def authority(tmp_path):
    return make_authority(tmp_path)


def test_agent_on_the_relays_own_host_holds_and_deletes_over_https(
    app, deferred, queue, session, relay, campaign, postfix, key, authority
):
    with served_over_https(app, authority) as address:
        api = PlatformApi(address, relay.id, key, authority / "ca.pem")
        agent = QueueAgent(queue, RemotePlatform(api))
        agent.turn()
        session.rollback()
        assert figures.figures(session, relay.id, QueueFilter(campaign_id=campaign.id)).mails == PEOPLE
        chosen = in_queue(postfix, "deferred")
        order(session, relay, QueueAction.DELETE, queue_ids=[chosen["persona2@example.pe"]])
        order(session, relay, QueueAction.HOLD, queue_ids=[chosen["persona3@example.pe"]])
        agent.turn()
        session.rollback()
        assert ledger.statuses_of(session, campaign) == {1: "accepted", 2: "failed", 3: "accepted", 4: "accepted"}
        assert set(in_queue(postfix, "hold")) == {"persona3@example.pe"}
        assert figures.figures(session, relay.id, QueueFilter()).mails == PEOPLE


@pytest.mark.parametrize("certificate", ["right", "wrong"])
def test_key_is_not_shown_to_whoever_has_no_right_certificate(app, relay, session, key, authority, certificate):
    """Of another name, or of an authority that nobody named."""
    ca_file = authority / "ca.pem" if certificate == "wrong" else None
    with (
        served_over_https(app, authority, certificate) as address,
        pytest.raises(NotTaken, match="certificate verify failed"),
    ):
        PlatformApi(address, relay.id, key, ca_file).post("queue/next", {})
    assert session.scalar(text("SELECT last_used_at FROM relay_api_key")) is None


def test_agent_waits_longer_each_time_says_it_once_and_comes_back(app, relay, session, queue, key, capsys):
    with served(app) as address:
        port = int(address.rpartition(":")[2])
    agent = QueueAgent(queue, RemotePlatform(PlatformApi(address, relay.id, key)), every_seconds=0.02)
    thread = threading.Thread(target=agent.run)
    thread.start()
    time.sleep(0.6)  # Nobody listens.
    tries = agent._failures
    server = make_server("127.0.0.1", port, app, threaded=True)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        seen = text("SELECT seen_at FROM relay_queue")
        wait_for(lambda: (session.rollback(), session.scalar(seen))[1] is not None, "a listing")
    finally:
        agent.stop()
        thread.join()
        server.shutdown()
        serving.join()
        server.server_close()
    assert 2 <= tries <= 7, "30 without growing waits"


@pytest.mark.parametrize(
    "told",
    [
        [], {}, {"command": 1, "action": "burn", "mails": []}, {"command": 1, "action": "delete", "mails": [["ALL", 1, False]]},
        {"command": 1, "action": "delete", "mails": [["4dDcHs3Vqlz9tGx\nALL", 1, False]]}, {"command": 1, "action": "hold"},
    ],
)  # fmt: skip
def test_order_that_is_none_is_not_carried_out(told):
    with pytest.raises((KeyError, TypeError, ValueError)):
        read_order(told)


def started(tmp_path, environment, *arguments):
    command = [sys.executable, "-m", "workers.relay.queue_agent", *arguments]
    with (tmp_path / "words").open("wb") as words:
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=words, stderr=words)


def ends(process, number=signal.SIGTERM):
    process.send_signal(number)
    return process.wait(10)


def test_process_on_the_relays_own_host_needs_nothing_but_its_key_and_tells_what_is_wrong(
    app, session, relay, key, tmp_path
):
    """No database, no Redis; Postfix refuses to show its queue to just anybody."""
    program(tmp_path, "postqueue", "exit 69")
    (tmp_path / "key").write_text(f"{key}\n")
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "CHASKI_VAR": str(tmp_path / "none")}
    with served(app) as address:
        arguments = ("--platform", address, "--relay", str(relay.id), "--key-file", str(tmp_path / "key"))
        process = started(tmp_path, environment, *arguments, "--every", "0.05")
        try:
            problem = text("SELECT problem FROM relay_queue")
            wait_for(lambda: (session.rollback(), session.scalar(problem))[1] == "failed", "its trouble")
        finally:
            assert ends(process) == 0
    words = (tmp_path / "words").read_text()
    assert words.count("queue_agent_waits") == 1 and key not in words


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_without_a_relay_to_look_at_the_process_says_so_once_and_ends_when_told(settings, tmp_path, number):
    values = {
        "DATABASE_URL": settings.database_url, "BROKER_URL": settings.broker_url, "SECRET_KEY": settings.secret_key
    }  # fmt: skip
    process = started(tmp_path, {"PATH": "/usr/bin:/bin", "CHASKI_VAR": str(tmp_path), **values}, "--if-configured")
    wait_for(lambda: b"queue_agent_has_no_relay" in (tmp_path / "words").read_bytes(), "its word")
    assert ends(process, number) == 0
    assert (tmp_path / "words").read_bytes().count(b"queue_agent") == 2, "that it has none, and that it ends"


def test_configured_relay_without_postfix_is_waited_for_and_told(settings, session, relay, tmp_path):
    values = {
        "DATABASE_URL": settings.database_url, "BROKER_URL": settings.broker_url, "SECRET_KEY": settings.secret_key,
        "RELAY_LOG_RELAY": relay.name, "RELAY_POSTFIX_DIR": str(tmp_path / "none"),
    }  # fmt: skip
    process = started(
        tmp_path, {"PATH": "/usr/bin:/bin", "CHASKI_VAR": str(tmp_path), **values}, "--if-configured", "--every", "0.05"
    )
    problem = text("SELECT problem FROM relay_queue")
    wait_for(lambda: (session.rollback(), session.scalar(problem))[1] is not None, "its trouble")
    assert process.poll() is None and ends(process) == 0
    assert (tmp_path / "words").read_text().count("queue_agent_waits") == 1
