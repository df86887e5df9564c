"""Templates and data that are made to cost: refused or cut off, soon."""

import time

import pytest

from app.mail.merge import Compiler, TooLargeError
from app.mail.merge_language import (
    MAX_BRANCHES,
    MAX_FILTERS_PER_TAG,
    MAX_PROBLEMS,
    MAX_RENDERED_BYTES,
    MAX_RENDERED_HEADER_CHARACTERS,
    MAX_TAGS,
    Part,
)
from app.mail.problems import TemplateProblem
from app.mail.templates import check_template
from tests.unit.mail.samples import SENT_AT, campaign, recipient

FIELDS = tuple(f"campo_{n}" for n in range(100))
SOON_SECONDS = 4.0
"""Generous for a loaded machine; each of these took minutes or all memory where nothing bounded it."""


def problems(source: str, part: Part = Part.HTML) -> list[TemplateProblem]:
    begun = time.monotonic()
    found = check_template(source, known_fields=FIELDS, part=part)
    assert time.monotonic() - begun < SOON_SECONDS
    return found


@pytest.mark.parametrize("part", [Part.TEXT, Part.HTML])
def test_as_many_tags_as_allowed_pass_and_one_more_is_named_at_its_place(part: Part):
    line = "{{ campo_1 }}\n"
    assert problems(line * MAX_TAGS, part) == []
    (problem,) = problems(line * (MAX_TAGS + 1), part)
    assert (problem.line, problem.column, problem.code) == (MAX_TAGS + 1, 1, "too_many_tags")
    assert problem.parameters == {"limit": MAX_TAGS}


def test_every_if_and_elif_is_a_branch_and_else_and_endif_are_none():
    assert problems("{% if campo_1 %}a{% else %}b{% endif %}\n" * MAX_BRANCHES) == []
    many = "{% if campo_1 %}" + "\n{% elif campo_2 %}" * MAX_BRANCHES + "{% endif %}"
    (problem,) = [one for one in problems(many) if one.code != "unclosed_if"]
    assert (problem.line, problem.column, problem.code) == (MAX_BRANCHES + 1, 1, "too_many_branches")


@pytest.mark.parametrize("tag", ["{{{{ campo_1{} }}}}", '{{% if campo_1{} == "a" %}}b{{% endif %}}'])
def test_as_many_filters_as_allowed_pass_and_one_more_is_named_at_its_place(tag: str):
    assert problems(tag.format("|upper" * MAX_FILTERS_PER_TAG)) == []
    template = tag.format("|upper" * MAX_FILTERS_PER_TAG + "|lower")
    (problem,) = problems("\n" + template)
    assert (problem.line, problem.column, problem.code) == (2, template.index("|lower") + 1, "too_many_filters")
    assert problem.parameters == {"limit": MAX_FILTERS_PER_TAG}


def test_filters_of_all_values_of_one_tag_count_together():
    (problem,) = problems("{% if " + " or ".join(f"campo_{n}|lower == 'a'" for n in range(6)) + " %}b{% endif %}")
    assert problem.code == "too_many_filters"
    assert problems("{{ campo_1|default('|||||||') }}") == []


@pytest.mark.parametrize(
    "attack",
    [
        "{{ campo_1 }}" * 10_000,
        "{{ kampo_1 }}" * 10_000,
        "".join(f"{{{{ kampo_{n} }}}}" for n in range(10_000)),
        "{% if campo_1 %}" * 10_000 + "{% endif %}" * 10_000,
        "{% if campo_1 %}a{% endif %}" * 10_000,
        "{% if " + "(" * 200_000,
        "{{" + "a" * 400_000 + "}}",
        "{{ campo_1" + "|upper" * 60_000 + " }}",
        "\x00" * 400_000,
        "{%" * 200_000,
        "}}" * 200_000,
        "{{ '" + "x" * 400_000 + "' }}",
        "".join("{{ kampo_" + "x" * 900 + f"{n} }}}}" for n in range(450)),
    ],
)
def test_attack_is_answered_soon_and_briefly(attack: str):
    assert len(problems(attack)) <= MAX_PROBLEMS


def test_attack_behind_many_harmless_problems_reaches_no_recursive_parser():
    assert len(problems("\x00" * 200 + "{% if campo_1 %}" * 10_000)) == MAX_PROBLEMS


def test_message_that_just_fits_is_rendered_and_a_larger_one_is_not():
    plan = Compiler(encode_literal=str, encode_value=str, max_length=100).plan("ab{{ x }}c{{ y }}")
    assert len(plan.render({"x": "x" * 50, "y": "y" * 47})) == 100
    with pytest.raises(TooLargeError):
        plan.render({"x": "x" * 50, "y": "y" * 48})


def test_what_stands_in_an_if_counts_as_well():
    source = "{% if x %}{% if y %}{{ x }}{{ x }}{% endif %}{% else %}" + "z" * 90 + "{% endif %}"
    plan = Compiler(encode_literal=str, encode_value=str, max_length=100).plan(source)
    assert len(plan.render({"x": "x" * 50, "y": "y"})) == 100
    with pytest.raises(TooLargeError):
        plan.render({"x": "x" * 51, "y": "y"})


def test_literals_that_alone_are_too_large_are_found_when_compiled():
    with pytest.raises(TooLargeError):
        campaign(html="<p>" + "\U0001f33d" * 200_000 + "</p>", text="x")


def test_data_of_one_recipient_that_blow_the_mail_up_fail_that_recipient_alone():
    compiled = campaign(html="{{ ciudad }}" * 450, text="x")
    assert len(compiled.render(recipient(fields={"ciudad": "a" * 1000}), SENT_AT).body) > 450_000
    begun = time.monotonic()
    with pytest.raises(TooLargeError) as caught:
        compiled.render(recipient(fields={"ciudad": '"' * 100_000}), SENT_AT)
    assert caught.value.limit == MAX_RENDERED_BYTES
    assert time.monotonic() - begun < SOON_SECONDS
    assert compiled.render(recipient(seq=6), SENT_AT).body


def test_data_that_are_read_and_never_printed_are_bounded_as_well():
    condition = "{% if ciudad" + "|upper|lower" * 15 + " == 'x' %}a{% endif %}"
    compiled = campaign(html=condition * 100, text="x")
    begun = time.monotonic()
    with pytest.raises(TooLargeError):
        compiled.render(recipient(fields={"ciudad": "a" * 5_000_000}), SENT_AT)
    compiled.render(recipient(fields={"ciudad": "a" * 190_000}), SENT_AT)
    assert time.monotonic() - begun < SOON_SECONDS


def test_subject_stays_a_line():
    compiled = campaign(subject="{{ ciudad }}")
    assert compiled.render(recipient(fields={"ciudad": "a" * 1000}), SENT_AT)
    with pytest.raises(TooLargeError) as caught:
        compiled.render(recipient(fields={"ciudad": "a" * 2001}), SENT_AT)
    assert caught.value.limit == MAX_RENDERED_HEADER_CHARACTERS
