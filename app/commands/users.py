"""``flask users create|password``: accounts from the command line, for whoever is locked out or sets up many."""

import json

import click
from flask.cli import with_appcontext
from sqlalchemy import select

from app.extensions import db
from app.flow import accounts, passwords
from app.models import Panel, Role


@click.group("users")
def group() -> None:
    """Accounts: create one, set or reset a password."""


@group.command("create")
@click.argument("email")
@click.option("--name", required=True)
@click.option("--locale", type=click.Choice(accounts.LOCALES), default="es", show_default=True)
@click.option("--administrator", is_flag=True, help="Administers the whole installation.")
@click.option("--role", "roles", multiple=True, metavar="PANEL:ROLE", help="viewer, editor or manager; repeatable.")
@click.option("--json", "as_json", is_flag=True)
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
        raise click.ClickException(explain(problem.code)) from problem
    tell(made, as_json)


@group.command("password")
@click.argument("email")
@click.option("--ask", is_flag=True, help="Ask for the new password instead of generating one.")
@click.option("--json", "as_json", is_flag=True)
@with_appcontext
def password(email: str, ask: bool, as_json: bool) -> None:
    """Give an account a new password; all its sessions end."""
    user = accounts.find_user(db.session, email)
    if user is None:
        raise click.ClickException(f"There is no account {email}.")
    if not ask:
        tell(accounts.reset_password(db.session, user), as_json)
        return
    wanted = click.prompt("New password", hide_input=True, confirmation_prompt=True)
    try:
        accounts.set_password(db.session, user, wanted)
    except accounts.AccountProblem as problem:
        raise click.ClickException(explain(problem.code)) from problem
    click.echo("The password was changed.")


def read_role(text: str) -> tuple[int, Role]:
    slug, _colon, role = text.partition(":")
    panel_id = db.session.scalar(select(Panel.id).where(Panel.slug == slug))
    if panel_id is None:
        raise click.BadParameter(f"there is no panel {slug!r}", param_hint="--role")
    if role not in set(Role):
        raise click.BadParameter(f"{role!r} is no role: viewer, editor or manager", param_hint="--role")
    return panel_id, Role(role)


def tell(made: accounts.NewPassword, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"login": made.user.email, "password": made.password}))
    else:
        click.echo(f"login: {made.user.email}\npassword: {made.password}")


def explain(code: str) -> str:
    return {
        "email_taken": "There is an account with that address already.",
        "email_invalid": "That is not an e-mail address.",
        "too_short": f"A password needs at least {passwords.MINIMUM_LENGTH} characters.",
        "too_long": f"A password has at most {passwords.MAXIMUM_LENGTH} characters.",
        "common": "That password is among the first that attackers try.",
        "personal": "That password is too much like the person's name or address.",
    }.get(code, code)
