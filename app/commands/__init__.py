"""Commands: ``flask contacts …``, ``flask campaign …``, ``flask egress …``, ``flask relay …`` and more. Thin edges over
``app.flow``, for cron and scripts.

One module per noun; each has ``group``, a click group (or command), listed here. ``terminal`` is how all of them speak.
"""

import click
from flask import Flask

from app.commands import campaign, contacts, egress_holds, providers, relay, seed, users

COMMANDS: tuple[click.Command, ...] = (
    campaign.group,
    contacts.group,
    contacts.lists_group,
    egress_holds.group,
    providers.group,
    relay.group,
    seed.group,
    users.group,
)


def register(app: Flask) -> None:
    """Hang every command on ``flask``."""
    for command in COMMANDS:
        app.cli.add_command(command)
