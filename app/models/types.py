"""Column types used by several models."""

from enum import StrEnum

from sqlalchemy import DateTime, Enum

Timestamp = DateTime(timezone=True)
"""Every time is UTC in the database; panels say in which zone people read it."""


def enum_text(kind: type[StrEnum]) -> Enum:
    """A text column with a CHECK that holds the enum's values (not its member names)."""
    name = "".join("_" + c.lower() if c.isupper() else c for c in kind.__name__).lstrip("_")
    return Enum(
        kind,
        native_enum=False,
        length=20,
        name=name,
        create_constraint=True,
        values_callable=lambda k: [m.value for m in k],
    )
