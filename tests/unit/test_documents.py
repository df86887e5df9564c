"""What the documents say of the code is held against the code."""

import re
from dataclasses import fields
from pathlib import Path

from app.config import Settings

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


def test_every_setting_stands_in_the_configuration_table_with_its_default() -> None:
    table = (ROOT / "docs" / "configuration.md").read_text()
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| (.*?) \|", table, re.MULTILINE))
    names = {field.name.upper() for field in fields(Settings)}
    assert names - rows.keys() == set(), "settings without a row"
    assert {name for name in rows.keys() - names if name.isupper()} <= {"CHASKI_VAR"}, "rows without a setting"
    for field in fields(Settings):
        if isinstance(field.default, int) and not isinstance(field.default, bool):
            assert rows[field.name.upper()] == f"`{field.default}`", field.name


def test_links_between_documents_lead_somewhere() -> None:
    documents = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]
    broken = [
        f"{document.relative_to(ROOT)} -> {target}"
        for document in documents
        for target in LINK.findall(document.read_text())
        if not (document.parent / target).exists()
    ]
    assert broken == []
