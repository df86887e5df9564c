"""The form of a key."""

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import StringField
from wtforms.validators import DataRequired, Length


class KeyForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF has no types
    name = StringField(
        _l("Nombre de la clave"),
        validators=[DataRequired(), Length(max=100)],
        filters=[lambda text: text.strip() if text else text],
        description=_l("Para reconocerla después: por ejemplo, la máquina donde quedará."),
    )
