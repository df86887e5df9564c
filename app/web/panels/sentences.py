"""What the monitor's codes are called in front of people, and where each subject has its page."""

from flask import current_app, url_for
from flask_babel import gettext as _

from app.flow.monitoring import Alarm, AlarmKind
from app.models import CampaignStatus, ImportStatus

Badge = tuple[str, str]
"""Text and colour."""


def alarm_sentence(alarm: Alarm) -> str:
    detail = alarm.detail.partition(":")[2].strip()
    if alarm.kind is AlarmKind.PAUSED_BY_ITSELF:
        return _(
            "La campaña «%(name)s» se pausó sola: %(why)s", name=alarm.name, why=pause_reason(alarm.detail, detail)
        )
    if alarm.kind is AlarmKind.MANY_BOUNCES:
        bounced, _slash, answered = alarm.detail.partition("/")
        return _(
            "La campaña «%(name)s» tiene %(bounced)s rebotes de %(answered)s envíos: revise de dónde viene su lista.",
            name=alarm.name,
            bounced=bounced,
            answered=answered,
        )
    return {
        AlarmKind.OVERDUE: _(
            "La campaña «%(name)s» debía empezar ya y nadie la tomó: falta el proceso que reparte el trabajo.",
            name=alarm.name,
        ),
        AlarmKind.IMPORT_FAILED: _("La importación de «%(name)s» falló. No se importó nada.", name=alarm.name),
    }[alarm.kind]


def pause_reason(code: str, detail: str) -> str:
    if code.startswith("relay_failures"):
        return (
            _("el relay falló varias veces seguidas (%(answer)s).", answer=detail)
            if detail
            else _("el relay falló varias veces seguidas.")
        )
    return _("código %(code)s.", code=code)


def campaign_status(status: CampaignStatus) -> Badge:
    return {
        CampaignStatus.PREPARING: (_("Preparando"), "azure"),
        CampaignStatus.SENDING: (_("Enviando"), "green"),
        CampaignStatus.PAUSED: (_("En pausa"), "yellow"),
    }.get(status, (str(status), "secondary"))


def import_status(status: ImportStatus) -> Badge:
    return {
        ImportStatus.UPLOADED: (_("Falta asignar columnas"), "yellow"),
        ImportStatus.QUEUED: (_("En espera"), "azure"),
        ImportStatus.ANALYSING: (_("Analizando"), "azure"),
        ImportStatus.READY: (_("Falta confirmar"), "yellow"),
        ImportStatus.CONFIRMED: (_("Confirmada"), "azure"),
        ImportStatus.APPLYING: (_("Importando"), "azure"),
        ImportStatus.DONE: (_("Terminada"), "green"),
        ImportStatus.FAILED: (_("Falló"), "red"),
        ImportStatus.CANCELLED: (_("Cancelada"), "secondary"),
    }[status]


def subject_url(kind: str, subject_id: int) -> str | None:
    """Where a campaign or an import has its page."""
    endpoint, argument = {"campaign": ("campaigns.show", "campaign_id"), "import": ("imports.show", "import_id")}[kind]
    return url_for(endpoint, **{argument: subject_id}) if endpoint in current_app.view_functions else None
