"""What queues, ages, reasons, actions and outcomes are called in front of people."""

from datetime import timedelta

from flask_babel import gettext as _
from flask_babel import ngettext

from app.flow.relay_queue.commands import QueueProblem
from app.flow.relay_queue.figures import AGES_SECONDS
from app.mail.reply_rules import Reason
from app.models import QueueAction, QueueCommandStatus
from app.web.formats import number, span


def queue_name(queue: str) -> str:
    names = {
        "maildrop": _("entrando"),
        "incoming": _("entrando"),
        "active": _("saliendo"),
        "deferred": _("diferido"),
        "hold": _("retenido"),
        "corrupt": _("dañado"),
    }
    return names.get(queue, queue)


QUEUE_COLOURS = {"active": "blue", "deferred": "orange", "hold": "purple", "corrupt": "red"}


def age_names() -> list[str]:
    """One more than ``AGES_SECONDS``."""
    spans = [span(seconds) for seconds in AGES_SECONDS]
    return [_("menos de %(span)s", span=spans[0])] + [_("desde %(span)s", span=one) for one in spans]


def reason_name(kind: str) -> str:
    names: dict[str, str] = {
        "": _("todavía no se intentó"),
        Reason.MAILBOX_UNKNOWN: _("la dirección no existe"),
        Reason.MAILBOX_DISABLED: _("el buzón está cerrado"),
        Reason.MAILBOX_FULL: _("el buzón está lleno"),
        Reason.DOMAIN_UNKNOWN: _("el dominio no existe"),
        Reason.ROUTING: _("no se llega al servidor"),
        Reason.GREYLISTED: _("pide volver más tarde (lista gris)"),
        Reason.RATE_LIMITED: _("demasiados correos a la vez"),
        Reason.SPAM_CONTENT: _("lo toma por correo no deseado"),
        Reason.BLOCKLISTED: _("nuestra dirección está en una lista negra"),
        Reason.SENDER_AUTHENTICATION: _("no le basta SPF, DKIM o DMARC"),
        Reason.POLICY: _("reglas propias del servidor"),
        Reason.MESSAGE_TOO_BIG: _("el mensaje es demasiado grande"),
        Reason.RELAY_CLOSING: _("el servidor está ocupado y cierra"),
        Reason.RELAY_BUSY: _("el servidor no tiene recursos"),
    }
    return names.get(kind, _("otro motivo"))


def action_name(action: QueueAction) -> str:
    names = {
        QueueAction.HOLD: _("Retener"),
        QueueAction.RELEASE: _("Soltar"),
        QueueAction.REQUEUE: _("Volver a encolar"),
        QueueAction.DELETE: _("Borrar"),
    }
    return names[action]


ACTION_ICONS = {
    QueueAction.HOLD: "hand-stop",
    QueueAction.RELEASE: "player-play",
    QueueAction.REQUEUE: "refresh",
    QueueAction.DELETE: "trash",
}


def action_meaning(action: QueueAction) -> str:
    meanings = {
        QueueAction.HOLD: _("Quedan en la cola y no salen hasta que alguien los suelte."),
        QueueAction.RELEASE: _("Vuelven a la cola; el relay los intenta en su próxima vuelta."),
        QueueAction.REQUEUE: _(
            "El relay los toma como nuevos y elige otra vez la dirección IP: así salen los de una IP en cuarentena."
        ),
        QueueAction.DELETE: _(
            "Se borran para siempre y nadie recibe aviso. Los de una campaña quedan como fallidos, con este motivo."
        ),
    }
    return meanings[action]


def action_button(action: QueueAction, mails: int) -> str:
    """With the exact number, for the button that does it."""
    shown = number(mails)
    texts = {
        QueueAction.HOLD: ngettext("Retener %(shown)s correo", "Retener %(shown)s correos", mails, shown=shown),
        QueueAction.RELEASE: ngettext("Soltar %(shown)s correo", "Soltar %(shown)s correos", mails, shown=shown),
        QueueAction.REQUEUE: ngettext(
            "Volver a encolar %(shown)s correo", "Volver a encolar %(shown)s correos", mails, shown=shown
        ),
        QueueAction.DELETE: ngettext("Borrar %(shown)s correo", "Borrar %(shown)s correos", mails, shown=shown),
    }
    return texts[action]


def ordered(action: QueueAction, mails: int) -> str:
    return _("Orden dada: %(what)s. El resultado aparece abajo.", what=action_button(action, mails))


def nothing_suits(action: QueueAction, *, was_marked: bool) -> str:
    if not was_marked:
        return _("No se hizo nada: marque antes los correos en la tabla.")
    if action is QueueAction.RELEASE:
        return _("No se hizo nada: ninguno de esos correos está retenido.")
    return _("No se hizo nada: esos correos ya no están en la cola, están saliendo o ya están así.")


def problem_sentence(problem: QueueProblem) -> str:
    sentences = {
        "nothing_suits": _("No se hizo nada: esos correos ya no están en la cola, están saliendo o ya están así."),
        "not_proposed": _("Esa orden ya se había dado o retirado."),
        "not_waiting": _("Esa orden ya había terminado o se había retirado."),
    }
    return sentences[problem.code]


def status_name(status: QueueCommandStatus) -> str:
    names = {
        QueueCommandStatus.PROPOSED: _("por confirmar"),
        QueueCommandStatus.WAITING: _("esperando al relay"),
        QueueCommandStatus.DONE: _("terminada"),
        QueueCommandStatus.WITHDRAWN: _("retirada"),
    }
    return names[status]


STATUS_COLOURS = {"waiting": "blue", "done": "green", "withdrawn": "secondary", "proposed": "secondary"}


def outcome_words(outcome: str, mails: int) -> str:
    names = {
        "done": _("hechos"),
        "gone": _("ya no estaban"),
        "busy": _("estaban saliendo y se dejaron"),
        "held": _("retenidos para borrarlos"),
        "open": _("pendientes"),
    }
    return f"{names[outcome]}: {number(mails)}"


def freshness(age: timedelta) -> str:
    """``hace 3 segundos``."""
    return _("hace %(span)s", span=span(max(1, int(age.total_seconds()))))
