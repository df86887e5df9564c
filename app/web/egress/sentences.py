"""What states, columns and problems of egress IPs are called in front of people: what, where, and the remedy."""

from collections.abc import Callable

from flask_babel import gettext as _
from flask_babel import ngettext

from app.flow.egress.addresses import MAX_RATE_PER_HOUR, MAX_WEIGHT
from app.flow.egress.importing import NEW_STATE
from app.flow.egress.problems import EgressProblem, SheetProblem
from app.flow.egress.sheet import RowProblem
from app.flow.egress.warming import WARM_UP_OVER
from app.models import EgressState, MailStream
from app.web.formats import file_size, number


def state_name(state: EgressState) -> str:
    names: dict[EgressState, str] = {
        EgressState.WARMING: _("En calentamiento"),
        EgressState.ACTIVE: _("Activa"),
        EgressState.QUARANTINED: _("En cuarentena"),
    }
    return names[state]


def state_colour(state: EgressState) -> str:
    colours = {EgressState.WARMING: "orange", EgressState.ACTIVE: "green", EgressState.QUARANTINED: "red"}
    return colours[state]


def reason_words(reason: str) -> str:
    """What a person wrote, or why the platform changed the state by itself."""
    return _("terminó su calentamiento en todos los proveedores") if reason == WARM_UP_OVER else reason


def stream_name(stream: MailStream) -> str:
    names: dict[MailStream, str] = {MailStream.BULK: _("Masivo"), MailStream.URGENT: _("Urgente")}
    return names[stream]


def column_name(column: str) -> str:
    names: dict[str, str] = {
        "address": _("Dirección"),
        "helo": _("HELO"),
        "pool": _("Grupo"),
        "state": _("Estado"),
        "weight": _("Peso"),
        "rate": _("Límite por hora"),
    }
    return names[column]


def cell_text(value: object) -> str:
    if value is None:
        return _("sin límite")
    return state_name(value) if isinstance(value, EgressState) else str(value)


def egress_sentence(problem: EgressProblem) -> str:
    told = problem.details
    if problem.code == "pool_not_empty":
        return ngettext(
            "No se borró: el grupo tiene %(num)s dirección. Muévala antes a otro grupo o quítela.",
            "No se borró: el grupo tiene %(num)s direcciones. Muévalas antes a otro grupo o quítelas.",
            told["count"],
        )
    sentences: dict[str, str] = {
        "name_missing": _("Escriba un nombre para el grupo."),
        "name_too_long": _("El nombre del grupo es demasiado largo: use 60 caracteres como máximo."),
        "name_taken": _("Este relay ya tiene un grupo con ese nombre."),
        "pool_missing": _("Ese grupo no existe en este relay. Elija otro."),
        "pool_empty": _(
            "El grupo «%(name)s» no tiene direcciones. Agréguelas antes de asignarlo.", name=told.get("name")
        ),
        "address_invalid": _("Eso no es una dirección IP. Escríbala como 192.0.2.1 o 2001:db8::1."),
        "address_unusable": _("Desde esa dirección no se puede enviar. Escriba la de un servidor."),
        "address_taken": _("Este relay ya tiene esa dirección."),
        "address_used": _("Esta dirección ya envió correo y no se puede cambiar. Quítela y agregue la otra."),
        "helo_invalid": _("Eso no es un nombre de servidor. Escríbalo como mail-1.example.gob.pe."),
        "weight_invalid": _("El peso es un número entero de 1 a %(most)s.", most=MAX_WEIGHT),
        "rate_invalid": _(
            "El límite por hora es un número entero de 1 a %(most)s; escriba «sin límite» para quitarlo.",
            most=number(MAX_RATE_PER_HOUR),
        ),
        "wrong_state": _(
            "No se cambió nada: la dirección ya está en el estado «%(state)s».",
            state=state_name(told["state"]) if "state" in told else "",
        ),
        "reason_missing": _("Escriba el motivo: otras personas querrán saberlo."),
    }
    return sentences[problem.code]


def row_sentence(problem: RowProblem) -> str:
    """Its remedy; row, column and value stand beside it."""
    own: dict[str, str] = {
        "address_missing": _("Falta la dirección IP. Escríbala o borre la fila."),
        "address_repeated": _("La misma dirección está en la fila %(line)s. Deje una sola.", line=problem.seen),
        "state_unknown": _(
            "Escriba en calentamiento, activa o en cuarentena. Vacío: %(state)s.", state=state_name(NEW_STATE)
        ),
        "too_many_cells": _("La fila tiene más celdas que el encabezado. Revise separadores y comillas."),
        "helo_missing": _("Una dirección nueva necesita su nombre HELO, como mail-1.example.gob.pe."),
        "pool_missing": _("Una dirección nueva necesita un grupo. Si no existe, se crea."),
    }
    return own.get(problem.code) or egress_sentence(EgressProblem(problem.code))


def sheet_sentence(problem: SheetProblem) -> str:
    told = problem.details
    column = told.get("column", "")
    sentences: dict[str, Callable[[], str]] = {
        "empty": lambda: _("No hay nada que importar. Elija un archivo o pegue las filas."),
        "not_text": lambda: _("Ese archivo no es un CSV. En su hoja de cálculo, elija «Guardar como» y CSV."),
        "too_large": lambda: _(
            "El archivo pasa de %(size)s: demasiado para una lista de direcciones.", size=file_size(told["limit_bytes"])
        ),
        "no_rows": lambda: _("El archivo solo tiene el encabezado. Agregue una fila por dirección."),
        "too_many_rows": lambda: _(
            "El archivo tiene más de %(limit)s filas. Impórtelo por partes.", limit=told["limit"]
        ),
        "column_missing": lambda: _(
            "Falta la columna «%(column)s». La primera fila debe llevar los encabezados.",
            column=column_name(column).lower(),
        ),
        "column_unknown": lambda: _(
            "La columna «%(column)s» no se conoce. Use: dirección, helo, grupo, estado, peso, límite por hora.",
            column=column,
        ),
        "column_repeated": lambda: _(
            "La columna «%(column)s» está dos veces. Deje una.", column=column_name(column).lower()
        ),
        "range_invalid": lambda: _("Escriba la primera y la última dirección, como 192.0.2.1–192.0.2.48."),
        "range_backwards": lambda: _("La última dirección va antes que la primera. Inviértalas."),
        "range_too_long": lambda: _(
            "El rango tiene más de %(limit)s direcciones. Agréguelo por partes.", limit=told["limit"]
        ),
        "pattern_without_number": lambda: _(
            "El patrón debe llevar {n}, para que cada dirección tenga su propio nombre."
        ),
    }
    return sentences[problem.code]()


TEMPLATE_WORDS = {
    "state_name": state_name,
    "reason_words": reason_words,
    "state_colour": state_colour,
    "stream_name": stream_name,
    "column_name": column_name,
    "cell_text": cell_text,
    "row_sentence": row_sentence,
}
