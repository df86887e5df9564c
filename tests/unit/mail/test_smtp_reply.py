"""Replies out of what a socket gives, in whatever pieces it comes."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mail.smtp_reply import MAX_REPLY_BYTES, NotAReply, Reply, ReplyReader, ReplyTooLong

WORDS = st.text(alphabet=st.characters(min_codepoint=0x20, max_codepoint=0x17F, exclude_characters="\x7f"), max_size=40)
REPLIES = st.lists(st.tuples(st.integers(200, 599), st.lists(WORDS, min_size=1, max_size=4)), max_size=8)


def on_the_wire(replies: list[tuple[int, list[str]]], end: bytes) -> bytes:
    lines = [
        f"{code}{'-' if number < len(words) else ' '}{line}".encode() + end
        for code, words in replies
        for number, line in enumerate(words, start=1)
    ]
    return b"".join(lines)


def read(pieces: list[bytes]) -> list[Reply]:
    reader = ReplyReader()
    return [reply for piece in pieces for reply in reader.feed(piece)]


@given(replies=REPLIES, end=st.sampled_from([b"\r\n", b"\n"]), cuts=st.lists(st.integers(0, 400), max_size=12))
def test_replies_are_the_same_however_they_are_cut(replies, end, cuts):
    stream = on_the_wire(replies, end)
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    pieces = [stream[start:stop] for start, stop in itertools.pairwise(places)]
    assert read(pieces) == [Reply(code, " ".join(words)) for code, words in replies]


def test_a_code_alone_is_a_reply():
    assert read([b"250\r\n"]) == [Reply(250, "")]


@pytest.mark.parametrize(
    "line", [b"hello\r\n", b"25 ok\r\n", b"2500 ok\r\n", b"\r\n", b"250_ok\r\n", b"\xff\xfe\x00\r\n"]
)
def test_what_is_no_reply_is_refused_with_its_words(line):
    with pytest.raises(NotAReply) as refused:
        read([line])
    assert str(refused.value) == line.rstrip(b"\r\n").decode("utf-8", "replace")


def test_replies_before_the_nonsense_are_given_first():
    reader = ReplyReader()
    given_first: list[Reply] = []
    with pytest.raises(NotAReply):
        given_first.extend(reader.feed(b"250 ok\r\n"))
        given_first.extend(reader.feed(b"354 go\r\nnonsense\r\n"))
    assert given_first == [Reply(250, "ok"), Reply(354, "go")]


@pytest.mark.parametrize("piece", [b"x" * 1000, b"250-and more\r\n" * 100, b"250-" + b"y" * 996])
def test_a_reply_without_an_end_is_not_kept_for_ever(piece):
    reader = ReplyReader()
    with pytest.raises(ReplyTooLong):
        for _ in range(2 * MAX_REPLY_BYTES // len(piece) + 2):
            assert list(reader.feed(piece)) == []
