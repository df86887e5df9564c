"""What mailbox providers and what was found out about a domain are called in front of people."""

from flask_babel import gettext as _

from app.flow.mail_domains import Answer
from app.flow.providers import MOST_PER_DAY, MOST_WARM_UP_DAYS, ProviderProblem
from app.mail.mailbox_providers import OTHER, provider_name
from app.web.formats import number


def provider_label(key: str) -> str:
    """Names of providers are theirs in every language; all the others together have one of ours."""
    return _("Otros proveedores") if key == OTHER else provider_name(key)


def provider_sentence(problem: ProviderProblem) -> str:
    day = problem.details.get("day")
    sentences: dict[str, str] = {
        "too_many_days": _("Son más de %(most)s días. Escriba menos.", most=MOST_WARM_UP_DAYS),
        "cap_out_of_range": _("Día %(day)s: escriba un número entre 1 y %(most)s.", day=day, most=number(MOST_PER_DAY)),
        "cap_falls": _("Día %(day)s: el tope es menor que el del día anterior. Corrija uno de los dos.", day=day),
    }
    return sentences[problem.code]


def answer_sentence(answer: Answer) -> str:
    if answer.provider is None:
        return _(
            "El DNS no respondió por %(domain)s. Se vuelve a preguntar más tarde; mientras tanto vale lo que se sabía.",
            domain=answer.domain,
        )
    if not answer.was_asked:
        return _("%(domain)s se conoce por su nombre; no hizo falta preguntar al DNS.", domain=answer.domain)
    return _("Se acaba de preguntar al DNS por %(domain)s.", domain=answer.domain)
