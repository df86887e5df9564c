"""The form of a relay."""

from typing import Any

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import BooleanField, IntegerField, PasswordField, SelectField, StringField
from wtforms.validators import DataRequired, InputRequired, Length, NumberRange, Optional

from app.flow.relays import MOST_PER_HOUR, RelayDetails
from app.models import RelaySecurity
from app.web.words import security_name


class RelayForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF has no types
    name = StringField(_l("Nombre"), validators=[DataRequired(), Length(max=100)])
    host = StringField(
        _l("Servidor"),
        validators=[DataRequired(), Length(max=253)],
        filters=[lambda text: text.strip() if text else text],
        description=_l("Nombre o dirección, sin puerto. Con verificación, el certificado debe llevar este nombre."),
    )
    port = IntegerField(
        _l("Puerto"),
        default=587,
        validators=[InputRequired(), NumberRange(1, 65535)],
        description=_l("Lo habitual: 587 con STARTTLS, 465 con TLS."),
    )
    security = SelectField(_l("Cifrado"), default=RelaySecurity.STARTTLS.value)
    verify_certificate = BooleanField(
        _l("Verificar el certificado"),
        default=True,
        description=_l("Sin verificación, alguien en la red podría leer la contraseña y los correos."),
    )
    username = StringField(
        _l("Usuario"), validators=[Length(max=300)], description=_l("Vacío si el relay no pide identificarse.")
    )
    password = PasswordField(
        _l("Contraseña"),
        validators=[Length(max=1000)],
        render_kw={"autocomplete": "new-password"},
        description=_l("Se guarda cifrada y no se muestra nunca. Déjela vacía para conservar la que está guardada."),
    )
    connections = IntegerField(
        _l("Conexiones"),
        default=4,
        validators=[InputRequired(), NumberRange(1, 64)],
        description=_l("Por cada hilo que envía. Pregunte a quien opera el relay cuántas admite."),
    )
    messages_per_connection = IntegerField(
        _l("Correos por conexión"), default=1000, validators=[InputRequired(), NumberRange(1, 1_000_000)]
    )
    rate_per_hour = IntegerField(
        _l("Límite de correos por hora"),
        validators=[Optional(), NumberRange(1, MOST_PER_HOUR)],
        description=_l("De todas las plataformas juntas. Vacío: sin límite."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.security.choices = [(kind.value, security_name(kind)) for kind in RelaySecurity]

    def details(self) -> RelayDetails:
        return RelayDetails(
            name=(self.name.data or "").strip(),
            host=self.host.data or "",
            port=self.port.data or 0,
            security=RelaySecurity(self.security.data),
            verify_certificate=self.verify_certificate.data,
            username=(self.username.data or "").strip(),
            password=self.password.data or "",
            connections=self.connections.data or 0,
            messages_per_connection=self.messages_per_connection.data or 0,
            rate_per_hour=self.rate_per_hour.data,
        )
