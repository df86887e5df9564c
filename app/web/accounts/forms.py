"""Forms of log-in and profile."""

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import PasswordField, SelectField, StringField
from wtforms.validators import DataRequired, EqualTo, Length

from app.flow.passwords import MAXIMUM_LENGTH, MINIMUM_LENGTH

LANGUAGES = (("es", "Español"), ("en", "English"))
"""Each in its own language, so that whoever landed in the wrong one finds the way back."""


class LogInForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF has no types
    email = StringField(
        _l("Correo electrónico"),
        validators=[DataRequired(), Length(max=254)],
        render_kw={"type": "email", "autocomplete": "username", "autofocus": True},
    )
    password = PasswordField(
        _l("Contraseña"),
        validators=[DataRequired(), Length(max=1000)],
        render_kw={"autocomplete": "current-password"},
    )


class ProfileForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF has no types
    name = StringField(_l("Nombre"), validators=[DataRequired(), Length(max=100)], render_kw={"autocomplete": "name"})
    locale = SelectField(_l("Idioma"), choices=LANGUAGES)


class PasswordForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF has no types
    current = PasswordField(
        _l("Contraseña actual"), validators=[DataRequired()], render_kw={"autocomplete": "current-password"}
    )
    wanted = PasswordField(
        _l("Contraseña nueva"),
        validators=[DataRequired(), Length(max=MAXIMUM_LENGTH)],
        render_kw={"autocomplete": "new-password", "minlength": MINIMUM_LENGTH},
    )
    again = PasswordField(
        _l("Contraseña nueva, otra vez"),
        validators=[DataRequired(), EqualTo("wanted", _l("Las dos contraseñas nuevas no son iguales."))],
        render_kw={"autocomplete": "new-password"},
    )
