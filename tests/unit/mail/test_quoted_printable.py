import quopri
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.mail.quoted_printable import (
    MAX_LINE,
    TOKEN_BYTES,
    TOKEN_MARK,
    clean_text,
    encode_html_value,
    encode_literal,
    encode_value,
)
from tests.unit.mail.nasty import nasty_text


def decoded(encoded: bytes) -> str:
    return quopri.decodestring(encoded).decode("utf-8").replace("\r\n", "\n")


@given(st.lists(nasty_text, max_size=5))
def test_segments_joined_decode_to_the_texts_joined(texts: list[str]):
    """Each is encoded without knowing its neighbours."""
    encoded = b"".join(
        encode_literal(clean_text(text)) if index % 2 else encode_value(text) for index, text in enumerate(texts)
    )
    assert decoded(encoded) == "".join(map(clean_text, texts))
    assert not re.search(rb"[ \t]\r\n|[ \t]{2}|\t|(?<!\r)\n|\r(?!\n)", encoded)
    for line in encoded.split(b"\r\n"):
        assert len(line) <= MAX_LINE
        assert not line.startswith((b".", b"From ", b" "))


@given(nasty_text)
@example("x" * 75)
@example("x" * 76)
@example("ñ" * 12 + "xxx")
@example(".")
@example("Fernando")
@example("From ")
@example("fin  ")
@example("=")
def test_short_way_of_a_value_gives_what_the_long_one_does(value: str):
    assert encode_value(value) == encode_literal(clean_text(value))


@given(nasty_text)
def test_html_value_is_escaped(value: str):
    text = decoded(encode_html_value(value))
    assert not set("<>\"'") & set(text)
    assert text.replace("&lt;", "<").replace("&gt;", ">").replace("&#34;", '"').replace("&#39;", "'").replace(
        "&amp;", "&"
    ) == clean_text(value)


@pytest.mark.parametrize("before", range(0, 80, 7))
def test_token_is_never_cut_by_a_line_break(before: int):
    encoded = encode_literal("x" * before + TOKEN_MARK + "y" + TOKEN_MARK)
    assert encoded.count(TOKEN_BYTES) == 2
    assert max(map(len, encoded.split(b"\r\n"))) <= MAX_LINE


def test_nothing_but_the_mark_becomes_the_place_of_a_token():
    assert TOKEN_BYTES not in encode_literal(clean_text("\0" * 40 + TOKEN_MARK))
    assert TOKEN_BYTES not in encode_value("\0" * 40 + TOKEN_MARK)


def test_ordinary_text_stays_readable():
    assert encode_literal("Hola Rosa,\nhay una feria.\n") == b"Hola Rosa,\r\nhay una feria.\r\n"
    assert encode_value("Rosa Ayala") == b"Rosa Ayala=\r\n"
    assert encode_value("") == encode_literal("") == b""
