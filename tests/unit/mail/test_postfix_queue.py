"""`postqueue -j`, true and hostile."""

import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mail.postfix_queue import (
    MAX_ADDRESS,
    MAX_LINE_BYTES,
    MAX_REASON,
    QUEUE_ID,
    chunks_of_lines,
    queue_id_of_reply,
    read_listing,
    read_mail,
    reason_kind,
)

SAID = "host mx.example.pe[192.0.2.1] said: 452 4.2.2 mailbox full (in reply to RCPT TO command)"


def line(**changes: object) -> bytes:
    told = {
        "queue_name": "deferred",
        "queue_id": "4XyzBC1dQzv5",
        "arrival_time": 1763750000,
        "message_size": 20480,
        "forced_expire": False,
        "sender": "b-x@rebotes.boletin.example.gob.pe",
        "recipients": [{"address": "rosa@example.pe", "delay_reason": SAID}],
    }
    return json.dumps({**told, **changes}).encode()


def test_deferred_mail_is_read_with_its_reason():
    mail = read_mail(line())
    assert mail is not None
    assert (mail.queue_id, mail.queue, mail.arrived_at, mail.size_bytes) == (
        "4XyzBC1dQzv5", "deferred", 1763750000, 20480,
    )  # fmt: skip
    assert (mail.recipient, mail.recipients, mail.reason) == ("rosa@example.pe", 1, SAID)


def test_mail_that_was_not_tried_has_no_reason():
    mail = read_mail(line(queue_name="incoming", recipients=[{"address": "rosa@example.pe"}]))
    assert mail is not None and mail.reason == "" and reason_kind(mail.reason) == ""


@pytest.mark.parametrize(
    "reason, kind",
    [
        (SAID, "mailbox_full"),
        ("host x[192.0.2.1] said: 450 4.2.0 Greylisted, try again (in reply to RCPT TO command)", "greylisted"),
        ("host x[192.0.2.1] refused to talk to me: 421 4.7.0 too many connections", "relay_closing"),
        ("connect to mx.example.pe[192.0.2.1]:25: Connection refused", "routing"),
        ("Host or domain name not found. Name service error for name=x type=MX: Host not found, try again", "routing"),
        ("", ""),
    ],
)
def test_reason_has_a_kind(reason, kind):
    assert reason_kind(reason) == kind


@pytest.mark.parametrize(
    "changes",
    [
        {"queue_id": "-d"}, {"queue_id": "ALL\n"}, {"queue_id": "../../etc"}, {"queue_id": "A" * 21}, {"queue_id": 7},
        {"queue_name": "passwd"}, {"queue_name": ["deferred"]}, {"arrival_time": -1}, {"arrival_time": 1e300},
        {"arrival_time": True}, {"arrival_time": 2**40}, {"message_size": "1"}, {"recipients": None},
        {"sender": None}, {"recipients": [{"address": {}}]},
    ],
)  # fmt: skip
def test_what_postfix_would_not_say_is_unreadable(changes):
    assert read_mail(line(**changes)) is None


def test_ALL_is_an_id_in_shape_but_too_short_to_be_one():
    assert not QUEUE_ID.fullmatch("ALL"), "postsuper would take the whole queue"


def test_texts_are_bounded_and_without_control_characters():
    bad = "a\r\nb\x1b[2J\u2028c" * 400
    mail = read_mail(line(sender=bad, recipients=[{"address": bad, "delay_reason": bad}] * 9))
    assert mail is not None
    assert (len(mail.sender), len(mail.recipient), len(mail.reason)) == (MAX_ADDRESS, MAX_ADDRESS, MAX_REASON)
    assert mail.recipients == 9
    assert not any(ord(one) < 32 or one == "\u2028" for one in mail.sender + mail.recipient + mail.reason)


def test_listing_keeps_so_many_and_counts_all():
    lines = [line(queue_id=f"ABCDE{number}") for number in range(10)] + [b"{", b"", b"[]", b"\xff\xfe"]
    listing = read_listing(lines, most=3)
    assert (len(listing.mails), listing.total, listing.unreadable) == (3, 10, 3)
    wanted = read_listing(lines, most=3, wanted=frozenset({"ABCDE8", "ZZZZZ"}))
    assert [mail.queue_id for mail in wanted.mails] == ["ABCDE8"]


def test_endless_line_takes_no_more_memory_than_a_line_may():
    blocks = (b"x" * 65536 for _ in range(2000))
    tracemalloc.start()
    listing = read_listing(chunks_of_lines(blocks), most=10)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert listing.unreadable == 1 and peak < 8 * MAX_LINE_BYTES


def test_lines_survive_any_cut_of_the_pipe():
    whole = b"\n".join([line(queue_id=f"ABCDE{number}") for number in range(5)]) + b"\n"
    for size in (1, 7, 100, 10_000):
        blocks = [whole[at : at + size] for at in range(0, len(whole), size)]
        assert len(read_listing(chunks_of_lines(blocks), most=9).mails) == 5


@given(st.binary(max_size=400))
def test_no_bytes_raise(raw):
    assert read_mail(raw) is None or raw


def test_deep_nesting_is_unreadable():
    assert read_mail(b"[" * 100_000) is None


@pytest.mark.parametrize(
    "reply, queue_id",
    [
        ("2.0.0 Ok: queued as 4XyzBC1dQzv5", "4XyzBC1dQzv5"),
        ("OK queued as ABC123DEF9", "ABC123DEF9"),
        ("2.0.0 Ok", ""),
        ("queued as ../x", ""),
        (None, ""),
    ],
)
def test_queue_id_is_read_from_the_reply(reply, queue_id):
    assert queue_id_of_reply(reply) == queue_id
