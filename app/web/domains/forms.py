"""Forms of sending domains."""

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import StringField
from wtforms.validators import DataRequired, Length


class AddForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF has no types
    domain = StringField(
        _l("Dominio"),
        validators=[DataRequired(), Length(max=253)],
        render_kw={"autocapitalize": "none", "spellcheck": "false"},
    )


class DomainForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF has no types
    return_path_domain = StringField(
        _l("Dominio de retorno"),
        validators=[DataRequired(), Length(max=253)],
        description=_l("A direcciones de este dominio vuelven los rebotes (remitente del sobre)."),
    )
    tracking_url = StringField(
        _l("Dirección de enlaces y aperturas"),
        validators=[Length(max=300)],
        description=_l("Por ejemplo https://enlaces.boletin.example.gob.pe. Vacía: la dirección de esta instalación."),
        render_kw={"type": "url"},
    )
