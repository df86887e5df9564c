"""What people read of a command: aligned tables with headers on standard output, refusals on standard error."""

import json
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from app.commands.terminal import pairs, table
from app.models import CampaignStatus
from tests import factories, ledger


def test_columns_are_as_wide_as_their_widest_cell_and_numbers_stand_to_the_right():
    told = table(["ID", "Lista", "Personas"], [(7, "Feria", 12), (12, "Prensa del sur", 10400)])
    assert told.splitlines() == [
        "ID  Lista           Personas",
        " 7  Feria                 12",
        "12  Prensa del sur     10400",
    ]


def test_table_without_rows_still_says_what_it_would_hold():
    assert table(["ID", "Lista"], []) == "ID  Lista"


def test_nothing_is_a_dash():
    assert table(["A", "B"], [(None, ""), ("x", "y")]).splitlines() == ["A  B", "-  -", "x  y"]
    assert pairs([("Empezó", None), ("Id", 3)]).splitlines() == ["Empezó  -", "Id      3"]


def test_name_with_control_characters_neither_breaks_the_table_nor_speaks_to_the_terminal():
    told = table(["Lista"], [("una\nlínea\tcon \x1b[31mcolor",)])
    assert told.splitlines()[1:] == ["una línea con  [31mcolor"]


@pytest.fixture
def run(app):
    def run(*arguments: str, code: int = 0):
        result = app.test_cli_runner().invoke(args=list(arguments))
        assert result.exit_code == code, result.output
        assert bool(result.stderr) == bool(code), "refusals on standard error, answers on standard output"
        assert bool(result.stdout) != bool(code)
        return result.stderr if code else result.stdout

    return run


def columns(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def test_lists_are_a_table(run, session, panel):
    people = factories.mailing_list(session, panel)
    factories.contact(session, panel, "ana@example.pe", people)
    lines = run("lists", "show", "--panel", "empleo").splitlines()
    assert columns(lines[0]) == ["ID", "Lista", "Suscritas", "Dadas de baja"]
    assert columns(lines[1]) == [str(people.id), "Feria laboral", "1", "0"]


def test_campaigns_are_a_table_the_newest_first_in_the_panels_time(run, session, settings, panel):
    people = factories.mailing_list(session, panel)
    old, new = (factories.campaign(session, panel, people, name=name) for name in ("Vieja", "Nueva"))
    ledger.sending_domain_with_key(session, panel.id, settings=settings)
    factories.contact(session, panel, "ana@example.pe", people)
    local = (datetime.now(ZoneInfo(panel.timezone)) + timedelta(days=2)).strftime("%Y-%m-%d %H:%M")
    run("campaign", "schedule", str(new.id), "--at", local)
    lines = run("campaign", "list", "--panel", "empleo").splitlines()
    assert columns(lines[0]) == ["ID", "Estado", "Programada", "Terminada", "Campaña"]
    assert columns(lines[1]) == [str(new.id), "Programada", local, "-", "Nueva"]
    assert columns(lines[2]) == [str(old.id), "Borrador", "-", "-", "Vieja"]


def test_report_tells_the_ledger_the_reasons_and_the_reactions(run, session, panel):
    campaign = factories.campaign(session, panel, factories.mailing_list(session, panel))
    ledger.freeze(session, campaign, ["accepted", "bounced", "skipped:suppressed"], status=CampaignStatus.FINISHED)
    told = [columns(line) for line in run("campaign", "report", str(campaign.id)).splitlines()]
    for expected in (
        ["Estado", "Terminada"],
        ["3", "Planificados"],
        ["1", "Aceptado"],
        ["1", "Rebotado"],
        ["1", "Omitido"],
        ["1", "Omitido: está en la lista de supresión"],
        ["0", "Abrieron"],
    ):
        assert expected in told


def test_import_tells_how_many_rows_became_what(run, panel, tmp_path):
    file = tmp_path / "personas.csv"
    file.write_text("correo;nombre\nana@example.pe;Ana\nluis@example.pe;Luis\nno;Nadie\n")
    told = [
        columns(line) for line in run("contacts", "import", str(file), "--panel", "empleo", "--list", "F").splitlines()
    ]
    assert ["Filas", "Resultado"] in told and ["2", "Nuevos"] in told and ["1", "Rechazados"] in told


def test_users_are_a_table_by_address_with_what_they_may_enter(run, session, panel):
    run("users", "create", "zoe@example.pe", "--name", "Zoe", "--role", "empleo:editor")
    run("users", "create", "ana@example.pe", "--name", "Ana", "--administrator")
    lines = [columns(line) for line in run("users", "list").splitlines()]
    assert lines[0] == ["Cuenta", "Nombre", "Estado", "Acceso"]
    assert lines[1:] == [
        ["ana@example.pe", "Ana", "Activa", "administra la instalación"],
        ["zoe@example.pe", "Zoe", "Activa", "empleo (edición)"],
    ]
    assert json.loads(run("users", "list", "--json"))[1]["roles"] == {"empleo": "editor"}


def test_account_that_may_enter_nothing_is_made_with_a_warning(app, session):
    made = app.test_cli_runner().invoke(args=["users", "create", "ana@example.pe", "--name", "Ana", "--json"])
    assert (made.exit_code, json.loads(made.stdout)["login"]) == (0, "ana@example.pe")
    assert "no tiene acceso a ninguna plataforma" in made.stderr


REFUSED = (
    ["campaign", "show", "77"],
    ["lists", "show", "Nada", "--panel", "empleo"],
    ["contacts", "suppress", "no", "--panel", "empleo"],
    ["users", "password", "nadie@example.pe"],
    ["users", "create", "no", "--name", "X", "--administrator"],
)


@pytest.mark.parametrize("arguments", REFUSED)
def test_refusal_is_a_sentence_for_people_and_a_code_for_scripts(run, panel, arguments):
    told = json.loads(run(*arguments, "--json", code=1))
    assert told["error"].replace("_", "").isalpha()
    assert run(*arguments, code=1).strip() == told["message"]


WRONG = (
    ["campaign", "list", "--panel", "nadie"],
    ["lists", "show", "--panel", "nadie"],
    ["users", "create", "a@example.pe", "--name", "A", "--role", "nadie:editor"],
)


@pytest.mark.parametrize("arguments", WRONG)
def test_wrong_use_is_exit_code_2_and_names_what_there_is(run, panel, arguments):
    assert "there are: empleo" in run(*arguments, code=2)
