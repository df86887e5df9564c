"""Why something waits, in sentences; progress by mailbox provider. For the live page and the monitor."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from flask_babel import format_datetime, ngettext
from flask_babel import gettext as _

from app.current import current_settings
from app.extensions import db
from app.flow import pace
from app.flow.pace import Reason
from app.flow.rates.waits import WaitCause
from app.models import Campaign, CampaignStatus
from app.web.providers.sentences import provider_label

SOON_SECONDS = 2.0
"""Below it a rate is waited for again and again, in pieces too short to count."""


def pace_facts(campaign: Campaign, now: datetime) -> dict[str, Any]:
    """For the live page."""
    is_sending = campaign.status is CampaignStatus.SENDING
    found = pace.reasons(current_settings(), [campaign.id], now=now) if is_sending else {campaign.id: []}
    return {
        "waits": [reason_sentence(reason, now) for reason in found[campaign.id]] if found is not None else None,
        "by_provider": pace.by_provider(db.session, campaign.id),
    }


def running_waits(campaigns: Iterable[Campaign], now: datetime) -> dict[int, list[str]] | None:
    """By campaign, for the monitor; None: nobody knows."""
    sending = [row.id for row in campaigns if row.status is CampaignStatus.SENDING]
    found = pace.reasons(current_settings(), sending, now=now) if sending else {}
    if found is None:
        return None
    return {id_: [reason_sentence(reason, now) for reason in reasons] for id_, reasons in found.items()}


def reason_sentence(reason: Reason, now: datetime) -> str:
    told = f"{cause_words(reason.cause)}; {_until_words(reason, now)}."
    return f"{provider_label(reason.provider)}: {told}" if reason.provider else told[0].upper() + told[1:]


def cause_words(cause: WaitCause) -> str:
    words: dict[WaitCause, str] = {
        WaitCause.RELAY_RATE: _("el relay llegó a su límite de correos por hora"),
        WaitCause.PANEL_RATE: _("la plataforma llegó a su límite de correos por hora"),
        WaitCause.CAMPAIGN_RATE: _("la campaña llegó a su límite de correos por hora"),
        WaitCause.IP_RATE: _("cada IP llegó a su ritmo"),
        WaitCause.WARM_UP: _("calentamiento: el cupo de hoy está completo"),
        WaitCause.POOL_QUARANTINED: _("todas las IP del grupo están en cuarentena"),
        WaitCause.PROVIDER_SLOWED: _("el proveedor pidió ir más despacio"),
        WaitCause.SUSPENDED: _("el proveedor pidió no seguir por ahora"),
        WaitCause.URGENT_FIRST: _("deja pasar a una campaña urgente"),
        WaitCause.BROKER_AWAY: _("los ritmos no se pueden comprobar"),
    }
    return words[cause]


def _until_words(reason: Reason, now: datetime) -> str:
    if reason.cause is WaitCause.POOL_QUARANTINED:
        return _("sigue cuando alguien libere una")
    if reason.cause is WaitCause.WARM_UP:
        return _("sigue a las %(time)s", time=format_datetime(reason.until, "HH:mm"))
    left = reason.seconds_left(now)
    if left < SOON_SECONDS:
        return _("sigue enseguida")
    if left < 120:
        return ngettext("sigue en %(num)s s", "sigue en %(num)s s", round(left))
    return _("sigue a las %(time)s", time=format_datetime(reason.until, "HH:mm"))
