"""Which answer an address asks for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mail.practice_rules import ACCEPTED, MAX_DELAY_SECONDS, TRAINING_ADDRESSES, AnswerKind, answer_for


@pytest.mark.parametrize(
    ("local_part", "kind", "reply", "delay_seconds", "tries"),
    [
        ("practica-451", AnswerKind.REFUSE_RECIPIENT, "451 4.3.0", 0, None),
        ("practica-451x2", AnswerKind.REFUSE_RECIPIENT, "451 4.3.0", 0, 2),
        ("practica-550", AnswerKind.REFUSE_RECIPIENT, "550 5.1.1", 0, None),
        ("practica-559", AnswerKind.REFUSE_RECIPIENT, "559 5.0.0", 0, None),
        ("practica-dato-554", AnswerKind.REFUSE_MESSAGE, "554 5.7.1", 0, None),
        ("practica-dato-421x1", AnswerKind.REFUSE_MESSAGE, "421 4.3.2", 0, 1),
        ("practica-421", AnswerKind.CLOSE, "421 4.3.2", 0, None),
        ("practica-lento5", AnswerKind.SLOW, "", 5, None),
        ("practica-lento999", AnswerKind.SLOW, "", MAX_DELAY_SECONDS, None),
        ("practica-lento5x3", AnswerKind.SLOW, "", 5, 3),
        ("practica-corte", AnswerKind.DROP, "", 0, None),
        ("practica-cortex1", AnswerKind.DROP, "", 0, 1),
        ("practica-corte-guardado", AnswerKind.DROP_AFTER_STORING, "", 0, None),
        ("practica-corte-guardadox12", AnswerKind.DROP_AFTER_STORING, "", 0, 12),
        ("Practica-451X2+Ana", AnswerKind.REFUSE_RECIPIENT, "451 4.3.0", 0, 2),
    ],
)
def test_local_part_asks_for_an_answer(
    local_part: str, kind: AnswerKind, reply: str, delay_seconds: int, tries: int | None
):
    answer = answer_for(f"{local_part}@example.pe")
    assert (answer.kind, answer.reply[:9], answer.delay_seconds, answer.tries) == (kind, reply, delay_seconds, tries)


@pytest.mark.parametrize(
    "address",
    [
        "ana@example.pe",
        "practica@example.pe",
        "practica-@example.pe",
        "practica-250@example.pe",
        "practica-45@example.pe",
        "practica-4511@example.pe",
        "practica-469@example.pe",
        "practica-451x0@example.pe",
        "practica-451x@example.pe",
        "practica-dato-250@example.pe",
        "practica-lento@example.pe",
        "practica-cortes@example.pe",
        "no-practica-451@example.pe",
        "practica-٤٥١@example.pe",
        "practica-451",
        "",
    ],
)
def test_everything_else_is_accepted(address: str):
    assert answer_for(address) is ACCEPTED


def test_limited_answer_holds_for_its_first_tries():
    answer = answer_for("practica-451x2@example.pe")
    assert [answer.holds_at(number) for number in (1, 2, 3)] == [True, True, False]
    assert answer_for("practica-451@example.pe").holds_at(1000)


def test_documented_addresses_ask_for_something_and_are_distinct():
    answers = [answer_for(f"{one.local_part}@example.pe") for one in TRAINING_ADDRESSES]
    assert ACCEPTED not in answers
    assert len(set(answers)) == len(answers)


@given(st.text(max_size=400) | st.from_regex(r"practica-[a-z0-9x+@-]{0,60}"))
def test_any_text_gets_an_answer_that_is_one_line(address: str):
    reply = answer_for(address).reply
    assert reply.isascii() and reply.isprintable()
