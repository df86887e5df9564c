"""When a campaign will end, what that hangs on and who else sends then: a part of the review and of the live page."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from flask import g, render_template, request
from flask_babel import format_datetime, ngettext, to_user_timezone
from flask_babel import gettext as _

from app.extensions import db
from app.flow import campaigns
from app.flow.campaigns import CampaignProblem
from app.flow.finish_time import Clash, FinishTime, finish_time
from app.flow.forecast_terms import Forecast, Limiting
from app.models import Campaign, CampaignStatus
from app.web.campaigns import blueprint
from app.web.formats import number, percent
from app.web.providers.sentences import provider_label
from app.web.scope import get_or_404

OVER = (CampaignStatus.FINISHED, CampaignStatus.CANCELLED, CampaignStatus.PAUSED)


@blueprint.get("/<int:campaign_id>/forecast")
def forecast(campaign_id: int) -> str:
    """Fetched after the page stands, and again when another time is chosen."""
    campaign = get_or_404(Campaign, campaign_id)
    if campaign.status in OVER:
        return ""
    now = datetime.now(UTC)
    found = finish_time(db.session, campaign, now=now, at=campaign.scheduled_at or chosen_time(now))
    return render_template("campaigns/_forecast.html", found=found, **sentences_of(found, now))


def sentences_of(found: FinishTime, now: datetime) -> dict[str, Any]:
    """What people are told, here and in a terminal."""
    if found.forecast is None:
        unknown = _(
            "Todavía no se puede calcular cuándo termina: por este relay no se envió nada en los últimos días y no hay "
            "límites que contar."
        )
        return {"ends": unknown, "hangs_on": "", "also": [], "clashes": []}
    return {
        "ends": end_sentence(found.forecast, now),
        "hangs_on": limiting_sentence(found.forecast, now, found.begins_at),
        "also": also_sentences(found, now),
        "clashes": [clash_sentence(clash, now) for clash in found.clashes],
    }


def chosen_time(now: datetime) -> datetime | None:
    """What stands in the field of the review; the field itself says what is wrong with it."""
    with suppress(ValueError, CampaignProblem, OverflowError):
        at = campaigns.moment_in_zone(datetime.fromisoformat(request.args.get("at", "")), g.panel.timezone)
        campaigns.check_time(at, now)
        return at
    return None


def end_sentence(found: Forecast, now: datetime) -> str:
    if found.ends_at is not None:
        return _("Termina %(moment)s.", moment=moment_words(found.ends_at, now))
    if found.limiting is Limiting.NO_IP:
        return _("No sale nada: todas las IP del grupo están en cuarentena.")
    return _("Con los límites de hoy no termina en tres meses.")


def moment_words(moment: datetime, now: datetime) -> str:
    days = (to_user_timezone(moment).date() - to_user_timezone(now).date()).days
    clock = format_datetime(moment, "HH:mm")
    if days == 0:
        return _("hoy a las %(time)s", time=clock)
    if days == 1:
        return _("mañana a las %(time)s", time=clock)
    return _("el %(day)s a las %(time)s", day=format_datetime(moment, "d MMM y"), time=clock)


def limiting_sentence(found: Forecast, now: datetime, begins_at: datetime) -> str:
    name = provider_label(found.provider) if found.provider else ""
    sentences: dict[Limiting, str] = {
        Limiting.SPEED: _("Va a la velocidad medida en los últimos envíos."),
        Limiting.RELAY_RATE: _("Lo que más frena es el límite por hora del relay."),
        Limiting.PANEL_RATE: _("Lo que más frena es el límite por hora de la plataforma."),
        Limiting.CAMPAIGN_RATE: _("Lo que más frena es el límite por hora de la campaña."),
        Limiting.IP_RATE: ngettext(
            "Lo que más frena es %(name)s: el ritmo de %(num)s IP.", "Lo que más frena es %(name)s: el ritmo de %(num)s IP.",
            found.ips, name=name,
        ),
        Limiting.WARM_UP: ngettext(
            "Lo que más frena es %(name)s: calentamiento de %(num)s IP, %(day)s %(more)s más.",
            "Lo que más frena es %(name)s: calentamiento de %(num)s IP, %(day)s %(more)s más.", found.ips, name=name,
            day=_("hoy") if begins_at.date() == now.date() else _("el primer día"), more=number(found.first_day),
        ),
        Limiting.HELD: _(
            "Lo que más frena es %(name)s: pidió esperar o ir más despacio. Si no se queja otra vez, vuelve a su ritmo %(when)s.",
            name=name, when=moment_words(found.held_until or now, now),
        ),
        Limiting.URGENT_FIRST: _("Lo que más frena es una campaña urgente, que pasa delante."),
        Limiting.NO_IP: _("Libere una IP o asigne otro grupo."),
    }  # fmt: skip
    return sentences[found.limiting]


def also_sentences(found: FinishTime, now: datetime) -> list[str]:
    """What else is in that time."""
    told = []
    if found.rest_at:
        told.append(
            _(
                "Primero sale una parte; si no la rechazan, el resto sigue %(when)s.",
                when=moment_words(found.rest_at, now),
            )
        )
    if found.beside:
        told.append(
            ngettext(
                "Comparte el ritmo con otra campaña de esta plataforma.",
                "Comparte el ritmo con otras %(num)s campañas de esta plataforma.",
                found.beside,
            )
        )
    if found.retries_until:
        told.append(
            _(
                "En los últimos días se difirió el %(share)s; los reintentos terminan casi todos %(when)s.",
                share=percent(found.retries.share, 1),
                when=moment_words(found.retries_until, now),
            )
        )
    return told


def clash_sentence(clash: Clash, now: datetime) -> str:
    when = moment_words(clash.begins_at, now)
    told = (
        _("La plataforma «%(panel)s» ya envía por el mismo relay.", panel=clash.panel_name)
        if clash.is_running
        else _("La plataforma «%(panel)s» envía por el mismo relay %(when)s.", panel=clash.panel_name, when=when)
    )
    if clash.goes_first:
        return told + " " + _("Es urgente y pasa delante: la hora de arriba ya lo cuenta.")
    if clash.ends_at is None:
        return told
    return told + " " + _("Con las dos a la vez, esta termina %(moment)s.", moment=moment_words(clash.ends_at, now))
