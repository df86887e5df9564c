"""The follower's parts, attacked: files that are rotated, cut and replaced; queue ids used again; kills; floods; a full queue."""

import os
import random
import sqlite3
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.mail.postfix_log import Expired, Named, Queued, Removed, Tried
from app.mail.relay_report import MAX_SIGHTINGS, Bundle, Reading, ReadingProblem, Seen, Sighting
from workers.relay import joining, tail
from workers.relay.follow import Follower, bundles
from workers.relay.joining import Joiner, Open
from workers.relay.memory import Memory
from workers.relay.tail import LogTail

AT = datetime(2026, 11, 21, 20, 3, 1, tzinfo=UTC)
TOKEN, OTHER = "a" * 32, "b" * 32
QUEUE_ID = "4dDcHs3Vqlz9tGx"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "postfix.log"


def drain(reader: LogTail, *, turns: int = 30) -> list[str]:
    return [line for _ in range(turns) for line in reader.read().lines]


def write(path: Path, *lines: str) -> None:
    with path.open("a") as file:
        file.write("".join(f"{line}\n" for line in lines))


@pytest.fixture(autouse=True)
def no_linger(monkeypatch):
    monkeypatch.setattr(tail, "LINGER_SECONDS", 0.0)


def test_line_that_is_being_written_waits_for_its_end(log):
    log.write_text("one\ntw")
    reader = LogTail(log, None)
    portion = reader.read()
    assert (portion.lines, portion.at_end) == (["one"], False), "the end is not reached before the line is whole"
    write(log, "o", "three")
    assert drain(reader) == ["two", "three"]
    assert reader.read().at_end


def test_first_reading_is_no_complete_one(log):
    write(log, "one")
    reader = LogTail(log, None)
    assert reader.read().has_gap and not reader.read().has_gap


def test_log_that_is_not_there_yet_is_waited_for(log):
    reader = LogTail(log, None)
    portion = reader.read()
    assert (portion.lines, portion.place, portion.at_end) == ([], None, False)
    write(log, "one")
    assert drain(reader) == ["one"]


def test_renamed_log_is_read_to_its_end_though_its_writer_is_late(log, monkeypatch):
    monkeypatch.setattr(tail, "LINGER_SECONDS", 5.0)
    seconds = [0.0]
    write(log, "one")
    reader = LogTail(log, None, clock=lambda: seconds[0])
    assert drain(reader) == ["one"]
    old = log.rename(log.with_name("postfix.log.1"))
    assert drain(reader) == [] and not reader.read().at_end
    write(log, "three")
    assert drain(reader) == []
    write(old, "two")
    seconds[0] = 4.0
    assert drain(reader) == ["two"]
    seconds[0] = 10.0
    assert drain(reader) == ["three"]


def test_several_rotations_while_nobody_read_are_gone_through_in_order(log):
    write(log, "one", "two")
    place = LogTail(log, None).read().place
    write(log, "three")
    for number, lines in ((3, ("four",)), (2, ("five", "six")), (1, ("seven",))):
        target = log.with_name(f"postfix.log.{number}")
        log.rename(target)
        os.utime(target, (1000 - number, 1000 - number))
        write(log, *lines)
    log.with_name("postfix.log.4.gz").write_bytes(b"packed")
    reader = LogTail(log, place)
    assert drain(reader) == ["three", "four", "five", "six", "seven"]


def turn_over(log: Path) -> None:
    """As logrotate does: every file gets the next number."""
    numbers = sorted((int(path.suffix[1:]) for path in log.parent.glob(f"{log.name}.*")), reverse=True)
    for number in numbers:
        log.with_name(f"{log.name}.{number}").rename(log.with_name(f"{log.name}.{number + 1}"))
    log.rename(log.with_name(f"{log.name}.1"))


def test_log_that_is_turned_over_again_and_again_under_a_slow_reader_is_read_whole(log):
    write(log, "one")
    reader = LogTail(log, None)
    assert drain(reader) == ["one"]
    for line in ("two", "three", "four"):
        turn_over(log)
        write(log, line)
    assert drain(reader) == ["two", "three", "four"]


def test_log_that_is_turned_over_while_the_renamed_one_is_still_read_is_read_whole(log, monkeypatch):
    monkeypatch.setattr(tail, "LINGER_SECONDS", 5.0)
    seconds = [0.0]
    write(log, "one")
    reader = LogTail(log, None, clock=lambda: seconds[0])
    heard = drain(reader)
    for line in ("two", "three", "four"):
        turn_over(log)
        write(log, line)
        heard += drain(reader)
        seconds[0] += 3.0
    for _ in range(6):
        heard += drain(reader)
        seconds[0] += 3.0
    assert heard == ["one", "two", "three", "four"]


def test_names_that_move_on_while_old_files_are_read_mislead_nobody(log):
    write(log, "one")
    place = LogTail(log, None).read().place
    for line in ("two", "three", "four"):
        turn_over(log)
        write(log, line)
    reader = LogTail(log, place)
    heard: list[str] = []
    for turn in range(30):
        heard += reader.read().lines
        if turn < 5:
            turn_over(log)
            write(log, f"later {turn}")
    assert heard == ["two", "three", "four", *(f"later {turn}" for turn in range(5))]


def test_file_that_was_packed_away_while_it_was_read_is_a_gap(log):
    write(log, "one")
    reader = LogTail(log, None)
    drain(reader)
    turn_over(log)
    log.with_name("postfix.log.1").unlink()
    write(log, "two")
    portions = [reader.read() for _ in range(3)]
    assert [line for portion in portions for line in portion.lines] == ["two"]
    assert [portion.has_gap for portion in portions].count(True) == 1


def test_cut_log_is_found_again_in_its_copy(log):
    write(log, "one", "two")
    reader = LogTail(log, None)
    assert drain(reader) == ["one", "two"]
    write(log, "three")
    log.with_name("postfix.log.1").write_bytes(log.read_bytes())
    log.write_bytes(b"")
    write(log, "four: longer than everything before it")
    assert drain(reader) == ["three", "four: longer than everything before it"]


@pytest.mark.parametrize("new", ["", "x\n", "a whole other log, longer than the first\n"])
def test_log_that_is_gone_without_a_copy_is_a_gap(log, new):
    write(log, "one", "two")
    reader = LogTail(log, None)
    drain(reader)
    log.write_text(new)
    portions = [reader.read() for _ in range(3)]
    assert any(portion.has_gap for portion in portions)
    assert [line for portion in portions for line in portion.lines] == new.splitlines()


def test_inode_that_was_given_to_another_file_is_not_taken_for_the_old_one(log):
    write(log, "one", "two")
    place = LogTail(log, None).read().place
    with log.open("r+") as file:  # The same inode, longer than before, and another log.
        file.write("another first line\nsecond\n")
    portion = LogTail(log, place).read()
    assert portion.has_gap and portion.lines == ["another first line", "second"]


def test_backup_beside_the_log_is_not_read_twice(log):
    write(log, "one", "two")
    place = LogTail(log, None).read().place
    log.with_name("postfix.log.backup").write_bytes(log.read_bytes())
    write(log, "three")
    assert drain(LogTail(log, place)) == ["three"]


def test_endless_line_and_bytes_that_are_no_text_don_t_stop_the_reading(log):
    log.write_bytes(b"one\n" + b"x" * 3 * tail.CHUNK_BYTES + b"\n\xff\xfe\0\ntwo\n")
    assert drain(LogTail(log, None)) == ["one", "\ufffd\ufffd\0", "two"]


def test_rotated_log_without_a_last_newline_is_left_behind(log):
    log.write_text("one\nhalf a li")
    reader = LogTail(log, None)
    drain(reader)
    log.rename(log.with_name("postfix.log.1"))
    write(log, "two")
    assert drain(reader) == ["two"]


# Joining.


def sender(token: str) -> str:
    return f"b-{token}@rebotes.example.gob.pe"


def tried(queue_id: str = QUEUE_ID, status: str = "sent") -> Tried:
    return Tried(AT, queue_id, "p@example.pe", status, "mx", "192.0.2.7", 25, 1, (0, 0, 0, 1), "2.0.0", "250 ok", 7)


def life(token: str, queue_id: str = QUEUE_ID) -> list:
    return [
        Named(AT, queue_id, f"<{token}@example.gob.pe>"), Queued(AT, queue_id, sender(token), 1, 1), tried(queue_id),
        Removed(AT, queue_id),
    ]  # fmt: skip


def told(seen: list[Seen]) -> list[tuple[str, str]]:
    return [(one.sighting.value, one.token) for one in seen]


def test_one_message_s_lines_become_one_sighting_and_leave_nothing_behind():
    joiner = Joiner()
    assert told(joiner.join(life(TOKEN))) == [("sent", TOKEN)]
    assert joiner.settle() == {QUEUE_ID: None} and not joiner.open


def test_queue_id_that_is_used_again_means_the_second_message():
    joiner = Joiner()
    seen = joiner.join([*life(TOKEN)[:3], *life(OTHER)])
    assert told(seen) == [("sent", TOKEN), ("sent", OTHER)]
    assert joiner.join([tried()]) == []


def test_sender_and_message_id_that_disagree_are_nobody_s():
    lines = [Named(AT, QUEUE_ID, f"<{OTHER}@example.gob.pe>"), *life(TOKEN)[1:]]
    assert told(Joiner().join(lines)) == [("named", OTHER)]


@pytest.mark.parametrize("address", ["", "rosa@example.pe", "b-short@example.pe", f"B-{TOKEN}"])
def test_mail_of_others_says_nothing(address):
    lines = [Queued(AT, QUEUE_ID, address, 1, 1), tried(), Expired(AT, QUEUE_ID)]
    assert Joiner().join(lines) == []


def test_retry_teaches_a_follower_that_forgot():
    assert told(Joiner().join([tried(), *life(TOKEN)[1:]])) == [("sent", TOKEN)]


def test_that_it_was_named_is_told_while_nothing_else_is_known():
    joiner = Joiner()
    assert told(joiner.join(life(TOKEN)[:1])) == [("named", TOKEN)]
    assert told(joiner.join(life(TOKEN)[1:2])) == [("queued", TOKEN)]


def test_flood_of_queue_ids_does_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr(joining, "MAX_OPEN", 100)
    joiner = Joiner()
    for number in range(2_000):
        joiner.join([Queued(AT, f"{number:010X}", sender(TOKEN), 1, 1)])
    assert len(joiner.open) == 100 and len([one for one in joiner.settle().values() if one]) == 100


# Memory and process.


def test_place_and_open_queue_ids_are_kept_together(tmp_path, log):
    write(log, "one")
    place = LogTail(log, None).read().place
    memory = Memory(tmp_path / "m.sqlite")
    memory.keep(place, {"A": Open(TOKEN, TOKEN), "B": Open(OTHER, "")})
    memory.keep(place, {"A": None})
    memory.close()
    again = Memory(tmp_path / "m.sqlite")
    assert (again.place(), again.open()) == (place, {"B": Open(OTHER, "")})


def test_log_may_have_lost_its_last_lines_where_the_machine_was_started_anew(tmp_path, log):
    heard: list[Bundle] = []

    class Listener(Platform):
        def hand(self, bundle: Bundle) -> None:
            heard.append(bundle)

    def turned(boot_id: str) -> list[bool]:
        heard.clear()
        memory = Memory(tmp_path / "m.sqlite", boot_id=boot_id)
        follower = Follower(log, memory, Listener(random.Random(1), 0))
        for _ in range(12):
            follower.turn()
        memory.close()
        return [bundle.has_gap for bundle in heard]

    write(log, line("anvil[1]: statistics"))
    assert True in turned("first"), "the first reading"
    assert True not in turned("first")
    after_boot = turned("second")
    assert after_boot[0] and True not in after_boot[1:]
    assert True not in turned("second")


def test_second_follower_with_the_same_state_is_refused(tmp_path):
    first = Memory(tmp_path / "m.sqlite")
    first.keep(None, {"A": Open()})
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        Memory(tmp_path / "m.sqlite")


def test_flood_of_sightings_goes_in_bounded_bundles_and_only_the_last_says_how_far():
    seen = [Seen(Sighting.SENT, TOKEN, QUEUE_ID, AT)] * (2 * MAX_SIGHTINGS + 1)
    parts = list(bundles(seen, AT, has_gap=False))
    assert [len(part.seen) for part in parts] == [MAX_SIGHTINGS, MAX_SIGHTINGS, 1]
    assert [part.read_until for part in parts] == [None, None, AT]


class Killed(BaseException):
    """As by SIGKILL: nothing that follows is done."""


class Platform:
    """Keeps what it is handed, each once; the follower dies before or after a hand-over as the dice fall."""

    def __init__(self, dice: random.Random, chance: float) -> None:
        self.dice, self.chance = dice, chance
        self.kept: set[Seen] = set()
        self.handed = Counter[Seen]()
        self.moment = AT

    def clock(self) -> datetime:
        self.moment += timedelta(seconds=1)
        return self.moment

    def hand(self, bundle: Bundle) -> None:
        if self.dice.random() < self.chance:
            raise Killed
        self.kept.update(bundle.seen)
        self.handed.update(bundle.seen)
        if self.dice.random() < self.chance:
            raise Killed


def line(said: str) -> str:
    return f"2026-11-21T20:03:01+00:00 relay postfix/{said}"


def test_follower_that_dies_at_any_point_between_loses_nothing(tmp_path, log, monkeypatch):
    monkeypatch.setattr(tail, "CHUNK_BYTES", 600)
    dice = random.Random(7)
    platform = Platform(dice, 0.3)
    write(log, line("master[1]: daemon started"))
    memory = Memory(tmp_path / "m.sqlite")
    memory.keep(LogTail(log, None).read().place, {})
    memory.close()
    expected = set()
    for number in range(200):
        token, queue_id = f"{number:032d}".translate(str.maketrans("0123456789", "abcdefghij")), f"{number:010X}"
        write(
            log,
            line(f"cleanup[1]: {queue_id}: message-id=<{token}@example.gob.pe>"),
            line(f"qmgr[1]: {queue_id}: from=<{sender(token)}>, size=1, nrcpt=1 (queue active)"),
            line(
                f"smtp-7/smtp[1]: {queue_id}: to=<p@example.pe>, relay=mx[192.0.2.7]:25, delay=1, delays=0/0/0/1, "
                "dsn=2.0.0, status=sent (250 ok)"
            ),
            line(f"qmgr[1]: {queue_id}: removed"),
        )
        expected.add((token, "sent"))
        if number % 60 == 59:
            log.rename(log.with_name(f"postfix.log.{9 - number // 60}"))
    write(log, line("anvil[1]: statistics"))
    deaths = 0
    for _ in range(2_000):
        memory = Memory(tmp_path / "m.sqlite")
        try:
            follower = Follower(log, memory, platform)
            for _ in range(dice.randint(1, 20)):
                follower.turn()
        except Killed:
            deaths += 1
        finally:
            memory.close()
        if {(one.token, one.sighting.value) for one in platform.kept} >= expected:
            break
    final = {(one.token, one.sighting.value) for one in platform.kept if one.sighting is Sighting.SENT}
    assert final == expected and deaths > 10
    assert max(platform.handed.values()) > 1, "some came twice, as they may"


def test_how_far_it_read_is_said_only_once_the_relay_wrote_on(tmp_path, log):
    heard: list[Bundle] = []

    class Listener(Platform):
        def hand(self, bundle: Bundle) -> None:
            heard.append(bundle)

    platform = Listener(random.Random(1), 0)
    write(log, line("anvil[1]: statistics"))
    follower = Follower(log, Memory(tmp_path / "m.sqlite"), platform)
    for _ in range(30):
        follower.turn()
    assert {bundle.read_until for bundle in heard} == {None}, "a log that nobody writes to proves nothing"
    write(log, "not a line of Postfix")
    follower.turn()
    last_look = platform.moment
    write(log, line("anvil[1]: statistics"))
    follower.turn()
    assert heard[-1].read_until == last_look


class Listener:
    """Takes every bundle, as the platform does."""

    def __init__(self) -> None:
        self.bundles: list[Bundle] = []

    def clock(self) -> datetime:
        return AT

    def hand(self, bundle: Bundle) -> None:
        self.bundles.append(bundle)


def told_by(log: Path, *, turns: int = 12) -> list[Reading]:
    """What a new follower tells of its reading."""
    listener, memory = Listener(), Memory(log.parent / "follower.sqlite")
    follower = Follower(log, memory, listener)
    for _ in range(turns):
        follower.turn()
    memory.close()
    return [bundle.reading for bundle in listener.bundles]


def test_follower_counts_what_it_reads_and_which_deliveries_it_did_not_understand(log):
    head = "Nov 21 20:03:02 relay postfix/smtp-7/smtp[1]: 4dDcHs3Vqlz9tGx: to=<p@example.pe>, "
    write(
        log,
        "Nov 21 20:03:02 relay sshd[1]: to=<x>, status=sent (not Postfix)",
        head + "relay=mx.example.pe[192.0.2.7]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 ok)",
        head + "relay=mx.example.pe[192.0.2.7]:25, delay=soon, dsn=2.0.0, status=sent (250 ok)",
        "Nov 21 20:03:02 relay postfix/smtpd[1]: connect from unknown[192.0.2.9]",
    )
    told = told_by(log)
    assert (sum(one.lines for one in told), sum(one.lost for one in told)) == (4, 1)
    assert {one.problem for one in told} == {None} and told[-1].behind_bytes == 0


def test_follower_says_that_its_log_is_missing_or_unreadable_and_goes_on_once_it_is_there(log):
    assert told_by(log)[-1].problem is ReadingProblem.LOG_MISSING
    log.symlink_to(log)  # Can't be opened, by root neither.
    assert told_by(log)[-1].problem is ReadingProblem.LOG_UNREADABLE
    log.unlink()
    write(log, "one")
    assert told_by(log)[-1].problem is None


def test_log_that_can_not_be_opened_for_a_while_is_gone_on_with_at_its_place(log):
    write(log, "one")
    reader = LogTail(log, None)
    place = (reader.read(), reader.read())[0].place
    reader.close()
    log.rename(log.with_suffix(".aside"))
    log.symlink_to(log)
    later = LogTail(log, place)
    later.read()
    assert later.trouble is not None
    log.unlink()
    log.with_suffix(".aside").rename(log)
    write(log, "two")
    assert drain(later) == ["two"] and later.trouble is None


def test_unread_bytes_are_counted_over_rotated_files(log):
    write(log, "one")
    reader = LogTail(log, None)
    reader.read()
    log.rename(log.with_name("postfix.log.1"))
    write(log.with_name("postfix.log.1"), "two")
    write(log, "three")
    assert reader.behind_bytes() == len("two\nthree\n")
    assert drain(reader) == ["two", "three"] and reader.behind_bytes() == 0
