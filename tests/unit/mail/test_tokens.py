import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mail.tokens import (
    MAX_CAMPAIGN_ID,
    MAX_SEQ,
    TOKEN_CHARACTERS,
    DeliveryRef,
    TokenMaker,
    TokenPurpose,
    TokenReader,
    make_token,
    message_id,
    read_token,
    return_path,
    token_of_message_id,
    token_of_return_path,
    token_of_unsubscribe_address,
    unsubscribe_address,
)

KEY = b"k" * 32
ALPHABET = string.ascii_lowercase + "234567"
campaign_ids = st.integers(0, MAX_CAMPAIGN_ID)
seqs = st.integers(0, MAX_SEQ)


@given(campaign_ids, seqs)
def test_token_reads_back_as_its_delivery_in_any_case(campaign_id: int, seq: int):
    token = make_token(KEY, campaign_id, seq)
    assert len(token) == TOKEN_CHARACTERS
    assert set(token) <= set(ALPHABET)
    assert read_token(KEY, token) == DeliveryRef(campaign_id, seq)
    assert read_token(KEY, token.upper()) == DeliveryRef(campaign_id, seq)


@given(campaign_ids, seqs)
def test_maker_and_single_function_agree(campaign_id: int, seq: int):
    assert TokenMaker(KEY, campaign_id).token(seq) == make_token(KEY, campaign_id, seq)


@given(seqs, st.integers(0, TOKEN_CHARACTERS - 1), st.sampled_from(ALPHABET))
def test_token_with_one_other_character_is_refused(seq: int, position: int, character: str):
    token = make_token(KEY, 9, seq)
    forged = token[:position] + character + token[position + 1 :]
    assert read_token(KEY, forged) == (DeliveryRef(9, seq) if forged == token else None)


@given(st.text(max_size=40))
def test_any_text_is_refused_without_an_error(text: str):
    assert read_token(KEY, text) is None


@given(st.text(alphabet=ALPHABET, min_size=32, max_size=32))
def test_well_formed_guess_is_refused(guess: str):
    assert read_token(KEY, guess) is None


@pytest.mark.parametrize("letter, look_alike", [("k", "\u212a"), ("s", "\u017f")])
def test_letter_that_only_looks_ascii_after_changing_case_is_refused(letter: str, look_alike: str):
    token = next(t for t in (make_token(KEY, 1, seq) for seq in range(1000)) if letter in t)
    assert read_token(KEY, token.replace(letter, look_alike)) is None


def test_padding_inside_the_length_is_refused():
    assert read_token(KEY, make_token(KEY, 1, 1)[:26] + "======") is None


def test_token_of_another_key_is_refused():
    assert read_token(b"x" * 32, make_token(KEY, 1, 1)) is None


def test_proof_is_never_read_as_delivery_nor_the_other_way_round():
    delivery = make_token(KEY, 1, 1)
    proof = make_token(KEY, 1, 1, purpose=TokenPurpose.PROOF)
    assert delivery[:16] == proof[:16]
    assert read_token(KEY, proof) is None
    assert read_token(KEY, delivery, purpose=TokenPurpose.PROOF) is None
    assert read_token(KEY, proof, purpose=TokenPurpose.PROOF) == DeliveryRef(1, 1)


def test_reader_reads_many_tokens():
    reader, maker = TokenReader(KEY), TokenMaker(KEY, 3)
    assert [reader.read(maker.token(seq)) for seq in range(50)] == [DeliveryRef(3, seq) for seq in range(50)]


def test_all_tokens_of_a_campaign_differ():
    maker = TokenMaker(KEY, 3)
    assert len({maker.token(seq) for seq in range(10_000)}) == 10_000


def test_format_is_stable():
    """Links in mail that was sent years ago must still be read: this value never changes."""
    assert make_token(bytes(range(32)), 1, 2) == "aaaaaaiaaaaaaaac65ytduupkwq6moaw"


@pytest.mark.parametrize("campaign_id", [-1, MAX_CAMPAIGN_ID + 1])
def test_campaign_id_out_of_range_is_an_error(campaign_id: int):
    with pytest.raises(ValueError, match="32 bits"):
        TokenMaker(KEY, campaign_id)


@pytest.mark.parametrize("seq", [-1, MAX_SEQ + 1])
def test_seq_out_of_range_is_an_error(seq: int):
    with pytest.raises(ValueError, match="48 bits"):
        make_token(KEY, 1, seq)


def test_short_key_is_an_error():
    with pytest.raises(ValueError, match="at least 16 bytes"):
        TokenMaker(b"short", 1)


@given(seqs, st.sampled_from(["example.pe", "rebotes.boletin.example.gob.pe"]), st.booleans())
def test_addresses_made_of_a_token_give_it_back_in_any_case(seq: int, domain: str, is_upper: bool):
    token = make_token(KEY, 4, seq)
    for make, read in (
        (message_id, token_of_message_id),
        (return_path, token_of_return_path),
        (unsubscribe_address, token_of_unsubscribe_address),
    ):
        made = make(token, domain)
        assert read(made.upper() if is_upper else made) == token


def test_shapes_of_message_id_and_return_path():
    assert message_id("t" * 32, "example.pe") == f"<{'t' * 32}@example.pe>"
    assert return_path("t" * 32, "example.pe") == f"b-{'t' * 32}@example.pe"


@given(st.text(max_size=60))
def test_other_addresses_hold_no_token(text: str):
    assert token_of_return_path(text) is None
    assert token_of_unsubscribe_address(text) is None
    assert token_of_message_id(f"<{text[:20]}@example.pe>") is None


def test_return_path_and_unsubscribe_address_are_not_mistaken_for_each_other():
    token = make_token(KEY, 4, 4)
    assert token_of_unsubscribe_address(return_path(token, "example.pe")) is None
    assert token_of_return_path(unsubscribe_address(token, "example.pe")) is None
