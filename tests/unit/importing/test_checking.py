"""Rows as address, name and fields, or the reason why not; values of typed fields."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.flow.field_values import UnreadableValue, as_text, read_value
from app.flow.importing.check import Checked, Rejected, RowChecker
from app.flow.importing.read import Row
from app.flow.importing.stage import copy_line
from app.models import FieldType

MAPPING = {"0": "email", "1": "name", "2": "field:edad", "3": "skip"}


@pytest.fixture
def checker():
    return RowChecker(header=["Correo", "Nombre", "Edad", "Nota"], mapping=MAPPING, types={"edad": FieldType.NUMBER})


def test_a_row_becomes_address_name_and_fields(checker):
    row = Row(2, [" Ana@Example.PE ", "  María\u00a0Peña\t", "30", "x"])
    assert checker.check(row) == Checked(2, "ana@example.pe", "María Peña", {"edad": 30})


def test_empty_cells_are_left_out(checker):
    assert checker.check(Row(2, ["ana@example.pe", "", "  ", ""])) == Checked(2, "ana@example.pe", "", {})


def test_cells_missing_at_the_end_count_as_empty(checker):
    assert checker.check(Row(2, ["ana@example.pe", "Ana"])) == Checked(2, "ana@example.pe", "Ana", {})


def test_blank_surplus_cells_are_harmless(checker):
    assert isinstance(checker.check(Row(2, ["ana@example.pe", "Ana", "1", "", " ", ""])), Checked)


def test_blank_rows_of_a_spreadsheet_are_no_rows(checker):
    assert checker.check(Row(2, ["", " ", "", ""])) is None


@pytest.mark.parametrize(
    ("cells", "column", "reason"),
    [
        (["ana@example.pe", "Ana", "1", "", "extra"], 5, "too_many_cells"),
        (["ana.example.pe", "Ana", "1", ""], 1, "email_missing_at"),
        (["", "Ana", "1", ""], 1, "email_empty"),
        (["a@example.pe; b@example.pe", "Ana", "1", ""], 1, "email_several_addresses"),
        (["CORREO", "nombre", "edad", "nota"], 1, "repeated_header"),
        (["ana@example.pe", "x" * 201, "1", ""], 2, "name_too_long"),
        (["ana@example.pe", "Ana", "treinta", ""], 3, "not_a_number"),
        (["ana@example.pe", "Pe\udcf1a", "1", ""], 2, "unreadable"),
        (["ana@example.pe", "A\0na", "1", ""], 2, "nul"),
        (["a\0na@example.pe", "Ana", "1", ""], 1, "nul"),
        (["a\udce1na@example.pe", "Ana", "1", ""], 1, "unreadable"),
    ],
)
def test_a_rejected_row_names_its_column_and_reason(checker, cells, column, reason):
    assert checker.check(Row(7, cells)) == Rejected(7, column, reason, cells)


def test_unreadable_cells_that_are_not_imported_do_not_matter(checker):
    assert isinstance(checker.check(Row(2, ["ana@example.pe", "Ana", "1", "\udcf1"])), Checked)


def test_two_cells_alike_are_not_taken_for_a_repeated_header(checker):
    rejected = checker.check(Row(2, ["x", "x", "1", ""]))
    assert rejected.reason == "email_missing_at"


def test_names_lose_control_characters_and_are_composed(checker):
    checked = checker.check(Row(2, ["ana@example.pe", "Mari\u0301a\r\nBcc: x\x07", "", ""]))
    assert checked.name == "María  Bcc: x"


@pytest.mark.parametrize(
    ("type_", "text", "value"),
    [
        (FieldType.NUMBER, "1,234.50", 1234.5),
        (FieldType.NUMBER, "1.234,50", 1234.5),
        (FieldType.NUMBER, "12,5", 12.5),
        (FieldType.NUMBER, "-7", -7),
        (FieldType.NUMBER, "1,234", 1234),
        (FieldType.DATE, "31/12/2026", "2026-12-31"),
        (FieldType.DATE, "2026-12-31 00:00:00", "2026-12-31"),
        (FieldType.BOOLEAN, "SÍ", True),
        (FieldType.BOOLEAN, "falso", False),
        (FieldType.TEXT, "0123", "0123"),
    ],
)
def test_values_are_read_as_people_write_them(type_, text, value):
    assert read_value(type_, text) == value


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        (FieldType.NUMBER, "1e9"),
        (FieldType.NUMBER, "nan"),
        (FieldType.NUMBER, "1,2,3"),
        (FieldType.NUMBER, "٣"),
        (FieldType.DATE, "12/31/2026"),
        (FieldType.DATE, "31/12/0026"),
        (FieldType.BOOLEAN, "quizá"),
    ],
)
def test_what_is_no_value_of_its_type_is_refused(type_, text):
    with pytest.raises(UnreadableValue):
        read_value(type_, text)


@given(
    st.one_of(
        st.booleans().map(lambda b: (FieldType.BOOLEAN, b)),
        st.integers(-(10**14), 10**14).map(lambda n: (FieldType.NUMBER, n)),
        st.dates(
            min_value=__import__("datetime").date(1900, 1, 1), max_value=__import__("datetime").date(2100, 12, 31)
        ).map(lambda d: (FieldType.DATE, d.isoformat())),
    )
)
def test_an_exported_value_is_imported_as_the_same(pair):
    type_, value = pair
    assert read_value(type_, as_text(value)) == value


@settings(max_examples=300)
@given(cells=st.lists(st.text(max_size=30), min_size=4, max_size=6))
def test_no_cell_breaks_the_copy_format(cells):
    """Every line has seven columns, one newline, and JSON that PostgreSQL takes (no NUL, no surrogate)."""
    checker = RowChecker(header=["a", "b", "c", "d"], mapping={"0": "email", "1": "name", "2": "field:x"}, types={})
    for row in (Row(2, cells), Row(2, ["ana@example.pe", *cells[1:4]])):
        line = copy_line(checker.check(row))
        if line is None:
            continue
        assert line.count("\n") == 1
        columns = line[:-1].split("\t")
        assert len(columns) == 7
        for kept in (columns[3], columns[6]):
            plain = kept.replace("\\\\", "\\")
            assert plain == "\\N" or "\\u0000" not in json.dumps(json.loads(plain))
        line.encode()
