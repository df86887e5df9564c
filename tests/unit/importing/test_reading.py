"""Files of every kind as rows with line numbers, and what can't be read placed by line and column."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.flow.importing.problems import FileProblem, ImportProblem
from app.flow.importing.read import MAX_LINE_CHARACTERS, RowReader, open_quote


def rows_of(path: Path, content: bytes, encoding: str = "utf-8", delimiter: str = ";") -> list[tuple[int, list[str]]]:
    path.write_bytes(content)
    with RowReader(path, encoding=encoding, delimiter=delimiter) as reader:
        return [tuple(row) for row in reader]


def problem_of(path: Path, content: bytes, delimiter: str = ";") -> ImportProblem:
    with pytest.raises(ImportProblem) as caught:
        rows_of(path, content, delimiter=delimiter)
    return caught.value


def test_rows_carry_the_line_where_they_begin(tmp_path):
    content = b'a;b\r\n1;"two\r\nlines"\r\n\r\n3;4'
    assert rows_of(tmp_path / "f", content) == [(1, ["a", "b"]), (2, ["1", "two\nlines"]), (5, ["3", "4"])]


def test_last_row_without_a_newline_is_read(tmp_path):
    assert rows_of(tmp_path / "f", b'a;"b"') == [(1, ["a", "b"])]


def test_excels_delimiter_hint_is_no_row(tmp_path):
    assert rows_of(tmp_path / "f", b"sep=;\na;b\n") == [(2, ["a", "b"])]


def test_a_quote_inside_a_cell_is_a_letter(tmp_path):
    assert rows_of(tmp_path / "f", b'Juan "El Chino";2\n') == [(1, ['Juan "El Chino"', "2"])]


@pytest.mark.parametrize("tail", [b"", b"c;d\n" * 3, b"c;d\n" * 100_000])
def test_unclosed_quote_is_placed_however_long_the_file(tmp_path, tail):
    problem = problem_of(tmp_path / "f", b'x;y\nuno;"fine ""quoted"" cell"\na;"open\n' + tail)
    assert problem.code is FileProblem.UNCLOSED_QUOTE
    assert (problem.details["line"], problem.details["column"]) == (3, 2)


def test_unclosed_quote_that_opens_on_a_later_line_of_its_row(tmp_path):
    problem = problem_of(tmp_path / "f", b'h;i;j\n1;"two\nlines";"open\n')
    assert (problem.details["line"], problem.details["column"]) == (3, 3)


def test_a_cell_beyond_the_limit_is_refused_with_its_place(tmp_path):
    problem = problem_of(tmp_path / "f", b"a;b\n1;" + b"x" * (csv.field_size_limit() + 1) + b"\n")
    assert problem.code is FileProblem.CELL_TOO_LARGE
    assert (problem.details["line"], problem.details["column"]) == (2, 2)


def test_a_file_that_is_one_endless_line_is_refused(tmp_path):
    problem = problem_of(tmp_path / "f", b"a;" * MAX_LINE_CHARACTERS)
    assert (problem.code, problem.details["line"]) == (FileProblem.LINE_TOO_LONG, 1)


def test_bytes_outside_the_encoding_stay_visible_as_surrogates(tmp_path):
    (row,) = rows_of(tmp_path / "f", b"Pe\xf1a;b\n")
    assert row == (1, ["Pe\udcf1a", "b"])


def test_nul_bytes_are_read_and_left_to_the_check_of_the_row(tmp_path):
    assert rows_of(tmp_path / "f", b"a\x00b;c\n") == [(1, ["a\x00b", "c"])]


CELLS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0\r"), max_size=12)
TABLES = st.lists(st.lists(CELLS, min_size=2, max_size=5), min_size=1, max_size=20)


@settings(max_examples=150, deadline=None)
@given(table=TABLES, delimiter=st.sampled_from(";,\t|"), encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_whatever_csv_writes_is_read_back(tmp_path_factory, table, delimiter, encoding):
    written = io.StringIO()
    csv.writer(written, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([["h", "i"], *table])
    path = tmp_path_factory.getbasetemp() / "hypothesis.csv"
    # U+FFFD in UTF-16 is taken for what it mostly is: a place that could not be read.
    expected = [
        [c.replace("\ufffd", "\udcff") if encoding == "utf-16" else c for c in row] for row in table if any(row)
    ]
    got = rows_of(path, written.getvalue().encode(encoding), encoding, delimiter)
    assert [cells for _line, cells in got[1:]] == expected


@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=400), delimiter=st.sampled_from(";,\t|"))
def test_any_bytes_give_rows_or_a_problem(tmp_path_factory, content, delimiter):
    path = tmp_path_factory.getbasetemp() / "hypothesis.bin"
    try:
        lines = [line for line, _cells in rows_of(path, content, "utf-8", delimiter)]
    except ImportProblem as problem:
        assert problem.code is FileProblem.UNCLOSED_QUOTE
    else:
        assert lines == sorted(set(lines))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('a;b"c', None),
        ('"a', (0, 1)),
        ('a;"b', (0, 2)),
        ('"a""', (0, 1)),
        ('"a";"b\nc', (0, 2)),
        ('"a\nb";"c', (1, 2)),
        ('"a"x"b', None),
    ],
)
def test_open_quote(text, place):
    assert open_quote(text, ";") == place
