"""Who is in the demo's CSV. Invented, at reserved domains; each valid person has data of their own to be recognised by."""

import csv
from dataclasses import dataclass
from pathlib import Path

DOMAINS = ("example.pe", "correo.example.pe", "example.com", "example.org", "example.net")
REGIONS = ("Áncash", "Apurímac", "Cusco", "Huánuco", "Junín", "Lima", "Madre de Dios", "Ñaña", "San Martín", "Ucayali")
INVALID = ("sin-arroba.example.pe", "dos@@example.pe", "espacio en@example.pe", "@example.pe", "ñandú@example.pe", "")
HEADER = ("Correo electrónico", "Nombres y apellidos", "Región", "Código de inscripción")


@dataclass(frozen=True)
class Person:
    number: int
    email: str
    name: str
    region: str
    code: str


@dataclass(frozen=True)
class Cast:
    """``people`` are the valid, distinct rows; the others say who among them must not be mailed, and what else is in
    the file."""

    people: list[Person]
    unsubscribed: frozenset[str]
    suppressed: frozenset[str]
    invalid_rows: int
    duplicate_rows: int


def person(number: int) -> Person:
    return Person(
        number=number,
        email=f"persona{number}@{DOMAINS[number % len(DOMAINS)]}",
        name=f"Persona Invéntada Nº {number}",
        region=REGIONS[number % len(REGIONS)],
        code=f"C-{number:07d}",
    )


def cast_of(recipients: int) -> Cast:
    """``recipients`` people, of whom 1 % left the list before and 0.5 % are suppressed; 1 % invalid rows and 1 %
    repetitions come on top."""
    people = [person(number) for number in range(1, recipients + 1)]
    return Cast(
        people=people,
        unsubscribed=frozenset(p.email for p in people if p.number % 100 == 7),
        suppressed=frozenset(p.email for p in people if p.number % 200 == 13),
        invalid_rows=max(1, recipients // 100),
        duplicate_rows=max(1, recipients // 100),
    )


def write_csv(cast: Cast, path: Path) -> int:
    """A file as a Spanish Excel writes it: semicolons, Windows-1252, CRLF. Returns the number of data rows."""
    rows: list[tuple[str, ...]] = [(p.email, p.name, p.region, p.code) for p in cast.people]
    step = max(1, len(rows) // (cast.invalid_rows + 1))
    for n in range(cast.invalid_rows):
        rows.insert(n * step, (INVALID[n % len(INVALID)], "Fila Inválida", "Lima", f"X-{n}"))
    repeated = [cast.people[n * (len(cast.people) // cast.duplicate_rows)] for n in range(cast.duplicate_rows)]
    rows += [(p.email.upper(), "Otra Vez", "Lima", "D-0") for p in repeated]
    with path.open("w", encoding="cp1252", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(HEADER)
        writer.writerows(rows)
    return len(rows)
