"""A campaign's report as people read it in a terminal: what it is, the ledger, the reactions, the links."""

from typing import Any

from flask_babel import gettext as _

from app.commands.terminal import local_times, pairs, table
from app.models import Campaign, Panel
from app.web.campaigns.causes import pause_cause
from app.web.campaigns.statuses import delivery_name, reaction_names, skip_name, status_name

SHOWN_ALWAYS = ("planned", "waiting", "accepted", "bounced")


def report_text(campaign: Campaign, panel: Panel, facts: dict[str, Any]) -> str:
    """``facts`` as ``flask campaign report --json`` prints them; tables of what they lack are left out."""
    blocks = [pairs(_head(campaign, panel)), _delivery_table(facts), _reaction_table(facts), _link_table(facts)]
    return "\n\n".join(block for block in blocks if block)


def _head(campaign: Campaign, panel: Panel) -> list[tuple[str, str | None]]:
    scheduled, started, finished = local_times(panel, campaign.scheduled_at, campaign.started_at, campaign.finished_at)
    return [
        (_("Campaña"), f"{campaign.id} · {campaign.name}"),
        (_("Estado"), status_name(campaign.status)),
        *([(_("Motivo"), pause_cause(campaign.status_reason))] if campaign.status_reason else []),
        (_("Programada"), scheduled),
        (_("Empezó"), started),
        (_("Terminó"), finished),
    ]


def _delivery_table(facts: dict[str, Any]) -> str:
    """The ledger: the first line is the sum of all others."""
    names = {"planned": _("Planificados"), "waiting": _("Por enviar")}
    statuses = ("accepted", "deferred", "bounced", "failed", "skipped", "unknown")
    names |= {status: delivery_name(status) for status in statuses}
    rows = [(facts[key], name) for key, name in names.items() if facts[key] or key in SHOWN_ALWAYS]
    skipped = facts.get("skipped_by_reason", {})
    rows += [(number, f"  {delivery_name('skipped')}: {skip_name(reason)}") for reason, number in skipped.items()]
    return table([_("Correos"), _("Estado")], rows)


def _reaction_table(facts: dict[str, Any]) -> str:
    if "openers" not in facts:
        return ""
    counted = {"opened": facts["openers"], "clicked": facts["clickers"], "left": facts["leavers"]}
    names = reaction_names()
    return table([_("Personas"), _("Reacción")], [(number, names[key]) for key, number in counted.items()])


def _link_table(facts: dict[str, Any]) -> str:
    rows = [(link["clicks"], link["clickers"], link["url"]) for link in facts.get("links", [])]
    return table([_("Clics"), _("Personas"), _("Enlace")], rows) if rows else ""
