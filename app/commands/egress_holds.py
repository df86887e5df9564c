"""``flask egress holds|lift``: what providers made slow or stop, and taking it back."""

from datetime import UTC, datetime

import click
from flask.cli import with_appcontext
from flask_babel import gettext as _

from app.commands.egress import find_relay, group, relay_option
from app.commands.terminal import json_option, refuse, say, table
from app.extensions import db
from app.flow.breaker import holds, phases
from app.models import ProviderHold
from app.web.holds import lifted_sentence
from app.web.holds.sentences import hold_sentence, now_sentence, phase_name, rule_sentence, whose
from app.web.providers.sentences import provider_label

__all__ = ["group"]


@group.command("holds")
@relay_option
@json_option
@with_appcontext
def list_holds(relay_name: str, as_json: bool) -> None:
    """What is slowed, suspended, recovering or watched now, the gravest first."""
    relay, now = find_relay(relay_name), datetime.now(UTC)
    found, addresses = holds.current(db.session, relay.id, now), holds.addresses(db.session, relay.id)
    cells = [
        (hold.id, whose(hold, addresses), provider_label(hold.provider), phase_name(phases.phase(hold, now)),
         now_sentence(hold, now), rule_sentence(hold.rule))
        for hold in found
    ]  # fmt: skip
    headers = [_("N.º"), _("Quién"), _("Proveedor"), _("Estado"), _("Ahora"), _("Motivo")]
    text = table(headers, cells) if cells else _("Nada está frenado")
    say([facts_of(hold, addresses, now) for hold in found], as_json, text)


def facts_of(hold: ProviderHold, addresses: dict[int, str], now: datetime) -> dict[str, object]:
    return {
        "id": hold.id,
        "address": addresses.get(hold.egress_ip_id) if hold.egress_ip_id else None,
        "provider": hold.provider,
        "state": phases.phase(hold, now).value,
        "factor": phases.factor(hold, now),
        "since": hold.started_at.isoformat(),
        "until": hold.until.isoformat(),
        "whole_at": phases.ends_at(hold).isoformat(),
        "rule": hold.rule,
        "reply": hold.reply,
        "times": hold.times,
    }


@group.command("lift")
@click.argument("number", type=int)
@relay_option
@json_option
@with_appcontext
def lift(number: int, relay_name: str, as_json: bool) -> None:
    """Hold NUMBER ends: its IP goes at its whole rate to that provider, from now on."""
    relay, now = find_relay(relay_name), datetime.now(UTC)
    hold = db.session.get(ProviderHold, number)
    if hold is None or hold.relay_id != relay.id:
        refuse(
            "no_hold", _("El relay «%(relay)s» no tiene el freno %(number)s.", relay=relay.name, number=number), as_json
        )
    try:
        holds.lift(db.session, hold, None, now=now)
    except holds.HoldProblem as problem:
        refuse(problem.code, hold_sentence(problem), as_json)
    say(facts_of(hold, holds.addresses(db.session, relay.id), now), as_json, lifted_sentence(hold))
