"""What holds, their phases and the rules behind them are called in front of people."""

from collections.abc import Callable, Mapping
from datetime import datetime

from flask_babel import gettext as _

from app.flow.breaker import phases
from app.flow.breaker.holds import HoldProblem
from app.flow.breaker.phases import Phase
from app.mail.backoff import rules_by_key
from app.models import ProviderHold
from app.web.formats import percent, when


def whose(hold: ProviderHold, addresses: Mapping[int, str]) -> str:
    if hold.egress_ip_id is None:
        return _("Todo el relay")
    return addresses.get(hold.egress_ip_id, "—")


def phase_name(phase: Phase) -> str:
    names: dict[Phase, str] = {
        Phase.WATCHED: _("En observación"),
        Phase.SLOW: _("Más lento"),
        Phase.SUSPENDED: _("Suspendido"),
        Phase.RECOVERING: _("Se recupera"),
        Phase.ENDED: _("Terminado"),
    }
    return names[phase]


def phase_colour(phase: Phase) -> str:
    colours = {Phase.SUSPENDED: "red", Phase.SLOW: "orange", Phase.RECOVERING: "blue"}
    return colours.get(phase, "secondary")


def now_sentence(hold: ProviderHold, now: datetime) -> str:
    """What goes out at this moment, and what comes next."""
    left = percent(phases.factor(hold, now), 1)
    match phases.phase(hold, now):
        case Phase.WATCHED:
            rule = rules_by_key().get(hold.rule)
            return _(
                "Envía con normalidad. Respuestas: %(times)s de las %(needed)s que lo frenarían.",
                times=hold.times, needed=rule.at_least if rule else "—",
            )  # fmt: skip
        case Phase.SUSPENDED:
            first = percent(hold.factor, 1)
            return _(
                "No envía nada hasta el %(when)s. Después empieza con el %(left)s.", when=when(hold.until), left=first
            )
        case Phase.SLOW:
            return _("Envía al %(left)s de su ritmo hasta el %(when)s.", left=left, when=when(hold.until))
        case Phase.RECOVERING:
            step, steps = phases.step(hold, now)
            return _(
                "Envía al %(left)s de su ritmo, paso %(step)s de %(steps)s. Completo el %(when)s, si no hay otra queja.",
                left=left, step=step, steps=steps, when=when(phases.ends_at(hold)),
            )  # fmt: skip
    return ended_sentence(hold, {})


def ended_sentence(hold: ProviderHold, lifters: Mapping[int, str]) -> str:
    name = lifters.get(hold.lifted_by_id) if hold.lifted_by_id is not None else None
    if name:
        return _("Lo levantó %(name)s el %(when)s", name=name, when=when(hold.lifted_at))
    return _("Terminó el %(when)s", when=when(hold.lifted_at or phases.ends_at(hold)))


def lift_question(hold: ProviderHold, who: str, provider: str) -> str:
    return _(
        "¿Levantar el freno? %(who)s enviará desde ahora a %(provider)s con su ritmo completo. Si el proveedor sigue"
        " quejándose, se frenará de nuevo y su reputación puede empeorar.",
        who=who, provider=provider,
    )  # fmt: skip


def hold_sentence(problem: HoldProblem) -> str:
    sentences: dict[str, str] = {"already_ended": _("Ese freno ya había terminado. No hay nada que levantar.")}
    return sentences[problem.code]


def rule_sentence(key: str) -> str:
    """Why, in words; a rule that is no longer shipped is its key."""
    return RULES[key]() if key in RULES else key


RULES: Mapping[str, Callable[[], str]] = {
    "google_ip_rate": lambda: _("Google limita esta dirección: demasiado correo que la gente no espera."),
    "google_domain_rate": lambda: _("Google limita nuestro dominio o un enlace: otra dirección no cambia nada."),
    "google_unauthenticated": lambda: _(
        "Google no puede comprobar quién envía (SPF, DKIM o DMARC). Revise el dominio y su DNS."
    ),
    "google_no_reverse_name": lambda: _(
        "A esta dirección le falta el nombre inverso (PTR) o TLS, dice Google. Revise su configuración."
    ),
    "google_ip_suspicious": lambda: _("Google desconfía de esta dirección por su reputación."),
    "google_low_domain_reputation": lambda: _(
        "Google rechaza el correo de nuestro dominio por su reputación: otra dirección no cambia nada."
    ),
    "google_low_reputation": lambda: _("Google rechaza el correo de esta dirección por su reputación."),
    "google_slow_down": lambda: _("Google pide ir más lento."),
    "yahoo_deferred_for_good": lambda: _(
        "Yahoo ya no acepta correo de esta dirección (TS03). Escriba a su servicio para remitentes."
    ),
    "yahoo_tss05": lambda: _("Yahoo recibe quejas por el correo de esta dirección (TSS05)."),
    "yahoo_tss04": lambda: _("Yahoo ve un volumen inesperado o quejas por esta dirección (TSS04)."),
    "yahoo_busy": lambda: _("Los servidores de Yahoo están ocupados."),
    "yahoo_blocked": lambda: _("La dirección está en una lista de bloqueo que Yahoo consulta. Pida que la retiren."),
    "microsoft_blocked": lambda: _(
        "Microsoft bloqueó esta dirección. Pida que la retiren en su portal para remitentes."
    ),
    "microsoft_unauthenticated": lambda: _(
        "Microsoft no puede comprobar quién envía (SPF, DKIM o DMARC). Revise el dominio y su DNS."
    ),
    "microsoft_abuse": lambda: _("Microsoft niega el acceso a esta dirección por sospecha de spam."),
    "outlook_connections": lambda: _("Outlook recibe demasiadas conexiones de esta dirección."),
    "outlook_ip_rate": lambda: _("Outlook limita esta dirección por su reputación."),
    "outlook_rp": lambda: _("Outlook recibe de esta dirección más de lo que su reputación permite."),
    "microsoft_access_denied": lambda: _("Microsoft 365 niega por ahora el acceso a esta dirección."),
    "microsoft_server_busy": lambda: _(
        "Microsoft 365 frena esta dirección porque envía más de lo que solía (Server busy)."
    ),
    "apple_volume": lambda: _("Apple pide ir más lento: demasiado correo a la vez."),
    "apple_policy": lambda: _("Apple rechaza el correo por su política, casi siempre por la reputación."),
    "gmx_no_service": lambda: _("GMX no atiende a esta dirección: está en una lista de bloqueo o le falta el PTR."),
    "gmx_policy": lambda: _("GMX rechaza el correo por ahora, por su política."),
    "comcast_throttled": lambda: _("Comcast frena esta dirección por su reputación."),
    "comcast_blocked": lambda: _("Comcast bloqueó esta dirección. Pida que la retiren."),
    "other_rate": lambda: _("Muchos servidores pequeños piden ir más lento."),
    "blocklisted": lambda: _("El proveedor dice que la dirección está en una lista de bloqueo. Pida que la retiren."),
    "too_many_connections": lambda: _("El proveedor recibe demasiadas conexiones a la vez."),
    "rate_limited": lambda: _("El proveedor pide ir más lento."),
}

TEMPLATE_WORDS = {
    "whose": whose,
    "phase_of": phases.phase,
    "phase_name": phase_name,
    "phase_colour": phase_colour,
    "now_sentence": now_sentence,
    "ended_sentence": ended_sentence,
    "lift_question": lift_question,
    "rule_sentence": rule_sentence,
}
