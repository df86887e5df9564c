"""What problems with relays, and the answers of a probe, are called in front of people: what happened, and the remedy."""

from flask_babel import gettext as _

from app.flow.relay_probe import PROBE_SECONDS, ProbeResult, ProbeStatus
from app.flow.relays import RelayProblem


def relay_sentence(problem: RelayProblem) -> str:
    sentences: dict[str, str] = {
        "name_taken": _("Ya existe un relay con ese nombre."),
        "host_invalid": _("Escriba un nombre de servidor o una dirección IP, sin puerto ni espacios."),
        "password_needed": _("Cambió el servidor: escriba la contraseña otra vez."),
        "in_use": _(
            "No se borró: lo usan %(names)s. Cambie antes su relay o páselas al modo práctica.",
            names=", ".join(problem.details.get("names", ())) or _("otras plataformas"),
        ),
    }
    return sentences[problem.code]


def probe_sentence(result: ProbeResult) -> str:
    sentences: dict[ProbeStatus, str] = {
        ProbeStatus.OK: ok_sentence(result),
        ProbeStatus.UNKNOWN_HOST: _("Ese servidor no existe en el DNS. Revise el nombre."),
        ProbeStatus.REFUSED: _("Nadie atiende en ese puerto. Revise servidor, puerto y cortafuegos."),
        ProbeStatus.TIMED_OUT: _(
            "No hubo respuesta en %(seconds)s segundos. Revise el puerto y si un cortafuegos descarta la conexión.",
            seconds=PROBE_SECONDS,
        ),
        ProbeStatus.NOT_SMTP: _(
            "Algo responde, pero no como un servidor de correo con este cifrado. Revise puerto y cifrado."
        ),
        ProbeStatus.REJECTED: _("El relay no acepta conexiones desde aquí. Pida que autoricen esta dirección IP."),
        ProbeStatus.STARTTLS_MISSING: _("El relay no ofrece STARTTLS. Elija otro cifrado u otro puerto."),
        ProbeStatus.CERTIFICATE: _(
            "El certificado del relay no es válido para ese nombre o no viene de una autoridad conocida."
        ),
        ProbeStatus.TLS_FAILED: _("No se pudo acordar el cifrado. Revise puerto y cifrado."),
        ProbeStatus.AUTH_MISSING: _(
            "El relay no ofrece identificarse con usuario y contraseña en esta conexión. Pruebe con cifrado, o deje vacío "
            "el usuario."
        ),
        ProbeStatus.AUTH_REFUSED: _("El relay no aceptó el usuario o la contraseña."),
    }
    return sentences[result.status]


def ok_sentence(result: ProbeResult) -> str:
    parts = [
        _("La conexión funciona."),
        _("Cifrada con %(version)s.", version=result.tls_version) if result.tls_version else _("Sin cifrado."),
        _("Usuario aceptado.") if result.logged_in else _("Sin identificarse."),
    ]
    return " ".join(parts)
