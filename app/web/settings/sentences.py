"""What problems with a panel's settings are called in front of people."""

from flask_babel import gettext as _

from app.flow.panels import MAX_WEIGHT, PanelProblem


def panel_sentence(problem: PanelProblem) -> str:
    sentences: dict[str, str] = {
        "campaigns_under_way": _(
            "No se cambió el modo: hay campañas en curso (%(names)s). Espere a que terminen o cancélelas.",
            names=", ".join(problem.details.get("names", ())),
        ),
        "relay_missing": _("Ese relay ya no existe. Elija otro."),
        "not_understood": _("Confirme que entiende lo que cambia."),
        "colour_unknown": _("Ese color no está disponible."),
        "timezone_unknown": _("Esa zona horaria no existe."),
        "weight_invalid": _("El peso es un número entero de 1 a %(most)s.", most=MAX_WEIGHT),
        "rate_invalid": _("El límite es un número entero de 1 en adelante, o vacío."),
    }
    return sentences[problem.code]
