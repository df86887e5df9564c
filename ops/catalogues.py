"""Compiles the gettext catalogues: `app/translations/*/LC_MESSAGES/*.po` → `.mo`, where the source is newer."""

from __future__ import annotations

from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import PoFileError, read_po

TRANSLATIONS = Path(__file__).resolve().parents[1] / "app" / "translations"


class CatalogueError(Exception):
    """A catalogue that gettext cannot read; the text names file and line."""


def compile_catalogues(translations: Path = TRANSLATIONS) -> list[Path]:
    """Returns the catalogues that were written."""
    sources = sorted(translations.glob("*/LC_MESSAGES/*.po"))
    return [_compile(source) for source in sources if _is_newer(source, source.with_suffix(".mo"))]


def _is_newer(source: Path, target: Path) -> bool:
    return not target.exists() or source.stat().st_mtime_ns > target.stat().st_mtime_ns


def _compile(source: Path) -> Path:
    target = source.with_suffix(".mo")
    fresh = target.with_suffix(".mo.new")
    with source.open("rb") as file:
        try:
            catalogue = read_po(file, locale=source.parts[-3], abort_invalid=True)
        except (PoFileError, UnicodeDecodeError) as error:
            raise CatalogueError(f"{source}: {error}") from error
    with fresh.open("wb") as file:
        write_mo(file, catalogue)
    fresh.replace(target)
    return target


if __name__ == "__main__":
    compile_catalogues()
