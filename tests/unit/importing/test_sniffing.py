"""Encoding, delimiter, header and the guess of what each column is."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.flow.importing.guess import guess_mapping, propose_key
from app.flow.importing.problems import FileProblem, ImportProblem
from app.flow.importing.sniff import sniff
from app.mail.merge_language import FIELD_KEY, TAKEN_KEYS
from app.models import CustomField

SPANISH = "Correo electrónico;Nombres y apellidos;Región\nana@example.pe;María Peña;Áncash\njose@example.pe;José Núñez;Junín\n"


def seen(path: Path, content: bytes, **told):
    path.write_bytes(content)
    return sniff(path, max_columns=20, **told)


def problem_of(path: Path, content: bytes) -> ImportProblem:
    with pytest.raises(ImportProblem) as caught:
        seen(path, content)
    return caught.value


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8-sig"),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "utf-16-be"),
        ("cp1252", "cp1252"),
        ("latin-1", "cp1252"),  # its superset
        ("cp850", "cp850"),
    ],
)
def test_encoding_is_recognised_and_accents_survive(tmp_path, written, expected):
    found = seen(tmp_path / "f", SPANISH.encode(written))
    assert found.encoding == expected
    assert found.header == ["Correo electrónico", "Nombres y apellidos", "Región"]
    assert found.samples[0] == ["ana@example.pe", "María Peña", "Áncash"]
    assert not found.has_unreadable


def test_one_accent_at_the_end_of_a_long_file_decides(tmp_path):
    content = b"correo;nombre\n" + b"ana@example.pe;Ana\n" * 100_000 + "jose@example.pe;José Núñez\n".encode("cp1252")
    assert seen(tmp_path / "f", content).encoding == "cp1252"


def test_euro_and_quotes_of_windows_1252_are_not_latin_1_controls(tmp_path):
    found = seen(tmp_path / "f", "correo;nombre\nana@example.pe;“María” – 5 €\n".encode("cp1252"))
    assert found.samples[0][1] == "“María” – 5 €"


@pytest.mark.parametrize("delimiter", [";", ",", "\t", "|"])
def test_delimiter_is_what_cuts_the_lines_alike(tmp_path, delimiter):
    content = SPANISH.replace(";", delimiter).encode()
    assert seen(tmp_path / "f", content).delimiter == delimiter


def test_commas_in_the_text_do_not_win_over_semicolons(tmp_path):
    content = b"correo;nombre\n" + b"ana@example.pe;Pena, Maria, y otros\n" * 5
    found = seen(tmp_path / "f", content)
    assert (found.delimiter, found.header) == (";", ["correo", "nombre"])


def test_quoted_delimiters_do_not_count(tmp_path):
    content = b"correo,nombre\n" + b'ana@example.pe,"Pena; Maria; y otros; mas"\n' * 5
    assert seen(tmp_path / "f", content).delimiter == ","


def test_a_single_column_of_addresses_without_header(tmp_path):
    found = seen(tmp_path / "f", b"ana@example.pe\njose@example.pe\n")
    assert not found.has_header
    assert found.header == [""]
    assert found.samples == [["ana@example.pe"], ["jose@example.pe"]]
    assert guess_mapping(found, []) == {"0": "email"}


def test_person_may_overrule_encoding_and_delimiter(tmp_path):
    found = seen(tmp_path / "f", SPANISH.encode("cp1252"), encoding="utf-8", delimiter=",")
    assert (found.encoding, found.delimiter, found.has_unreadable) == ("utf-8", ",", True)


def test_unknown_encodings_are_not_taken_from_a_request(tmp_path):
    assert seen(tmp_path / "f", SPANISH.encode(), encoding="rot13", delimiter="@").encoding == "utf-8"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", FileProblem.EMPTY),
        (b"\n\n  \n", FileProblem.HEADER_ONLY),
        (b"\xef\xbb\xbf", FileProblem.EMPTY),
        (b"correo;nombre\n", FileProblem.HEADER_ONLY),
        (b"PK\x03\x04rest of a workbook", FileProblem.NOT_TEXT),
        (b"%PDF-1.7\n", FileProblem.NOT_TEXT),
        (bytes(range(256)) * 40, FileProblem.NOT_TEXT),
        (b";".join(b"c%d" % n for n in range(21)) + b"\n" + b"x;" * 20 + b"x\n", FileProblem.TOO_MANY_COLUMNS),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, content, code):
    assert problem_of(tmp_path / "f", content).code is code


def test_a_header_that_stands_twice_is_refused_with_both_columns(tmp_path):
    problem = problem_of(tmp_path / "f", "Correo;Región;CORREO\na@example.pe;x;b@example.pe\n".encode())
    assert problem.code is FileProblem.REPEATED_HEADER
    assert problem.details == {"header": "CORREO", "line": 1, "column": 3, "first_column": 1}


def test_columns_without_a_name_are_not_a_repeated_header(tmp_path):
    assert seen(tmp_path / "f", b"correo;;;nombre\na@example.pe;;;b\n").header == ["correo", "", "", "nombre"]


def test_guess_finds_address_name_known_and_new_fields(tmp_path):
    content = "N°;Correo;Nombre;Región;Código postal;Notas\n"
    content += "1;ana@example.pe;Ana;Junín;12001;\n2;luz@example.pe;Luz;Áncash;02001;\n"
    fields = [CustomField(key="zona", label="Region")]
    assert guess_mapping(seen(tmp_path / "f", content.encode()), fields) == {
        "0": "skip",
        "1": "email",
        "2": "name",
        "3": "field:zona",
        "4": "field:codigo_postal",
        "5": "skip",
    }


def test_guess_takes_the_column_with_addresses_whatever_its_header(tmp_path):
    content = b"dato;correo\nana@example.pe;ninguno\nluz@example.pe;ninguno\n"
    assert guess_mapping(seen(tmp_path / "f", content), [])["0"] == "email"


def test_guess_marks_no_address_where_there_is_none(tmp_path):
    assert "email" not in guess_mapping(seen(tmp_path / "f", b"a;b\n1;2\n"), []).values()


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ("Región", "region"),
        ("Año de nacimiento", "ano_de_nacimiento"),
        ("2024", "campo_2024"),
        ("nombre", "nombre_2"),
        ("", "columna_7"),
        ("日本", "columna_7"),
    ],
)
def test_key_proposed_from_the_header(header, key):
    assert propose_key(header, 7, []) == key


@settings(max_examples=300)
@given(header=st.text(max_size=60), taken=st.lists(st.sampled_from(["region", "campo_1", "a"]), max_size=3))
def test_proposed_keys_are_always_valid_free_and_not_reserved(header, taken):

    key = propose_key(header, 1, taken)
    assert FIELD_KEY.match(key)
    assert key not in TAKEN_KEYS
    assert key not in taken
