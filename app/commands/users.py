"""``flask users list|create|password``: accounts from the command line, for whoever is locked out or sets up many."""

import click
from flask.cli import with_appcontext
from flask_babel import gettext as _

from app.commands.terminal import find_panel, json_option, pairs, refuse, say, table
from app.extensions import db
from app.flow import accounts
from app.models import Role, User
from app.web.accounts.sentences import account_sentence
from app.web.words import role_name


@click.group("users")
def group() -> None:
    """Accounts: list them, create one, set or reset a password."""


@group.command("list")
@json_option
@with_appcontext
def list_(as_json: bool) -> None:
    """All accounts, by address."""
    users = list(db.session.scalars(accounts.users().order_by(User.email)))
    headers = [_("Cuenta"), _("Nombre"), _("Estado"), _("Acceso")]
    cells = [
        (user.email, user.name, _("Activa") if user.is_active else _("Desactivada"), access(user)) for user in users
    ]
    say([facts_of(user) for user in users], as_json, table(headers, cells))


def access(user: User) -> str:
    panels = [f"{one.panel.slug} ({role_name(one.role).lower()})" for one in user.memberships]
    administers = [_("administra la instalación")] if user.is_administrator else []
    return ", ".join([*administers, *panels]) or _("ninguno")


def facts_of(user: User) -> dict[str, object]:
    return {
        "login": user.email,
        "name": user.name,
        "active": user.is_active,
        "administrator": user.is_administrator,
        "roles": {one.panel.slug: one.role.value for one in user.memberships},
    }


@group.command("create")
@click.argument("email")
@click.option("--name", required=True)
@click.option("--locale", type=click.Choice(accounts.LOCALES), default="es", show_default=True)
@click.option("--administrator", is_flag=True, help="Administers the whole installation.")
@click.option("--role", "roles", multiple=True, metavar="PANEL:ROLE", help="viewer, editor or manager; repeatable.")
@json_option
@with_appcontext
def create(email: str, name: str, locale: str, administrator: bool, roles: tuple[str, ...], as_json: bool) -> None:
    """Make an account and print its generated password, this once."""
    try:
        made = accounts.create_user(
            db.session,
            email=email,
            name=name,
            locale=locale,
            is_administrator=administrator,
            roles=dict(read_role(role) for role in roles),
        )
    except accounts.AccountProblem as problem:
        refuse(problem.code, account_sentence(problem.code), as_json)
    if not (administrator or roles):
        click.echo(_("Esta cuenta no tiene acceso a ninguna plataforma: indique --role o --administrator."), err=True)
    tell(made, as_json)


@group.command("password")
@click.argument("email")
@click.option("--ask", is_flag=True, help="Ask for the new password instead of generating one.")
@json_option
@with_appcontext
def password(email: str, ask: bool, as_json: bool) -> None:
    """Give an account a new password; all its sessions end."""
    user = accounts.find_user(db.session, email)
    if user is None:
        refuse("no_account", _("No hay ninguna cuenta con la dirección %(email)s.", email=email), as_json)
    if not ask:
        tell(accounts.reset_password(db.session, user), as_json)
        return
    wanted = click.prompt(_("Contraseña nueva"), hide_input=True, confirmation_prompt=_("Repita la contraseña"))
    try:
        accounts.set_password(db.session, user, wanted)
    except accounts.AccountProblem as problem:
        refuse(problem.code, account_sentence(problem.code), as_json)
    say({"login": user.email}, as_json, _("Se cambió la contraseña."))


def read_role(text: str) -> tuple[int, Role]:
    slug, _colon, role = text.partition(":")
    panel = find_panel(slug, option="--role")
    if role not in set(Role):
        raise click.BadParameter(f"{role!r} is no role: viewer, editor or manager", param_hint="--role")
    return panel.id, Role(role)


def tell(made: accounts.NewPassword, as_json: bool) -> None:
    text = pairs([(_("Cuenta"), made.user.email), (_("Contraseña"), made.password)])
    say({"login": made.user.email, "password": made.password}, as_json, text)
