"""Causes that are kept as codes, in sentences: why a campaign paused itself and where the remedy is; what the platform
noted where otherwise the relay's words stand. Relays' own words stay as they are."""

from dataclasses import dataclass

from flask import g, url_for
from flask_babel import gettext as _
from flask_login import current_user

from app.extensions import db
from app.flow import domains
from app.models import Campaign, OwnReply, PanelMode, PauseReason, read_coded
from app.web.campaigns.sentences import composition_sentences, fill
from app.web.formats import number, percent


def pause_cause(reason: str | None) -> str:
    """Why it paused itself, as the end of a sentence; empty where a person paused it."""
    code, detail = read_coded(PauseReason, reason)
    if code is PauseReason.RELAY_FAILURES:
        cause = _("el relay falló muchas veces seguidas.")
        last_words = fill(_("Lo último que se supo: «%(detail)s»."), {"detail": reply_words(detail)})
        return f"{cause} {last_words}" if detail else cause
    if code is PauseReason.CANNOT_COMPOSE:
        return _("el correo no se puede armar.") + " " + composition_words(detail)
    if code is PauseReason.CANARY:
        return canary_words(detail)
    return ""


def canary_words(detail: str) -> str:
    """``bounced 60 800 5; complained 4 700 0.3``: of the part that went first, what is over its limit."""
    told = [found for one in detail.split("; ") if (found := _canary_word(*one.split()))]
    return _("de la parte que salió primero,") + " " + ", ".join(told) + "."


def _canary_word(what: str = "", count: str = "", whole: str = "", limit: str = "") -> str:
    sentences = {
        "bounced": _("rebotaron %(count)s de %(whole)s (%(share)s; el límite es %(limit)s %%)"),
        "failed": _(
            "fallaron %(count)s de %(whole)s (%(share)s; el límite es %(limit)s %%): no se pudieron armar, o rechazan "
            "nuestra dirección IP o nuestro dominio"
        ),
        "deferred": _("quedaron diferidos %(count)s de %(whole)s (%(share)s; el límite es %(limit)s %%)"),
        "complained": _(
            "reclamaron por correo no deseado %(count)s de %(whole)s (%(share)s; el límite es %(limit)s %%)"
        ),
    }
    if not limit or what not in sentences:
        return _("se rechazó demasiado")
    numbers = {"count": number(int(count)), "whole": number(int(whole)), "limit": number(float(limit))}
    return fill(sentences[what], {**numbers, "share": percent(int(count), int(whole))})


def composition_words(problem: str) -> str:
    code, _colon, detail = problem.partition(":")
    return fill(composition_sentences().get(code, problem), {"detail": detail})


@dataclass(frozen=True)
class Remedy:
    """What to do, and the page where it is done, for those who may see it."""

    sentence: str
    url: str | None = None
    label: str = ""


def pause_remedy(campaign: Campaign) -> Remedy:
    code, detail = read_coded(PauseReason, campaign.status_reason)
    if code is PauseReason.RELAY_FAILURES:
        return relay_remedy()
    if code is PauseReason.CANARY:
        return canary_remedy(campaign, detail)
    problem, _colon, domain = detail.partition(":")
    if problem in ("no_dkim_key", "no_sending_domain"):
        return domain_remedy(campaign.panel_id, domain)
    return Remedy(_("El contenido ya no se puede cambiar: cancele esta campaña, duplíquela y corrija la copia."))


def canary_remedy(campaign: Campaign, detail: str) -> Remedy:
    sentence = _(
        "El resto no ha salido. Mire por qué; después pulse «Reanudar» para enviar el resto de todos modos, "
        "o «Cancelar la campaña» para no enviarlo."
    )
    what = detail.partition(" ")[0]
    if what not in ("bounced", "deferred"):
        return Remedy(sentence)
    label = _("Ver los rebotados") if what == "bounced" else _("Ver los diferidos")
    return Remedy(sentence, url_for("campaigns.people", campaign_id=campaign.id, status=what), label)


def relay_remedy() -> Remedy:
    sentence = _("Compruebe que el relay esté en marcha y acepte la conexión; después pulse «Reanudar».")
    if g.panel.mode is PanelMode.PRACTICE or g.panel.relay_id is None:
        return Remedy(_("El relay de práctica es un proceso de Chaski: pida que lo inicien y pulse «Reanudar»."))
    if not current_user.is_administrator:
        return Remedy(sentence + " " + _("Los relays los cuida quien administra la instalación."))
    return Remedy(sentence, url_for("relays.edit", relay_id=g.panel.relay_id), _("Abrir el relay"))


def domain_remedy(panel_id: int, name: str) -> Remedy:
    row = domains.named(db.session, panel_id, name)
    url = url_for("domains.show", domain_id=row.id) if row else url_for("domains.index")
    return Remedy(_("Corríjalo en Dominios y pulse «Reanudar»."), url, name if row else _("Dominios"))


def reply_words(reply: str | None) -> str:
    """A reply as people read it."""
    code, detail = read_coded(OwnReply, reply)
    if code is None:
        return detail
    if code is OwnReply.CANNOT_COMPOSE:
        return composition_words(detail)
    return fill(own_replies()[code], {"detail": detail})


def reply_line(code: int | None, reply: str | None) -> str:
    """With its number, where it is the relay's."""
    is_ours = read_coded(OwnReply, reply)[0] is not None
    return reply_words(reply) if is_ours or not code else f"{code} {reply_words(reply)}"


def own_replies() -> dict[OwnReply, str]:
    return {
        OwnReply.NO_CONNECTION: _("No se pudo conectar con el relay (%(detail)s)."),
        OwnReply.CONNECTION_BROKE: _("La conexión con el relay se cortó (%(detail)s)."),
        OwnReply.RELAY_CLOSED: _("El relay cerró la conexión sin responder."),
        OwnReply.RELAY_SILENT: _("El relay no respondió en %(detail)s segundos."),
        OwnReply.NOT_SMTP: _("El relay respondió algo que no es SMTP: «%(detail)s»."),
        OwnReply.ANSWER_TOO_LONG: _("La respuesta del relay era demasiado larga."),
        OwnReply.LEASE_ENDED: _("El proceso que lo enviaba perdió su turno antes de oír la respuesta."),
        OwnReply.TRANSPORT_FAILED: _("Falló el proceso que lo enviaba (%(detail)s)."),
        OwnReply.NOT_RENDERED: _("El mensaje de esta persona no se pudo armar (%(detail)s)."),
        OwnReply.FOUND_AT_RELAY: _("El relay ya lo tenía: se encontró por su Message-ID, con el número %(detail)s."),
        OwnReply.NOT_FOUND_AT_RELAY: _("El relay no lo tiene: se buscó por su Message-ID."),
        OwnReply.REFUSED_FOR_US: _(
            "Bloqueado: el proveedor rechaza nuestra dirección IP o nuestro dominio, no a la persona. Dijo: «%(detail)s»."
        ),
        OwnReply.DELETED_FROM_QUEUE: _(
            "Quien administra lo borró de la cola del relay antes de que saliera (número %(detail)s)."
        ),
        OwnReply.SETTLED_AS_SENT: _("Una persona lo dio por enviado."),
        OwnReply.SETTLED_TO_SEND_AGAIN: _("Una persona decidió enviarlo otra vez."),
    }
