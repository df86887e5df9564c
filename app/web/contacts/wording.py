"""Codes of problems, outcomes and sources as sentences: what happened, where, and the remedy."""

from typing import Any

from flask_babel import format_date, ngettext
from flask_babel import gettext as _

from app.flow.field_values import MAX_VALUE_CHARACTERS, as_date
from app.flow.importing.check import MAX_NAME_CHARACTERS
from app.flow.importing.problems import DUPLICATE_PREFIX, EMAIL_PREFIX, FileProblem, ImportProblem, RowProblem
from app.mail.addresses import AddressProblem
from app.models import CustomField, FieldType, ImportStatus, RowOutcome, SubscriptionStatus, SuppressionReason
from app.web.formats import number


def file_problem(problem: ImportProblem | str) -> str:
    """Why nothing of a file was imported; ``problem`` as raised, or as kept in ``Import.error``."""
    if isinstance(problem, str):
        problem = ImportProblem.from_json(problem)
    if problem.code is FileProblem.NOT_TEXT:
        return _not_text(problem.details.get("kind", ""))
    if problem.code is FileProblem.WRONG_STATE:
        return _wrong_state(problem.details.get("status", ""))
    return _file_sentences()[problem.code] % _numbers_formatted(problem.details)


def _numbers_formatted(details: dict[str, Any]) -> dict[str, Any]:
    shown = {key: number(value) if isinstance(value, int) else value for key, value in details.items()}
    if "limit_bytes" in details:
        shown["limit_megabytes"] = number(details["limit_bytes"] // (1024 * 1024))
    return shown


def _file_sentences() -> dict[FileProblem, str]:
    """With the places of their details still open."""
    words: dict[Any, str] = {
        FileProblem.NOT_CHOSEN: _("Elija primero un archivo."),
        FileProblem.EMPTY: _("El archivo está vacío. Revise que sea el correcto y súbalo de nuevo."),
        FileProblem.TOO_LARGE: _(
            "El archivo pesa más de %(limit_megabytes)s MB, lo máximo que admite esta instalación. Divídalo en partes y "
            "suba cada una por separado."
        ),
        FileProblem.MISSING: _("El archivo subido ya no está en el servidor. Súbalo de nuevo."),
        FileProblem.WRONG_ENCODING: _("El archivo no se puede leer con esa codificación. Elija otra."),
        FileProblem.HEADER_ONLY: _("El archivo solo tiene el encabezado: no hay ninguna fila debajo."),
        FileProblem.TOO_MANY_COLUMNS: _(
            "La fila 1 tiene %(columns)s columnas y se admiten %(limit)s. Quite las que no necesite o revise el separador."
        ),
        FileProblem.REPEATED_HEADER: _(
            "El encabezado «%(header)s» está dos veces en la fila %(line)s: en las columnas %(first_column)s y "
            "%(column)s. Cambie el nombre de una de las dos o quítela, y suba el archivo de nuevo."
        ),
        FileProblem.UNCLOSED_QUOTE: _(
            'En la fila %(line)s, columna %(column)s, se abre una comilla (") que nunca se cierra. Ciérrela o quítela, y '
            "suba el archivo de nuevo."
        ),
        FileProblem.CELL_TOO_LARGE: _(
            "La celda de la fila %(line)s, columna %(column)s, tiene más de %(limit)s caracteres. Acórtela y suba el "
            "archivo de nuevo."
        ),
        FileProblem.LINE_TOO_LONG: _(
            "La fila %(line)s tiene más de %(limit)s caracteres sin un salto de línea: no parece una tabla. Revise que el "
            "archivo sea un CSV."
        ),
        FileProblem.NO_EMAIL_COLUMN: _(
            "Ninguna columna está marcada como correo. Elija la que contiene las direcciones; si el archivo no la tiene, "
            "agréguela y súbalo de nuevo."
        ),
        FileProblem.SEVERAL_EMAIL_COLUMNS: _(
            "Las columnas %(first_column)s y %(column)s están marcadas como correo. Deje solo una."
        ),
        FileProblem.SEVERAL_NAME_COLUMNS: _(
            "Las columnas %(first_column)s y %(column)s están marcadas como nombre. Deje solo una."
        ),
        FileProblem.FIELD_TWICE: _(
            "Las columnas %(first_column)s y %(column)s van al mismo campo «%(key)s». Elija otro para una de las dos."
        ),
        FileProblem.BAD_FIELD_KEY: _(
            "La clave «%(key)s» de la columna %(column)s no sirve: use minúsculas sin tilde, números y guion bajo, empiece "
            "con una letra, y no use email, nombre ni enlace_baja."
        ),
        FileProblem.UNKNOWN_COLUMN: _("El archivo no tiene ninguna columna «%(header)s»."),
        FileProblem.UNKNOWN_FIELD: _(
            "No hay ningún campo «%(key)s» en esta plataforma. Quizá quiso escribir: %(known)s. Para crear un campo, "
            "escriba new o new:clave."
        ),
        FileProblem.FIELD_EXISTS: _(
            "La columna %(column)s crearía otro campo «%(label)s», que ya existe. Elija ese campo para la columna, o «No "
            "importar»."
        ),
        FileProblem.NO_LIST: _("Elija la lista a la que van estas personas, o escriba el nombre de una nueva."),
        FileProblem.LIST_NAME_TOO_LONG: _("El nombre de la lista tiene más de 100 caracteres. Acórtelo."),
        FileProblem.LIST_ARCHIVED: _("La lista «%(name)s» está archivada. Restáurela o elija otra."),
        FileProblem.FILE_CHANGED: _("El archivo ya no es el mismo que se revisó. Súbalo de nuevo."),
        FileProblem.UNEXPECTED: _(
            "Algo falló de nuestro lado y no se importó nada. El error quedó registrado; suba el archivo de nuevo."
        ),
    }
    return words


def list_problem(code: str) -> str:
    words: dict[str, str] = {
        "name_taken": _("Ya hay una lista con ese nombre en esta plataforma (quizá archivada). Elija otro."),
        "no_list": _("No hay ninguna lista con ese nombre en esta plataforma."),
    }
    return words[code]


def _not_text(kind: str) -> str:
    words: dict[Any, str] = {
        "spreadsheet": _(
            "Es un libro de Excel u otra hoja de cálculo. Ábralo, use «Guardar como», elija «CSV UTF-8» y suba ese archivo."
        ),
        "pdf": _("Es un PDF. Se necesita la tabla original, guardada como CSV."),
        "compressed": _("Es un archivo comprimido. Descomprímalo y suba el CSV que contiene."),
        "image": _("Es una imagen. Se necesita la tabla, guardada como CSV."),
    }
    return words.get(kind) or str(_("No es un archivo de texto. Guarde la tabla como CSV y suba ese archivo."))


def _wrong_state(status: str) -> str:
    words: dict[Any, str] = {
        ImportStatus.DONE: _("Esta importación ya terminó."),
        ImportStatus.CANCELLED: _("Esta importación se canceló."),
        ImportStatus.FAILED: _("Esta importación falló. Suba el archivo de nuevo."),
        ImportStatus.APPLYING: _("La importación ya se está aplicando y no se puede detener."),
    }
    return words.get(status) or str(_("La importación cambió mientras tanto. Revise su estado e inténtelo de nuevo."))


def row_problem(reason: str | None) -> str:
    """Why a row was rejected."""
    reason = reason or ""
    if reason.startswith(DUPLICATE_PREFIX):
        line = number(int(reason.removeprefix(DUPLICATE_PREFIX)))
        return str(_("La dirección ya está en la fila %(line)s; vale la primera.", line=line))
    if reason.startswith(EMAIL_PREFIX):
        return address_problem(reason.removeprefix(EMAIL_PREFIX))
    words: dict[Any, str] = {
        RowProblem.TOO_MANY_CELLS: _(
            "La fila tiene más celdas que el encabezado: quizá falta encerrar un texto entre comillas."
        ),
        RowProblem.REPEATED_HEADER: _("La fila repite el encabezado."),
        RowProblem.UNREADABLE: _("La celda tiene letras que no se pueden leer con la codificación elegida."),
        RowProblem.NUL: _("La celda tiene un carácter nulo (NUL)."),
        RowProblem.NAME_TOO_LONG: _("El nombre tiene más de %(limit)s caracteres.", limit=MAX_NAME_CHARACTERS),
        RowProblem.VALUE_TOO_LONG: _("El texto tiene más de %(limit)s caracteres.", limit=number(MAX_VALUE_CHARACTERS)),
        RowProblem.NOT_A_NUMBER: _("No es un número."),
        RowProblem.NOT_A_DATE: _("No es una fecha. Escríbala como 31/12/2026 o 2026-12-31."),
        RowProblem.NOT_A_BOOLEAN: _("No es sí ni no."),
    }
    return words.get(reason, reason)


def address_problem(code: str) -> str:
    """Why a text is no address."""
    words: dict[Any, str] = {
        AddressProblem.EMPTY: _("Falta la dirección de correo."),
        AddressProblem.MISSING_AT: _("A la dirección le falta la arroba (@)."),
        AddressProblem.SEVERAL_ADDRESSES: _("Hay varias direcciones; deje una sola."),
        AddressProblem.SPACES: _("La dirección tiene espacios."),
        AddressProblem.EXTRA_TEXT: _("Hay otro texto junto a la dirección; deje solo la dirección."),
        AddressProblem.CONTROL_CHARACTER: _("La dirección tiene caracteres invisibles."),
        AddressProblem.TOO_LONG: _("La dirección es demasiado larga."),
        AddressProblem.MISSING_LOCAL_PART: _("Falta lo que va antes de la arroba (@)."),
        AddressProblem.LOCAL_PART_TOO_LONG: _("Lo que va antes de la arroba (@) es demasiado largo."),
        AddressProblem.NON_ASCII_LOCAL_PART: _("Hay tildes, eñes u otras letras especiales antes de la arroba (@)."),
        AddressProblem.BAD_LOCAL_PART: _("Lo que va antes de la arroba (@) tiene signos o puntos que no se permiten."),
        AddressProblem.MISSING_DOMAIN: _("Falta el dominio después de la arroba (@)."),
        AddressProblem.DOMAIN_WITHOUT_DOT: _("El dominio está incompleto: le falta el punto (por ejemplo, «.pe»)."),
        AddressProblem.BAD_DOMAIN: _("El dominio no es válido."),
    }
    return words.get(code, code)


def outcome_name(outcome: RowOutcome | str) -> str:
    words: dict[Any, str] = {
        RowOutcome.NEW: _("Nuevos"),
        RowOutcome.CHANGED: _("Con cambios"),
        RowOutcome.UNCHANGED: _("Sin cambios"),
        RowOutcome.DUPLICATE: _("Repetidos"),
        RowOutcome.INVALID: _("Rechazados"),
        RowOutcome.SUPPRESSED: _("Suprimidos"),
        RowOutcome.UNSUBSCRIBED: _("Dados de baja"),
    }
    return words[RowOutcome(outcome)]


def outcome_meaning(outcome: RowOutcome | str) -> str:
    words: dict[Any, str] = {
        RowOutcome.NEW: _("Personas que esta plataforma aún no tiene."),
        RowOutcome.CHANGED: _("Ya están: cambian sus datos o se suman a esta lista."),
        RowOutcome.UNCHANGED: _("Ya están en esta lista con los mismos datos."),
        RowOutcome.DUPLICATE: _("La dirección aparece antes en el archivo; vale la primera fila."),
        RowOutcome.INVALID: _("Filas con un problema; no se importan."),
        RowOutcome.SUPPRESSED: _("Se actualizan sus datos, pero nunca reciben correos."),
        RowOutcome.UNSUBSCRIBED: _("Se dieron de baja de esta lista y así siguen."),
    }
    return words[RowOutcome(outcome)]


OUTCOME_COLOURS = {
    RowOutcome.NEW: "green",
    RowOutcome.CHANGED: "blue",
    RowOutcome.UNCHANGED: "secondary",
    RowOutcome.DUPLICATE: "orange",
    RowOutcome.INVALID: "red",
    RowOutcome.SUPPRESSED: "purple",
    RowOutcome.UNSUBSCRIBED: "yellow",
}


def import_status_name(status: ImportStatus) -> str:
    words: dict[Any, str] = {
        ImportStatus.UPLOADED: _("Por configurar"),
        ImportStatus.QUEUED: _("En cola"),
        ImportStatus.ANALYSING: _("Revisando"),
        ImportStatus.READY: _("Por confirmar"),
        ImportStatus.CONFIRMED: _("En cola"),
        ImportStatus.APPLYING: _("Importando"),
        ImportStatus.DONE: _("Terminada"),
        ImportStatus.FAILED: _("Falló"),
        ImportStatus.CANCELLED: _("Cancelada"),
    }
    return words[status]


IMPORT_STATUS_COLOURS = {
    ImportStatus.UPLOADED: "yellow",
    ImportStatus.READY: "yellow",
    ImportStatus.DONE: "green",
    ImportStatus.FAILED: "red",
    ImportStatus.CANCELLED: "secondary",
}


def subscription_status_name(status: SubscriptionStatus) -> str:
    words: dict[Any, str] = {
        SubscriptionStatus.SUBSCRIBED: _("Suscrito"),
        SubscriptionStatus.UNSUBSCRIBED: _("De baja"),
    }
    return words[status]


def suppression_reason_name(reason: SuppressionReason) -> str:
    words: dict[Any, str] = {
        SuppressionReason.UNSUBSCRIBED: _("Pidió no recibir más"),
        SuppressionReason.COMPLAINT: _("Reclamo de correo no deseado"),
        SuppressionReason.HARD_BOUNCE: _("La dirección no existe"),
        SuppressionReason.MANUAL: _("Agregada por una persona"),
    }
    return words[reason]


def field_type_name(type_: FieldType) -> str:
    words: dict[Any, str] = {
        FieldType.TEXT: _("Texto"),
        FieldType.NUMBER: _("Número"),
        FieldType.DATE: _("Fecha"),
        FieldType.BOOLEAN: _("Sí o no"),
    }
    return words[type_]


def field_text(field: CustomField, value: object) -> str:
    """A contact's value as people read it; a dash for none."""
    if value is None or value == "":
        return "—"
    if isinstance(value, bool):
        return str(_("Sí") if value else _("No"))
    if field.type is FieldType.NUMBER and isinstance(value, int | float):
        return str(number(value))
    day = as_date(value) if field.type is FieldType.DATE else None
    return str(format_date(day, "d MMM y")) if day else str(value)


def source_name(source: str | None) -> str:
    """Where a consent, a leaving or a suppression came from: ``import:<id>``, ``manual:<user id>`` …"""
    kind, _colon, key = (source or "").partition(":")
    words: dict[Any, str] = {
        "import": _("Importación %(key)s", key=key),
        "manual": _("A mano, por una persona del equipo"),
        "consent": _("Nuevo consentimiento, registrado a mano"),
        "form": _("Formulario %(key)s", key=key),
        "one-click": _("Baja con un clic, campaña %(key)s", key=key),
        "page": _("Página de baja, campaña %(key)s", key=key),
        "complaint": _("Reclamo, campaña %(key)s", key=key),
        "erased": _("Datos borrados; la dirección quedó suprimida"),
        "command": _("Línea de comandos"),
        "": "—",
    }
    return words.get(kind, source or "—")


ENCODING_NAMES = {
    "utf-8": "UTF-8",
    "utf-8-sig": "UTF-8 (BOM)",
    "utf-16": "UTF-16 (BOM)",
    "utf-16-le": "UTF-16 LE",
    "utf-16-be": "UTF-16 BE",
    "cp1252": "Windows-1252",
    "latin-1": "Latin-1 (ISO-8859-1)",
    "cp850": "DOS (CP850)",
    "mac_roman": "Mac Roman",
}


def delimiter_name(delimiter: str) -> str:
    words: dict[Any, str] = {
        ";": _("Punto y coma (;)"),
        ",": _("Coma (,)"),
        "\t": _("Tabulación"),
        "|": _("Barra vertical (|)"),
    }
    return words[delimiter]


TEMPLATE_WORDS: dict[str, Any] = {
    "file_problem": file_problem,
    "row_problem": row_problem,
    "outcome_name": outcome_name,
    "outcome_meaning": outcome_meaning,
    "outcome_colour": OUTCOME_COLOURS.__getitem__,
    "import_status_name": import_status_name,
    "import_status_colour": lambda status: IMPORT_STATUS_COLOURS.get(status, "blue"),
    "subscription_status_name": subscription_status_name,
    "suppression_reason_name": suppression_reason_name,
    "field_type_name": field_type_name,
    "source_name": source_name,
    "encoding_name": lambda encoding: ENCODING_NAMES.get(encoding, encoding),
    "delimiter_name": delimiter_name,
    "address_problem": address_problem,
    "field_text": field_text,
    "ngettext": ngettext,
}
"""What the templates of this area call."""
