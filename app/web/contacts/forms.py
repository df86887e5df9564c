"""Forms of lists, contacts, suppressions and custom fields."""

from collections.abc import Sequence
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import BooleanField, Field, SelectField, StringField, TextAreaField
from wtforms.validators import DataRequired, Length, Regexp, ValidationError

from app.flow.field_values import MAX_VALUE_CHARACTERS, FieldValue, UnreadableValue, as_text, read_value
from app.mail.merge_language import FIELD_KEY
from app.models import Contact, CustomField, FieldType, SuppressionReason
from app.web.contacts.wording import field_type_name, row_problem, suppression_reason_name

FIELD_INPUT = "field_"
NOT_READ_AS = {
    FieldType.NUMBER: "not_a_number",
    FieldType.DATE: "not_a_date",
    FieldType.BOOLEAN: "not_a_boolean",
}
ADDABLE_REASONS = (SuppressionReason.MANUAL, SuppressionReason.COMPLAINT, SuppressionReason.HARD_BOUNCE)


class ListForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF has no types
    name = StringField(_l("Nombre"), validators=[DataRequired(), Length(max=100)])
    description = TextAreaField(
        _l("Descripción"),
        validators=[Length(max=1000)],
        description=_l("De dónde vienen estas personas y para qué dieron su correo. Solo la ve su equipo."),
        render_kw={"rows": 3},
    )


class PersonForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF has no types
    """One person, put on a list by hand."""

    email = StringField(
        _l("Correo"), validators=[DataRequired(), Length(max=320)], render_kw={"type": "email", "autocomplete": "off"}
    )
    name = StringField(_l("Nombre"), validators=[Length(max=200)], render_kw={"autocomplete": "off"})


class FieldForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF has no types
    label = StringField(_l("Nombre"), validators=[DataRequired(), Length(max=100)])
    key = StringField(
        _l("Clave"),
        validators=[
            DataRequired(),
            Regexp(
                FIELD_KEY,
                message=_l("Use minúsculas sin tilde, números y guion bajo; empiece con una letra; 40 como máximo."),
            ),
        ],
        description=_l("Como se escribe en las campañas: {{ region }}. No se puede cambiar después."),
        render_kw={"autocapitalize": "none", "autocomplete": "off", "spellcheck": "false"},
    )
    type = SelectField(_l("Tipo"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.type.choices = [(type_.value, field_type_name(type_)) for type_ in FieldType]


class RenameForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF has no types
    label = StringField(_l("Nombre"), validators=[DataRequired(), Length(max=100)])


class SuppressForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF has no types
    addresses = TextAreaField(
        _l("Direcciones"),
        validators=[DataRequired()],
        description=_l("Una por línea, hasta 10 000."),
        render_kw={"rows": 6, "spellcheck": "false", "autocapitalize": "none"},
    )
    reason = SelectField(_l("Motivo"))
    everywhere = BooleanField(_l("En todas las plataformas de la instalación"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.reason.choices = [(reason.value, suppression_reason_name(reason)) for reason in ADDABLE_REASONS]


class EraseForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF has no types
    keep_suppressed = BooleanField(
        _l("Guardar solo la dirección como suprimida, para que ninguna importación vuelva a escribirle"), default=True
    )


class _Readable:
    """The text is a value of the custom field's type."""

    def __init__(self, type_: FieldType) -> None:
        self.type = type_

    def __call__(self, _form: FlaskForm, field: Field) -> None:
        text = (field.data or "").strip()
        try:
            if text:
                read_value(self.type, text)
        except UnreadableValue:
            raise ValidationError(row_problem(NOT_READ_AS[self.type])) from None


class ContactForm(PersonForm):
    """A contact with the panel's custom fields; made by :func:`contact_form`."""

    def field_inputs(self) -> list[Field]:
        return [field for field in self if field.name.startswith(FIELD_INPUT)]

    def values(self, fields: Sequence[CustomField]) -> dict[str, FieldValue | None]:
        """What the person wrote, by key; None where the input is empty."""
        texts = {field.key: (self[FIELD_INPUT + field.key].data or "").strip() for field in fields}
        return {field.key: read_value(field.type, texts[field.key]) if texts[field.key] else None for field in fields}


def contact_form(fields: Sequence[CustomField], contact: Contact | None = None) -> ContactForm:
    inputs = {FIELD_INPUT + field.key: _input_of(field) for field in fields}
    form_class: type[ContactForm] = type("ContactFormOfPanel", (ContactForm,), inputs)
    if contact is None:
        return form_class()
    stored = {FIELD_INPUT + field.key: as_text(contact.fields.get(field.key)) for field in fields}
    return form_class(data={"email": contact.email, "name": contact.name, **stored})


def _input_of(field: CustomField) -> Field:
    if field.type is FieldType.BOOLEAN:
        return SelectField(field.label, choices=[("", "—"), ("sí", _("Sí")), ("no", _("No"))])
    kinds = {FieldType.DATE: {"type": "date"}, FieldType.NUMBER: {"inputmode": "decimal"}}
    return StringField(
        field.label,
        validators=[Length(max=MAX_VALUE_CHARACTERS), _Readable(field.type)],
        render_kw={"autocomplete": "off", **kinds.get(field.type, {})},
    )
