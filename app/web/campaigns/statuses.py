"""What statuses are called, in which colour, and what they mean. Everywhere: campaign pages, monitor, command line."""

from typing import Any

from flask_babel import gettext as _

from app.models import CampaignStatus, DeliveryStatus, MailStream, ProofStatus, SkipReason


def status_name(status: CampaignStatus) -> str:
    names: dict[Any, str] = {
        CampaignStatus.DRAFT: _("Borrador"),
        CampaignStatus.IN_REVIEW: _("En revisión"),
        CampaignStatus.SCHEDULED: _("Programada"),
        CampaignStatus.PREPARING: _("Preparando"),
        CampaignStatus.SENDING: _("Enviando"),
        CampaignStatus.PAUSED: _("Pausada"),
        CampaignStatus.FINISHED: _("Terminada"),
        CampaignStatus.CANCELLED: _("Cancelada"),
    }
    return names[status]


STATUS_COLOURS = {
    CampaignStatus.DRAFT: "secondary",
    CampaignStatus.IN_REVIEW: "purple",
    CampaignStatus.SCHEDULED: "azure",
    CampaignStatus.PREPARING: "blue",
    CampaignStatus.SENDING: "blue",
    CampaignStatus.PAUSED: "orange",
    CampaignStatus.FINISHED: "green",
    CampaignStatus.CANCELLED: "red",
}


def stream_name(stream: MailStream) -> str:
    names: dict[MailStream, str] = {MailStream.BULK: _("Normal"), MailStream.URGENT: _("Urgente")}
    return names[stream]


def status_badge(status: CampaignStatus) -> tuple[str, str]:
    """Text and colour."""
    return status_name(status), STATUS_COLOURS[status]


def figure_names() -> dict[str, str]:
    """The figures of the live page, and the filters of the recipients."""
    return {
        "waiting": _("Por enviar"),
        "accepted": _("Aceptados"),
        "deferred": _("Diferidos"),
        "bounced": _("Rebotados"),
        "failed": _("Fallidos"),
        "skipped": _("Omitidos"),
        "unknown": _("Sin confirmar"),
    }


def relay_moment(sighting: str) -> str:
    """What the relay's log told of one try."""
    return {
        "sent": _("El servidor del destinatario lo recibió"),
        "deferred": _("El servidor del destinatario lo aplazó; el servidor de envío reintenta solo"),
        "bounced": _("El servidor del destinatario lo rechazó"),
        "expired": _("El servidor de envío dejó de intentarlo"),
    }[sighting]


def reaction_names() -> dict[str, str]:
    return {"opened": _("Abrieron"), "clicked": _("Hicieron clic"), "left": _("Se dieron de baja")}


def delivery_name(status: DeliveryStatus | str) -> str:
    names: dict[Any, str] = {
        DeliveryStatus.PLANNED: _("Por enviar"),
        DeliveryStatus.SENDING: _("Enviando"),
        DeliveryStatus.ACCEPTED: _("Aceptado"),
        DeliveryStatus.DELIVERED: _("Entregado"),
        DeliveryStatus.DEFERRED: _("Diferido"),
        DeliveryStatus.BOUNCED: _("Rebotado"),
        DeliveryStatus.FAILED: _("Fallido"),
        DeliveryStatus.SKIPPED: _("Omitido"),
        DeliveryStatus.UNKNOWN: _("Sin confirmar"),
    }
    return names[DeliveryStatus(status)]


def delivery_meaning(status: DeliveryStatus | str) -> str:
    names: dict[Any, str] = {
        DeliveryStatus.PLANNED: _("Está en la audiencia y todavía no se intentó."),
        DeliveryStatus.SENDING: _("Se está entregando al relay en este momento."),
        DeliveryStatus.ACCEPTED: _("El relay lo aceptó y se encarga de entregarlo."),
        DeliveryStatus.DELIVERED: _("El servidor del destinatario lo recibió."),
        DeliveryStatus.DEFERRED: _("El relay pidió intentarlo más tarde; se reintenta solo."),
        DeliveryStatus.BOUNCED: _("Fue rechazado definitivamente; no se vuelve a intentar."),
        DeliveryStatus.FAILED: _("No se pudo enviar por una causa nuestra o del relay, no del destinatario."),
        DeliveryStatus.SKIPPED: _("No se envió a propósito."),
        DeliveryStatus.UNKNOWN: _(
            "Una interrupción ocultó la respuesta; se averigua con el relay antes de reintentar."
        ),
    }
    return names[DeliveryStatus(status)]


DELIVERY_COLOURS = {
    "planned": "secondary",
    "sending": "blue",
    "accepted": "green",
    "delivered": "green",
    "deferred": "yellow",
    "bounced": "red",
    "failed": "red",
    "skipped": "secondary",
    "unknown": "purple",
}


def skip_name(reason: SkipReason | str | None) -> str:
    names: dict[str, str] = {
        "unsubscribed": _("se dio de baja"),
        "suppressed": _("está en la lista de supresión"),
        "erased": _("su contacto se borró"),
        "cancelled": _("la campaña se canceló antes"),
    }
    return names.get(str(reason or ""), "")


def proof_name(status: ProofStatus) -> str:
    names: dict[Any, str] = {
        ProofStatus.QUEUED: _("En cola"),
        ProofStatus.SENDING: _("Enviando"),
        ProofStatus.ACCEPTED: _("Aceptada"),
        ProofStatus.FAILED: _("Rechazada"),
        ProofStatus.UNKNOWN: _("Sin confirmar"),
    }
    return names[status]


PROOF_COLOURS = {
    ProofStatus.QUEUED: "secondary",
    ProofStatus.SENDING: "blue",
    ProofStatus.ACCEPTED: "green",
    ProofStatus.FAILED: "red",
    ProofStatus.UNKNOWN: "purple",
}
