"""Forms of pools and IPs."""

from collections.abc import Sequence
from typing import Any

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import IntegerField, SelectField, StringField
from wtforms.validators import DataRequired, InputRequired, Length, NumberRange, Optional

from app.flow.egress.addresses import MAX_RATE_PER_HOUR, MAX_WEIGHT
from app.flow.egress.ips import MAX_REASON, IpDetails
from app.flow.egress.pools import MAX_NAME
from app.flow.egress.ranges import Range
from app.models import EgressPool, EgressState
from app.web.egress.sentences import state_name

TECHNICAL = {"autocapitalize": "none", "spellcheck": "false", "autocomplete": "off"}
BEGINNINGS = (EgressState.WARMING, EgressState.ACTIVE)


class PoolForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF has no types
    name = StringField(_l("Nombre del grupo"), validators=[DataRequired(), Length(max=MAX_NAME)])


def rate_field(description: Any) -> IntegerField:
    return IntegerField(
        _l("Límite de correos por hora"),
        validators=[Optional(), NumberRange(1, MAX_RATE_PER_HOUR)],
        description=description,
    )


class IpForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF has no types
    address = StringField(_l("Dirección IP"), validators=[DataRequired(), Length(max=60)], render_kw=TECHNICAL)
    helo_name = StringField(
        _l("Nombre HELO"),
        validators=[DataRequired(), Length(max=253)],
        description=_l("Con el que se presenta. El DNS directo e inverso deben coincidir con él."),
        render_kw=TECHNICAL,
    )
    pool_id = SelectField(_l("Grupo"), coerce=int)
    weight = IntegerField(
        _l("Peso"),
        default=1,
        validators=[InputRequired(), NumberRange(1, MAX_WEIGHT)],
        description=_l("Su parte del correo del grupo: con peso 2 envía el doble que con 1."),
    )
    rate_per_hour = rate_field(_l("De todo lo que sale por ella. Vacío: solo los límites de cada proveedor."))

    def __init__(self, pools: Sequence[EgressPool], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.pool_id.choices = [(pool.id, pool.name) for pool in pools]

    def details(self) -> IpDetails:
        return IpDetails(
            address=self.address.data or "",
            helo_name=self.helo_name.data or "",
            pool_id=self.pool_id.data,
            weight=self.weight.data or 0,
            rate_per_hour=self.rate_per_hour.data,
        )


def beginning_field() -> SelectField:
    return SelectField(
        _l("Estado inicial"),
        coerce=EgressState,
        default=EgressState.WARMING,
        description=_l(
            "En calentamiento envía poco al principio y más cada día. Activa solo si ya envía desde hace semanas."
        ),
    )


class NewIpForm(IpForm):
    state = beginning_field()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.state.choices = [(one.value, state_name(one)) for one in BEGINNINGS]


class RangeForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF has no types
    addresses = StringField(
        _l("Direcciones"),
        validators=[DataRequired(), Length(max=100)],
        description=_l("La primera y la última, como 192.0.2.1–192.0.2.48."),
        render_kw=TECHNICAL,
    )
    helo_pattern = StringField(
        _l("Patrón del nombre HELO"),
        validators=[DataRequired(), Length(max=253)],
        description=_l("{n} se reemplaza por el número de cada dirección: mail-{n}.example.gob.pe."),
        render_kw=TECHNICAL,
    )
    first_number = IntegerField(_l("Primer número"), default=1, validators=[InputRequired(), NumberRange(0, 1_000_000)])
    pool = StringField(
        _l("Grupo"),
        validators=[DataRequired(), Length(max=MAX_NAME)],
        description=_l("Uno que ya existe o uno nuevo."),
        render_kw={"list": "pools", "autocomplete": "off"},
    )
    weight = IntegerField(_l("Peso"), default=1, validators=[InputRequired(), NumberRange(1, MAX_WEIGHT)])
    state = beginning_field()
    rate_per_hour = rate_field(_l("De cada dirección, no de todas juntas. Vacío: solo los límites de cada proveedor."))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.state.choices = [(one.value, state_name(one)) for one in BEGINNINGS]

    def range(self) -> Range:
        return Range(
            addresses=self.addresses.data or "",
            helo_pattern=self.helo_pattern.data or "",
            pool=self.pool.data or "",
            state=self.state.data,
            weight=self.weight.data or 0,
            rate_per_hour=self.rate_per_hour.data,
            first_number=self.first_number.data or 0,
        )


class ReasonForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF has no types
    reason = StringField(
        _l("Motivo"),
        validators=[DataRequired(_l("Escriba el motivo: otras personas querrán saberlo.")), Length(max=MAX_REASON)],
    )
