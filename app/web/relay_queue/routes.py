"""The page of the queue. What people chose is frozen into a proposal first, so that they confirm an exact number."""

from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_login import current_user
from werkzeug.wrappers import Response

from app.extensions import db
from app.flow.relay_queue import commands, figures
from app.flow.relay_queue.commands import QueueProblem
from app.flow.relay_queue.figures import QueueFilter
from app.models import QueueAction, QueueCommand, QueueCommandStatus, Relay, RelayQueueMail
from app.web.paging import page_by_key
from app.web.relay_queue import sentences
from app.web.scope import administrators_only

blueprint = Blueprint("relay_queue", __name__, url_prefix="/relays/<int:relay_id>/queue")
MAX_INTEGER = 2**31 - 1


@blueprint.context_processor
def words() -> dict[str, Any]:
    return {"words": sentences, "actions": QueueAction, "suits": commands.SUITS, "open_filter": filter_arguments}


@blueprint.get("")
@administrators_only
def index(relay_id: int) -> str:
    relay, chosen = relay_or_404(relay_id), asked_filter(request.args)
    page = page_by_key(
        figures.mails(relay_id, chosen),
        sorts={"arrived": RelayQueueMail.arrived_at, "recipient": RelayQueueMail.recipient},
        key=RelayQueueMail.queue_id,
        default="arrived",
    )
    return render_template(
        "relay_queue/index.html",
        page=page,
        whole=figures.figures(db.session, relay_id, QueueFilter()),
        addresses=figures.addresses(db.session, [mail.egress_ip_id for mail in page.rows]),
        **live_facts(relay, chosen),
    )


@blueprint.get("/live")
@administrators_only
def live(relay_id: int) -> str:
    """The moving part, fetched every few seconds; the table of mails stands still, or marks would be lost."""
    return render_template("relay_queue/_live.html", **live_facts(relay_or_404(relay_id), asked_filter(request.args)))


def live_facts(relay: Relay, chosen: QueueFilter) -> dict[str, Any]:
    return {
        "relay": relay,
        "chosen": chosen,
        "state": figures.state(db.session, relay.id),
        "told": figures.figures(db.session, relay.id, chosen),
        "commands": commands.recent(db.session, relay.id),
    }


@blueprint.post("/propose")
@administrators_only
def propose(relay_id: int) -> Response:
    """Of the marked mails, or of all that the filter shows."""
    relay_or_404(relay_id)
    chosen, action = asked_filter(request.form), request.form.get("action", "")
    if action not in list(QueueAction):
        abort(400)
    marked = request.form.getlist("mail")
    which: dict[str, Any] = {"chosen": chosen} if request.form.get("all") == "1" else {"queue_ids": marked}
    try:
        command = commands.propose(db.session, relay_id, QueueAction(action), user_id=current_user.id, **which)
    except QueueProblem:
        flash(sentences.nothing_suits(QueueAction(action), was_marked=bool(marked or "chosen" in which)), "warning")
        return redirect(url_for("relay_queue.index", relay_id=relay_id, **filter_arguments(chosen)))
    return redirect(url_for("relay_queue.review", relay_id=relay_id, command_id=command.id))


@blueprint.get("/commands/<int:command_id>")
@administrators_only
def review(relay_id: int, command_id: int) -> str | Response:
    """What would be done, before it is."""
    relay, command = relay_or_404(relay_id), command_or_404(relay_id, command_id)
    if command.status is not QueueCommandStatus.PROPOSED:
        return redirect(url_for("relay_queue.index", relay_id=relay_id))
    campaigns = commands.campaigns_in(db.session, command.id)
    state = figures.state(db.session, relay_id)
    return render_template("relay_queue/review.html", relay=relay, command=command, campaigns=campaigns, state=state)


@blueprint.post("/commands/<int:command_id>/confirm")
@administrators_only
def confirm(relay_id: int, command_id: int) -> Response:
    command = command_or_404(relay_id, command_id)
    return answer(relay_id, commands.confirm, command_id, sentences.ordered(command.action, command.mails))


@blueprint.post("/commands/<int:command_id>/withdraw")
@administrators_only
def withdraw(relay_id: int, command_id: int) -> Response:
    command_or_404(relay_id, command_id)
    return answer(relay_id, commands.withdraw, command_id, _("Se retiró la orden. Lo que ya se hizo queda hecho."))


def answer(relay_id: int, act: Any, command_id: int, sentence: str) -> Response:
    try:
        act(db.session, relay_id, command_id)
        flash(sentence, "success")
    except QueueProblem as problem:
        flash(sentences.problem_sentence(problem), "warning")
    return redirect(url_for("relay_queue.index", relay_id=relay_id))


def relay_or_404(relay_id: int) -> Relay:
    return db.session.get(Relay, relay_id) or abort(404)


def command_or_404(relay_id: int, command_id: int) -> QueueCommand:
    command = db.session.get(QueueCommand, command_id)
    return command if command is not None and command.relay_id == relay_id else abort(404)


def asked_filter(source: Any) -> QueueFilter:
    return QueueFilter(
        queue=asked_word(source, "queue"),
        ip_id=asked_number(source, "ip"),
        provider=asked_word(source, "provider"),
        reason=asked_word(source, "reason"),
        campaign_id=asked_number(source, "campaign"),
    )


def asked_word(source: Any, name: str) -> str:
    word = str(source.get(name, ""))[:40]
    return word if word.isascii() and word.isprintable() else ""


def asked_number(source: Any, name: str) -> int | None:
    number = source.get(name, type=int)
    return number if number is not None and 0 <= number <= MAX_INTEGER else None


def filter_arguments(chosen: QueueFilter, **changes: Any) -> dict[str, Any]:
    """As ``asked_filter`` reads them; empty ones are left out."""
    told = {
        "queue": chosen.queue or None,
        "ip": chosen.ip_id,
        "provider": chosen.provider or None,
        "reason": chosen.reason or None,
        "campaign": chosen.campaign_id,
        **changes,
    }
    return {name: value for name, value in told.items() if value is not None}
