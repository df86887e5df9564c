"""What roles, colours and kinds of security are called in front of people; template globals."""

from flask import Flask
from flask_babel import gettext as _

from app.models import RelaySecurity, Role


def role_name(role: Role) -> str:
    names: dict[Role, str] = {Role.VIEWER: _("Lectura"), Role.EDITOR: _("Edición"), Role.MANAGER: _("Gestión")}
    return names[role]


def role_duties(role: Role) -> str:
    duties: dict[Role, str] = {
        Role.VIEWER: _("Ve todo lo de la plataforma, sin cambiar nada."),
        Role.EDITOR: _("Además importa contactos, escribe campañas y envía pruebas."),
        Role.MANAGER: _("Además programa, pausa y cancela envíos, y cambia los ajustes de la plataforma."),
    }
    return duties[role]


def colour_name(colour: str) -> str:
    names: dict[str, str] = {
        "blue": _("Azul"),
        "indigo": _("Índigo"),
        "purple": _("Morado"),
        "pink": _("Rosado"),
        "red": _("Rojo"),
        "orange": _("Naranja"),
        "green": _("Verde"),
        "teal": _("Verde azulado"),
        "cyan": _("Cian"),
    }
    return names.get(colour, colour)


def security_name(security: RelaySecurity) -> str:
    names: dict[RelaySecurity, str] = {
        RelaySecurity.NONE: _("Sin cifrado"),
        RelaySecurity.STARTTLS: "STARTTLS",
        RelaySecurity.TLS: "TLS",
    }
    return names[security]


def register(app: Flask) -> None:
    for function in (role_name, role_duties, colour_name, security_name):
        app.add_template_global(function)
