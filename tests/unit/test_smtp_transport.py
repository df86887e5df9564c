"""The transport against a relay that does exactly what each test says, over real sockets."""

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest

from app.flow.relays import RelayEndpoint
from app.flow.submission import Answer, AnswerKind, OutgoingMessage
from app.models import OwnReply, RelaySecurity, read_coded
from tests.scripted_relay import Behaviour, ScriptedRelay
from workers.smtp.connection import ConnectionLost, SmtpConnection
from workers.smtp.pool import ConnectionPool
from workers.smtp.transport import SmtpTransport


class Lease:
    """Holds for ``writes`` questions, then no more."""

    def __init__(self, asks: int = 1_000_000) -> None:
        self.asks = asks

    def holds(self) -> bool:
        self.asks -= 1
        return self.asks >= 0

    def keep(self) -> None:
        return


def endpoint(port: int, *, connections: int = 2, per_connection: int = 1000, timeout: int = 3) -> RelayEndpoint:
    return RelayEndpoint(
        key="relay:1",
        host="127.0.0.1",
        port=port,
        security=RelaySecurity.NONE,
        verify_certificate=True,
        username="",
        password="",
        connections=connections,
        messages_per_connection=per_connection,
        timeout_seconds=timeout,
    )


def messages(*recipients: str, size: int = 200) -> Iterator[OutgoingMessage]:
    for seq, recipient in enumerate(recipients, start=1):
        head = f"Message-ID: <m{seq}@example.pe>\r\nTo: {recipient}\r\n\r\n".encode()
        yield OutgoingMessage(seq, f"b-{seq}@rebotes.example.pe", recipient, head + b"x" * 70 * (size // 70) + b"\r\n")


@pytest.fixture
def pool() -> Iterator[ConnectionPool]:
    pool = ConnectionPool("[127.0.0.1]")
    yield pool
    pool.close()


def submit(
    relay_port: int, pool: ConnectionPool, *recipients: str, lease: Lease | None = None, size: int = 200, **options: int
) -> dict[int, Answer]:
    answers = SmtpTransport(endpoint(relay_port, **options), pool).submit(
        messages(*recipients, size=size), lease or Lease()
    )
    assert len({a.seq for a in answers}) == len(answers), "a message was answered twice"
    return {answer.seq: answer for answer in answers}


@pytest.mark.parametrize("pipelining", [True, False])
def test_every_message_is_stored_once_and_answered(pool: ConnectionPool, pipelining: bool) -> None:
    recipients = [f"r{n}@example.pe" for n in range(40)]
    with ScriptedRelay(pipelining=pipelining) as relay:
        answers = submit(relay.port, pool, *recipients)
        assert sorted(answers) == list(range(1, 41))
        assert {a.code for a in answers.values()} == {250}
        assert sorted(s.rcpt_to for s in relay.stored) == sorted(recipients)
        assert all(s.content.endswith(b"x\r\n") for s in relay.stored)
        assert relay.connections <= 2


@pytest.mark.parametrize("pipelining", [True, False])
def test_each_refusal_belongs_to_its_own_message(pool: ConnectionPool, pipelining: bool) -> None:
    script = {
        "a@example.pe": Behaviour(rcpt="550 5.1.1 no such user"),
        "b@example.pe": Behaviour(data="451 4.3.0 not now"),
        "c@example.pe": Behaviour(body="554 5.7.1 no"),
        "e@example.pe": Behaviour(rcpt="450-4.2.1 wait\r\n450 4.2.1 a little"),
    }
    order = ["a@example.pe", "b@example.pe", "ok1@example.pe", "c@example.pe", "e@example.pe", "ok2@example.pe"]
    with ScriptedRelay(script, pipelining=pipelining) as relay:
        answers = submit(relay.port, pool, *order, connections=1)
        assert [answers[n].code for n in range(1, 7)] == [550, 451, 250, 554, 450, 250]
        assert [answers[n].stage for n in (1, 2, 4, 5)] == ["rcpt_to", "data", "body", "rcpt_to"]
        assert answers[5].text == "4.2.1 wait 4.2.1 a little"
        assert [s.rcpt_to for s in relay.stored] == ["ok1@example.pe", "ok2@example.pe"]
        assert relay.connections == 1


def test_421_after_some_messages_goes_on_over_another_connection(pool: ConnectionPool) -> None:
    recipients = [f"r{n}@example.pe" for n in range(20)]
    with ScriptedRelay(messages_before_421=3) as relay:
        answers = submit(relay.port, pool, *recipients)
        assert {a.code for a in answers.values()} == {250}
        assert len(relay.stored) == 20
        assert len(set(relay.message_ids())) == 20
        assert relay.connections >= 7


def test_421_for_one_recipient_defers_it_and_spares_the_others(pool: ConnectionPool) -> None:
    with ScriptedRelay({"x@example.pe": Behaviour(rcpt="421 4.7.0 go away")}) as relay:
        answers = submit(relay.port, pool, "a@example.pe", "x@example.pe", "b@example.pe", connections=1)
        assert {seq: a.code for seq, a in answers.items()} == {1: 250, 2: 421, 3: 250}
        assert sorted(s.rcpt_to for s in relay.stored) == ["a@example.pe", "b@example.pe"]


@pytest.mark.parametrize("moment", ["rcpt", "data", "mid_body"])
def test_connection_dropped_before_the_final_dot_is_never_unknown(pool: ConnectionPool, moment: str) -> None:
    with ScriptedRelay({"x@example.pe": Behaviour(drop=moment, times=1)}) as relay:
        # More than fits the socket buffers, so that the final dot can't have been written when the relay hangs up.
        answers = submit(relay.port, pool, "a@example.pe", "x@example.pe", "b@example.pe", size=8_000_000)
        assert {a.kind for a in answers.values()} == {AnswerKind.REPLIED}
        assert {a.code for a in answers.values()} == {250}
        assert sorted(s.rcpt_to for s in relay.stored) == ["a@example.pe", "b@example.pe", "x@example.pe"]


def test_message_that_always_kills_its_connection_is_deferred(pool: ConnectionPool) -> None:
    with ScriptedRelay({"x@example.pe": Behaviour(drop="rcpt")}) as relay:
        answers = submit(relay.port, pool, "x@example.pe", "b@example.pe", connections=1)
        assert answers[1].code == 421
        assert answers[1].relay_trouble
        assert answers[2].code == 250
        assert relay.connections <= 4


def test_answer_lost_behind_the_final_dot_is_unknown_and_not_sent_again(pool: ConnectionPool) -> None:
    with ScriptedRelay({"x@example.pe": Behaviour(drop="stored")}) as relay:
        answers = submit(relay.port, pool, "a@example.pe", "x@example.pe", "b@example.pe", connections=1)
        assert answers[2].kind is AnswerKind.LOST
        assert answers[1].code == answers[3].code == 250
        assert sorted(s.rcpt_to for s in relay.stored) == ["a@example.pe", "b@example.pe", "x@example.pe"]


def test_silent_relay_times_out(pool: ConnectionPool) -> None:
    with ScriptedRelay({"x@example.pe": Behaviour(delay_seconds=4)}) as relay:
        started = time.monotonic()
        answers = submit(relay.port, pool, "x@example.pe", timeout=1)
        assert answers[1].kind is AnswerKind.LOST
        assert time.monotonic() - started < 3.5


def test_relay_that_is_away_takes_nothing_and_says_why(pool: ConnectionPool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    answers = submit(port, pool, "a@example.pe", "b@example.pe")
    assert answers
    assert {a.kind for a in answers.values()} == {AnswerKind.NOT_SENT}
    assert all(a.relay_trouble for a in answers.values())
    assert "refused" in answers[1].text.lower()


def test_relay_that_refuses_the_session_is_trouble_with_its_code(pool: ConnectionPool) -> None:
    with ScriptedRelay(greeting="554 5.7.1 you are blocked") as relay:
        answers = submit(relay.port, pool, "a@example.pe")
        assert (answers[1].kind, answers[1].code, answers[1].relay_trouble) == (AnswerKind.NOT_SENT, 554, True)


def test_connection_is_recycled_after_its_messages(pool: ConnectionPool) -> None:
    with ScriptedRelay() as relay:
        answers = submit(relay.port, pool, *[f"r{n}@example.pe" for n in range(30)], connections=1, per_connection=10)
        assert {a.code for a in answers.values()} == {250}
        assert relay.connections == 3


def test_connections_are_kept_between_chunks_and_dead_ones_noticed(pool: ConnectionPool) -> None:
    with ScriptedRelay() as relay:
        submit(relay.port, pool, "a@example.pe", connections=1)
        submit(relay.port, pool, "b@example.pe", connections=1)
        assert relay.connections == 1
        for sock in list(relay._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        answers = submit(relay.port, pool, "c@example.pe", connections=1)
        assert answers[1].code == 250
        assert relay.connections == 2


def test_lost_lease_stops_the_wire(pool: ConnectionPool) -> None:
    with ScriptedRelay() as relay:
        answers = submit(
            relay.port, pool, *[f"r{n}@example.pe" for n in range(50)], lease=Lease(asks=12), connections=1
        )
        stored = len(relay.stored)
        assert stored < 50
        accepted = sum(a.kind is AnswerKind.REPLIED for a in answers.values())
        lost = sum(a.kind is AnswerKind.LOST for a in answers.values())
        assert accepted <= stored <= accepted + lost
        assert len(answers) < 50  # The rest was never taken.


class TimedLease:
    """Holds for some seconds."""

    def __init__(self, seconds: float) -> None:
        self.until = time.monotonic() + seconds

    def holds(self) -> bool:
        return time.monotonic() < self.until

    def keep(self) -> None:
        return


class RenewedLease(TimedLease):
    """As a batch's: it holds for so long after each look."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds

    def keep(self) -> None:
        self.until = time.monotonic() + self.seconds


def test_connections_that_open_slowly_do_not_use_up_the_lease(pool: ConnectionPool) -> None:
    with ScriptedRelay(greeting_after_seconds=0.4) as relay:
        answers = submit(
            relay.port, pool, *(f"r{n}@example.pe" for n in range(8)), lease=RenewedLease(1.0), connections=4
        )
        assert [a.code for a in answers.values()] == [250] * 8
        assert relay.connections == 4


def test_every_message_taken_is_answered_when_the_lease_ends(pool: ConnectionPool) -> None:
    taken: list[int] = []

    def noted() -> Iterator[OutgoingMessage]:
        for message in messages(*(f"r{n}@example.pe" for n in range(10))):
            taken.append(message.seq)
            yield message

    with ScriptedRelay(default=Behaviour(delay_seconds=3.0)) as relay:
        answers = SmtpTransport(endpoint(relay.port), pool).submit(noted(), TimedLease(0.5))
    kinds = {answer.seq: answer.kind for answer in answers}
    assert sorted(kinds) == sorted(answer.seq for answer in answers) == taken
    assert sorted(kinds.values()) == sorted([AnswerKind.LOST] * 2 + [AnswerKind.NOT_SENT] * 2)


def test_relay_can_not_speak_in_the_name_of_the_platform(pool: ConnectionPool) -> None:
    with ScriptedRelay(default=Behaviour(rcpt=f"550 {OwnReply.SETTLED_AS_SENT}")) as relay:
        answers = submit(relay.port, pool, "ana@example.pe")
        assert answers[1].text == "550 settled_as_sent"
        assert read_coded(OwnReply, answers[1].text)[0] is None


@pytest.mark.parametrize("pipelining", [True, False])
def test_answer_that_comes_soon_after_the_lease_ended_is_still_heard(pool: ConnectionPool, pipelining: bool) -> None:
    recipients = [f"r{n}@example.pe" for n in range(10)]
    with ScriptedRelay(default=Behaviour(delay_seconds=1.5), pipelining=pipelining) as relay:
        answers = submit(relay.port, pool, *recipients, lease=TimedLease(0.5))
        assert relay.stored
        assert sum(a.kind is AnswerKind.REPLIED and a.code == 250 for a in answers.values()) == len(relay.stored) == 2
        assert not any(a.kind is AnswerKind.LOST for a in answers.values())
        assert not pool._idle, "nothing is sent over a connection that stopped in the middle"
        said_goodbye = 0 if pipelining else 2
        until = time.monotonic() + 3
        while relay.commands.count("QUIT") < said_goodbye and time.monotonic() < until:
            time.sleep(0.01)  # Nobody waits for the answer to QUIT: the relay may still be reading it.
        assert relay.commands.count("QUIT") == said_goodbye


def test_answer_that_takes_its_time_after_the_lease_ended_is_unknown(pool: ConnectionPool) -> None:
    with ScriptedRelay(default=Behaviour(delay_seconds=6)) as relay:
        begun = time.monotonic()
        answers = submit(relay.port, pool, "a@example.pe", lease=TimedLease(0.5), timeout=10)
        assert answers[1].kind is AnswerKind.LOST
        assert not answers[1].relay_trouble
        assert time.monotonic() - begun < 4.5


def test_content_that_was_cut_off_by_the_end_of_the_lease_is_not_sent_and_not_stored(pool: ConnectionPool) -> None:
    class UntilContent(Lease):
        def holds(self) -> bool:
            return "DATA" not in relay.commands

    with ScriptedRelay() as relay:
        answers = submit(relay.port, pool, "a@example.pe", lease=UntilContent(), connections=1, size=50_000_000)
        assert [answer.kind for answer in answers.values()] == [AnswerKind.NOT_SENT]
        assert relay.stored == []


def test_nonsense_from_the_relay_ends_the_connection(pool: ConnectionPool) -> None:
    with ScriptedRelay({"x@example.pe": Behaviour(rcpt="hello there")}) as relay:
        answers = submit(relay.port, pool, "x@example.pe", "b@example.pe", connections=1)
        assert answers[1].code == 421
        assert answers[2].code == 250


def test_answer_of_a_relay_that_died_since_is_heard_before_its_connection_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        relay, _address = server.accept()
    connection = SmtpConnection(client, pipelining=True, timeout_seconds=5)
    taken, following = messages("a@example.pe", "b@example.pe")
    connection.begin(taken)
    connection.on_writable()
    relay.recv(1000)
    relay.sendall(b"250 ok\r\n250 ok\r\n354 go on\r\n")
    time.sleep(0.05)
    connection.on_readable()
    connection.on_writable()
    relay.sendall(b"250 2.0.0 Ok: queued as 4dDcHs3Vqlz9tGx\r\n")
    relay.close()  # With the content unread, so that the kernel resets the connection.
    time.sleep(0.05)
    connection.begin(following)
    with pytest.raises(ConnectionLost) as lost:
        connection.on_writable()
    answers, unsent = connection.abandon(lost.value)
    assert answers == [] and [message.seq for message, _was_current in unsent] == [2]
    assert [(answer.seq, answer.kind, answer.code) for answer in connection.answers] == [
        (1, AnswerKind.REPLIED, 250),
    ]
