"""``flask seed``: the first data of an installation; may run at every start."""

import json

import click
from flask.cli import with_appcontext

from app.current import current_settings
from app.extensions import db
from app.flow import accounts, seeding


@click.command("seed")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON: login, password, administrator, created.")
@with_appcontext
def group(as_json: bool) -> None:
    """Make the five panels, the administrator and sample data, where they are missing."""
    report = seeding.seed(db.session, current_settings())
    if as_json:
        administrator = accounts.first_administrator(db.session)
        facts = {"login": report.login, "password": report.password, "created": report.created}
        click.echo(json.dumps(facts | {"administrator": administrator.email if administrator else None}))
        return
    for noun, number in report.created.items():
        if number:
            click.echo(f"{noun}: {number}")
    if report.password:
        click.echo(f"login: {report.login}\npassword: {report.password}")
