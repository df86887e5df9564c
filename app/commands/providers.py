"""``flask providers list|lookup``: mailbox providers with the limits in force, and whose a domain's mailboxes are."""

from dataclasses import asdict

import click
from flask.cli import with_appcontext
from flask_babel import gettext as _

from app.commands.terminal import json_option, pairs, refuse, say, table
from app.current import current_settings
from app.extensions import db
from app.flow import mail_domains, providers
from app.mail.addresses import domain_to_ascii
from app.web.providers.sentences import answer_sentence, provider_label


@click.group("providers")
def group() -> None:
    """Mailbox providers: what one IP may do at each, and who runs a domain's mail."""


@group.command("list")
@json_option
@with_appcontext
def list_(as_json: bool) -> None:
    """All providers with the limits in force per egress IP."""
    limits, changed = providers.limits_of(db.session), providers.changed_limits(db.session)
    headers = [
        _("Clave"), _("Proveedor"), _("Por minuto"), _("Conexiones"), _("Por conexión"), _("Días de calentamiento"),
        _("Cambiado"),
    ]  # fmt: skip
    cells = [
        (
            key, provider_label(key), one.messages_per_minute, one.connections, one.messages_per_connection,
            len(one.warm_up_caps), _("sí") if key in changed else None,
        )
        for key, one in limits.items()
    ]  # fmt: skip
    facts = [{"provider": key, **asdict(one), "changed": key in changed} for key, one in limits.items()]
    say(facts, as_json, table(headers, cells))


@group.command("lookup")
@click.argument("domain")
@json_option
@with_appcontext
def lookup(domain: str, as_json: bool) -> None:
    """Ask the DNS now who runs DOMAIN's mail, and keep the answer."""
    name = domain_to_ascii(domain)
    if name is None:
        raise click.BadParameter(f"{domain!r} is no domain", param_hint="DOMAIN")
    answer = mail_domains.look_up(db.session, current_settings(), name)
    if answer.provider is None:
        refuse("no_answer", answer_sentence(answer), as_json, domain=name)
    facts = {"domain": name, "provider": answer.provider, "mx": answer.mx_host}
    shown = [(_("Dominio"), name), (_("Proveedor"), provider_label(answer.provider)), ("MX", answer.mx_host)]
    say(facts, as_json, pairs(shown))
