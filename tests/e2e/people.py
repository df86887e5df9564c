"""The file that an office would upload: semicolons, Windows-1252, accents, CRLF, and the mistakes that files have.
Everybody is invented, at reserved domains."""

import csv
from dataclasses import dataclass
from pathlib import Path

HEADER = ("Correo electrónico", "Nombres y apellidos", "Región", "Ocupación")
FIRST_NAMES = (
    "Rosa", "José", "Inés", "Íñigo", "Begoña", "Ramón", "Lucía", "Ángel", "Mónica", "Óscar", "Julián", "Zoé",
)  # fmt: skip
LAST_NAMES = (
    "Ñaupari Inventado", "Quispe Muestra", "Huamán Ejemplo", "Peña Ficticio", "Ríos Prueba", "Yáñez Supuesto",
    "Chávez Modelo",
)  # fmt: skip
REGIONS = ("Áncash", "Junín", "Huánuco", "Apurímac", "San Martín", "Lima", "Cusco", "Piura")
TRADES = ("Albañilería", "Cocina", "Enfermería técnica", "Gasfitería", "Contabilidad", "Confección")
DOMAINS = ("example.pe", "correo.example.pe", "example.com", "example.org")

SUPPRESSED = "nunca@example.pe"
BOUNCING = ("practica-550@example.pe", "practica-550+dos@example.pe", "practica-dato-554@example.pe")
DEFERRED_TWICE = ("practica-451x2@example.pe", "practica-452x2@example.pe")
INVALID = (
    ("sin-arroba.example.pe", "Sin Arroba", "Lima", "Cocina"),
    ("", "Sin Correo", "Cusco", "Cocina"),
    ("dos veces@example.pe", "Con Espacios", "Junín", "Cocina"),
    ("celdas@example.pe", "Demás", "Lima", "Cocina", "una celda de más"),
)


@dataclass(frozen=True)
class Person:
    email: str
    name: str
    region: str
    trade: str

    @property
    def row(self) -> tuple[str, ...]:
        return (self.email, self.name, self.region, self.trade)


def person(number: int) -> Person:
    first, last = FIRST_NAMES[number % len(FIRST_NAMES)], LAST_NAMES[number // len(FIRST_NAMES) % len(LAST_NAMES)]
    return Person(
        email=f"vecino{number:04}@{DOMAINS[number % len(DOMAINS)]}",
        name=f"{first} {last}",
        region=REGIONS[number % len(REGIONS)],
        trade=TRADES[number % len(TRADES)],
    )


@dataclass(frozen=True)
class Sheet:
    """What stands in the file, and what must become of it."""

    path: Path
    people: list[Person]
    """Valid, distinct, and allowed to be written to."""
    invalid: int
    duplicates: int


def write_sheet(path: Path, ordinary: int) -> Sheet:
    """``ordinary`` people, those whom the practice relay answers in its own ways, one who is suppressed, and mistakes."""
    people = [person(number) for number in range(1, ordinary + 1)]
    people += [Person(email, "Buzón de Práctica", "Lima", "Cocina") for email in (*BOUNCING, *DEFERRED_TWICE)]
    rows = [one.row for one in people]
    rows.insert(3, (SUPPRESSED, "Elsa Reservada Ejemplo", "Lima", "Cocina"))
    for position, row in enumerate(INVALID):
        rows.insert(position * 5, row)
    repeated = [(people[0].email.upper(), "Otra Vez", "Lima", "Cocina"), people[1].row]
    with path.open("w", encoding="cp1252", newline="") as file:
        csv.writer(file, delimiter=";").writerows([HEADER, *rows, *repeated])
    return Sheet(path, people, invalid=len(INVALID), duplicates=len(repeated))
