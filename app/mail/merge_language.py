"""The words of the merge language: parts of a mail, filters, reserved fields, limits."""

import re
from collections.abc import Callable
from enum import StrEnum


class Part(StrEnum):
    SUBJECT = "subject"
    FROM_NAME = "from_name"
    TEXT = "text"
    HTML = "html"


HEADER_PARTS = frozenset({Part.SUBJECT, Part.FROM_NAME})
MAX_CHARACTERS = {Part.SUBJECT: 500, Part.FROM_NAME: 200, Part.TEXT: 200_000, Part.HTML: 500_000}
# Per part. They bound what checking, compiling and rendering can cost; the longest mails that people write have a few dozen.
MAX_TAGS = 500
MAX_BRANCHES = 100
MAX_FILTERS_PER_TAG = 5
MAX_PROBLEMS = 100
MAX_NESTED_IFS = 10
MAX_NESTED_PARENTHESES = 5

# Per recipient. Large providers cut a mail's text off at 102 kB; whatever is longer than these was never meant.
MAX_RENDERED_BYTES = 2_000_000
MAX_RENDERED_HEADER_CHARACTERS = 2_000
MAX_VALUE_CHARACTERS = 200_000
"""Of all values of one recipient together."""

# What the platform itself fills in, besides the contact's own fields.
UNSUBSCRIBE_FIELD = "enlace_baja"
EMAIL_FIELD = "email"
NAME_FIELD = "nombre"
RESERVED_FIELDS = frozenset({EMAIL_FIELD, UNSUBSCRIBE_FIELD})

TextFilter = Callable[..., str]


def _default(value: str, replacement: str) -> str:
    return value or replacement


# Each filter with the number of values it takes in parentheses; the Spanish names are the users' own.
FILTERS: dict[str, tuple[TextFilter, int]] = {
    "upper": (str.upper, 0),
    "lower": (str.lower, 0),
    "title": (str.title, 0),
    "capitalize": (str.capitalize, 0),
    "trim": (str.strip, 0),
    "default": (_default, 1),
}
FILTERS |= {
    "mayusculas": FILTERS["upper"],
    "minusculas": FILTERS["lower"],
    "titulo": FILTERS["title"],
    "recortar": FILTERS["trim"],
    "por_defecto": FILTERS["default"],
}

# Names that the language gives a meaning of its own, so that no field can have them.
KEYWORDS = frozenset({
    "and", "or", "not", "in", "is", "if", "elif", "else", "endif", "true", "false", "none", "True",
    "False", "None", "for", "set", "block", "extends", "macro", "import", "from", "include",
    "print", "call", "filter", "with", "autoescape", "raw", "self", "loop", "super", "caller",
    "varargs", "kwargs", "trans",
})  # fmt: skip

FIELD_KEY = re.compile(r"[a-z][a-z0-9_]{0,39}\Z")
r"""What a custom field may be called, as the database has it (`\Z`: `$` would let a line break through)."""
TAKEN_KEYS = RESERVED_FIELDS | {NAME_FIELD} | KEYWORDS
"""Names that mean something else in a template already."""
