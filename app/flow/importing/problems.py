"""Why a file is refused as a whole, and why a row is. Codes only: sentences are made where they are shown."""

import json
from enum import StrEnum
from typing import Any

from app.flow.problem import Problem


class FileProblem(StrEnum):
    """Nothing of the file is imported."""

    NOT_CHOSEN = "not_chosen"
    EMPTY = "empty"
    TOO_LARGE = "too_large"  # limit_bytes
    NOT_TEXT = "not_text"  # kind: spreadsheet, pdf, compressed, image, binary
    MISSING = "missing"  # The stored file is not where it was put.
    WRONG_ENCODING = "wrong_encoding"  # encoding
    HEADER_ONLY = "header_only"
    TOO_MANY_COLUMNS = "too_many_columns"  # columns, limit
    REPEATED_HEADER = "repeated_header"  # header, line, column, first_column
    UNCLOSED_QUOTE = "unclosed_quote"  # line, column
    CELL_TOO_LARGE = "cell_too_large"  # line, column, limit
    LINE_TOO_LONG = "line_too_long"  # line, limit
    NO_EMAIL_COLUMN = "no_email_column"
    SEVERAL_EMAIL_COLUMNS = "several_email_columns"  # column, first_column
    SEVERAL_NAME_COLUMNS = "several_name_columns"  # column, first_column
    FIELD_TWICE = "field_twice"  # key, column, first_column
    BAD_FIELD_KEY = "bad_field_key"  # key, column
    UNKNOWN_COLUMN = "unknown_column"  # header (commands name columns by header)
    UNKNOWN_FIELD = "unknown_field"  # key, known (what there is)
    FIELD_EXISTS = "field_exists"  # label, column: a new field would be named as this one
    NO_LIST = "no_list"
    LIST_NAME_TOO_LONG = "list_name_too_long"
    LIST_ARCHIVED = "list_archived"  # name
    FILE_CHANGED = "file_changed"  # The header differs from the one that was mapped.
    WRONG_STATE = "wrong_state"  # status: somebody else was faster, or the page is old.
    UNEXPECTED = "unexpected"


class RowProblem(StrEnum):
    """Why a row is rejected. Problems of its address are ``email_`` and the code of ``app.mail.addresses``."""

    TOO_MANY_CELLS = "too_many_cells"
    REPEATED_HEADER = "repeated_header"  # The header stands again in the middle of the file.
    UNREADABLE = "unreadable"  # Bytes that mean nothing in the file's encoding.
    NUL = "nul"
    NAME_TOO_LONG = "name_too_long"
    VALUE_TOO_LONG = "value_too_long"
    NOT_A_NUMBER = "not_a_number"
    NOT_A_DATE = "not_a_date"
    NOT_A_BOOLEAN = "not_a_boolean"


EMAIL_PREFIX = "email_"
DUPLICATE_PREFIX = "duplicate:"
"""Followed by the line that counts."""


class ImportProblem(Problem):
    """The file can't be imported, or the import can't do that now. ``details`` hold what the sentence needs."""

    code: FileProblem

    def __init__(self, code: FileProblem, **details: Any) -> None:
        super().__init__(code, **details)

    def to_json(self) -> str:
        """As it is kept in ``Import.error``."""
        return json.dumps({"code": self.code.value, **self.details}, ensure_ascii=False)

    @classmethod
    def from_json(cls, kept: str) -> "ImportProblem":
        details = json.loads(kept)
        return cls(FileProblem(details.pop("code")), **details)
