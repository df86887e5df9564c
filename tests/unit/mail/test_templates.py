import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from app.mail.merge import Compiler
from app.mail.merge_language import FIELD_KEY, FILTERS, MAX_CHARACTERS, NAME_FIELD, RESERVED_FIELDS, TAKEN_KEYS, Part
from app.mail.problems import ENGLISH, TemplateProblem
from app.mail.quoted_printable import clean_text
from app.mail.templates import check_template, fields_used

FIELDS = ("nombre", "ruc", "ciudad", "año")


def problems(source: str, part: str = "html") -> list[TemplateProblem]:
    return check_template(source, known_fields=FIELDS, part=part)


def merged(source: str, **values: str) -> str:
    assert problems(source, "text") == []
    return Compiler(encode_literal=str, encode_value=str).plan(source).render(values)


@pytest.mark.parametrize(
    "source, expected",
    [
        ("Hola {{ nombre }}", "Hola Rosa"),
        ("Hola {{nombre}}, {{ nombre }}!", "Hola Rosa, Rosa!"),
        ("{{ año }}", ""),
        ("{{ email }}", ""),
        ("{{ nombre|upper }} {{ nombre|mayusculas }}", "ROSA ROSA"),
        ("{{ nombre|lower }} {{ nombre|minusculas }}", "rosa rosa"),
        ("{{ ciudad|title }} {{ ciudad|titulo }}", "San Martín San Martín"),
        ("{{ ciudad|capitalize }}", "San martín"),
        ("[{{ ruc|trim }}][{{ ruc|recortar }}]", "[20][20]"),
        ("{{ año|default('2026') }} {{ año|por_defecto('2026') }}", "2026 2026"),
        ("{{ año|default(nombre|upper) }}", "ROSA"),
        ("{{ nombre|default('x') }}", "Rosa"),
        ("{{ año or nombre }}", "Rosa"),
        ("{{ 'texto' }}", "texto"),
        ("{% if nombre %}sí{% else %}no{% endif %}", "sí"),
        ("{% if año %}sí{% else %}no{% endif %}", "no"),
        ("{% if año %}a{% elif nombre %}b{% else %}c{% endif %}", "b"),
        ("{% if nombre == 'Rosa' %}sí{% endif %}", "sí"),
        ("{% if nombre != 'Rosa' %}sí{% endif %}", ""),
        ("{% if nombre and not año %}sí{% endif %}", "sí"),
        ("{% if (año or nombre) and ciudad %}sí{% endif %}", "sí"),
        ("{% if año is defined %}sí{% else %}no{% endif %}", "no"),
        ("{% if nombre is defined %}sí{% endif %}", "sí"),
        ("{% if nombre is not defined %}sí{% endif %}", ""),
        ("{% if nombre|upper == 'ROSA' %}sí{% endif %}", "sí"),
        ("a  {%- if nombre -%}  b  {%- endif -%}  c", "abc"),
        ("{% if nombre %}{% if ruc %}{{ ruc|trim }}{% endif %}{% endif %}", "20"),
        ("@media x{#outlook a{padding:0}}", "@media x{#outlook a{padding:0}}"),
        ("50 % de { descuento } }} %}", "50 % de { descuento } }} %}"),
        ("fin\n", "fin\n"),
    ],
)
def test_merge_language_means_what_it_says(source: str, expected: str):
    assert merged(source, nombre="Rosa", ciudad="san MARTÍN", ruc=" 20 ", año="") == expected


def test_empty_and_missing_values_are_the_same():
    source = "{{ año|default('x') }}{% if año %}y{% endif %}{{ año }}{% if año is defined %}z{% endif %}"
    assert merged(source) == merged(source, año="") == "x"


REFUSED = [
    # source, line, column, code, parameters
    ("Hola {{ nombr }}", 1, 9, "unknown_field", {"field": "nombr", "suggestion": "nombre"}),
    ("{{ zzzzzz }}", 1, 4, "unknown_field", {"field": "zzzzzz", "suggestion": ""}),
    ("{{ NOMBRE }}", 1, 4, "unknown_field", {"field": "NOMBRE", "suggestion": "nombre"}),
    ("é\n  ñ {{ ruk }}", 2, 8, "unknown_field", {"field": "ruk", "suggestion": "ruc"}),
    ("\r\n\r\n{{ ruk }}", 3, 4, "unknown_field", {"field": "ruk", "suggestion": "ruc"}),
    ("{% if nombr %}{% endif %}", 1, 7, "unknown_field", {"field": "nombr", "suggestion": "nombre"}),
    ("{{ self }}", 1, 4, "unknown_field", {"field": "self", "suggestion": ""}),
    ("{{ nombre|uper }}", 1, 11, "unknown_filter", {"filter": "uper", "suggestion": "upper"}),
    ("{{ nombre|safe }}", 1, 11, "unknown_filter", {"filter": "safe", "suggestion": ""}),
    ("{{ nombre|attr('x') }}", 1, 11, "unknown_filter", {"filter": "attr", "suggestion": ""}),
    ("{{ nombre|default }}", 1, 11, "filter_arguments", {"filter": "default", "expected": 1, "found": 0}),
    ("{{ nombre|upper('x') }}", 1, 11, "filter_arguments", {"filter": "upper", "expected": 0, "found": 1}),
    ("{{ nombre|default(value='x') }}", 1, 11, "filter_arguments", {}),
    ("{{ nombre|default(*ruc) }}", 1, 11, "filter_arguments", {}),
    ("a {% for x in y %}b{% endfor %}", 1, 3, "loop_not_allowed", {}),
    ("{% set x = 'a' %}", 1, 1, "statement_not_allowed", {"statement": "set"}),
    ("{% macro x() %}{% endmacro %}", 1, 1, "statement_not_allowed", {"statement": "macro"}),
    ("{% include 'x' %}", 1, 1, "statement_not_allowed", {"statement": "include"}),
    ("{% import 'x' as y %}", 1, 1, "statement_not_allowed", {"statement": "import"}),
    ("{% extends 'x' %}", 1, 1, "statement_not_allowed", {"statement": "extends"}),
    ("{% raw %}{{ x }}{% endraw %}", 1, 1, "statement_not_allowed", {"statement": "raw"}),
    ("{% filter upper %}x{% endfilter %}", 1, 1, "statement_not_allowed", {"statement": "filter"}),
    ("{% autoescape false %}{% endautoescape %}", 1, 1, "statement_not_allowed", {"statement": "autoescape"}),
    ("{{ nombre.__class__ }}", 1, 10, "private_access", {"name": "__class__"}),
    ("{{ nombre['__class__'] }}", 1, 10, "private_access", {"name": "__class__"}),
    ("{{ __builtins__ }}", 1, 4, "private_access", {"name": "__builtins__"}),
    ("{{ nombre.upper }}", 1, 10, "attribute_not_allowed", {"name": "upper"}),
    ("{{ nombre[0] }}", 1, 10, "item_not_allowed", {}),
    ("{{ nombre() }}", 1, 10, "call_not_allowed", {}),
    ("{{ nombre + ruc }}", 1, 4, "operator_not_allowed", {"operator": "+"}),
    ("{{ nombre ~ ruc }}", 1, 4, "operator_not_allowed", {"operator": "~"}),
    ("{% if ruc > '5' %}{% endif %}", 1, 11, "operator_not_allowed", {"operator": ">"}),
    ("{% if 'a' in ruc %}{% endif %}", 1, 11, "operator_not_allowed", {"operator": "in"}),
    ("{% if 'a' == ruc == nombre %}{% endif %}", 1, 11, "operator_not_allowed", {"operator": "=="}),
    ("{% if ruc is odd %}{% endif %}", 1, 11, "test_not_allowed", {"test": "odd"}),
    ("{% if ruc == 5 %}{% endif %}", 1, 14, "constant_not_allowed", {"constant": "5"}),
    ("{{ none }}", 1, 4, "constant_not_allowed", {"constant": "none"}),
    ("{{ ruc == '5' }}", 1, 4, "condition_printed", {}),
    ("{{ not ruc }}", 1, 4, "condition_printed", {}),
    ("{{ ['a'] }}", 1, 4, "expression_not_allowed", {}),
    ("{{ {'a': 'b'} }}", 1, 4, "expression_not_allowed", {}),
    ("{{ 'a' if ruc else 'b' }}", 1, 4, "expression_not_allowed", {}),
    ("{{ enlace_baja|upper }}", 1, 16, "link_filtered", {"field": "enlace_baja"}),
    ("{{ ruc|default(enlace_baja) }}", 1, 8, "link_filtered", {"field": "enlace_baja"}),
    ("Hola {{ nombre", 1, 6, "unclosed_tag", {"tag": "{{"}),
    ("Hola {% if nombre", 1, 6, "unclosed_tag", {"tag": "{%"}),
    ("a {{ }}", 1, 3, "empty_tag", {}),
    ("a {% if nombre %} b", 1, 3, "unclosed_if", {}),
    ("a {% endif %}", 1, 3, "unexpected_statement", {"statement": "endif"}),
    ("a {% else %}", 1, 3, "unexpected_statement", {"statement": "else"}),
    ("{{ nombre ruc }}", 1, 11, "syntax", {}),
    ("{{ nombre ? }}", 1, 11, "syntax", {}),
    ("{{ 'nombre }}", 1, 4, "syntax", {}),
    ("{% if %}{% endif %}", 1, 7, "syntax", {}),
    ("{{ (nombre }}", 1, 12, "syntax", {}),
    ("{{ ((((((nombre)))))) }}", 1, 9, "too_deep", {"limit": 5}),
    ("{{ " + "not " * 200 + "nombre }}", 1, 1, "tag_too_long", {}),
    ("{{" * 5000, 1, 1, "tag_too_long", {}),
    ("{% if ruc %}" * 11 + "{% endif %}" * 11, 1, 121, "too_deep", {"limit": 10}),
    ("a\x00b", 1, 2, "control_character", {"character": "U+0000"}),
]  # fmt: skip


@pytest.mark.parametrize("source, line, column, code, parameters", REFUSED)
def test_everything_else_is_refused_at_its_place(
    source: str, line: int, column: int, code: str, parameters: dict[str, str | int]
):
    (first, *_) = problems(source)
    assert (first.line, first.column, first.code) == (line, column, code)
    assert parameters.items() <= first.parameters.items()


def test_every_code_has_an_english_sentence_with_its_parameters():
    for source, *_ in REFUSED:
        for problem in problems(source):
            assert problem.code in ENGLISH
            assert "{" not in str(problem).replace("{{", "").replace("{%", "") or "near" in problem.parameters


def test_problem_reads_as_a_sentence():
    assert str(problems("Hola {{ nombr }}")[0]) == (
        "html, line 1, column 9: There is no field “nombr”. Did you mean “nombre”?"
    )


def test_all_problems_are_reported_in_their_order():
    found = problems("{{ a }}\n{{ nombre|b }}\n{% if c %}{{ nombre.d }}{% endif %}")
    assert [(problem.line, problem.code) for problem in found] == [
        (1, "unknown_field"),
        (2, "unknown_filter"),
        (3, "unknown_field"),
        (3, "attribute_not_allowed"),
    ]


@pytest.mark.parametrize("part", [Part.SUBJECT, Part.FROM_NAME])
@pytest.mark.parametrize(
    "source, code",
    [
        ("a\nb", "line_break"),
        ("a\r\nBcc: x@example.pe", "line_break"),
        ("a\u2028b", "line_break"),
        ("a\x85b", "line_break"),
        ("a\x0bb", "line_break"),
        ("{{ 'a\\nb' }}", "line_break"),
        ("a\x00b", "control_character"),
        ("a\x1bb", "control_character"),
        ("{{ enlace_baja }}", "field_not_in_part"),
    ],
)
def test_header_parts_refuse_what_breaks_a_header(part: Part, source: str, code: str):
    assert [problem.code for problem in problems(source, part)] == [code]


@pytest.mark.parametrize("part", Part)
def test_part_that_is_too_long_is_refused_before_it_is_read(part: Part):
    limit = MAX_CHARACTERS[part]
    assert problems("a" * limit, part) == []
    assert [problem.code for problem in problems("{" * (limit + 1), part)] == ["too_long"]


def test_fields_used_names_all_fields():
    source = "{{ nombre }}{% if ruc == 'x' %}{{ año|default(ciudad) }}{% endif %}"
    assert fields_used(source) == {"nombre", "ruc", "año", "ciudad"}


@given(st.from_regex(FIELD_KEY, fullmatch=True))
def test_whatever_may_be_a_fields_key_can_be_used_in_a_template(key: str):
    assume(key not in TAKEN_KEYS)
    source = f"{{{{ {key} }}}}{{% if {key} %}}{{{{ {key}|upper }}}}{{% endif %}}"
    assert check_template(source, known_fields=[key], part="html") == []


@pytest.mark.parametrize("key", ["", "_x", "2x", "a b", "a-b", "año", "Sede", "x" * 41, "x\n"])
def test_what_can_be_no_fields_key(key: str):
    assert not FIELD_KEY.match(key)


@pytest.mark.parametrize("key", sorted(TAKEN_KEYS))
def test_names_with_a_meaning_of_their_own_would_not_work_as_fields(key: str):
    """But for the reserved ones, which are known already."""
    works = check_template(f"{{{{ {key} }}}}", known_fields=[key], part="html") == []
    assert works == (key in RESERVED_FIELDS | {NAME_FIELD})


fragments = st.sampled_from(
    [
        "{{", "}}", "{%", "%}", "if", "elif", "else", "endif", "for", "in", "set", "and", "or", "not", "is",
        "defined", "==", "!=", "|", "(", ")", "[", "]", ".", ",", "'a'", "5", "+", "~", "nombre", "ruc",
        "año", "email", "enlace_baja", "upper", "default('x')", "-", "_x", "None", "{#", " ", "\n",
        "{{ nombre }}", "{% if ruc %}", "{% else %}", "{% endif %}", "{{ ruc|default('a') }}", "<a href='",
    ]
)  # fmt: skip


@settings(max_examples=1500, deadline=None)
@given(st.lists(fragments, max_size=14).map(" ".join) | st.text(max_size=40))
def test_any_source_is_either_refused_with_a_reason_or_can_be_compiled(source: str):
    found = problems(source)
    for problem in found:
        assert problem.line >= 1
        assert problem.column >= 1
        assert str(problem)
    if not found:
        plan = Compiler(encode_literal=str, encode_value=str).plan(clean_text(source))
        assert isinstance(plan.render({"nombre": "x"}), str)
        assert isinstance(plan.render({}), str)


def test_spanish_filters_are_the_english_ones():
    assert FILTERS["mayusculas"] == FILTERS["upper"]
    assert FILTERS["por_defecto"] == FILTERS["default"]
