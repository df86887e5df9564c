"""The catalogues: whole in what they hold, in line with the code, and checked by tooling that can fail."""

import json
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog

from app.config import CHECKOUT
from ops import messages

PATHS = messages.catalogue_paths()


def test_there_is_an_english_catalogue():
    assert [path.parts[-3] for path in PATHS] == ["en"]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.parts[-3])
def test_every_entry_is_translated_and_keeps_its_placeholders(path):
    assert list(messages.entry_problems(messages.read(path))) == []


def entries(*pairs, **flags):
    catalogue = Catalog(locale="en")
    for source, translation in pairs:
        catalogue.add(source, translation, **flags)
    return list(messages.entry_problems(catalogue))


def test_what_is_missing_in_an_entry_is_found():
    assert entries(("Hola", "Hello"), (("%(num)s mes", "%(num)s meses"), ("one month", "%(num)s months"))) == []
    assert entries(("Hola", "")) == ["untranslated: 'Hola'"]
    assert entries((("%(num)s mes", "%(num)s meses"), ("", "%(num)s months"))) == ["untranslated: '%(num)s mes'"]
    assert entries(("Hola %(name)s", "Hello")) == ["placeholders differ: 'Hola %(name)s'"]
    assert entries(("Hola %(name)s", "Hello %(nme)s")) == ["placeholders differ: 'Hola %(name)s'"]
    assert entries(("Hola", "Hello"), flags=["fuzzy"]) == ["fuzzy: 'Hola'"]


def test_messages_of_code_and_templates_are_extracted():
    found = {message.id for message in messages.extract() if message.id}
    assert "Elegir plataforma" in found  # a template
    assert "Se guardó su perfil." in found  # a view
    assert "Contraseña actual" in found  # a form's label
    assert ("%(num)s alarma", "%(num)s alarmas") in found


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A little project with a catalogue that lacks one message and has one too many."""
    (tmp_path / "babel.cfg").write_text((CHECKOUT / "babel.cfg").read_text())
    (tmp_path / "app" / "templates").mkdir(parents=True)
    (tmp_path / "app" / "page.py").write_text('title = _("Nuevo")\n')
    (tmp_path / "app" / "templates" / "x.html").write_text("<p>{% trans %}\n  Dos\n  líneas\n{% endtrans %}</p>")
    path = tmp_path / "app" / "translations" / "en" / "LC_MESSAGES" / "messages.po"
    path.parent.mkdir(parents=True)
    path.write_text('msgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\n"\n\nmsgid "Viejo"\nmsgstr "Old"\n')
    return tmp_path


def test_an_update_takes_in_what_is_new_and_drops_what_is_gone(checkout):
    path = checkout / "app" / "translations" / "en" / "LC_MESSAGES" / "messages.po"
    template = messages.extract(checkout)
    assert messages.problems(path, template) == [
        "missing: 'Dos líneas'",
        "missing: 'Nuevo'",
        "gone from the code: 'Viejo'",
    ]
    messages.update(path, template)
    assert messages.problems(path, template) == ["untranslated: 'Dos líneas'", "untranslated: 'Nuevo'"]
    text = path.read_text()
    assert "Old" not in text
    assert ".py" not in text  # no locations: a moved line is no difference
    messages.update(path, messages.extract(checkout))
    assert path.read_text() == text


def test_the_header_of_the_catalogue_says_how_plurals_go():
    header = dict(messages.read(PATHS[0]).mime_headers)
    assert "n != 1" in json.dumps(header)
