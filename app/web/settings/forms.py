"""Forms of a panel's settings."""

from typing import Any
from zoneinfo import available_timezones

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import BooleanField, IntegerField, SelectField, StringField
from wtforms.validators import DataRequired, InputRequired, Length, NumberRange, Optional

from app.flow.campaign_content import MAX_CANARY_MINUTES
from app.flow.panels import COLOURS, MAX_WEIGHT
from app.flow.relays import MOST_PER_HOUR
from app.web.share_field import ShareField
from app.web.words import colour_name


def timezone_choices() -> list[str]:
    """The Americas first, where the work is done."""
    names = [
        name for name in available_timezones() if "/" in name and not name.startswith(("Etc/", "posix/", "right/"))
    ]
    return sorted([*names, "UTC"], key=lambda name: (not name.startswith("America/"), name))


class PanelForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF has no types
    name = StringField(_l("Nombre de la plataforma"), validators=[DataRequired(), Length(max=100)])
    colour = SelectField(
        _l("Color"), description=_l("La franja superior de todas sus páginas: para saber siempre dónde está.")
    )
    timezone = SelectField(
        _l("Zona horaria"),
        description=_l("En ella se muestran y se programan las horas; el día empieza a su medianoche."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.colour.choices = [(colour, colour_name(colour)) for colour in COLOURS]
        self.timezone.choices = timezone_choices()


class LimitsForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF has no types
    weight = IntegerField(
        _l("Peso"),
        validators=[InputRequired(), NumberRange(1, MAX_WEIGHT)],
        description=_l("Cuando varias plataformas envían a la vez, una con peso 2 avanza el doble que una con 1."),
    )
    rate_per_hour = IntegerField(
        _l("Límite de correos por hora"),
        validators=[Optional(), NumberRange(1, MOST_PER_HOUR)],
        description=_l("De todas sus campañas juntas. Vacío: sin límite."),
    )


class CanaryForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF has no types
    """What holds for campaigns that go to a part first and don't say otherwise."""

    canary_minutes = IntegerField(
        _l("Minutos que espera el resto"), validators=[InputRequired(), NumberRange(1, MAX_CANARY_MINUTES)]
    )
    canary_bounced_percent = ShareField(
        _l("Rebotados (por ciento)"),
        validators=[InputRequired(), NumberRange(0, 100)],
        description=_l("Con más del 5 por ciento, los proveedores desconfían de la lista."),
    )
    canary_deferred_percent = ShareField(
        _l("Diferidos (por ciento)"), validators=[InputRequired(), NumberRange(0, 100)]
    )
    canary_complained_percent = ShareField(
        _l("Reclamos (por ciento)"),
        validators=[InputRequired(), NumberRange(0, 100)],
        description=_l(
            "Personas que lo marcan como correo no deseado. Gmail y Yahoo piden menos de 0.1 y rechazan desde 0.3."
        ),
    )


class PracticeForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF has no types
    """Nothing but the token."""


class RealForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF has no types
    relay_id = SelectField(_l("Relay"), coerce=int, validators=[DataRequired()])
    understood = BooleanField(
        _l("Entiendo que, desde ahora, cada envío y cada prueba de esta plataforma llega a personas reales."),
        validators=[DataRequired(_l("Confirme que entiende lo que cambia."))],
    )
