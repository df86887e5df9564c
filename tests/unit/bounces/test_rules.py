"""The rules are data; what can be wrong with data is looked for here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from app.mail.bounces import main
from app.mail.bouncing.kinds import Kind, Reason, kind_of_failure
from app.mail.bouncing.phrases import any_of, load, rules, searchable

FILES = ("providers", "frames", "strong", "weak")
NOT_FAILURES = {Reason.COMPLAINT, Reason.UNSUBSCRIBE, Reason.VACATION, Reason.DELIVERED}


@pytest.mark.parametrize("name", FILES)
def test_every_rule_has_a_source_a_reason_and_phrases(name: str):
    for row in load(name)["rule"]:
        assert row["source"].strip()
        assert Reason(row["reason"]) not in NOT_FAILURES
        assert row.get("any") or row.get("near")
        assert set(row) <= {"reason", "any", "near", "source", "host", "generic"}


@pytest.mark.parametrize("name", FILES)
def test_every_phrase_is_written_as_it_is_searched(name: str):
    """A phrase with a capital or two blanks would never be found."""
    for row in load(name)["rule"]:
        for phrase in row.get("any", ()):
            assert phrase == phrase.lower()
            assert "  " not in phrase
            assert phrase.strip("| *"), phrase


@pytest.mark.parametrize("name", FILES)
def test_no_phrase_stands_twice_in_a_file(name: str):
    phrases = [phrase for row in load(name)["rule"] for phrase in row.get("any", ())]
    assert sorted({phrase for phrase in phrases if phrases.count(phrase) > 1}) == []


@pytest.mark.parametrize("name", FILES)
def test_every_phrase_finds_its_own_example(name: str):
    for row in load(name)["rule"]:
        for phrase in row.get("any", ()):
            example = phrase.replace(" * ", " some words ").replace("*", "-x-").replace("|", " ")
            if "{" not in example:
                assert any_of([phrase])(searchable(example)), phrase


def test_every_code_has_a_reason():
    codes = load("codes")
    for table in ("exact", "vague", "basic", "basic_last", "command"):
        for reason in codes[table].values():
            Reason(reason)


def test_every_reason_can_be_given_by_some_rule():
    codes = load("codes")
    given = {rule.reason for name in FILES for rule in rules(name)}
    given |= {Reason(reason) for table in ("exact", "vague", "basic") for reason in codes[table].values()}
    assert set(Reason) - given - NOT_FAILURES == {Reason.UNKNOWN}


def test_every_reason_is_documented():
    text = (Path(__file__).parents[3] / "docs" / "bounces.md").read_text(encoding="utf-8")
    for word in [*Reason, *Kind]:
        assert f"`{word}`" in text


def test_kinds_of_failures_are_only_these():
    assert {kind_of_failure(reason) for reason in Reason} == {Kind.HARD, Kind.SOFT, Kind.BLOCKED}


def test_command_prints_one_json_line_per_file_in_their_order(tmp_path: Path):
    bounce = b"Content-Type: message/delivery-status\n\nFinal-Recipient: rfc822;%s@example.net\nAction: failed\nStatus: 5.1.1\n"
    names = []
    for person in ("rosa", "luis"):
        (tmp_path / person).write_bytes(bounce % person.encode())
        names.append(str(tmp_path / person))
    arguments = [sys.executable, "-m", "app.mail.bounces", "--json", *names]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["file"] for line in lines] == names
    assert lines[0]["feedback"] == [
        {"recipient": "rosa@example.net", "kind": "hard", "reason": "user_unknown", "status": "5.1.1", "diagnostic": ""}
    ]


def test_command_tells_of_a_file_that_is_not_there_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "there").write_bytes(b"hola")
    assert main(["--json", str(tmp_path / "missing"), str(tmp_path / "there")]) == 2
    printed = capsys.readouterr()
    assert "missing" in printed.err
    assert json.loads(printed.out)["feedback"][0]["kind"] == "unknown"
