"""What is concluded from the queue of a relay, and what is not."""

from collections import OrderedDict
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.mail.postfix_queue import Listing, QueuedMail
from app.mail.relay_report import Bundle, Seen, Sighting
from workers.relay import arrivals as module
from workers.relay.arrivals import Arrivals, queue_of_log
from workers.relay.follow import Follower
from workers.relay.joining import Open
from workers.relay.memory import Memory
from workers.relay.queue import QueueUnavailable

AT = datetime(2026, 11, 21, 20, 3, 1, tzinfo=UTC)
TOKEN, OTHER = "a" * 32, "b" * 32
QUEUE_ID, ELSE = "4dDcHs3Vqlz9tGx", "4dDcHs3Vqlz9tGy"


class Postfix:
    """Its queue, as a follower may ask for it."""

    def __init__(self, *mails: QueuedMail, total: int | None = None, unreadable: int = 0, away: bool = False) -> None:
        self.mails, self.total, self.unreadable, self.away = list(mails), total, unreadable, away
        self.writes = Path("/var/log/postfix.log")
        self.asked = 0

    def listing(self, *, most: int, wanted: frozenset[str] | None = None) -> Listing:
        self.asked += 1
        if self.away:
            raise QueueUnavailable("postqueue: fatal: mail system is down")
        found = [mail for mail in self.mails if wanted is None or mail.queue_id in wanted]
        return Listing(found[:most], self.total or len(found), self.unreadable)

    def log_file(self) -> Path | None:
        if self.away:
            raise QueueUnavailable("postconf is not on this machine")
        return self.writes


def mail(queue_id: str, token: str = TOKEN) -> QueuedMail:
    return QueuedMail(
        queue_id, "incoming", 1_795_000_000, 1, f"b-{token}@rebotes.example.gob.pe", "p@example.pe", 1, ""
    )


class Watch:
    """Arrivals with a clock that tests move."""

    def __init__(self, queue: Postfix | None) -> None:
        self.seconds = 0.0
        self.arrivals = Arrivals(queue, first_look_seconds=100, clock=lambda: self.seconds)
        self.open: OrderedDict[str, Open] = OrderedDict()

    def hear(self, queue_id: str, known: Open | None) -> None:
        if known is None:
            self.open.pop(queue_id, None)
        else:
            self.open[queue_id] = known
        self.arrivals.note({queue_id: known})

    def at(self, seconds: float, *, at_end: bool = True) -> list[tuple[str, str]]:
        self.seconds = seconds
        return [(one.sighting.value, one.queue_id) for one in self.arrivals.examine(self.open, AT, at_end=at_end)]


def test_message_that_is_not_in_the_queue_and_never_was_is_dropped():
    watch = Watch(Postfix(mail(ELSE)))
    watch.hear(QUEUE_ID, Open(named=TOKEN))
    assert watch.at(99) == [] and watch.at(100) == [] and watch.at(104) == []
    assert watch.at(105) == [("dropped", QUEUE_ID)]


def test_message_that_waits_in_the_queue_unlogged_is_queued():
    watch = Watch(Postfix(mail(QUEUE_ID)))
    watch.hear(QUEUE_ID, Open(named=TOKEN))
    assert watch.at(100) == [("queued", QUEUE_ID)]
    assert watch.at(105) == []


def test_message_that_is_queued_while_the_queue_is_listed_is_not_dropped():
    watch = Watch(Postfix())
    watch.hear(QUEUE_ID, Open(named=TOKEN))
    watch.at(100)
    watch.hear(QUEUE_ID, Open(named=TOKEN, sender=TOKEN))
    assert watch.at(105) == []


def test_message_that_was_delivered_while_the_queue_was_listed_is_not_dropped():
    watch = Watch(Postfix())
    watch.hear(QUEUE_ID, Open(named=TOKEN))
    watch.at(100)
    watch.hear(QUEUE_ID, None)
    assert watch.at(105) == []


def test_nothing_is_concluded_before_the_log_is_read_to_its_end():
    watch = Watch(Postfix())
    watch.hear(QUEUE_ID, Open(named=TOKEN))
    watch.at(100)
    assert watch.at(105, at_end=False) == []
    assert watch.at(106) == [("dropped", QUEUE_ID)]


def test_message_is_looked_for_again_since_its_answer_may_be_given_up_later():
    watch = Watch(Postfix())
    watch.hear(QUEUE_ID, Open(named=TOKEN))
    found = [second for second in range(2_000) if watch.at(second)]
    assert found == [105, 205, 405, 805, 1605]


def test_looking_ends_after_a_day():
    watch = Watch(Postfix())
    watch.hear(QUEUE_ID, Open(named=TOKEN))
    for second in range(0, 4 * 86_400, 50):
        watch.at(second)
    assert not watch.arrivals.arriving


@pytest.mark.parametrize("queue", [Postfix(away=True), Postfix(unreadable=1), None])
def test_queue_that_can_not_be_read_proves_nothing(queue):
    watch = Watch(queue)
    watch.hear(QUEUE_ID, Open(named=TOKEN))
    assert [watch.at(second) for second in range(99, 500)] == [[]] * 401


def test_mail_of_others_is_never_looked_for():
    queue = Postfix()
    watch = Watch(queue)
    watch.hear(QUEUE_ID, Open(named=""))
    assert watch.at(1000) == [] and queue.asked == 0


# A relay that was started or reloaded.


def line(said: str) -> str:
    return f"2026-11-21T20:03:01+00:00 relay postfix/{said}\n"


class Listener:
    def __init__(self) -> None:
        self.heard: list[Bundle] = []

    def clock(self) -> datetime:
        return AT

    def hand(self, bundle: Bundle) -> None:
        self.heard.append(bundle)


def turn(tmp_path: Path, queue: Postfix | None, *said: str) -> Bundle:
    """What is told of these lines by a follower that has read the log before."""
    log, platform = tmp_path / "postfix.log", Listener()
    log.write_text(line("anvil[1]: statistics"))
    follower = Follower(log, Memory(tmp_path / "m.sqlite"), platform, Arrivals(queue))
    follower.turn()
    with log.open("a") as file:
        file.writelines(map(line, said))
    follower.turn()
    assert platform.heard[0].has_gap
    return platform.heard[-1]


@pytest.mark.parametrize("said", ["master[1]: daemon started -- version 3.7.11", "master[1]: reload -- version 3.7.11"])
def test_queue_stands_for_the_lines_that_a_start_may_have_swallowed(tmp_path, said):
    told = turn(tmp_path, Postfix(mail(QUEUE_ID), mail(ELSE, OTHER)), said)
    assert not told.has_gap
    assert {(one.sighting, one.token) for one in told.seen} == {(Sighting.QUEUED, TOKEN), (Sighting.QUEUED, OTHER)}


@pytest.mark.parametrize(
    "queue", [None, Postfix(away=True), Postfix(mail(QUEUE_ID), total=200_001), Postfix(unreadable=1)]
)
def test_start_is_a_gap_where_the_queue_can_not_be_known(tmp_path, queue, monkeypatch):
    monkeypatch.setattr(module, "START_PATIENCE_SECONDS", 0.0)
    assert turn(tmp_path, queue, "master[1]: daemon started -- version 3.7.11").has_gap


def test_stopped_relay_is_asked_when_it_goes_on(tmp_path):
    queue = Postfix()
    told = turn(tmp_path, queue, "master[1]: terminating on signal 15")
    assert (told.has_gap, queue.asked) == (False, 0)


def test_queue_of_another_postfix_is_not_believed(tmp_path):
    queue = Postfix()
    assert queue_of_log(queue, tmp_path / "postfix.log") is None
    assert queue_of_log(queue, queue.writes) is queue
    queue.away = True
    assert queue_of_log(queue, queue.writes) is None


def test_dropped_is_told_of_a_real_log(tmp_path):
    log, platform = tmp_path / "postfix.log", Listener()
    log.write_text(line(f"cleanup[1]: {QUEUE_ID}: message-id=<{TOKEN}@example.gob.pe>"))
    seconds = [0.0]
    watched = Arrivals(Postfix(), first_look_seconds=100, clock=lambda: seconds[0])
    memory = Memory(tmp_path / "m.sqlite")
    Follower(log, memory, platform).turn()
    follower = Follower(log, memory, platform, watched)  # Started again: it knows what began to arrive.
    for seconds[0] in (50.0, 100.0, 106.0):
        follower.turn()
    assert Seen(Sighting.DROPPED, TOKEN, QUEUE_ID, AT) in platform.heard[-1].seen
