"""``flask egress list|import|quarantine|release``: source IPs of a relay from scripts, through the same code as the pages.
``egress_holds`` adds what providers made slow or stop."""

from datetime import UTC, datetime
from pathlib import Path

import click
from flask.cli import with_appcontext
from flask_babel import gettext as _

from app.commands.terminal import json_option, refuse, say, table
from app.extensions import db
from app.flow import relays
from app.flow.egress import figures, importing, ips
from app.flow.egress.importing import Change, Plan
from app.flow.egress.problems import EgressProblem, SheetProblem
from app.flow.egress.sheet import MAX_BYTES, decoded
from app.models import EgressIp, EgressState, Relay
from app.web.egress.importing import done_sentence
from app.web.egress.sentences import cell_text, column_name, egress_sentence, row_sentence, sheet_sentence, state_name

relay_option = click.option("--relay", "relay_name", required=True, help="Name of the relay, as its page has it.")


@click.group("egress")
def group() -> None:
    """Source IPs of a relay: list, import, quarantine, release."""


def find_relay(name: str) -> Relay:
    """Raises a usage error that names the relays there are."""
    known = {relay.name: relay for relay in all_relays()}
    if name not in known:
        raise click.BadParameter(f"no relay {name!r}; there are: {', '.join(known) or 'none'}", param_hint="--relay")
    return known[name]


def all_relays() -> list[Relay]:
    return list(db.session.scalars(relays.relays().order_by(Relay.name)))


def find_ip(relay: Relay, address: str, as_json: bool) -> EgressIp:
    try:
        ip = ips.find_ip(db.session, relay.id, address)
    except EgressProblem as problem:
        refuse(problem.code, egress_sentence(problem), as_json)
    if ip is None:
        refuse("no_ip", _("El relay «%(relay)s» no tiene %(address)s.", relay=relay.name, address=address), as_json)
    return ip


@group.command("list")
@relay_option
@click.option("--state", type=click.Choice([state.value for state in EgressState]), help="Only these.")
@json_option
@with_appcontext
def list_(relay_name: str, state: str | None, as_json: bool) -> None:
    """IPs with state, warm-up and what they sent."""
    relay, today = find_relay(relay_name), datetime.now(UTC).date()
    rows = db.session.scalars(
        ips.ips_of(relay.id, state=EgressState(state) if state else None).order_by(ips.BY_NUMBER)
    ).all()
    use = figures.use_of_ips(db.session, [ip.id for ip in rows], today=today)
    facts = [facts_of(ip) | vars(use.get(ip.id, figures.NO_USE)) for ip in rows]
    headers = [_("Dirección"), _("HELO"), _("Grupo"), _("Estado"), _("Día"), _("Peso"), _("Hoy"), _("7 días")]
    cells = [
        (ip.address, ip.helo_name, ip.pool.name, state_name(ip.state), one["warm_up_day"], ip.weight, one["today"],
         one["week"])
        for ip, one in zip(rows, facts, strict=True)
    ]  # fmt: skip
    say(facts, as_json, table(headers, cells))


def facts_of(ip: EgressIp) -> dict[str, int | str | None]:
    return {
        "address": ip.address,
        "helo": ip.helo_name,
        "pool": ip.pool.name,
        "state": ip.state.value,
        "reason": ip.state_reason,
        "since": ip.state_since.isoformat(),
        "warm_up_day": ips.warm_up_day(ip, today=datetime.now(UTC).date()),
        "weight": ip.weight,
        "rate_per_hour": ip.rate_per_hour,
    }


@group.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@relay_option
@click.option("--reason", default="", help="Stands beside every state that changes.")
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@json_option
@with_appcontext
def import_file(file: Path, relay_name: str, reason: str, dry_run: bool, as_json: bool) -> None:
    """Import FILE (columns address;helo;pool;state;weight;rate): all of it, or nothing where a row is wrong."""
    relay = find_relay(relay_name)
    try:
        with file.open("rb") as source:
            text = decoded(source.read(MAX_BYTES + 1))
        if dry_run:
            plan, done = importing.plan(db.session, relay.id, text), False
        else:
            plan, done = importing.apply(
                db.session, relay.id, text, reason=reason or _("Importación"), now=datetime.now(UTC)
            )
    except SheetProblem as problem:
        refuse(problem.code, sheet_sentence(problem), as_json)
    if plan.problems:
        refuse_rows(plan, as_json)
    say(facts_of_plan(plan, done), as_json, told(plan, done))


def refuse_rows(plan: Plan, as_json: bool) -> None:
    rows = [
        {"row": one.line, "column": one.column, "error": one.code, "value": one.value, "message": row_sentence(one)}
        for one in plan.problems
    ]
    text = table(
        [_("Fila"), _("Columna"), _("Dice"), _("Qué hacer")],
        [(one.line, column_name(one.column), one.value, row_sentence(one)) for one in plan.problems],
    )
    refuse("wrong_rows", _("No se importó nada: corrija antes estas filas."), as_json, text=text, rows=rows)


def facts_of_plan(plan: Plan, done: bool) -> dict[str, object]:
    return {
        "imported": done,
        "new": [one.address for one in plan.new],
        "changed": {
            one.address: {column: [cell_of(old), cell_of(new)] for column, old, new in one.differences()}
            for one in plan.changed
        },
        "unchanged": len(plan.unchanged),
        "new_pools": plan.new_pools,
    }


def cell_of(value: object) -> object:
    return value.value if isinstance(value, EgressState) else value


def told(plan: Plan, done: bool) -> str:
    """What happened, or line by line what would."""
    if done:
        return done_sentence(len(plan.new), len(plan.changed))
    if not plan.may_be_done:
        return _("No hay nada que importar: todo está ya como dice el archivo.")
    lines = [(one.address, change_text(one)) for one in (*plan.new, *plan.changed)]
    return table([_("Dirección"), _("Cambio")], lines)


def change_text(change: Change) -> str:
    if change.before is None:
        return _("nueva, en «%(pool)s»", pool=change.after.pool)
    return ", ".join(
        f"{column_name(column).lower()}: {cell_text(old)} → {cell_text(new)}"
        for column, old, new in change.differences()
    )


@group.command("quarantine")
@click.argument("address")
@relay_option
@click.option("--reason", required=True, help="What others will want to know.")
@json_option
@with_appcontext
def quarantine(address: str, relay_name: str, reason: str, as_json: bool) -> None:
    """ADDRESS sends nothing from now on; the others of its pool take its part."""
    ip = find_ip(find_relay(relay_name), address, as_json)
    try:
        ips.quarantine(db.session, ip, reason, now=datetime.now(UTC))
    except EgressProblem as problem:
        refuse(problem.code, egress_sentence(problem), as_json)
    others = figures.others_sending(db.session, ip)
    text = _("%(address)s está en cuarentena. De su grupo siguen enviando: %(num)s.", address=ip.address, num=others)
    say(facts_of(ip) | {"others_sending": others}, as_json, text)


@group.command("release")
@click.argument("address")
@relay_option
@click.option(
    "--to",
    "state",
    type=click.Choice(["resume", EgressState.WARMING.value, EgressState.ACTIVE.value]),
    required=True,
    help="resume: its warm-up goes on at the day where it stood; warming: from day 1; active: its whole share now.",
)
@click.option("--reason", default="")
@json_option
@with_appcontext
def release(address: str, relay_name: str, state: str, reason: str, as_json: bool) -> None:
    """ADDRESS sends again."""
    ip = find_ip(find_relay(relay_name), address, as_json)
    resume = state == "resume"
    wanted = EgressState.WARMING if resume else EgressState(state)
    try:
        ips.change_state(db.session, ip, wanted, reason, now=datetime.now(UTC), resume=resume)
    except EgressProblem as problem:
        refuse(problem.code, egress_sentence(problem), as_json)
    say(facts_of(ip), as_json, f"{ip.address}: {state_name(ip.state).lower()}")
