"""Exported cells never become formulas, however the spreadsheet splits the line."""

import csv
import io

import pytest

from app.flow.formulas import defused, undefused
from app.web.contacts.csv_answer import csv_lines

ATTACKS = [
    "=1+1",
    "+cmd|' /C calc'!A0",
    "-1+1",
    "@SUM(A1)",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    " =1+1",
    "\u00a0=1+1",
    "\u200b\u3000＝1+1",
    "\x00=1+1",
    "550 no;=cmd|' /C calc'!A0;x",
    "550 no,=cmd|' /C calc'!A0,x",
    "550 no; \u00a0=cmd|' /C calc'!A0",
    "no;\"=cmd|' /C calc'!A0",
    "no\n=cmd|' /C calc'!A0",
    "no\t=cmd|' /C calc'!A0",
    "\";=cmd|' /C calc'!A0",
]


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("written", [",", ";", "\t", "|"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_no_cell_begins_like_a_formula_whatever_the_separator(attack: str, delimiter: str, written: str) -> None:
    content = "".join(csv_lines(["a", "b"], [["first", attack], [attack, "last"]], written)).removeprefix("\ufeff")
    cells = [cell for row in csv.reader(io.StringIO(content, newline=""), delimiter=delimiter) for cell in row]
    assert any("1" in cell or "cmd" in cell for cell in cells)
    assert [cell for cell in cells if cell.lstrip("\x00\u00a0\u200b\u3000 \t\r\n")[:1] in tuple("=+-@＝＋－＠")] == []


def test_every_cell_is_quoted() -> None:
    assert "".join(csv_lines(["a", "b"], [[None, 'x"y']])) == '\ufeff"a";"b"\r\n"";"x""y"\r\n'


@pytest.mark.parametrize("harmless", ["-5", "+51,30", "Ana; Luis", "a=b", "", "correo@example.pe", "\u00a0x"])
def test_what_is_no_formula_stays(harmless: str) -> None:
    assert defused(harmless) == harmless


@pytest.mark.parametrize(
    "cell", [*ATTACKS, "-5", "+51 999 999 999", "'", "O'Higgins", "'comillas'", "d'Ana, -x; +y", "", "'-'"]
)
def test_a_defused_cell_that_comes_back_is_what_it_was(cell: str) -> None:
    assert undefused(defused(cell)) == cell
