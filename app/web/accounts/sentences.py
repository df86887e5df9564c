"""What account problems are called in front of people."""

from flask_babel import gettext as _

from app.flow.passwords import MAXIMUM_LENGTH, MINIMUM_LENGTH


def account_sentence(code: str) -> str:
    sentences: dict[str, str] = {
        "wrong_password": _("La contraseña actual no es correcta."),
        "too_short": _("La contraseña necesita al menos %(count)s caracteres.", count=MINIMUM_LENGTH),
        "too_long": _("La contraseña puede tener como máximo %(count)s caracteres.", count=MAXIMUM_LENGTH),
        "common": _(
            "Esa contraseña es de las primeras que se prueban. Use, por ejemplo, cuatro palabras sin relación."
        ),
        "personal": _("La contraseña se parece demasiado a su nombre o correo. Elija otra."),
        "last_administrator": _(
            "Es la única persona que administra la instalación. Nombre antes a otra; así nadie queda fuera."
        ),
        "email_taken": _("Ya existe una cuenta con ese correo."),
        "email_invalid": _("Esa dirección de correo no es válida. Revise que tenga la forma nombre@dominio."),
        "locale_unknown": _("Ese idioma no está disponible."),
    }
    return sentences[code]


def no_access_sentence() -> str:
    return _(
        "Esta cuenta no tiene acceso a ninguna plataforma: quien entre con ella no verá nada. Elija un rol en al menos una."
    )
