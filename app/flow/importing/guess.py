"""What each column probably is, from its header and its cells; the person corrects it on the mapping page."""

import re
import unicodedata
from collections.abc import Iterable, Sequence

from app.flow.importing.sniff import Sniffed
from app.mail.addresses import Address, parse_address
from app.mail.merge_language import TAKEN_KEYS
from app.models import CustomField

EMAIL, NAME, SKIP = "email", "name", "skip"
FIELD_PREFIX = "field:"
MAX_KEY_LENGTH = 40

EMAIL_HEADERS = re.compile(r"(correos?|e_?mails?|mails?)(_|$)|_(correo|e_?mail|mail)(_|$)")
NAME_HEADERS = (
    re.compile(r"(nombres?_completos?|nombres?_y_apellidos?|apellidos?_y_nombres?|full_name)$"),
    re.compile(r"(nombres?|name|razon_social|nombre_o_razon_social)$"),
    re.compile(r"(nombres?|primer_nombre|first_name|contacto|persona|ciudadano|destinatario)(_|$)"),
)
ROW_NUMBER_HEADERS = frozenset({"n", "no", "nro", "num", "numero", "item", "orden", "fila", "id"})
"""Columns that count the rows of a spreadsheet say nothing about a person."""
ABOUT_REJECTS = frozenset(
    {
        "fila_rechazada",
        "columna_rechazada",
        "motivo_del_rechazo",
        "rejected_row",
        "rejected_column",
        "reason_for_rejection",
    }
)
"""Columns that our file of rejected rows puts in front of the person's own, in all languages; when it comes back
mended they are nobody's data."""
NOBODYS = ROW_NUMBER_HEADERS | ABOUT_REJECTS
MOST = 0.5


def folded(text: str) -> str:
    """``«Región / Provincia»`` -> ``region_provincia``: what headers and keys are compared by."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")


def propose_key(header: str, column: int, taken: Iterable[str]) -> str:
    """A key for a new field: from the header, not reserved, not taken. ``column`` counts from 1."""
    stem = folded(header)[:MAX_KEY_LENGTH].strip("_") or f"columna_{column}"
    if not stem[0].isalpha():
        stem = f"campo_{stem}"[:MAX_KEY_LENGTH]
    refused = TAKEN_KEYS.union(taken)
    key, number = stem, 2
    while key in refused:
        key = f"{stem[: MAX_KEY_LENGTH - 1 - len(str(number))]}_{number}"
        number += 1
    return key


def guess_mapping(sniffed: Sniffed, fields: Sequence[CustomField]) -> dict[str, str]:
    """Column index (as text) -> ``email``, ``name``, ``field:<key>`` or ``skip``."""
    columns = [[row[index] for row in sniffed.samples] for index in range(len(sniffed.header))]
    names = [folded(name) for name in sniffed.header]
    email = _email_column(names, columns)
    name = _name_column(names, columns, email)
    known = {folded(word): field.key for field in fields for word in (field.label, field.key)}
    mapping: dict[str, str] = {}
    taken = {field.key for field in fields}
    for index, header in enumerate(sniffed.header):
        if index == email:
            target = EMAIL
        elif index == name:
            target = NAME
        elif not header or not any(columns[index]) or names[index] in NOBODYS - known.keys():
            target = SKIP
        else:
            key = known.pop(names[index], None) or propose_key(header, index + 1, taken)
            taken.add(key)
            target = FIELD_PREFIX + key
        mapping[str(index)] = target
    return mapping


def _email_column(names: Sequence[str], columns: Sequence[Sequence[str]]) -> int | None:
    """The column with the most addresses; a fitting header decides between equals and where the cells don't."""
    scores = [
        (_address_share(cells), bool(EMAIL_HEADERS.search(name))) for name, cells in zip(names, columns, strict=True)
    ]
    best = max(
        range(len(scores)),
        key=lambda index: (scores[index][0] > MOST, scores[index][1], scores[index][0]),
        default=None,
    )
    return best if best is not None and (scores[best][0] > MOST or scores[best][1]) else None


def _name_column(names: Sequence[str], columns: Sequence[Sequence[str]], email: int | None) -> int | None:
    for pattern in NAME_HEADERS:
        for index, name in enumerate(names):
            if index != email and pattern.match(name) and _address_share(columns[index]) <= MOST:
                return index
    return None


def _address_share(cells: Sequence[str]) -> float:
    filled = [cell for cell in cells if cell.strip()]
    return sum(isinstance(parse_address(cell), Address) for cell in filled) / len(filled) if filled else 0.0
