"""What a person said the columns are, and where the people go: checked before a worker begins."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from sqlalchemy import select

from app.flow.importing.guess import EMAIL, FIELD_PREFIX, NAME, SKIP, folded, propose_key
from app.flow.importing.problems import FileProblem, ImportProblem
from app.flow.sessions import AnySession
from app.mail.merge_language import FIELD_KEY, TAKEN_KEYS
from app.models import MailingList

MAX_LIST_NAME = 100
TARGET_WORDS = {
    **dict.fromkeys(("email", "correo"), EMAIL),
    **dict.fromkeys(("name", "nombre"), NAME),
    **dict.fromkeys(("skip", "no", ""), SKIP),
}
"""What commands may call the targets that are no field."""
ONCE = {
    EMAIL: FileProblem.SEVERAL_EMAIL_COLUMNS,
    NAME: FileProblem.SEVERAL_NAME_COLUMNS,
}


NEW_FIELD = "new"
"""In a command: ``new`` (its key made of the header) or ``new:<key>``."""
MOST_NAMED = 10


@dataclass(frozen=True)
class Guessed:
    header: list[str]
    mapping: dict[str, str]
    fields: dict[str, str]
    """Labels of the panel's fields by key."""

    def new_columns(self) -> list[int]:
        """Columns for which a field would be made."""
        return [int(index) for index, target in self.mapping.items() if self._is_new(target)]

    def _is_new(self, target: str) -> bool:
        return target.startswith(FIELD_PREFIX) and target.removeprefix(FIELD_PREFIX) not in self.fields


def check_mapping(mapping: Mapping[str, str], *, columns: int) -> dict[str, str]:
    """A target for each of the file's columns, each target once. Raises :class:`ImportProblem`."""
    checked = {str(index): mapping.get(str(index)) or SKIP for index in range(columns)}
    first_with: dict[str, int] = {}
    for column, target in enumerate(checked.values(), start=1):
        if target == SKIP:
            continue
        _check_target_name(target, column)
        first = first_with.setdefault(target, column)
        if first != column:
            raise ImportProblem(
                ONCE.get(target, FileProblem.FIELD_TWICE),
                column=column,
                first_column=first,
                key=target.removeprefix(FIELD_PREFIX),
            )
    if EMAIL not in first_with:
        raise ImportProblem(FileProblem.NO_EMAIL_COLUMN)
    return checked


def check_new_fields(mapping: Mapping[str, str], header: Sequence[str], fields: Mapping[str, str]) -> None:
    """No new field may look like one that is there (``fields``: labels by key). Raises ``field_exists``."""
    labels = {folded(label): label for label in fields.values()}
    for index, target in mapping.items():
        key = target.removeprefix(FIELD_PREFIX)
        if not target.startswith(FIELD_PREFIX) or key in fields:
            continue
        label = header[int(index)] or key
        if folded(label) in labels:
            raise ImportProblem(FileProblem.FIELD_EXISTS, label=labels[folded(label)], column=int(index) + 1)
        labels[folded(label)] = label


def mapping_by_header(guessed: Guessed, told: Sequence[str], *, new_fields: bool = False) -> dict[str, str]:
    """The guess, corrected by what a command says (``"Correo=email"``; a column by its header or number). Nobody looks at
    it before it is used, so a column without a field is left out unless ``new_fields`` says so. Raises
    ``unknown_column``, ``unknown_field`` and ``field_exists``."""
    mapping = dict(guessed.mapping)
    if not new_fields:
        mapping.update({str(index): SKIP for index in guessed.new_columns()})
    names = {name.casefold(): str(index) for index, name in enumerate(guessed.header) if name}
    names.update(
        {str(number): str(number - 1) for number in range(1, len(guessed.header) + 1) if str(number) not in names}
    )
    for pair in told:
        header, _, word = (part.strip() for part in pair.rpartition("="))
        index = names.get(header.casefold())
        if index is None:
            raise ImportProblem(FileProblem.UNKNOWN_COLUMN, header=header[:60])
        target = _told_target(guessed, word, int(index))
        # What is told takes the place of what was guessed for another column.
        mapping.update({other: SKIP for other, guess in mapping.items() if guess == target})
        mapping[index] = target
    return mapping


def _told_target(guessed: Guessed, word: str, index: int) -> str:
    kind, _, key = word.partition(":")
    if word.casefold() in TARGET_WORDS:
        return TARGET_WORDS[word.casefold()]
    if kind.casefold() == NEW_FIELD:
        key = key.strip() or propose_key(guessed.header[index], index + 1, guessed.fields)
        if key in guessed.fields:
            raise ImportProblem(FileProblem.FIELD_EXISTS, label=guessed.fields[key], column=index + 1)
        return FIELD_PREFIX + key
    known = {folded(name): key for key, label in guessed.fields.items() for name in (label, key)}
    if folded(word) not in known:
        raise ImportProblem(FileProblem.UNKNOWN_FIELD, key=word[:60], known=_nearest(word, guessed.fields))
    return FIELD_PREFIX + known[folded(word)]


def _nearest(word: str, keys: Iterable[str]) -> str:
    """What may have been meant; all there is, where nothing comes near."""
    targets = ["email", "nombre", "skip", *keys]
    return ", ".join(get_close_matches(folded(word), targets, n=3) or targets[:MOST_NAMED])


def _check_target_name(target: str, column: int) -> None:
    if target in ONCE:
        return
    key = target.removeprefix(FIELD_PREFIX)
    if not target.startswith(FIELD_PREFIX) or not FIELD_KEY.match(key) or key in TAKEN_KEYS:
        raise ImportProblem(FileProblem.BAD_FIELD_KEY, key=key[:60], column=column)


def check_target(session: AnySession, panel_id: int, list_id: int | None, list_name: str | None) -> dict[str, Any]:
    """``list_id`` or ``list_name`` of the import: a list of this panel, or a name for a new one."""
    name = " ".join((list_name or "").split())
    if list_id is None and len(name) > MAX_LIST_NAME:
        raise ImportProblem(FileProblem.LIST_NAME_TOO_LONG)
    if list_id is None and not name:
        raise ImportProblem(FileProblem.NO_LIST)
    chosen = MailingList.id == list_id if list_id is not None else MailingList.name == name
    found = session.scalar(select(MailingList).where(MailingList.panel_id == panel_id, chosen))
    if found is None and list_id is not None:
        raise ImportProblem(FileProblem.NO_LIST)
    if found is not None and found.archived_at is not None:
        raise ImportProblem(FileProblem.LIST_ARCHIVED, name=found.name)
    return {"list_id": found.id, "list_name": None} if found else {"list_id": None, "list_name": name}
