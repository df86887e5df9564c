"""How a relay's follower and agent fare, in words: what is so, and what helps."""

import shlex
from datetime import timedelta

from flask_babel import gettext as _

from app.flow.relay_health import Health
from app.mail.queue_report import QueueTrouble
from app.mail.relay_report import ReadingProblem
from app.models import Relay
from app.web.formats import span

KEY_FILE = "/etc/chaski/relay.key"


def commands(relay: Relay, platform: str) -> dict[str, str]:
    """What is typed on the relay's own host."""
    where = f"--platform {shlex.quote(platform)} --relay {relay.id} --key-file {KEY_FILE}"
    return {
        "follow": f"python -m workers.relay.follow {where} --log /var/log/postfix.log --state /var/lib/chaski/log.sqlite",
        "agent": f"python -m workers.relay.queue_agent {where}",
        "key_file": f"install -D -m 0600 /dev/stdin {KEY_FILE}",
    }


def health_badge(health: Health) -> tuple[str, str]:
    """Text and colour."""
    badges = {
        Health.NEVER: (_("nunca informó"), "secondary"),
        Health.SILENT: (_("calla"), "red"),
        Health.TROUBLED: (_("con problemas"), "red"),
        Health.BEHIND: (_("atrasado"), "yellow"),
        Health.FINE: (_("al día"), "green"),
    }
    return badges[health]


def since(silence: timedelta) -> str:
    """``hace 3 segundos``."""
    return _("hace %(span)s", span=span(max(1, int(silence.total_seconds()))))


def silent_sentence() -> str:
    return _(
        "Compruebe en la máquina del relay que el proceso esté en marcha, que llegue por HTTPS a la plataforma y que su "
        "clave siga vigente. Al volver sigue donde se quedó: no se pierde nada mientras el registro exista."
    )


def behind_sentence() -> str:
    return _("Lee sin parar. Si no baja en unos minutos, revise si el disco o la red de esa máquina van lentos.")


def lost_sentence() -> str:
    return _(
        "Hay líneas de entregas que no se entendieron: esos correos quedan como aceptados. Compruebe que el registro sea el "
        "de Postfix y que nada recorte sus líneas."
    )


def reading_problem(problem: str) -> str:
    sentences: dict[str, str] = {
        ReadingProblem.LOG_MISSING: _(
            "No encuentra el registro. Corrija la ruta en --log (o RELAY_LOG_FILE), o haga que Postfix escriba en ese archivo."
        ),
        ReadingProblem.LOG_UNREADABLE: _(
            "No puede leer el registro. Dé permiso de lectura al usuario del seguidor; suele bastar el grupo «adm»."
        ),
    }
    return sentences.get(problem, problem)


def queue_trouble(problem: str) -> str:
    sentences: dict[str, str] = {
        QueueTrouble.NO_POSTFIX: _(
            "No encuentra los programas de Postfix. Inícielo en la máquina donde corre Postfix, o instálelo allí."
        ),
        QueueTrouble.REFUSED: _(
            "Postfix no le deja ver o cambiar la cola. Inícielo con el usuario root, el único que puede dar esas órdenes."
        ),
        QueueTrouble.FAILED: _(
            "Un programa de Postfix falló o no terminó. Mire el registro de Postfix en esa máquina."
        ),
    }
    return sentences.get(problem, problem)
