"""``flask seed``: the first data of an installation; may run at every start."""

import click
from flask.cli import with_appcontext
from flask_babel import gettext as _

from app.commands.terminal import json_option, pairs, say, table
from app.current import current_settings
from app.extensions import db
from app.flow import accounts, seeding


@click.command("seed")
@json_option
@with_appcontext
def group(as_json: bool) -> None:
    """Make the five panels, the administrator and sample data, where they are missing."""
    report = seeding.seed(db.session, current_settings())
    administrator = accounts.first_administrator(db.session)
    facts = {"login": report.login, "password": report.password, "created": report.created}
    say(facts | {"administrator": administrator.email if administrator else None}, as_json, told(report))


def told(report: seeding.SeedReport) -> str:
    names = {
        "panels": _("Plataformas"),
        "domains": _("Dominios"),
        "administrators": _("Administradores"),
        "users": _("Usuarios"),
        "custom_fields": _("Campos"),
        "lists": _("Listas"),
        "contacts": _("Contactos"),
        "campaigns": _("Campañas"),
    }
    rows = [(number, names[noun]) for noun, number in report.created.items() if number]
    if not rows:
        return _("No faltaba nada: no se creó nada.")
    made = table([_("Creados"), _("Qué")], rows)
    log_in = pairs([(_("Cuenta"), report.login), (_("Contraseña"), report.password)])
    return f"{made}\n\n{log_in}" if report.password else made
