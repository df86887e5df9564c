"""Text becomes a directory: whole or not at all, and never over somebody else's files."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from app.flow.relay_config.plan import RelayConfigProblem
from app.flow.relay_config.rendering import CHOICES_FILE, choices_of

MARK = f"postfix/{CHOICES_FILE}"


def write_directory(out: Path, texts: Mapping[str, str]) -> None:
    """``out`` is made, or replaced where we made it. Whoever reads it meanwhile finds the old files or the new ones, or for
    the instant between two renames none; never some of each. Raises :class:`RelayConfigProblem` where it is not ours."""
    if not may_write(out):
        raise RelayConfigProblem("directory_taken", value=str(out))
    out.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        _fill(fresh, texts)
        _put_in_place(fresh, out)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def may_write(out: Path) -> bool:
    """Missing, empty, or written by us. A link is not followed: what it points at is somebody's."""
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        return False
    if not out.exists() or not any(out.iterdir()):
        return True
    try:
        return choices_of((out / MARK).read_text(encoding="utf-8")) is not None
    except (OSError, UnicodeError):
        return False


def _fill(directory: Path, texts: Mapping[str, str]) -> None:
    """Nothing in it is secret, and Postfix' tools read it as any user."""
    directory.chmod(0o755)
    for name, text in texts.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        path.chmod(0o644)


def _put_in_place(fresh: Path, out: Path) -> None:
    if not out.exists():
        fresh.rename(out)
        return
    old = fresh.with_name(f"{fresh.name}.old")
    out.rename(old)
    try:
        fresh.rename(out)
    except OSError:
        old.rename(out)
        raise
    shutil.rmtree(old)
