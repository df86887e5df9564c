"""What headers and training addresses mean, in sentences."""

from typing import NamedTuple

from flask_babel import lazy_gettext as _l

HEADERS: dict[str, object] = {
    "dkim-signature": _l("Firma digital del dominio: prueba que el mensaje salió de él y que nadie lo cambió."),
    "list-unsubscribe": _l("De aquí toma el programa de correo su botón «Cancelar suscripción»."),
    "list-unsubscribe-post": _l("La baja se hace con un solo clic, sin abrir ninguna página (RFC 8058)."),
    "list-id": _l("Nombre fijo del envío: permite filtrar y agrupar sus mensajes."),
    "message-id": _l("Identificador único del mensaje; con él se sigue su rastro."),
    "from": _l("El remitente que ve quien lo recibe."),
    "reply-to": _l("A esta dirección van las respuestas."),
    "to": _l("El destinatario que se muestra. La entrega la decide el sobre, no esta línea."),
    "subject": _l("El asunto, tal como viaja: las tildes y eñes van codificadas."),
    "date": _l("Cuándo se escribió el mensaje."),
    "mime-version": _l("El mensaje puede tener varias partes y caracteres de cualquier idioma."),
    "content-type": _l("Qué contiene el mensaje y cómo están separadas sus partes."),
    "auto-submitted": _l("Lo envió un programa: pide que no se responda automáticamente."),
    "precedence": _l("Correo masivo: pide que no se responda automáticamente."),
    "feedback-id": _l("Con esto los grandes proveedores agrupan los reclamos por campaña."),
}


class AnswerWords(NamedTuple):
    answer: object
    """What the practice relay does."""
    consequence: object
    """What the person sees in the campaign."""


_RETRIED = _l("Diferido: se intenta otra vez, con esperas cada vez más largas.")

ANSWERS: dict[str, AnswerWords] = {
    "deferred": AnswerWords(_l("451: problema temporal, siempre."), _RETRIED),
    "deferred_twice": AnswerWords(
        _l("451 en los dos primeros intentos; después lo acepta."),
        _l("Diferido dos veces y aceptado en el tercer intento."),
    ),
    "deferred_full": AnswerWords(_l("452: buzón lleno por ahora."), _RETRIED),
    "no_such_user": AnswerWords(_l("550: el usuario no existe."), _l("Rebotado: no se intenta más.")),
    "full": AnswerWords(_l("552: buzón lleno, definitivo."), _l("Rebotado: no se intenta más.")),
    "deferred_after_content": AnswerWords(_l("451 después de recibir el contenido."), _RETRIED),
    "refused_after_content": AnswerWords(
        _l("554 después de recibir el contenido: rechazado por sus reglas."), _l("Rebotado: no se intenta más.")
    ),
    "closing": AnswerWords(
        _l("421: el servidor se despide y cierra la conexión."),
        _l("Diferido; los demás mensajes siguen por otra conexión."),
    ),
    "slow": AnswerWords(_l("Lo acepta, pero responde a los 5 segundos."), _l("Aceptado, con demora.")),
    "dropped": AnswerWords(
        _l("Corta la conexión a mitad del mensaje, que no se guarda."),
        _l("Queda sin respuesta; se comprueba que no llegó y se intenta otra vez."),
    ),
    "dropped_after_storing": AnswerWords(
        _l("Guarda el mensaje y corta la conexión antes de responder."),
        _l("Queda sin respuesta; se comprueba que sí llegó y no se envía dos veces."),
    ),
}
