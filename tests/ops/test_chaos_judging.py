"""Who judges a chaos run notices what must not be, and forgives nothing without a proof."""

import dataclasses
from pathlib import Path

import pytest

from ops.chaos.handovers import Handovers, read_handovers
from ops.chaos.judging import WRONG, Planned, judge
from ops.sink_process import Witnessed

QUARANTINED = ("127.0.1.48",)


def planned(number: int, **changes: object) -> Planned:
    told = Planned(f"p{number}@example.pe", f"<{number}@x>", "delivered", "127.0.1.7", "mx7.example.pe", 1)
    return dataclasses.replace(told, **changes)  # type: ignore[arg-type]


def captured(number: int, queue_id: str = "", **changes: str) -> Witnessed:
    told = Witnessed(
        f"p{number}@example.pe", f"<{number}@x>", "127.0.1.7", "mx7.example.pe", queue_id or f"QUEUE{number}"
    )
    return told._replace(**changes)


def a_log(*numbers: int) -> Handovers:
    queue_ids = {f"<{number}@x>": {f"QUEUE{number}"} for number in numbers}
    return Handovers(queue_ids, {f"QUEUE{number}": "127.0.1.7" for number in numbers}, {f"QUEUE{n}" for n in numbers})


LEDGER = [planned(1), planned(2)]
CAPTURED = [captured(1), captured(2)]


def wrong(ledger: list[Planned], sink: list[Witnessed], log: Handovers | None = None) -> dict[str, int]:
    found = judge(ledger, sink, log or a_log(1, 2), QUARANTINED, relay_kills=1)
    return {name: found[name] for name in WRONG if found[name]}


def test_run_in_which_all_agree_is_right():
    assert wrong(LEDGER, CAPTURED) == {}


@pytest.mark.parametrize(
    ("ledger", "sink", "found"),
    [
        (LEDGER, CAPTURED[:1], {"lost": 1}),
        (LEDGER, [*CAPTURED, captured(2, "QUEUE9")], {"duplicated": 1}),
        (LEDGER, [*CAPTURED, captured(3)], {"foreign": 1}),
        (LEDGER, [captured(1), captured(2, recipient="p3@example.pe")], {"lost": 1, "foreign": 1}),
        ([planned(1), planned(2, status="unknown")], CAPTURED, {"unknown": 1, "not_delivered": 1}),
        ([planned(1), planned(2, status="accepted")], CAPTURED, {"not_delivered": 1}),
        ([planned(1), planned(2, status="bounced")], CAPTURED, {"not_delivered": 1}),
        (LEDGER, [captured(1), captured(2, source="127.0.1.8")], {"by_other_ip": 1}),
        (LEDGER, [captured(1), captured(2, helo="mx8.example.pe")], {"by_other_ip": 1}),
        (LEDGER, [captured(1), captured(2, source="127.0.1.48")], {"by_other_ip": 1, "by_quarantined_ip": 1}),
    ],
)
def test_each_disagreement_is_noticed(ledger, sink, found):
    assert wrong(ledger, sink) == found


def test_same_queue_file_delivered_twice_is_the_relays_doing():
    found = judge(LEDGER, [*CAPTURED, captured(2)], a_log(1, 2), QUARANTINED, relay_kills=1)
    assert (found["relay_redelivered"], found["duplicated"]) == (1, 0)


@pytest.mark.parametrize("queue_ids", [{"QUEUE2", "QUEUE9"}, {"QUEUE9"}, set()])
def test_relay_is_not_blamed_where_the_log_does_not_prove_one_handover(queue_ids):
    log = a_log(1, 2)
    log.by_message["<2@x>"] = queue_ids
    assert wrong(LEDGER, [*CAPTURED, captured(2)], log) == {"duplicated": 1}


def test_relay_is_not_blamed_where_it_named_no_queue_file():
    unnamed = captured(2)._replace(queue_id="")
    assert wrong(LEDGER, [captured(1), unnamed, unnamed]) == {"duplicated": 1}


def test_outcome_whose_line_was_lost_with_the_relay_is_counted_by_itself():
    log = a_log(1, 2)
    log.sent.remove("QUEUE2")
    found = judge([planned(1), planned(2, status="accepted")], CAPTURED, log, QUARANTINED, relay_kills=1)
    assert (found["outcome_not_logged"], found["not_delivered"]) == (1, 0)


def test_log_that_says_nothing_is_no_excuse():
    """Neither where no Postfix was killed, nor where a kill would have taken a whole log."""
    log = a_log(1, 2)
    log.sent.remove("QUEUE2")
    ledger = [planned(1), planned(2, status="accepted")]
    assert judge(ledger, CAPTURED, log, QUARANTINED, relay_kills=0)["log_too_poor"] == 1
    many = range(1, 203)
    found = judge([planned(n) for n in many], [captured(n) for n in many], Handovers(), QUARANTINED, relay_kills=2)
    assert found["log_too_poor"] == 2


def test_retry_that_asked_for_another_ip_is_noticed():
    log = a_log(1, 2)
    log.by_message["<2@x>"].add("QUEUE9")
    log.address_of["QUEUE9"] = "127.0.1.8"
    assert wrong(LEDGER, CAPTURED, log) == {"retry_by_other_ip": 1}


LOG = """\
Nov 21 22:34:31 relay postfix/submission/smtpd[1]: 4jX6T35b4mz1: client=localhost[127.0.0.1]
Nov 21 22:34:31 relay postfix/cleanup[1]: 4jX6T35b4mz1: message-id=<1@x>
Nov 21 22:34:31 relay postfix/cleanup[1]: 4jX6T35b4mz1: filter: header X-Chaski-Egress: 127.0.1.29 from localhost[127.0.0.1]; x
Nov 21 22:34:31 relay postfix/smtp-29/smtp[1]: 4jX6T35b4mz1: to=<p1@example.pe>, relay=x[127.0.0.1]:25, status=sent (250 2.0.0 Ok)
"""


def test_log_of_postfix_is_read_over_all_its_files(tmp_path: Path):
    first, second = tmp_path / "postfix.log.1", tmp_path / "postfix.log"
    first.write_text(LOG)
    second.write_text(LOG.replace("4jX6T35b4mz1", "4jX6T35b4mz2").replace("status=sent", "status=deferred"))
    log = read_handovers([first, second])
    assert log.by_message == {"<1@x>": {"4jX6T35b4mz1", "4jX6T35b4mz2"}}
    assert log.addresses("<1@x>") == {"127.0.1.29"} and log.sent == {"4jX6T35b4mz1"}
