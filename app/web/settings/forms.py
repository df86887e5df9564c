"""Forms of a panel's settings."""

from typing import Any
from zoneinfo import available_timezones

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import BooleanField, IntegerField, SelectField, StringField
from wtforms.validators import DataRequired, InputRequired, Length, NumberRange, Optional

from app.flow.panels import COLOURS, MAX_WEIGHT
from app.flow.relays import MOST_PER_HOUR
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


class PracticeForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF has no types
    """Nothing but the token."""


class RealForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF has no types
    relay_id = SelectField(_l("Relay"), coerce=int, validators=[DataRequired()])
    understood = BooleanField(
        _l("Entiendo que, desde ahora, cada envío y cada prueba de esta plataforma llega a personas reales."),
        validators=[DataRequired(_l("Confirme que entiende lo que cambia."))],
    )
