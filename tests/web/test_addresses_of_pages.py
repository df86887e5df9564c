"""Addresses of pages are English, like the code; what stands on the pages is in the reader's language. Every word that
an address may be made of stands here, so that a new one is a decision and not a slip."""

import re
from pathlib import Path

from flask import Flask

WEB = Path(__file__).resolve().parents[2] / "app" / "web"
WORDS = frozenset(
    """
    activate addresses api archive assignments campaigns canary cancel certificate chaski check clear commands confirm
    contacts count csv custom deactivate delete detail dkim domains duplicate edit egress eml end erase export
    fields follow forecast healthz holds html import imports keys known language lift limits list listing lists live log login
    logout lookup mapping message monitor move new next outcomes overview p part password pause people pools practice
    preview profile progress proof proofs propose providers quarantine queue range real recipients rejects relay reports revoke
    relays release report reset restore resume review rows schedule send sessions settings settle sizes static
    subject subscribe suppressions test text trouble unschedule unsubscribe up users warm well withdraw zip
    """.split()
)
QUESTIONS = frozenset(
    """
    after archived at before contact delimiter email encoding next outcome pool provider q sort state status view whole
    """.split()
)
ASKED = re.compile(r'request\.(?:args|values)\.get(?:list)?\("(\w+)"|"(\w+)" (?:not )?in request\.args')


def test_paths_are_made_of_known_english_words(app: Flask) -> None:
    strange = {}
    for rule in app.url_map.iter_rules():
        fixed = re.sub(r"<[^>]*>", "", rule.rule)
        if words := [word for word in re.split(r"[/.-]+", fixed) if word and word not in WORDS]:
            strange[rule.rule] = words
    assert strange == {}


def test_questions_behind_an_address_are_known_english_words() -> None:
    asked = {name for path in WEB.rglob("*.py") for pair in ASKED.findall(path.read_text()) for name in pair if name}
    assert {"contact", "status", "whole"} <= asked, "this test no longer sees what the pages ask"
    assert asked - QUESTIONS == set()
