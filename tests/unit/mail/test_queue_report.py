"""A listing on its way from the relay's host: what goes in comes out, and what is hostile is bounded before it is believed."""

import json
import tracemalloc
import zlib

import pytest

from app.mail import queue_report
from app.mail.postfix_queue import Listing, QueuedMail
from app.mail.queue_report import MalformedReport, QueueTrouble, pack, read_outcomes, read_trouble, unpack

MAIL = QueuedMail("4dDcHs3Vqlz9tGx", "deferred", 1_790_000_000, 2048, "a@example.pe", "b@example.pe", 2, "451 después")


def packed(*lines: object, head: object = None) -> bytes:
    told = [{"turn": "t", "total": 1, "unreadable": 0} if head is None else head, *lines]
    return zlib.compress(b"".join(json.dumps(line).encode() + b"\n" for line in told))


def test_what_goes_in_comes_out():
    told = unpack(pack("turn", Listing([MAIL, MAIL], total=7, unreadable=3)))
    assert (told.turn, told.listing) == ("turn", Listing([MAIL, MAIL], total=7, unreadable=3))
    assert unpack(pack("", Listing())).listing == Listing()


def test_queue_that_is_too_long_is_cut_and_counted(monkeypatch):
    monkeypatch.setattr(queue_report, "MOST_MAILS", 3)
    told = unpack(pack("t", Listing([MAIL] * 10, total=10))).listing
    assert (len(told.mails), told.total) == (3, 10)


@pytest.mark.parametrize(
    "line",
    [
        [], {}, None, 5, "x", ["X"] * 8, ["../etc", "deferred", 1, 1, "", "", 1, ""],
        ["4dDcHs3Vqlz9tGx", "elsewhere", 1, 1, "", "", 1, ""], ["4dDcHs3Vqlz9tGx", "deferred", -1, 1, "", "", 1, ""],
        ["4dDcHs3Vqlz9tGx", "deferred", 10**30, 1, "", "", 1, ""], ["4dDcHs3Vqlz9tGx", [], 1, 1, "", "", 1, ""],
        ["4dDcHs3Vqlz9tGx", "deferred", 1, 1, None, "", 1, ""], ["4dDcHs3Vqlz9tGx", "deferred", True, 1, "", "", 1, ""],
    ],
)  # fmt: skip
def test_mail_that_can_be_none_is_counted_and_the_others_are_taken(line):
    good = json.loads(queue_report._line(queue_report._told(MAIL)))
    told = unpack(packed(line, good)).listing
    assert (told.mails, told.unreadable) == ([MAIL], 1)


def test_words_are_cut_and_without_control_characters():
    told = unpack(packed(["4dDcHs3Vqlz9tGx", "hold", 1, 1, "a" * 9000, "b\0\n\ud800c", 1, "\x1b[31m" + "r" * 5000]))
    (mail,) = told.listing.mails
    assert (len(mail.sender), mail.recipient, len(mail.reason)) == (320, "b c", 500)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"x", b"{}", zlib.compress(b""), zlib.compress(b"[]\n"), zlib.compress(b"[" * 10_000 + b"\n"),
        packed(head={}), packed(head={"turn": "t", "total": -1, "unreadable": 0}),
        packed(head={"turn": "t", "total": 10**40, "unreadable": 0}), packed([1] * 8)[:-6],
        zlib.compress(b'{"turn": "t", "total": 0, "unreadable": 0}'),
    ],
)  # fmt: skip
def test_what_is_no_listing_is_refused(body):
    with pytest.raises(MalformedReport):
        unpack(body)


@pytest.mark.parametrize("filler", [b"0", b"[]\n"])
def test_small_parcel_that_holds_gigabytes_is_not_opened(monkeypatch, filler):
    monkeypatch.setattr(queue_report, "MAX_UNPACKED_BYTES", 1024 * 1024)
    bomb = zlib.compress(b'{"turn": "t", "total": 0, "unreadable": 0}\n' + filler * (20_000_000 // len(filler)))
    tracemalloc.start()
    with pytest.raises(MalformedReport):
        unpack(bomb)
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * 1024 * 1024


@pytest.mark.parametrize("told", [None, [], {"ALL": "done"}, {"4dDcHs3Vqlz9tGx": "sold"}, {"4dDcHs3Vqlz9tGx": []}])
def test_outcomes_that_are_none_are_refused(told):
    with pytest.raises(MalformedReport):
        read_outcomes(told, frozenset({"done"}))


def test_trouble_is_one_that_pages_have_words_for():
    assert read_trouble({"problem": "refused", "detail": "x\0" * 900})[0] is QueueTrouble.REFUSED
    assert read_trouble({"problem": "refused", "detail": 5}) == (QueueTrouble.REFUSED, "")
    for told in (None, {}, {"problem": "<b>"}, {"problem": ["refused"]}):
        with pytest.raises(MalformedReport):
            read_trouble(told)
