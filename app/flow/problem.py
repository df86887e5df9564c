"""What every station says when it refuses."""

from typing import Any


class Problem(Exception):
    """Refused: ``code`` says why, ``details`` where and what. The sentence is made where it is shown, in people's language.

    Each station has a subclass of its own, since whoever calls several of them tells people about each in another place;
    its docstring lists the codes."""

    def __init__(self, code: str, **details: Any) -> None:
        told = ", ".join(f"{key}={value}" for key, value in details.items())
        super().__init__(f"{code}: {told}" if told else code)
        self.code = code
        self.details = details
