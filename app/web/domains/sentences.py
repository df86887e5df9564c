"""What problems with sending domains, and the results of checking them, are called in front of people."""

from flask_babel import gettext as _

from app.flow.domains import DomainProblem
from app.flow.signing import Signing, signing_of
from app.models import SendingDomain
from dns_tools.dkim import KeyCheck, KeyStatus
from dns_tools.presence import Presence, PresenceCheck


def domain_sentence(problem: DomainProblem) -> str:
    names = ", ".join(problem.details.get("names", ()))
    sentences: dict[str, str] = {
        "invalid": _("Eso no es un dominio. Escríbalo como boletin.example.gob.pe, sin http ni @."),
        "suffix": _("Esta instalación solo envía desde dominios que terminan en %(suffixes)s.", suffixes=names),
        "taken": _("Ese dominio ya está en esta plataforma."),
        "return_path_invalid": _("Eso no es un dominio. Escríbalo como rebotes.boletin.example.gob.pe."),
        "return_path_suffix": _("El dominio de retorno debe terminar en %(suffixes)s.", suffixes=names),
        "tracking_url": _("Escriba una dirección completa, con http o https y sin nada después del nombre."),
        "in_use": _("No se quitó: lo necesitan campañas programadas o en curso (%(names)s).", names=names),
    }
    return sentences[problem.code]


def record_purpose(code: str) -> tuple[str, str]:
    """Title and explanation of a record to publish."""
    purposes: dict[str, tuple[str, str]] = {
        "dkim": (
            _("DKIM: la firma"),
            _("Con esta clave pública, quien recibe comprueba que el correo es suyo y que nadie lo cambió."),
        ),
        "return_path_mx": (
            _("Retorno: MX (propuesta)"),
            _("Para que los rebotes lleguen a esta instalación. Ajuste el nombre si otro servidor los recibe."),
        ),
        "return_path_spf": (
            _("Retorno: SPF (propuesta)"),
            _("Dice qué servidores envían por este dominio. Agregue los del relay por el que sale su correo."),
        ),
        "dmarc": (
            _("DMARC (propuesta)"),
            _("Pide informes sin rechazar nada. Cuando los informes salgan limpios, suba a quarantine y a reject."),
        ),
    }
    return purposes[code]


def check_sentence(check: KeyCheck) -> str:
    sentences: dict[KeyStatus, str] = {
        KeyStatus.MATCHES: _("Publicada y correcta: las firmas se pueden comprobar."),
        KeyStatus.MISSING: _("Todavía no está en el DNS. Si acaba de publicarla, espere unos minutos y repita."),
        KeyStatus.DIFFERENT: _("En el DNS hay otra clave. Reemplácela por la de esta página."),
        KeyStatus.SEVERAL: _("Hay más de un registro con ese nombre. Deje solo el de esta página."),
        KeyStatus.REVOKED: _("El registro está vacío: eso anula la clave. Publique el de esta página."),
        KeyStatus.UNREADABLE: _(
            "El registro del DNS no se puede leer (%(code)s). Cópielo otra vez, sin comillas de más ni cortes.",
            code=check.detail,
        ),
        KeyStatus.UNUSABLE: _("El registro limita la clave a otros usos (s= o h=). Publique el de esta página."),
        KeyStatus.UNREACHABLE: _(
            "Los servidores de nombres no respondieron (%(code)s). No se sabe si está publicada; repita más tarde.",
            code=check.detail,
        ),
    }
    return sentences[check.status]


RECORD_NAMES = {"dkim": "DKIM", "return_path_mx": "MX", "return_path_spf": "SPF", "dmarc": "DMARC"}


def record_state(code: str, state: str) -> tuple[str, str, str, str]:
    """Name, word, colour and icon of what the last check found of this kind of record."""
    if state == Presence.PRESENT:
        return RECORD_NAMES[code], _("publicado"), "green", "check"
    if state == Presence.MISSING:
        return RECORD_NAMES[code], _("falta"), "orange", "alert-triangle"
    if state == Presence.UNREACHABLE:
        return RECORD_NAMES[code], _("sin respuesta"), "secondary", "help"
    return RECORD_NAMES[code], _("con problemas"), "red", "alert-triangle"


def signing_state(row: SendingDomain) -> tuple[str, str, str, str]:
    """As :func:`record_state`, of the keys that sign."""
    states: dict[Signing, tuple[str, str, str]] = {
        Signing.READY: (_("publicado"), "green", "check"),
        Signing.PARTLY: (_("falta una de las claves"), "orange", "alert-triangle"),
        Signing.UNPUBLISHED: (_("sin publicar"), "red", "alert-triangle"),
        Signing.UNCHECKED: (_("sin comprobar"), "secondary", "help"),
        Signing.NO_KEY: (_("sin clave activa"), "red", "alert-triangle"),
    }
    return RECORD_NAMES["dkim"], *states[signing_of(row)]


def presence_sentence(check: PresenceCheck) -> str:
    sentences: dict[Presence, str] = {
        Presence.PRESENT: _("Está publicado. Su contenido todavía no se analiza."),
        Presence.MISSING: _("No está en el DNS. Si acaba de publicarlo, espere unos minutos y repita."),
        Presence.SEVERAL: _("Hay más de uno, y quien recibe no sabe cuál vale. Deje uno solo."),
        Presence.UNREACHABLE: _(
            "Los servidores de nombres no respondieron (%(code)s). No se sabe si está publicado; repita más tarde.",
            code=check.detail,
        ),
    }
    return sentences[check.status]
