"""The form of a provider's limits."""

import re

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import Field, IntegerField, TextAreaField
from wtforms.validators import InputRequired, Length, NumberRange, ValidationError

from app.flow.providers import MOST_CONNECTIONS, MOST_PER_CONNECTION, MOST_PER_MINUTE
from app.mail.mailbox_providers import Limits

BETWEEN_CAPS = re.compile(r"[\s,;]+")
CAP = re.compile(r"[0-9]{1,9}\Z")


class LimitsForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF has no types
    messages_per_minute = IntegerField(
        _l("Correos por minuto"), validators=[InputRequired(), NumberRange(1, MOST_PER_MINUTE)]
    )
    connections = IntegerField(
        _l("Conexiones"),
        validators=[InputRequired(), NumberRange(1, MOST_CONNECTIONS)],
        description=_l("Abiertas a la vez."),
    )
    messages_per_connection = IntegerField(
        _l("Correos por conexión"),
        validators=[InputRequired(), NumberRange(1, MOST_PER_CONNECTION)],
        description=_l("Después se cierra y se abre otra."),
    )
    warm_up_caps = TextAreaField(
        _l("Calentamiento: correos por día"),
        validators=[Length(max=2000)],
        description=_l(
            "Lo que una dirección IP nueva puede entregar a este proveedor su primer día, el segundo… Números separados por "
            "espacios. Después del último día queda sin tope. Vacío: sin calentamiento."
        ),
        render_kw={"rows": 4, "inputmode": "numeric", "spellcheck": "false"},
    )

    @classmethod
    def of(cls, limits: Limits) -> "LimitsForm":
        form = cls(formdata=None, obj=limits)
        form.warm_up_caps.data = " ".join(map(str, limits.warm_up_caps))
        return form

    def validate_warm_up_caps(self, field: Field) -> None:
        wrong = [cap for cap in split_caps(field.data) if not CAP.match(cap)]
        if wrong:
            raise ValidationError(_("«%(text)s» no es un número entero. Escriba solo cifras.", text=wrong[0][:40]))

    def limits(self) -> Limits:
        return Limits(
            messages_per_minute=self.messages_per_minute.data or 0,
            connections=self.connections.data or 0,
            messages_per_connection=self.messages_per_connection.data or 0,
            warm_up_caps=tuple(map(int, split_caps(self.warm_up_caps.data))),
        )


def split_caps(text: str | None) -> list[str]:
    return [cap for cap in BETWEEN_CAPS.split(text or "") if cap]
