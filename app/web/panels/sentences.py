"""What the monitor's codes are called in front of people, and where each subject has its page."""

from flask import url_for
from flask_babel import gettext as _

from app.flow.monitoring import Alarm, AlarmKind
from app.models import ImportStatus
from app.web.campaigns.causes import pause_cause
from app.web.formats import span

Badge = tuple[str, str]
"""Text and colour."""


def alarm_sentence(alarm: Alarm) -> str:
    bounced, _slash, answered = alarm.detail.partition("/")
    sentences: dict[AlarmKind, str] = {
        AlarmKind.PAUSED_BY_ITSELF: _(
            "La campaña «%(name)s» se pausó sola: %(why)s", name=alarm.name, why=pause_cause(alarm.detail)
        ),
        AlarmKind.MANY_BOUNCES: _(
            "La campaña «%(name)s» tiene %(bounced)s rebotes de %(answered)s envíos: revise de dónde viene su lista.",
            name=alarm.name,
            bounced=bounced,
            answered=answered,
        ),
        AlarmKind.RELAY_LOG_SILENT: _(
            "El relay «%(name)s» recibe correos, pero desde hace %(span)s nadie cuenta qué fue de ellos: los entregados y "
            "los rebotes no se ven. Quien administra debe revisar el seguidor de su registro.",
            name=alarm.name,
            span=span(int(alarm.detail)) if alarm.kind is AlarmKind.RELAY_LOG_SILENT else "",
        ),
        AlarmKind.UNCONFIRMED: _(
            "La campaña «%(name)s» tiene correos sin confirmar y su relay no puede decir si los recibió: "
            "decida qué hacer con ellos (%(number)s).",
            name=alarm.name,
            number=alarm.detail,
        ),
        AlarmKind.OVERDUE: _(
            "La campaña «%(name)s» debía empezar ya y nadie la tomó: falta el proceso que reparte el trabajo.",
            name=alarm.name,
        ),
        AlarmKind.IMPORT_FAILED: _("La importación de «%(name)s» falló. No se importó nada.", name=alarm.name),
    }
    return sentences[alarm.kind]


def import_status(status: ImportStatus) -> Badge:
    badges: dict[ImportStatus, Badge] = {
        ImportStatus.UPLOADED: (_("Falta asignar columnas"), "yellow"),
        ImportStatus.QUEUED: (_("En espera"), "azure"),
        ImportStatus.ANALYSING: (_("Analizando"), "azure"),
        ImportStatus.READY: (_("Falta confirmar"), "yellow"),
        ImportStatus.CONFIRMED: (_("Confirmada"), "azure"),
        ImportStatus.APPLYING: (_("Importando"), "azure"),
        ImportStatus.DONE: (_("Terminada"), "green"),
        ImportStatus.FAILED: (_("Falló"), "red"),
        ImportStatus.CANCELLED: (_("Cancelada"), "secondary"),
    }
    return badges[status]


def subject_url(kind: str, subject_id: int) -> str:
    """Where a campaign, an import or what a relay reports has its page."""
    if kind == "relay":
        return url_for("relay_reports.index", relay_id=subject_id)
    if kind == "import":
        return url_for("imports.show", import_id=subject_id)
    return url_for("campaigns.show", campaign_id=subject_id)
