"""Forms of users; one choice of role per panel."""

from dataclasses import dataclass

from flask import request
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import BooleanField, SelectField, StringField
from wtforms.validators import DataRequired, Length

from app.models import ROLE_ORDER, Panel, Role, User
from app.web.accounts.forms import LANGUAGES


class UserForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF has no types
    name = StringField(_l("Nombre"), validators=[DataRequired(), Length(max=100)])
    locale = SelectField(_l("Idioma"), choices=LANGUAGES)
    is_administrator = BooleanField(
        _l("Administra la instalación"),
        description=_l("Gestiona todas las plataformas, los usuarios y los relays."),
    )


class NewUserForm(UserForm):
    email = StringField(_l("Correo electrónico"), validators=[DataRequired(), Length(max=254)])


@dataclass(frozen=True)
class RoleField:
    """The choice for one panel; its name in the form is ``role-<panel id>``."""

    panel: Panel
    name: str
    chosen: Role | None


def role_fields(panels: list[Panel], user: User | None) -> list[RoleField]:
    """As sent, else as stored."""
    stored = {membership.panel_id: membership.role for membership in user.memberships} if user else {}
    sent = chosen_roles(panels) if request.method == "POST" else stored
    return [RoleField(panel, f"role-{panel.id}", sent.get(panel.id)) for panel in panels]


def chosen_roles(panels: list[Panel]) -> dict[int, Role]:
    """Role by panel; what is no role counts as none."""
    known = {role.value for role in ROLE_ORDER}
    sent = {panel.id: request.form.get(f"role-{panel.id}", "") for panel in panels}
    return {panel_id: Role(value) for panel_id, value in sent.items() if value in known}
