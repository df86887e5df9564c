"""``flask relay render|check|tunnel``: the dedicated relay's configuration out of the live data, and whether it is in force."""

import dataclasses
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click
from flask.cli import AppGroup
from flask_babel import gettext as _
from sqlalchemy import select

from app.commands.relay_sentences import health_sentence, kind_name, problem_sentence, remedy
from app.commands.terminal import json_option, refuse, say, table
from app.current import current_settings
from app.extensions import db
from app.flow import relay_keys
from app.flow.relay_config import checking, health
from app.flow.relay_config.plan import RelayChoices, RelayConfigProblem, TunnelEnds
from app.flow.relay_config.reading import read_plan
from app.flow.relay_config.rendering import choices_of, render_all
from app.flow.relay_config.writing import write_directory
from app.flow.relay_probe import probe
from app.flow.relays import relay_endpoint
from app.models import Relay

group = AppGroup("relay", help="The dedicated relay: write its configuration, check it, look at the way to it.")
relay_option = click.option("--relay", "name", required=True, help="Name of the relay, as on its page.")
TUNNEL_OPTIONS = ("tunnel_platform", "tunnel_relay", "tunnel_platform_id", "tunnel_relay_id")


def told(command: Callable[..., None]) -> Callable[..., None]:
    """What can't be rendered or checked is said in one sentence, or one line of JSON, with exit code 1."""

    @wraps(command)
    def checked(*args: Any, as_json: bool, **kwargs: Any) -> None:
        try:
            command(*args, as_json=as_json, **kwargs)
        except RelayConfigProblem as problem:
            refuse(problem.code, problem_sentence(problem), as_json, **problem.details)

    return checked


@group.command()
@relay_option
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="A new directory, or one made by this command."
)
@click.option("--hostname", help="The relay's own name; else its host, or its first IP's HELO name.")
@click.option("--submitter", "submitters", multiple=True, help="Network that submits without log-in; repeatable.")
@click.option("--listen", help="Address at which submissions are taken; all where none is given.")
@click.option("--certificate", help="File on the relay: its certificate with the chain.")
@click.option("--private-key", help="File on the relay.")
@click.option("--install-dir", help="Postfix' directory on the relay.  [default: /etc/postfix]")
@click.option("--tunnel-platform", help="IPsec: the platform's address.")
@click.option("--tunnel-relay", help="IPsec: the relay's address.")
@click.option("--tunnel-platform-id", help="IPsec: the name in the platform's certificate.")
@click.option("--tunnel-relay-id", help="IPsec: the name in the relay's certificate.")
@click.option("--tunnel-psk", is_flag=True, help="IPsec: by a shared secret, which stands in a file of its own.")
@json_option
@told
def render(name: str, out: Path, as_json: bool, **options: Any) -> None:
    """Write the Postfix configuration (and the tunnel's) with its instructions.

    What is not given stays as it was when the directory was last written."""
    plan = read_plan(db.session, find_relay(name), _choices(_chosen(out / "postfix"), options))
    texts = render_all(plan)
    write_directory(out, texts)
    quarantined = sum(egress.is_quarantined for egress in plan.egress)
    facts = {"out": str(out), "files": sorted(texts), "ips": len(plan.egress), "quarantined": quarantined}
    sentence = _(
        "Se escribieron %(files)s archivos en %(out)s: %(ips)s IP, %(quarantined)s en cuarentena. Siga con README.md.",
        files=len(texts),
        out=out,
        ips=len(plan.egress),
        quarantined=quarantined,
    )
    say(facts, as_json, sentence)


@group.command()
@relay_option
@click.option(
    "--config-dir", type=click.Path(exists=True, file_okay=False, path_type=Path), default=Path("/etc/postfix")
)
@json_option
@told
def check(name: str, config_dir: Path, as_json: bool) -> None:
    """Compare an installed Postfix with the live data; exit code 1 where they differ."""
    plan = read_plan(db.session, find_relay(name), _chosen(config_dir))
    found = checking.differences(plan, config_dir)
    facts = [dataclasses.asdict(one) | {"remedy": remedy(one)} for one in found]
    if not found:
        say({"differences": facts}, as_json, _("%(dir)s está como debe.", dir=config_dir))
        return
    headers = [_("Tipo"), _("Nombre"), _("Esperado"), _("Encontrado"), _("Qué hacer")]
    rows = [(kind_name(one.kind), one.name, one.expected, one.found, remedy(one)) for one in found]
    sentence = _("Hay diferencias: %(number)s", number=len(found))
    refuse("differs", sentence, as_json, text=f"{sentence}\n{table(headers, rows)}", differences=facts)


@group.command()
@relay_option
@json_option
def tunnel(name: str, as_json: bool) -> None:
    """Tell a tunnel that is down from a relay that is down; exit code 1 where submitting is not possible."""
    relay = find_relay(name)
    reading = health.read_tunnel()
    probed = probe(relay_endpoint(relay, current_settings()))
    state = health.path_health(reading.state, probed)
    detail = {"tunnel": reading.state.value, "tunnel_detail": reading.detail, "relay": probed.status.value}
    sentence = health_sentence(state, reading)
    if state is health.PathHealth.OK:
        say({"health": state.value, **detail}, as_json, sentence)
    else:
        refuse(state.value, sentence, as_json, health=state.value, **detail)


@group.command()
@relay_option
@click.option("--revoke", is_flag=True, help="End all keys of the relay instead of making one.")
@json_option
def key(name: str, revoke: bool, as_json: bool) -> None:
    """Make a key for the log follower on the relay's own host. It is shown once."""
    relay = find_relay(name)
    if revoke:
        ended = relay_keys.revoke_keys(db.session, relay.id)
        say({"revoked": ended}, as_json, _("Claves anuladas: %(number)s.", number=ended))
        return
    made = relay_keys.make_key(db.session, relay.id)
    sentence = _("Esta clave se muestra una sola vez. Guárdela en el servidor de envío, con permisos 0600.")
    remark = _("Número del servidor de envío: %(number)s", number=relay.id)
    say({"key": made, "relay": relay.id}, as_json, f"{made}\n\n{sentence}\n{remark}")


def find_relay(name: str) -> Relay:
    relays = {relay.name: relay for relay in db.session.scalars(select(Relay).order_by(Relay.name))}
    if name not in relays:
        raise click.BadParameter(f"no relay {name!r}; there are: {', '.join(relays) or 'none'}", param_hint="--relay")
    return relays[name]


def _chosen(config_dir: Path) -> RelayChoices:
    """As the directory was rendered; a fresh start where it was not."""
    return choices_of(checking.installed_choices(config_dir)) or RelayChoices()


def _choices(known: RelayChoices, options: dict[str, Any]) -> RelayChoices:
    ends = [options.pop(name) for name in TUNNEL_OPTIONS]
    uses_psk = options.pop("tunnel_psk")
    given = {name: value for name, value in options.items() if value}
    if any(ends):
        given["tunnel"] = _tunnel(*ends, uses_psk=uses_psk)
    return dataclasses.replace(known, **given)


def _tunnel(
    platform: str | None, relay: str | None, platform_id: str | None, relay_id: str | None, *, uses_psk: bool
) -> TunnelEnds:
    """The addresses are the identities where no others are given, as a PSK allows."""
    if not platform or not relay:
        raise RelayConfigProblem("tunnel_incomplete")
    return TunnelEnds(
        platform_address=platform,
        relay_address=relay,
        platform_id=platform_id or platform,
        relay_id=relay_id or relay,
        uses_psk=uses_psk,
    )
