"""What a captured message says of itself, however hostile."""

from hypothesis import given
from hypothesis import strategies as st

from app.mail.captured import MAX_MESSAGE_ID, MAX_SUBJECT, dkim_tags, identify, links_in_new_tab, read_message


def test_message_id_and_subject_are_read_from_the_header_only():
    identity = identify(b"From: a\r\n\r\nMessage-ID: <body@x>\r\nSubject: body\r\n")
    assert (identity.message_id, identity.subject) == ("", "")


def test_folded_and_encoded_subject_is_decoded():
    raw = b"subject: =?utf-8?b?RmVyaWE=?=\r\n =?utf-8?q?_de_Jun=C3=ADn?=\r\nMESSAGE-ID :\r\n <a@x>\r\n\r\n"
    identity = identify(raw)
    assert (identity.message_id, identity.subject) == ("<a@x>", "Feria de Junín")


def test_list_unsubscribe_named_like_a_message_id_is_not_taken_for_it():
    assert identify(b"X-Message-ID: <no@x>\r\nMessage-ID: <yes@x>\r\n\r\n").message_id == "<yes@x>"


@given(st.binary(max_size=500), st.binary(max_size=2000))
def test_identity_of_any_bytes_fits_its_columns(head: bytes, value: bytes):
    identity = identify(head + b"\r\nMessage-ID: " + value + b"\r\nSubject: " + value + b"\r\n\r\n")
    assert len(identity.message_id) <= MAX_MESSAGE_ID and len(identity.subject) <= MAX_SUBJECT
    for text in (identity.message_id, identity.subject):
        assert "\x00" not in text
        text.encode()  # No lone surrogates: PostgreSQL takes it.


@given(st.binary(max_size=3000))
def test_any_bytes_can_be_read(raw: bytes):
    read = read_message(raw)
    assert read.problem in (None, "malformed")


def test_base_goes_behind_the_doctype():
    assert links_in_new_tab("<!DOCTYPE html><p>a").startswith('<!DOCTYPE html><base target="_blank">')
    assert links_in_new_tab("<html><head lang=es><title>a").startswith('<html><head lang=es><base target="_blank">')
    assert links_in_new_tab("<p>a") == '<base target="_blank"><p>a'


def test_dkim_tags_are_read_without_white_space():
    assert dkim_tags("v=1; d=example.pe;\r\n s = uno; b=ab\r\n cd==") == {
        "v": "1",
        "d": "example.pe",
        "s": "uno",
        "b": "abcd==",
    }
