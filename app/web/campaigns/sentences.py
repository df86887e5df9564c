"""What people read instead of codes: what happened, where, and the remedy. Also for the command line."""

from collections.abc import Mapping
from typing import Any

from flask_babel import gettext as _

from app.flow.campaign_content import ContentProblem
from app.flow.campaigns import CampaignProblem, ContentRefused, NotReady
from app.flow.composing import CompositionProblem
from app.models import CampaignStatus
from app.web.campaigns.statuses import status_name


class _Shown(dict[str, Any]):
    """Details by name; nothing for one that a code doesn't carry."""

    def __missing__(self, key: str) -> str:
        return ""


def fill(sentence: str, details: Mapping[str, Any]) -> str:
    return str(sentence % _Shown(details))


def content_sentence(problem: ContentProblem) -> str:
    """``Línea 3, columna 5: no existe el campo «nombr». ¿Quiso decir «nombre»?``"""
    details = dict(problem.details)
    if problem.code == "address_invalid":
        details["why"] = address_reasons().get(str(details.get("reason")), "")
    told = fill(content_sentences().get(problem.code, problem.code), details)
    if details.get("suggestion"):
        told += " " + fill(_("¿Quiso decir «%(suggestion)s»?"), details)
    if problem.line and problem.field in ("html", "text"):
        place = {"line": problem.line, "column": problem.column}
        return fill(_("Línea %(line)s, columna %(column)s:"), place) + " " + told
    if problem.line:
        return fill(_("Carácter %(column)s:"), {"column": problem.column}) + " " + told
    return told


def problem_sentence(problem: CampaignProblem | CompositionProblem) -> str:
    """One sentence for whatever the flow refused."""
    if isinstance(problem, CompositionProblem):
        return fill(composition_sentences().get(problem.code, problem.code), {"detail": problem.detail})
    if isinstance(problem, ContentRefused):
        return " ".join(content_sentence(one) for one in problem.problems)
    if isinstance(problem, NotReady):
        findings = finding_sentences()
        told = " ".join(fill(findings.get(f.code, f.code), f.details) for f in problem.blockers)
        return _("La campaña todavía no se puede enviar.") + " " + told
    details = dict(problem.details)
    if "status" in details:
        details["status"] = status_name(CampaignStatus(details["status"])).lower()
    if problem.code == "address_invalid":
        details["why"] = address_reasons().get(str(details.get("reason")), "")
    return fill(problem_sentences().get(problem.code, problem.code), details)


def problem_sentences() -> dict[str, str]:
    return {
        "not_found": _("No encontramos esa campaña en esta plataforma."),
        "not_a_draft": _(
            "La campaña está %(status)s y ya no se puede cambiar. Duplíquela para preparar otra con el mismo contenido."
        ),
        "changed_meanwhile": _(
            "Otra persona guardó esta campaña mientras usted la editaba. Su texto sigue abajo, sin guardar: "
            "cópielo, recargue la página y vuelva a aplicar sus cambios."
        ),
        "wrong_status": _("La campaña está %(status)s: esta acción ya no es posible."),
        "past": _("Esa hora ya pasó. Elija una hora futura, o «Enviar ahora»."),
        "too_far": _("Elija una fecha dentro de los próximos dos años."),
        "time_skipped": _("Ese día los relojes se adelantan y esa hora no existe. Elija otra hora."),
        "time_missing": _("Elija la fecha y la hora del envío."),
        "nothing_unconfirmed": _(
            "No hay nada que decidir: ningún correo espera confirmación, o su relay todavía responde."
        ),
        "not_over": _("La campaña está %(status)s: espere a que termine para escribir a quienes no les llegó."),
        "nobody_missed": _("No hay a quién escribir: a nadie más le falta este correo con seguridad."),
        "already_followed_up": _(
            "Esta campaña ya tiene un envío a quienes no les llegó. Termínelo, o elimine su borrador, antes de hacer otro."
        ),
        "no_address": _("Escriba al menos una dirección de correo."),
        "address_invalid": _("«%(address)s» no es una dirección de correo válida. %(why)s"),
        "address_suppressed": _(
            "«%(address)s» está en la lista de supresión: nunca se le escribe, ni siquiera en una prueba. Use otra dirección."
        ),
        "too_many_addresses": _("Una prueba se envía a %(limit)s direcciones como máximo."),
        "too_many_proofs": _("Esta plataforma ya envió %(limit)s pruebas en la última hora. Espere un poco."),
    }


def content_sentences() -> dict[str, str]:
    return {
        "name_missing": _("Escriba un nombre para reconocer la campaña."),
        "control_character_in_name": _("El nombre no puede tener saltos de línea ni caracteres invisibles."),
        "too_long": _("Tiene %(length)s caracteres; el máximo es %(limit)s."),
        "address_invalid": _("«%(address)s» no es una dirección de correo válida. %(why)s"),
        "domain_not_allowed": _(
            "Esta instalación solo envía desde dominios que terminan en %(suffixes)s; «%(domain)s» no puede usarse."
        ),
        "domain_not_of_panel": _(
            "«%(domain)s» no es un dominio de envío de esta plataforma. Elija uno de la lista o pida que lo agreguen en Dominios."
        ),
        "list_unknown": _("Una de las listas elegidas ya no existe o está archivada. Elija otra."),
        "canary_percent_out_of_range": _(
            "Escriba un número de 1 a %(limit)s, o deje el campo vacío para enviar todo a la vez."
        ),
        "canary_minutes_out_of_range": _(
            "Escriba un número de 1 a %(limit)s, o deje el campo vacío para usar el de la plataforma."
        ),
        "share_out_of_range": _("Escriba un número de 0 a 100, o deje el campo vacío para usar el de la plataforma."),
        "rate_out_of_range": _("Escriba un número de 1 en adelante, o deje el campo vacío para no limitar."),
        "too_deep": _("Hay demasiados niveles, uno dentro de otro (máximo %(limit)s)."),
        "too_many_tags": _("Hay más de %(limit)s etiquetas entre llaves en esta parte; quite algunas."),
        "too_many_branches": _("Hay más de %(limit)s condiciones («if», «elif») en esta parte; quite algunas."),
        "too_many_filters": _("Hay más de %(limit)s filtros («|») entre estas llaves; quite algunos."),
        "tag_too_long": _("Hay demasiado texto entre estas llaves; divídalo."),
        "unclosed_tag": _("«%(tag)s» se abre aquí y nunca se cierra."),
        "unclosed_if": _("A este «if» le falta su «endif»."),
        "unexpected_statement": _("«%(statement)s» aparece sin un «if» antes."),
        "syntax": _("No se entiende lo escrito cerca de «%(near)s»."),
        "empty_tag": _("No hay nada entre estas llaves; escriba el nombre de un campo."),
        "unknown_field": _("No existe el campo «%(field)s»."),
        "unknown_filter": _("No existe el filtro «%(filter)s»."),
        "filter_arguments": _("El filtro «%(filter)s» lleva %(expected)s valor(es) entre paréntesis, no %(found)s."),
        "loop_not_allowed": _("Los bucles («for») no están permitidos."),
        "statement_not_allowed": _("«%(statement)s» no está permitido; solo «if», «elif», «else» y «endif»."),
        "private_access": _("«%(name)s» es privado y no puede usarse."),
        "attribute_not_allowed": _("Un campo no tiene partes: «.%(name)s» no está permitido."),
        "item_not_allowed": _("Un campo no tiene elementos: los corchetes no están permitidos."),
        "call_not_allowed": _("Aquí no se puede llamar a nada con paréntesis."),
        "operator_not_allowed": _("«%(operator)s» no está permitido; solo «and», «or», «not», «==» y «!=»."),
        "test_not_allowed": _("«is %(test)s» no está permitido; solo «is defined»."),
        "constant_not_allowed": _("Los campos son textos: escriba «%(constant)s» entre comillas."),
        "expression_not_allowed": _("Este tipo de expresión no está permitido."),
        "line_break": _("Aquí no puede haber saltos de línea."),
        "control_character": _("El carácter invisible %(character)s no está permitido."),
        "condition_printed": _("Esto es un sí o no, no un texto: úselo dentro de un «if»."),
        "link_filtered": _("«%(field)s» es una dirección web: ningún filtro puede cambiarla."),
        "field_not_in_part": _("«%(field)s» no puede usarse en esta parte."),
        "link_not_tracked": _("Este enlace lleva campos en su dirección: funcionará, pero sus clics no se cuentan."),
        "link_invalid": _("«%(url)s» no es una dirección web completa."),
        "link_relative": _("«%(url)s» no lleva a ninguna parte desde un correo; escríbalo con https:// y el sitio."),
    }


def address_reasons() -> dict[str, str]:
    return {
        "empty": _("Está vacía."),
        "missing_at": _("Le falta la arroba (@)."),
        "several_addresses": _("Hay más de una dirección."),
        "spaces": _("Tiene espacios."),
        "extra_text": _("Escriba solo la dirección, sin nombre ni signos «<>»."),
        "control_character": _("Tiene caracteres invisibles."),
        "too_long": _("Es demasiado larga."),
        "missing_local_part": _("Falta lo que va antes de la arroba."),
        "local_part_too_long": _("Lo que va antes de la arroba es demasiado largo."),
        "non_ascii_local_part": _("Antes de la arroba no puede haber tildes ni eñes."),
        "bad_local_part": _("Lo que va antes de la arroba no es válido."),
        "missing_domain": _("Falta el dominio después de la arroba."),
        "domain_without_dot": _("El dominio está incompleto."),
        "bad_domain": _("El dominio no es válido."),
    }


def composition_sentences() -> dict[str, str]:
    return {
        "content": _("El contenido no se puede convertir en un correo: %(detail)s"),
        "too_large": _(
            "El correo pasaría de %(detail)s bytes, más de lo que un correo debe tener. "
            "Acorte el contenido o los datos de los campos."
        ),
        "address_suppressed": _(
            "«%(detail)s» está en la lista de supresión: nunca se le escribe, ni siquiera en una prueba. Use otra dirección."
        ),
        "no_sending_domain": _("Elija primero la dirección del remitente en uno de los dominios de la plataforma."),
        "no_egress_ip": _(
            "Todas las direcciones IP del grupo de esta plataforma están en cuarentena: libere una o asigne otro grupo."
        ),
        "no_dkim_key": _("El dominio %(detail)s no tiene una clave DKIM activa: cree una en Dominios."),
    }


def finding_sentences() -> dict[str, str]:
    """The lines of the checklist before sending."""
    return {
        "subject_missing": _("Falta el asunto."),
        "from_name_missing": _("Falta el nombre del remitente."),
        "from_email_missing": _("Falta la dirección del remitente."),
        "content_missing": _("El mensaje está vacío."),
        "content_broken": _("El contenido tiene un error que impide enviarlo: ábralo y guárdelo para ver cuál."),
        "dkim_missing": _("El dominio %(domain)s no tiene una clave DKIM activa: sin firma, los correos se rechazan."),
        "dkim_unchecked": _(
            "Nadie comprobó todavía que la clave DKIM de %(domain)s esté en el DNS: ábralo en Dominios y pulse "
            "«Comprobar en el DNS»."
        ),
        "dkim_unpublished": _(
            "La clave DKIM de %(domain)s no estaba en el DNS cuando se comprobó: publíquela como dice la página del "
            "dominio y compruébela otra vez."
        ),
        "dkim_partly": _(
            "%(domain)s firma con más de una clave DKIM y no todas estaban en el DNS: publique %(selectors)s. Mientras "
            "tanto vale la otra firma."
        ),
        "lists_missing": _("No hay ninguna lista elegida."),
        "nobody": _("Nadie recibiría esta campaña: las listas no tienen personas suscritas."),
        "from_ready": _("El remitente %(address)s pertenece a la plataforma y firma con DKIM."),
        "audience_ready": _("Hay destinatarios."),
        "content_ready": _("El asunto y el mensaje están completos y sin errores."),
        "unsubscribe_written": _(
            "El mensaje lleva su enlace de baja, y cada correo lleva la baja con un clic (RFC 8058)."
        ),
        "unsubscribe_added": _(
            "El mensaje no lleva {{ enlace_baja }}: se agrega al pie, además de la baja con un clic (RFC 8058)."
        ),
        "clipped": _(
            "El HTML es grande: Gmail recorta los mensajes de más de 102 kB y oculta el final, con el enlace de baja."
        ),
        "starter_text": _("Queda texto de la plantilla inicial sin cambiar: %(texts)s."),
        "example_links": _("Hay enlaces de ejemplo que no llevan a ninguna parte: %(urls)s."),
        "subject_long": _("El asunto tiene %(length)s caracteres: en un teléfono se verá cortado."),
    }


def missed_reasons() -> dict[str, str]:
    """Why somebody was provably not reached."""
    return {
        "ours": _("Falló por una causa nuestra"),
        "too_old": _("Se difirió durante demasiado tiempo"),
        "refused": _("El relay rechazó nuestro mensaje"),
        "cancelled": _("La campaña se canceló antes"),
    }


def left_out_reasons() -> dict[str, str]:
    """Who did not get it, and is not written to again."""
    return {
        "bounced": _("Rebotados: su servidor los rechazó"),
        "unknown": _("Sin certeza: alguna vez se perdió la respuesta"),
        "deleted": _("Borrados de la cola del relay"),
        "skipped": _("Omitidos: se dieron de baja, están suprimidos o se borraron"),
        "open": _("Todavía por resolver"),
    }
