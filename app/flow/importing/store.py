"""Uploaded files: written to disk as they come in, under random names, so that nothing of the person's file name ever
reaches the file system. ``….part`` while it comes in, ``….csv`` once an import owns it."""

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from app.config import Settings
from app.flow.importing.problems import FileProblem, ImportProblem

BLOCK_BYTES = 1 << 20
ABANDONED_AFTER_SECONDS = 24 * 3600
OWNER_ONLY = 0o600


def limit_bytes(settings: Settings) -> int:
    return settings.max_upload_mb * 1024 * 1024


def new_part(settings: Settings) -> Path:
    """Path of a file that does not exist yet. Sweeps what cut connections and kills left behind."""
    settings.upload_dir.mkdir(parents=True, exist_ok=True)
    _sweep(settings.upload_dir)
    part = settings.upload_dir / f"{secrets.token_hex(16)}.part"
    part.touch(mode=OWNER_ONLY)
    return part


@contextmanager
def part_of(settings: Settings, source: BinaryIO) -> Iterator[Path]:
    """``source`` on disk; removed afterwards unless it was adopted. Raises ``too_large`` without reading further."""
    part = new_part(settings)
    try:
        with part.open("wb") as target:
            _copy(source, target, limit_bytes(settings))
        yield part
    finally:
        part.unlink(missing_ok=True)


def adopt(part: Path) -> str:
    """The part becomes an import's file; its path relative to the upload directory."""
    return part.rename(part.with_suffix(".csv")).name


def path_of(settings: Settings, stored_path: str) -> Path:
    return settings.upload_dir / Path(stored_path).name


def discard(settings: Settings, stored_path: str) -> None:
    """Uploaded files are personal data: they go when their import has ended."""
    path_of(settings, stored_path).unlink(missing_ok=True)


def sweep(settings: Settings, *, needed: frozenset[str]) -> None:
    """Files that no import needs any more: a kill came between its end and :func:`discard`, or somebody never went on
    with it. A young file may belong to an import that is being made."""
    oldest = time.time() - ABANDONED_AFTER_SECONDS
    _sweep(settings.upload_dir)
    for file in settings.upload_dir.glob("*.csv"):
        if file.name not in needed:
            _remove_older(file, oldest)


def _copy(source: BinaryIO, target: BinaryIO, limit: int) -> None:
    written = 0
    while block := source.read(BLOCK_BYTES):
        written += len(block)
        if written > limit:
            raise ImportProblem(FileProblem.TOO_LARGE, limit_bytes=limit)
        target.write(block)


def _sweep(directory: Path) -> None:
    oldest = time.time() - ABANDONED_AFTER_SECONDS
    for part in directory.glob("*.part"):
        _remove_older(part, oldest)


def _remove_older(file: Path, oldest: float) -> None:
    try:
        if file.stat().st_mtime < oldest:
            file.unlink()
    except FileNotFoundError:
        return  # Another process swept it.
