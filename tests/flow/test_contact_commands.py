"""``flask contacts`` and ``flask lists``: the same street without a browser."""

import json

import pytest
from sqlalchemy import func, select

from app.models import Contact, CustomField, Import, ImportStatus, MailingList, Suppression
from tests import factories

CSV = "Correo;Nombre;Región\nana@example.pe;María Peña;Áncash\nmalo;x;y\nANA@example.pe;Otra;z\n"


@pytest.fixture
def run(app, panel):
    def run(*arguments):
        return app.test_cli_runner().invoke(args=[*arguments, "--panel", "empleo"])

    return run


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "inscritos.csv"
    path.write_bytes(CSV.encode("cp1252"))
    return str(path)


def test_import_prints_one_line_of_json_and_makes_the_list(session, run, file, settings):
    result = run(
        "contacts", "import", file, "--list", "Feria laboral", "--map", "Correo=email", "--new-fields", "--json"
    )
    assert result.exit_code == 0, result.output
    told = json.loads(result.output)
    assert (told["status"], told["imported"], told["rejected"]) == ("done", 1, 2)
    assert (told["counts"]["invalid"], told["counts"]["duplicate"], told["counts"]["total"]) == (1, 1, 3)
    assert session.scalars(select(Contact)).one().fields == {"region": "Áncash"}
    assert session.scalars(select(MailingList)).one().id == told["list_id"]
    assert list(settings.upload_dir.iterdir()) == []


def test_map_overrules_the_guess(session, run, file):
    run("contacts", "import", file, "--list", "x", "--map", "Región=name", "--map", "2=skip", "--json")
    contact = session.scalars(select(Contact)).one()
    assert (contact.name, contact.fields) == ("Áncash", {})
    assert session.scalars(select(CustomField)).all() == []


def test_fields_are_made_only_when_asked_for(session, run, file, panel):
    def told(*options):
        result = json.loads(run("contacts", "import", file, "--list", "x", "--json", *options).output)
        session.expire_all()
        return result, session.scalars(select(CustomField.key).order_by(CustomField.id)).all()

    result, keys = told()
    assert (result["left_out"], keys) == (["Región"], [])
    factories.custom_field(session, panel, "oficio", label="Ocupación")
    result, keys = told("--map", "Región=ofico")
    assert (result["error"], keys) == ("unknown_field", ["oficio"])
    assert "«ofico»" in result["message"]
    assert "oficio" in result["message"]
    assert told("--map", "Región=new:oficio")[0]["error"] == "field_exists"
    assert told("--map", "Región=OCUPACION")[1] == ["oficio"]
    assert told("--map", "Región=new")[1] == ["oficio", "region"]
    assert told("--map", "Nombre=new:apodo")[1] == ["oficio", "region", "apodo"]
    assert session.scalars(select(Contact)).one().fields == {
        "oficio": "Áncash",
        "region": "Áncash",
        "apodo": "María Peña",
    }


def test_dry_run_tells_and_changes_nothing(session, run, file):
    told = json.loads(run("contacts", "import", file, "--list", "x", "--dry-run", "--json").output)
    assert (told["status"], told["imported"], told["counts"]["new"]) == ("cancelled", 0, 1)
    assert session.scalar(select(func.count()).select_from(Contact)) == 0


@pytest.mark.parametrize(
    ("content", "options", "code"),
    [
        (b"", [], "empty"),
        (b"a;b\n1;2\n", [], "no_email_column"),
        (CSV.encode(), ["--map", "Telefono=email"], "unknown_column"),
        (CSV.encode(), ["--map", "Nombre=new:Bad Key"], "bad_field_key"),
        (CSV.encode(), ["--map", "Nombre=nada"], "unknown_field"),
        (CSV.encode() + b'x@example.pe;"open\n', [], "unclosed_quote"),
    ],
)
def test_a_bad_file_ends_with_exit_code_1_and_a_sentence(session, run, tmp_path, content, options, code):
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    result = run("contacts", "import", str(path), "--list", "x", "--json", *options)
    told = json.loads(result.output)
    assert (result.exit_code, told["error"]) == (1, code)
    assert told["message"][0].isupper()
    assert "%(" not in told["message"]
    assert session.scalar(select(func.count()).select_from(Contact)) == 0
    assert {job.status for job in session.scalars(select(Import))} <= {ImportStatus.CANCELLED, ImportStatus.FAILED}


def test_lists_are_made_and_shown_with_their_people(session, run, panel):
    assert json.loads(run("lists", "create", "Feria", "--json").output)["name"] == "Feria"
    assert json.loads(run("lists", "create", "Feria", "--json").stderr)["error"] == "name_taken"
    row = session.scalars(select(MailingList)).one()
    factories.contact(session, panel, "ana@example.pe", row)
    shown = json.loads(run("lists", "show", "Feria", "--json").output)
    assert shown == {"list_id": row.id, "name": "Feria", "subscribed": 1, "unsubscribed": 0}
    assert json.loads(run("lists", "show", "--json").output) == [shown]
    assert run("lists", "show", "Otra").exit_code == 1


def test_export_can_be_imported_again(session, run, file, tmp_path):
    run("contacts", "import", file, "--list", "A")
    exported = str(tmp_path / "out.csv")
    assert run("contacts", "export", exported, "--list", "A").exit_code == 0
    told = json.loads(run("contacts", "import", exported, "--list", "A", "--map", "estado=skip", "--json").output)
    assert told["counts"]["unchanged"] == 1


def test_suppress_is_idempotent_and_says_what_is_no_address(session, run):
    assert json.loads(run("contacts", "suppress", "Ana@example.pe", "--json").output) == {"added": 1, "already": 0}
    assert json.loads(run("contacts", "suppress", "ana@example.pe", "--json").output) == {"added": 0, "already": 1}
    refused = run("contacts", "suppress", "ana", "--json")
    assert (refused.exit_code, json.loads(refused.output)["error"]) == (1, "missing_at")
    assert session.scalars(select(Suppression.source)).one() == "command"


def test_an_unknown_panel_is_told_with_those_there_are(app, panel):
    result = app.test_cli_runner().invoke(args=["lists", "show", "--panel", "nada"])
    assert result.exit_code == 2
    assert "empleo" in result.output
