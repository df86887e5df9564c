"""``/u/<token>``. GET shows a button and changes nothing, since scanners follow links; POST acts at once, straight in
PostgreSQL. The token of the mail is the authority (RFC 8058 §3.1): mail services post without cookies.
"""

from datetime import datetime, timedelta

from flask import Blueprint, Response, abort, make_response, render_template, request
from flask_babel import gettext as _
from itsdangerous import BadData, URLSafeTimedSerializer

from app.current import current_address, current_settings
from app.extensions import db
from app.flow.hits import clean_address, clean_agent
from app.flow.leaving import Left, Recipient, Visitor, come_back, find_recipient, leave, panel_name_of_proof
from app.mail.tokens import DeliveryRef, TokenPurpose, read_token

UNDO_TIME = timedelta(minutes=15)

blueprint = Blueprint("unsubscribe", __name__)


@blueprint.get("/u/<token>")
def ask(token: str) -> str:
    if (proof := _proof(token)) is not None:
        return _test_page(proof)
    return _page("unsubscribe", _recipient(token))


@blueprint.post("/u/<token>")
def act(token: str) -> Response | str:
    one_click = request.form.get("List-Unsubscribe", "").lower() == "one-click"
    if (proof := _proof(token)) is not None:
        return _one_click_answer() if one_click else _test_page(proof)
    recipient = _recipient(token)
    if one_click:
        leave(db.session, recipient, how="one-click", visitor=_visitor())
        return _one_click_answer()
    match request.form.get("action"):
        case "lists":
            return _leave(recipient, everything=False)
        case "everything":
            return _leave(recipient, everything=True)
        case "undo":
            return _undo(recipient)
        case _:
            return make_response(_page("unsubscribe", recipient), 400)


def _recipient(token: str) -> Recipient:
    """404 for whatever is wrong. Unsubscribing doesn't expire."""
    ref = _read(token, TokenPurpose.DELIVERY)
    recipient = find_recipient(db.session, ref) if ref is not None else None
    return recipient if recipient is not None else abort(404)


def _proof(token: str) -> str | None:
    """The panel's name where the token is a test send's."""
    ref = _read(token, TokenPurpose.PROOF)
    return panel_name_of_proof(db.session, ref) if ref is not None else None


def _read(token: str, purpose: TokenPurpose) -> DeliveryRef | None:
    """Our links are lower case."""
    if token != token.lower():
        return None
    return read_token(current_settings().derived_key("tokens"), token, purpose=purpose)


def _visitor() -> Visitor:
    return Visitor(ip=clean_address(current_address()), user_agent=clean_agent(request.environ.get("HTTP_USER_AGENT")))


def _one_click_answer() -> Response:
    """For a mail service, which reads the status only."""
    return Response("OK\n", mimetype="text/plain")


def _leave(recipient: Recipient, *, everything: bool) -> str:
    changed = leave(db.session, recipient, how="page", visitor=_visitor(), everything=everything)
    moment = changed.at.isoformat() if changed.at else None
    undo_token = _undo_box().dumps([*recipient.ref, changed.list_ids, changed.suppressed, moment])
    return _page(
        "unsubscribed",
        recipient,
        everything=everything,
        undo_token=undo_token if changed != Left() else None,
        undo_minutes=int(UNDO_TIME.total_seconds()) // 60,
    )


def _undo(recipient: Recipient) -> Response | str:
    try:
        campaign_id, seq, list_ids, suppressed, moment = _undo_box().loads(
            request.form.get("undo", ""), max_age=int(UNDO_TIME.total_seconds())
        )
    except (BadData, ValueError):
        return _too_late(recipient)
    if (campaign_id, seq) != recipient.ref:
        return _too_late(recipient)
    left = Left(tuple(list_ids), suppressed, datetime.fromisoformat(moment))
    if not come_back(db.session, recipient, left) and not recipient.receives:
        return _too_late(recipient)
    return _message(
        recipient.panel_name,
        _("Listo: su suscripción sigue activa"),
        _("La dirección %(address)s seguirá recibiendo estos correos, como antes.", address=masked(recipient.email)),
    )


def _too_late(recipient: Recipient) -> Response:
    sentence = _(
        "El plazo para deshacer la baja terminó. Si quiere volver a recibir estos correos, "
        "pídaselo a la entidad que se los enviaba."
    )
    return make_response(_message(recipient.panel_name, _("Ya no se puede deshacer desde aquí"), sentence), 410)


def _undo_box() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(current_settings().derived_key("unsubscribe-undo"))


def _test_page(panel_name: str) -> str:
    sentence = _("Este enlace viene de un envío de prueba. No cambiamos nada: nadie fue dado de baja.")
    return _message(panel_name, _("Este correo era una prueba"), sentence)


def _message(panel_name: str, heading: str, sentence: str) -> str:
    return render_template("public/message.html", panel_name=panel_name, heading=heading, sentence=sentence)


def _page(name: str, recipient: Recipient, **values: object) -> str:
    return render_template(
        f"public/{name}.html",
        recipient=recipient,
        panel_name=recipient.panel_name,
        address=masked(recipient.email),
        **values,
    )


def masked(email: str) -> str:
    """``m•••@example.pe``: mails are forwarded, and then others see this page."""
    local, _at, domain = email.partition("@")
    return f"{local[:1]}•••@{domain}"
