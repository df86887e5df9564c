"""``flask egress``: the same rules as the pages, one line of JSON, an exit code that scripts can trust."""

import json

import pytest
from sqlalchemy import select

from app.models import EgressIp, EgressState
from tests import factories

SHEET = "ip;helo;grupo;estado;peso\n192.0.2.10;mail-10.example.gob.pe;Masivo;;\n192.0.2.9;mail-9.example.gob.pe;Nuevo;activa;2\n"


@pytest.fixture
def run(app, relay):
    runner = app.test_cli_runner()

    def run(*arguments, code=0, as_json=True):
        flags = ["--relay", "relay 2601", *(["--json"] if as_json else [])]
        result = runner.invoke(args=["egress", *map(str, arguments), *flags])
        assert result.exit_code == code, result.output
        told = result.stderr if code else result.stdout
        return json.loads(told) if as_json and code != 2 else told

    return run


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "ip.csv"
    file.write_text(SHEET, encoding="utf-8")
    return file


def test_dry_run_tells_and_changes_nothing(run, session, file):
    told = run("import", file, "--dry-run")
    assert told == {
        "imported": False, "new": ["192.0.2.10", "192.0.2.9"], "changed": {}, "unchanged": 0,
        "new_pools": ["Masivo", "Nuevo"],
    }  # fmt: skip
    assert "nueva, en «Nuevo»" in run("import", file, "--dry-run", as_json=False)
    assert session.scalars(select(EgressIp)).all() == []


def test_import_then_list(run, file):
    assert run("import", file)["imported"]
    listed = run("list")
    assert [(one["address"], one["state"], one["warm_up_day"], one["today"]) for one in listed] == [
        ("192.0.2.9", "active", None, 0),
        ("192.0.2.10", "warming", 1, 0),
    ]
    assert [one["address"] for one in run("list", "--state", "warming")] == ["192.0.2.10"]
    assert "En calentamiento" in run("list", as_json=False)
    assert run("import", file) == {"imported": False, "new": [], "changed": {}, "unchanged": 2, "new_pools": []}
    file.write_text("ip;peso\n192.0.2.9;5\n")
    assert run("import", file, "--dry-run")["changed"] == {"192.0.2.9": {"weight": [2, 5]}}


def test_wrong_rows_are_refused_with_row_and_column(run, session, file):
    file.write_text(SHEET + "192.0.2.300;x.example.pe;Masivo;;\n")
    told = run("import", file, code=1)
    assert told["error"] == "wrong_rows"
    assert [(one["row"], one["column"], one["error"]) for one in told["rows"]] == [(4, "address", "address_invalid")]
    assert session.scalars(select(EgressIp)).all() == []
    assert "192.0.2.300" in run("import", file, code=1, as_json=False)


def test_file_that_is_none(run, file):
    file.write_bytes(b"PK\x03\x04")
    assert run("import", file, code=1)["error"] == "not_text"


def test_quarantine_and_release(run, session, relay):
    pool = factories.egress_pool(session, relay)
    for number in (1, 2, 3):
        factories.egress_ip(session, pool, f"192.0.2.{number}")
    told = run("quarantine", "::ffff:192.0.2.1", "--reason", "lista negra")
    assert (told["address"], told["state"], told["reason"], told["others_sending"]) == (
        "192.0.2.1", "quarantined", "lista negra", 2,
    )  # fmt: skip
    assert run("quarantine", "192.0.2.1", "--reason", "x", code=1)["error"] == "wrong_state"
    assert run("release", "192.0.2.1", "--to", "warming")["warm_up_day"] == 1
    run("quarantine", "192.0.2.1", "--reason", "x")
    assert run("release", "192.0.2.1", "--to", "resume")["warm_up_day"] == 1
    assert run("release", "192.0.2.1", "--to", "active")["state"] == "active"
    session.expire_all()
    assert {ip.state for ip in session.scalars(select(EgressIp))} == {EgressState.ACTIVE}


def test_what_is_not_there_is_told(run, app):
    assert run("quarantine", "192.0.2.77", "--reason", "x", code=1)["error"] == "no_ip"
    assert run("release", "mail", "--to", "active", code=1)["error"] == "address_invalid"
    result = app.test_cli_runner().invoke(args=["egress", "list", "--relay", "otro"])
    assert result.exit_code == 2
    assert "relay 2601" in result.output
