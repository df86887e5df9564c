"""What ``flask relay`` says of problems, differences and the way to the relay."""

from flask_babel import gettext as _

from app.flow.relay_config.checking import Difference, DifferenceKind
from app.flow.relay_config.health import PathHealth, TunnelReading, TunnelState
from app.flow.relay_config.plan import RelayConfigProblem, one_line


def problem_sentence(problem: RelayConfigProblem) -> str:
    value = one_line(problem.details.get("value", ""))
    return {
        "no_ips": _("El servidor de envío no tiene ninguna IP: regístrelas antes de generar su configuración."),
        "address_invalid": _("La dirección IP «%(value)s» no es válida: corríjala en las IP de salida.", value=value),
        "helo_invalid": _("El nombre HELO «%(value)s» no es válido: escriba un nombre completo.", value=value),
        "hostname_invalid": _("El nombre «%(value)s» no es válido: indique --hostname relay.example.pe.", value=value),
        "username_invalid": _(
            "El usuario «%(value)s» tiene caracteres que no se admiten: use letras, cifras y . _ @ + -", value=value
        ),
        "submitter_invalid": _(
            "La red «%(value)s» no es válida o es demasiado amplia: indique --submitter 192.0.2.10/32.", value=value
        ),
        "listen_invalid": _(
            "La dirección «%(value)s» no es válida: indique en --listen una del servidor de envío.", value=value
        ),
        "path_invalid": _("La ruta «%(value)s» no es válida: debe ser absoluta y sin espacios.", value=value),
        "nobody_may_submit": _("Nadie podría enviar: ponga un usuario al servidor de envío o indique --submitter."),
        "tunnel_incomplete": _("Para el túnel indique --tunnel-platform y --tunnel-relay."),
        "tunnel_invalid": _("El extremo «%(value)s» del túnel no es válido: indique una IP o un nombre.", value=value),
        "directory_taken": _("%(value)s tiene otros archivos: indique en --out un directorio nuevo.", value=value),
        "postconf_failed": _("Postfix no pudo leer su configuración: %(value)s", value=value),
    }[problem.code]


def kind_name(kind: DifferenceKind) -> str:
    return {
        DifferenceKind.PARAMETER: _("parámetro"),
        DifferenceKind.SERVICE: _("servicio"),
        DifferenceKind.OPTION: _("opción"),
        DifferenceKind.FILE: _("archivo"),
    }[kind]


def remedy(difference: Difference) -> str:
    if difference.kind is DifferenceKind.PARAMETER:
        return f"postconf -e '{difference.name}={difference.expected}'; postfix reload"
    if difference.kind is DifferenceKind.SERVICE and not difference.expected:
        return f"postconf -MX {difference.name}; postfix reload"
    return _("genere de nuevo, copie %(file)s y ejecute postfix reload", file=_file_of(difference))


def health_sentence(health: PathHealth, tunnel: TunnelReading) -> str:
    sentence = {
        PathHealth.OK: _("El servidor de envío responde y acepta envíos."),
        PathHealth.TUNNEL_DOWN: _("El túnel está caído: revíselo con swanctl --initiate --child chaski-submission."),
        PathHealth.RELAY_DOWN: _("El túnel está en pie, pero el servidor de envío no responde: revise su Postfix."),
        PathHealth.RELAY_REFUSES: _(
            "El servidor de envío responde, pero no acepta la conexión: pruébela en su página."
        ),
        PathHealth.BYPASSED: _(
            "El túnel está caído y el servidor de envío responde por fuera: cierre su puerto en el cortafuegos."
        ),
        PathHealth.UNREACHED: _("El servidor de envío no responde, y no se sabe si hay túnel."),
    }[health]
    return f"{sentence} {_tunnel_note(tunnel)}".strip()


def _tunnel_note(tunnel: TunnelReading) -> str:
    if tunnel.state is TunnelState.NOT_INSTALLED:
        return _("swanctl no está instalado en este equipo: no se puede ver el túnel.")
    if tunnel.state is TunnelState.UNKNOWN:
        return _("swanctl no pudo consultar el túnel (%(detail)s): ejecútelo como root.", detail=tunnel.detail)
    return ""


def _file_of(difference: Difference) -> str:
    return difference.name if difference.kind is DifferenceKind.FILE else "master.cf"
