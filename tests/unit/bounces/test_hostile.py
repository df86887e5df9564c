"""Mail at a return path comes from anybody: no bytes may crash, hang or fill the memory."""

import time
import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.mail.bounces import Feedback, Kind, Reason, classify_message, classify_reply_text
from app.mail.bouncing.kinds import MAX_DIAGNOSTIC
from tests.unit.bounces.corpus.reading import samples

MEBIBYTE = 1 << 20
SECONDS = 6.0  # of processor time; what is usual is below one
RAWS = [sample.raw for sample in samples()[::9]]
# What a bounce is made of, to be put together wrongly.
PIECES = st.sampled_from([
    b"Content-Type: multipart/report; boundary=b\n", b"Content-Type: message/delivery-status\n", b"\n", b"--b\n", b"--b--",
    b"Content-Type: message/rfc822\n\n", b"Final-Recipient: rfc822; a@b.test\n", b"Action: failed\n", b"Status: 5.1.1\n",
    b"Content-Transfer-Encoding: base64\n", b"Content-Type: text/plain; charset=zlib_codec\n", b"From: MAILER-DAEMON\n",
    b"Content-Type: text/html; charset=utf-16\n\n<", b"Subject: =?utf-7?b?+++?=\n", b"\x1b$B", b"\x00", b"\xff\xfe", b"\r",
    b"X-Failed-Recipients: <a@b.test>, @@, \n", b"550 5.1.1 user unknown\n", b" ", b"Content-Type: message/feedback-report\n\n",
    b"Original-Rcpt-To: a@b.test\n", b"Diagnostic-Code: ;;;\n", b"Feedback-Type: \n", b"Disposition: x\n", b"@", b"=?=?=?",
])  # fmt: skip


def hold_the_contract(found: list[Feedback]) -> None:
    assert found
    for feedback in found:
        assert isinstance(feedback.kind, Kind)
        assert isinstance(feedback.reason, Reason)
        assert len(feedback.diagnostic) <= MAX_DIAGNOSTIC
        assert feedback.diagnostic.isprintable() or not feedback.diagnostic.isascii()
        assert "\n" not in feedback.diagnostic + feedback.recipient
        assert "\x00" not in feedback.diagnostic + feedback.recipient
        (feedback.recipient + feedback.diagnostic).encode()  # fit for a database: no lone surrogates


@settings(max_examples=600, deadline=2000)
@given(st.binary(max_size=3000))
def test_any_bytes_are_classified(raw: bytes):
    hold_the_contract(classify_message(raw))


@settings(max_examples=800, deadline=2000)
@given(st.lists(st.one_of(PIECES, st.binary(max_size=12)), max_size=60))
def test_any_mixture_of_a_bounces_pieces_is_classified(pieces: list[bytes]):
    hold_the_contract(classify_message(b"".join(pieces)))


@settings(max_examples=400, deadline=2000, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(RAWS), st.data())
def test_a_damaged_bounce_is_classified(raw: bytes, data: st.DataObject):
    start = data.draw(st.integers(0, len(raw)))
    end = data.draw(st.integers(start, len(raw)))
    hold_the_contract(classify_message(raw[:start] + data.draw(st.binary(max_size=20)) + raw[end:]))


@settings(max_examples=400, deadline=1000)
@given(st.integers(), st.text(max_size=3000))
def test_any_reply_is_classified(code: int, text: str):
    kind, reason = classify_reply_text(code, text)
    assert isinstance(kind, Kind)
    assert isinstance(reason, Reason)


DAEMON = b"From: mailer-daemon@x.test\nSubject: Undeliverable\n"
HOSTILE = {
    "a header of 100 MB": b"Subject: " + b"a" * (100 * MEBIBYTE),
    "a body of 100 MB": DAEMON + b"\n" + b"undeliverable a@b.test\n" * (100 * MEBIBYTE // 23),
    "a million headers": b"X: y\r\n" * 1_000_000,
    "a header of a million lines": b"Subject: a\r\n" + b" b\r\n" * 1_000_000,
    "multiparts in multiparts": b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(20_000)
    ),
    "multiparts with one boundary": b"Content-Type: multipart/mixed; boundary=b\n\n"
    + b"--b\nContent-Type: multipart/mixed; boundary=b\n\n" * 20_000,
    "messages in messages": b"Content-Type: message/rfc822\n\n" * 30_000,
    "200 000 parts": DAEMON + b"Content-Type: multipart/report; boundary=b\n\n" + b"--b\n\nx\n" * 200_000,
    "20 000 recipients": b"Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\n"
    + b"".join(b"Final-Recipient: rfc822;u%d@x.test\nAction: failed\n\n" % n for n in range(20_000)),
    "60 000 recipients in words": DAEMON + b"\n" + b"".join(b"u%d@x.test: failed\n" % n for n in range(60_000)),
    "at signs": DAEMON + b"\n" + b"@" * MEBIBYTE,
    "short addresses": DAEMON + b"\n" + b"a@a " * (MEBIBYTE // 4),
    "addresses in X-Failed-Recipients": b"X-Failed-Recipients: " + b"a@a.test," * 100_000 + b"\n\nfailed",
    "open tags": DAEMON + b"Content-Type: text/html\n\n" + b"<" * MEBIBYTE,
    "open style": DAEMON + b"Content-Type: text/html\n\n" + b"<style>" * (MEBIBYTE // 7),
    "ampersands": DAEMON + b"Content-Type: text/html\n\n" + b"&" * MEBIBYTE,
    "entities": DAEMON + b"Content-Type: text/html\n\n" + b"&#9999999999999;" * (MEBIBYTE // 16),
    "quotes": DAEMON + b"\n" + b'"' * MEBIBYTE,
    "blanks": DAEMON + b"\n" + b" " * MEBIBYTE,
    "empty lines": DAEMON + b"\n" + b"\n" * MEBIBYTE,
    "quoting marks": DAEMON + b"\n" + b"> " * (MEBIBYTE // 2) + b"\nFinal-Recipient: a@b.test\nStatus: 5.1.1",
    "encoded words": b"Subject: " + b"=?utf-8?q?a?= " * 70_000 + b"\n\nx",
    "half encoded words": b"Subject: " + b"=?" * (MEBIBYTE // 2) + b"\n\nx",
    "type parameters": b"Content-Type: multipart/mixed" + b"; a=b" * 170_000 + b"\n\nx",
    "blanks in the type": b"Content-Type: multipart/mixed;" + b" " * MEBIBYTE + b"\n\nx",
    "dashes": b"Content-Type: multipart/mixed\n\n" + b"-" * MEBIBYTE,
    "boundaries to guess": b"Content-Type: multipart/mixed\n\n" + b"--aaaaaaaaaaaa\n" * 70_000,
    "codes": DAEMON + b"\n" + b"5.1." * (MEBIBYTE // 4),
    "beginnings of phrases": DAEMON + b"\n" + b"exceeded maximum mailbox user account over " * 25_000,
    "utf-7": b"Content-Type: text/plain; charset=utf-7\n\n" + b"+" * MEBIBYTE,
    "punycode": b"Content-Type: text/plain; charset=punycode\n\n" + b"x-" * (MEBIBYTE // 2),
    "combining accents": DAEMON + b"Content-Type: text/plain; charset=utf-8\n\n" + "a\u0301".encode() * (MEBIBYTE // 3),
    "field starts": DAEMON + b"\n" + b"final-recipient:status:" * (MEBIBYTE // 23),
}


@pytest.mark.parametrize("raw", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_mail_costs_little_time_and_memory(raw: bytes):
    tracemalloc.start()
    started = time.process_time()
    hold_the_contract(classify_message(raw))
    seconds, (_, peak) = time.process_time() - started, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < SECONDS
    assert peak < 48 * MEBIBYTE


def test_an_inner_boundary_that_begins_like_the_outer_is_told_from_it():
    raw = b"""From: postmaster@example.net
Subject: Undeliverable
Content-Type: multipart/mixed; boundary="b1"

--b1
Content-Type: multipart/report; boundary="b1-2"

--b1-2
Content-Type: text/plain

failed
--b1-2
Content-Type: message/delivery-status

Final-Recipient: rfc822; rosa@example.net
Action: failed
Status: 5.1.1
--b1-2--
--b1--
"""
    (feedback,) = classify_message(raw)
    assert (feedback.recipient, feedback.reason) == ("rosa@example.net", Reason.USER_UNKNOWN)


@pytest.mark.parametrize("mark", ["\x00", "\x07", "\x9b", "\u2028"])
def test_no_control_character_comes_out_with_an_address(mark: str):
    for text in (f"rfc822; ro{mark}sa@example.net", f'rfc822; "ro{mark}sa"@example.net', f"rfc822; rosa@#{mark}x.test"):
        raw = f"Content-Type: message/delivery-status\n\nFinal-Recipient: {text}\nAction: failed\nStatus: 5.1.1\n"
        hold_the_contract(classify_message(raw.encode()))
