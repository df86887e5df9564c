"""Pages of the practice mailbox, under ``/p/<panel>/practice``."""

from flask import Response, abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import ngettext
from werkzeug.wrappers import Response as AnyResponse

from app.extensions import db
from app.flow import practice
from app.mail.captured import MAX_SOURCE_CHARACTERS, dkim_tags, links_in_new_tab, read_message, source_text
from app.mail.practice_rules import MAX_DELAY_SECONDS, TRAINING_ADDRESSES
from app.models import PracticeMessage, Role
from app.web.paging import KeysetPage, page_by_key
from app.web.practice import words
from app.web.scope import current_panel, is_htmx, panel_blueprint, requires
from app.web.security import MAIL_PREVIEW_POLICY

blueprint = panel_blueprint("practice", __name__, prefix="/practice")

VIEWS = ("html", "text", "headers", "source")
SEARCH_CHARACTERS = 200
FRAME_POLICY = MAIL_PREVIEW_POLICY.replace("sandbox;", "sandbox allow-popups allow-popups-to-escape-sandbox;", 1)
"""Links open in a new tab, as in a mail reader; everything else stays in the sandbox."""


@blueprint.get("/")
def index() -> str:
    """The list; to htmx only its rows."""
    return render_template(
        "practice/rows.html" if is_htmx() else "practice/index.html",
        page=_page(),
        total=practice.count(db.session, current_panel.id),
        searched=_searched(),
    )


def _page() -> KeysetPage:
    return page_by_key(
        practice.search(current_panel.id, _searched()),
        sorts={
            "received": PracticeMessage.id,
            "recipient": PracticeMessage.rcpt_to,
            "subject": PracticeMessage.subject,
            "size": PracticeMessage.size_bytes,
        },
        key=PracticeMessage.id,
        default="-received",
    )


def _searched() -> str:
    return request.args.get("q", "").strip()[:SEARCH_CHARACTERS].replace("\x00", "")


@blueprint.get("/<int:message_id>")
def message(message_id: int) -> str:
    row = _message_or_404(message_id)
    read = read_message(row.raw)
    view = request.args.get("view", "")
    return render_template(
        "practice/message.html",
        message=row,
        read=read,
        view=view if view in VIEWS else ("source" if read.problem else "html" if read.html is not None else "text"),
        queue_id=practice.queue_id(row.id),
        explanations=words.HEADERS,
        dkim_tags=dkim_tags,
        source=source_text(row.raw),
        source_is_cut=row.size_bytes > MAX_SOURCE_CHARACTERS,
    )


@blueprint.get("/<int:message_id>/html")
def html(message_id: int) -> Response:
    """The message's own HTML, for the frame: hostile, and kept in an origin of its own without scripts."""
    content = read_message(_message_or_404(message_id).raw).html
    if content is None:
        abort(404)
    response = Response(links_in_new_tab(content), mimetype="text/html")
    response.headers["Content-Security-Policy"] = FRAME_POLICY
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


@blueprint.get("/<int:message_id>/message.eml")
def download(message_id: int) -> Response:
    row = _message_or_404(message_id)
    response = Response(row.raw, mimetype="message/rfc822")
    response.headers["Content-Disposition"] = f'attachment; filename="{practice.queue_id(row.id)}.eml"'
    return response


@blueprint.post("/clear")
@requires(Role.EDITOR)
def clear() -> AnyResponse:
    try:
        gone = practice.clear(db.session, current_panel.id)
    except practice.MailboxInUse as problem:
        flash(
            _(
                "No se borró nada: la campaña «%(name)s» está saliendo y el buzón es la memoria de lo ya entregado. "
                "Espere a que termine.",
                name=problem.campaign_name,
            ),
            "warning",
        )
    else:
        flash(ngettext("Se borró %(num)s mensaje.", "Se borraron %(num)s mensajes.", gone), "success")
    return redirect(url_for("practice.index"))


@blueprint.get("/addresses")
def addresses() -> str:
    """The training addresses and what each one does."""
    return render_template(
        "practice/addresses.html",
        addresses=TRAINING_ADDRESSES,
        explanations=words.ANSWERS,
        max_delay_seconds=MAX_DELAY_SECONDS,
    )


def _message_or_404(message_id: int) -> PracticeMessage:
    return practice.get(db.session, current_panel.id, message_id) or abort(404)
