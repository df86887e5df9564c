"""The gettext catalogues. Spanish is the source language: what the code says is the msgid, so only other languages have
a catalogue. `script/messages` tells how to use it.

    extract()            every message of code and templates
    update(path)         the catalogue gets what is new and loses what is gone; nothing is translated by guessing
    problems(path)       what keeps the catalogue from being complete
    entry_problems(catalogue)   the same, for what is in it, whatever the code says
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.pofile import read_po, write_po

from ops.catalogues import compile_catalogues

CHECKOUT = Path(__file__).resolve().parents[1]
TRANSLATIONS = CHECKOUT / "app" / "translations"
KEYWORDS = {**DEFAULT_KEYWORDS, "_l": None, "lazy_gettext": None, "lazy_ngettext": (1, 2)}
PLACEHOLDER = re.compile(r"%\((\w+)\)[sd]|%%|\{\w*\}")


def catalogue_paths(translations: Path = TRANSLATIONS) -> list[Path]:
    return sorted(translations.glob("*/LC_MESSAGES/messages.po"))


def extract(checkout: Path = CHECKOUT) -> Catalog:
    """The messages of `app/`, as `babel.cfg` names the files."""
    with (checkout / "babel.cfg").open() as file:
        methods, options = parse_mapping_cfg(file)  # type: ignore[no-untyped-call]  # Babel
    catalogue = Catalog(project="Chaski", charset="utf-8")
    for _file, _line, message, comments, context in extract_from_dir(
        checkout, methods, options, keywords=KEYWORDS, comment_tags=("TRANSLATORS:",), strip_comment_tags=True
    ):
        catalogue.add(message, auto_comments=comments, context=context)
    return catalogue


def read(path: Path) -> Catalog:
    with path.open("rb") as file:
        return read_po(file, locale=path.parts[-3], abort_invalid=True)


def update(path: Path, template: Catalog) -> None:
    """No line numbers and no dates, so that a difference shows what changed and nothing else."""
    catalogue = read(path)
    template.creation_date = catalogue.creation_date
    catalogue.update(template, no_fuzzy_matching=True)
    catalogue.obsolete.clear()
    with path.open("wb") as file:
        write_po(file, catalogue, no_location=True, sort_output=True, width=118, ignore_obsolete=True)


def problems(path: Path, template: Catalog) -> list[str]:
    """A line for each message of the code that has no whole translation, and for each entry that the code lost."""
    catalogue = read(path)
    known, wanted = _keys(catalogue), _keys(template)
    return [
        *(f"missing: {_name(key)}" for key in sorted(wanted - known)),
        *(f"gone from the code: {_name(key)}" for key in sorted(known - wanted)),
        *entry_problems(catalogue),
    ]


def entry_problems(catalogue: Catalog) -> Iterator[str]:
    for message in catalogue:
        if not message.id:
            continue
        if message.fuzzy:
            yield f"fuzzy: {_name(_key(message))}"
        if not all(_texts(message.string)) or len(_texts(message.string)) < len(_texts(message.id)):
            yield f"untranslated: {_name(_key(message))}"
        elif not _same_placeholders(message):
            yield f"placeholders differ: {_name(_key(message))}"


def _same_placeholders(message: Message) -> bool:
    """Of a plural, each form may leave one out (“one mail”), but none may have one that the source has not."""
    source = {match.group() for text in _texts(message.id) for match in PLACEHOLDER.finditer(text)}
    translated = [{match.group() for match in PLACEHOLDER.finditer(text)} for text in _texts(message.string)]
    if isinstance(message.id, str):
        return translated == [source]
    return all(found <= source for found in translated)


def _texts(value: str | Iterable[str] | None) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [""])


def _key(message: Message) -> tuple[str, ...]:
    return (message.context or "", *_texts(message.id))


def _keys(catalogue: Catalog) -> set[tuple[str, ...]]:
    return {_key(message) for message in catalogue if message.id}


def _name(key: tuple[str, ...]) -> str:
    return repr(key[1])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="script/messages",
        description="Brings app/translations/*/LC_MESSAGES/messages.po in line with the code, and lists what is to be "
        "translated there.",
    )
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 where a catalogue is incomplete")
    options = parser.parse_args(arguments)
    template, complete = extract(), True
    for path in catalogue_paths():
        if not options.check:
            update(path, template)
        for problem in problems(path, template):
            complete = False
            print(f"{path.relative_to(CHECKOUT)}: {problem}")
    if complete:
        compile_catalogues()
        print(f"{len(_keys(template))} messages, every catalogue complete.")
    return 0 if complete or not options.check else 1


if __name__ == "__main__":
    sys.exit(main())
