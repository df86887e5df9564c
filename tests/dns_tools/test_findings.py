"""The sentences of the findings: complete, in both languages, with the same fillings."""

import re
from pathlib import Path

import pytest

import dns_tools
from dns_tools.findings import Status, ToPublish, explanations, finding, worst

SOURCES = [path.read_text(encoding="utf-8") for path in Path(dns_tools.__file__).parent.rglob("*.py")]


@pytest.mark.parametrize("code", sorted(explanations()))
def test_every_explanation_is_whole(code):
    entry = explanations()[code]
    assert set(entry) == {"status", "es", "en"}
    assert Status(entry["status"])
    fillings = [
        {name.removesuffix(f"_{language}") for name in re.findall(r"\{(\w+)\}", entry[language])}
        for language in ("es", "en")
    ]
    assert fillings[0] == fillings[1]
    assert entry["es"] != entry["en"]


def test_every_code_in_the_source_is_explained():
    topics = {code.partition(".")[0] for code in explanations()}
    used = {found for source in SOURCES for found in re.findall(r'"([a-z_]+\.[a-z_]+)"', source)}
    named = {code for code in used if code.partition(".")[0] in topics}
    assert named - set(explanations()) == set()


def test_every_explanation_is_used():
    text = "\n".join(SOURCES)
    unused = [code for code in explanations() if f'"{code}"' not in text and f'"{code.partition(".")[2]}"' not in text]
    assert unused == []


def test_long_texts_are_cut_for_the_zone_file():
    line = ToPublish(name="x.example.pe", type="TXT", text='"' + "a" * 300).zone_line
    assert line == 'x.example.pe. IN TXT ( "\\"' + "a" * 254 + '" "' + "a" * 46 + '" )'


def test_a_failure_outweighs_an_open_question_and_nothing_is_no_pass():
    error, fail, passed = (finding(f"spf.{name}", "x") for name in ("unreachable", "several", "found"))
    assert worst([error, fail, passed]) is Status.FAIL
    assert worst([error, passed]) is Status.ERROR
    assert worst([]) is Status.ERROR
