"""An upload goes straight to the upload directory, and only after the person is known to be allowed to.

Flask-WTF checks the CSRF token before any view runs, and reading the token from the form means taking in the whole body,
whoever sends it. The upload's view is therefore exempt from that check and calls :func:`take_upload`, which takes
the body in (bounded) and makes the same check then.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from flask import request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser

from app.config import Settings
from app.extensions import csrf
from app.flow.importing import store
from app.flow.importing.problems import FileProblem, ImportProblem

FORM_AROUND_BYTES = 1024 * 1024
"""Room for the form's other fields and its boundaries."""


@contextmanager
def take_upload(settings: Settings, field: str) -> Iterator[tuple[str, Path]]:
    """The file's name as the person has it, and where it lies; removed afterwards unless an import adopted it.
    Raises :class:`ImportProblem` (``empty``, ``too_large``), and a CSRF error."""
    parts: list[Path] = []
    request.max_content_length = store.limit_bytes(settings) + FORM_AROUND_BYTES
    request.form_data_parser_class = _parser_into(settings, parts)
    try:
        try:
            request.files  # noqa: B018  # reads the body
        except RequestEntityTooLarge:
            raise ImportProblem(FileProblem.TOO_LARGE, limit_bytes=store.limit_bytes(settings)) from None
        csrf.protect()
        yield _uploaded(settings, field)
    finally:
        for part in parts:
            part.unlink(missing_ok=True)


def _uploaded(settings: Settings, field: str) -> tuple[str, Path]:
    sent = request.files.get(field)
    if sent is None or not sent.filename:
        raise ImportProblem(FileProblem.NOT_CHOSEN)
    sent.stream.flush()
    part = Path(sent.stream.name or "")
    if part.stat().st_size > store.limit_bytes(settings):
        raise ImportProblem(FileProblem.TOO_LARGE, limit_bytes=store.limit_bytes(settings))
    return sent.filename, part


def _parser_into(settings: Settings, parts: list[Path]) -> type[FormDataParser]:
    """A form parser whose files are parts in the upload directory."""

    def open_part(*_: Any, **__: Any) -> IO[bytes]:
        part = store.new_part(settings)
        parts.append(part)
        return part.open("w+b")

    class IntoUploadDirectory(FormDataParser):
        def __init__(self, stream_factory: Any = None, *args: Any, **kwargs: Any) -> None:
            super().__init__(open_part, *args, **kwargs)

    return IntoUploadDirectory
