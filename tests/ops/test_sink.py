"""The sink takes everything, counts right whatever the packets, and fails as planned."""

import random
import smtplib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.sink import message_id_in
from ops.sink_failures import FailurePlan
from ops.sink_process import SinkProcess
from tests.wire import Wire, content, envelope


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return tmp_path / "record.txt"


@pytest.fixture
def sink(record: Path) -> Iterator[SinkProcess]:
    with SinkProcess(record=record) as process:
        yield process


def test_pipelined_messages_are_counted_and_recorded(sink: SinkProcess):
    with Wire(sink.port).greet() as wire:
        wire.say(envelope("r0@example.pe"))
        for number in range(20):
            assert wire.hear_codes(3) == ["250", "250", "354"]
            wire.say(content(f"<{number}@x>") + envelope(f"r{number + 1}@example.pe"))
            assert wire.hear().startswith("250")
    summary = sink.summary()
    assert (summary.messages, summary.distinct_message_ids, summary.distinct_recipients) == (20, 20, 20)
    assert list(sink.records()) == [(f"r{n}@example.pe", f"<{n}@x>") for n in range(20)]


@pytest.mark.parametrize("seed", range(12))
def test_messages_survive_any_fragmentation(sink: SinkProcess, seed: int):
    chance = random.Random(seed)
    body = "\r\n".join(chance.choice(["..", ".", "uno", "\r\n", ".\r", "dos."]) + " " for _ in range(300)) + "\r\n"
    with Wire(sink.port).greet() as wire:
        for number in range(3):
            wire.say(envelope(f"r{number}@example.pe"))
            assert wire.hear_codes(3) == ["250", "250", "354"]
            rest = content(f"<{number}@x>", body)
            while rest:
                size = chance.choice([1, 2, 3, 4, 5, 7, 400])
                wire.say(rest[:size])
                rest = rest[size:]
            assert wire.hear().startswith("250")
        assert wire.ask(b"NOOP").startswith("250")
    assert sink.summary().messages == 3
    assert [message_id for _, message_id in sink.records()] == ["<0@x>", "<1@x>", "<2@x>"]


def test_final_dot_split_at_every_place_ends_the_message(sink: SinkProcess):
    whole = content("<1@x>")
    with Wire(sink.port).greet() as wire:
        for place in range(1, 6):
            wire.say(envelope("r@example.pe"))
            assert wire.hear_codes(3) == ["250", "250", "354"]
            wire.say(whole[:-place])
            time.sleep(0.01)  # So that the two parts are two packets.
            assert wire.say(whole[-place:]).hear().startswith("250")
    assert sink.summary().messages == 5


def test_empty_message_is_a_message(sink: SinkProcess):
    with Wire(sink.port).greet() as wire:
        wire.say(envelope("r@example.pe"))
        wire.hear_codes(3)
        assert wire.say(b".\r\n").hear().startswith("250")
    sink.summary()
    assert list(sink.records()) == [("r@example.pe", "")]


def test_smtplib_can_log_in_and_send(sink: SinkProcess):
    with smtplib.SMTP("127.0.0.1", sink.port, timeout=10) as client:
        client.login("anyone", "with any password")
        client.sendmail("a@example.pe", ["b@example.pe", "c@example.pe"], "Message-Id: <lower@x>\n\nHola")
    summary = sink.summary()
    assert summary.messages == 1
    assert list(sink.records()) == [("b@example.pe", "<lower@x>"), ("c@example.pe", "<lower@x>")]


def test_commands_out_of_order_are_refused(sink: SinkProcess):
    with Wire(sink.port).greet() as wire:
        assert wire.ask(b"DATA").startswith("503")
        assert wire.ask(b"RCPT TO:<a@example.pe>").startswith("503")
        assert wire.ask(b"MAIL FROM:<a@example.pe>").startswith("250")
        assert wire.ask(b"MAIL FROM:<a@example.pe>").startswith("503")
        assert wire.ask(b"DATA").startswith("554")
        assert wire.ask(b"RSET").startswith("250")
        assert wire.ask(b"MAIL FROM:<a@example.pe>").startswith("250")


def test_records_can_be_read_while_the_sink_runs(sink: SinkProcess):
    with Wire(sink.port).greet() as wire:
        wire.say(envelope("r@example.pe"))
        wire.hear_codes(3)
        wire.say(content("<1@x>")).hear()
        time.sleep(0.5)
        assert sink.known_message_ids({"<1@x>", "<2@x>"}) == {"<1@x>"}


def test_latency_delays_the_answer_and_keeps_the_order(record: Path):
    with SinkProcess(record=record, latency_ms=200) as sink, Wire(sink.port).greet() as wire:
        wire.say(envelope("r@example.pe"))
        wire.hear_codes(3)
        began = time.monotonic()
        wire.say(content("<1@x>") + envelope("s@example.pe"))
        assert wire.hear().startswith("250 2.0.0")
        assert time.monotonic() - began >= 0.19
        assert wire.hear_codes(3) == ["250", "250", "354"]
        assert sink.summary().messages == 1


def test_planned_failures_are_shown_and_counted(record: Path):
    failures = "451:0.2,data-554:0.2,421:0.1,disconnect:0.1,disconnect-stored:0.1"
    with SinkProcess(record=record, failures=failures, seed=7) as sink:
        seen = [try_once(sink.port, number) for number in range(200)]
        summary = sink.summary()
    counts = {what: seen.count(what) for what in set(seen)}
    cut = counts.pop("cut")
    assert summary.failures == {
        "451": counts["451"],
        "data-554": counts["554"],
        "421": counts["421"],
        "disconnect": summary.failures["disconnect"],
        "disconnect-stored": cut - summary.failures["disconnect"],
    }
    assert summary.failures["disconnect"] and summary.failures["disconnect-stored"]
    assert summary.messages == counts["250"] + summary.failures["disconnect-stored"]
    assert len(list(sink.records())) == summary.messages


def try_once(port: int, number: int) -> str:
    """One message on a connection of its own: the code that decided, or `cut`."""
    try:
        with Wire(port).greet() as wire:
            wire.say(envelope(f"r{number}@example.pe"))
            _, rcpt, *_ = codes = [wire.hear()[:3], wire.hear()[:3]]
            if rcpt == "421":
                with pytest.raises(EOFError):
                    wire.hear()
            if rcpt != "250":
                return rcpt
            assert [*codes, wire.hear()[:3]] == ["250", "250", "354"]
            return wire.say(content(f"<{number}@x>")).hear()[:3]
    except (EOFError, ConnectionError):
        return "cut"


def test_failures_do_not_depend_on_the_order_of_recipients():
    recipients = [b"r%d@example.pe" % number for number in range(300)]

    def met(order: list[bytes]) -> dict[bytes, list[str | None]]:
        plan = FailurePlan.parse("451:0.3,disconnect:0.1", seed=3)
        assert plan is not None
        return {r: [getattr(plan.next_for(r), "name", None) for _ in range(3)] for r in order}

    assert met(recipients) == met(recipients[::-1])


@pytest.mark.parametrize("text", ["451", "451:2", "451:x", "250:0.1", "451:0.6,450:0.6", "nonsense:0.1"])
def test_wrong_failure_plans_are_refused(text: str):
    with pytest.raises(ValueError):
        FailurePlan.parse(text, seed=1)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"Message-ID: <a@x>\r\nFrom: b\r\n\r\n", b"<a@x>"),
        (b"From: b\r\nMessage-ID: <a@x>\r\n\r\n", b"<a@x>"),
        (b"From: b\r\nmessage-id:<a@x>\r\n\r\n", b"<a@x>"),
        (b"From: b\r\nMessage-ID:\r\n <a@x>\r\n\r\n", b"<a@x>"),
        (b"From: b\r\n\r\nMessage-ID: <in.the.body@x>\r\n", b""),
    ],
)
def test_message_id_is_found_in_the_header_only(head: bytes, expected: bytes):
    packet = b"DATA\r\n" + head + b"Hola\r\n.\r\nMessage-ID: <next@x>"
    assert message_id_in(packet, 6, packet.index(b".\r\nM")) == expected


def test_witness_records_where_a_message_came_from(record: Path):
    received = (
        "Received: from x (localhost [127.0.0.1]) by relay.example.pe (Postfix) with ESMTP id 4jX6T35b4mz1YVMZ; x"
    )
    with SinkProcess(record=record, is_witness=True) as sink:
        with smtplib.SMTP("127.0.0.1", sink.port, source_address=("127.0.1.7", 0), timeout=10) as client:
            client.ehlo("mx7.example.pe")
            client.sendmail("a@example.pe", "rosa@example.pe", f"{received}\r\nMessage-ID: <1@x>\r\n\r\nhola")
            client.sendmail("a@example.pe", "inti@example.pe", f"Message-ID: <2@x>\r\n\r\n{received}")
        sink.summary()
        assert list(sink.witnessed()) == [
            ("rosa@example.pe", "<1@x>", "127.0.1.7", "mx7.example.pe", "4jX6T35b4mz1YVMZ"),
            ("inti@example.pe", "<2@x>", "127.0.1.7", "mx7.example.pe", ""),
        ]
        assert list(sink.records()) == [("rosa@example.pe", "<1@x>"), ("inti@example.pe", "<2@x>")]
