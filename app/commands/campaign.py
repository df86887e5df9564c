"""``flask campaign …``: writing, scheduling, watching campaigns from scripts and cron, through the same code as the pages.

What the flow refuses is told with a code, the sentence that says why, and field by field where the content is at fault.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn

import click
from flask.cli import AppGroup
from flask_babel import gettext as _

from app.commands.campaign_facts import counts, summary
from app.commands.campaign_forecast import forecast_of
from app.commands.campaign_tables import report_text
from app.commands.certificates import say_certified, say_verified
from app.commands.terminal import find_panel, json_option, local_times, panel_option, refuse, say, table
from app.current import current_settings
from app.extensions import db
from app.flow import campaigns, complaining, lists, previews, reconciling, reports
from app.flow.campaign_content import CampaignContent, ContentProblem
from app.flow.campaigns import CampaignProblem, ContentRefused, NotReady
from app.flow.reconciling import Settlement
from app.models import Campaign, CampaignStatus, MailStream, Panel, PauseReason
from app.web.campaigns.finishing import OVER
from app.web.campaigns.sentences import content_sentence, problem_sentence
from app.web.campaigns.statuses import proof_name, status_name

group = AppGroup("campaign", help="Campaigns: create, schedule, watch.")
campaign_argument = click.argument("campaign_id", metavar="ID", type=int)
readable_file = click.Path(exists=True, dir_okay=False, path_type=Path)


def told(command: Callable[..., None]) -> Callable[..., None]:
    """What the flow refuses is said in one sentence, or one line of JSON, with exit code 1."""

    @wraps(command)
    def checked(*args: Any, as_json: bool, **kwargs: Any) -> None:
        try:
            command(*args, as_json=as_json, **kwargs)
        except CampaignProblem as problem:
            _refuse(problem, as_json)

    return checked


@group.command()
@panel_option
@click.option("--name", required=True, help="Only the team sees it.")
@click.option("--subject", required=True, help="May hold merge fields: {{ nombre }}.")
@click.option("--from-email", required=True, help="In one of the panel's sending domains.")
@click.option("--from-name", required=True)
@click.option("--reply-to", default="")
@click.option("--preheader", default="")
@click.option("--html", "html_file", required=True, type=readable_file, help="The message (UTF-8).")
@click.option("--text", "text_file", type=readable_file, help="An own text part; else made from the HTML.")
@click.option("--list", "list_names", multiple=True, required=True, help="Name of a list; several times for several.")
@click.option("--rate-per-hour", type=int, help="Upper limit; as fast as the relay takes it where none is given.")
@click.option(
    "--priority",
    "stream",
    type=click.Choice([stream.value for stream in MailStream]),
    default=MailStream.BULK.value,
    show_default=True,
    help="urgent: goes before the bulk ones of every panel, by the IP pool for urgent mail.",
)
@click.option("--canary-percent", type=int, help="So much goes out first (1-50), of each provider; else all at once.")
@click.option("--canary-minutes", type=int, help="How long the rest waits after it; as the panel says where not given.")
@click.option(
    "--canary-bounced-percent", type=float, help="More bounces of that part hold the rest; else as the panel says."
)
@click.option("--canary-deferred-percent", type=float, help="More deferrals hold it.")
@click.option("--canary-complained-percent", type=float, help="More complaints hold it.")
@json_option
@told
def create(
    slug: str,
    html_file: Path,
    text_file: Path | None,
    list_names: tuple[str, ...],
    stream: str,
    as_json: bool,
    **values: Any,
) -> None:
    """Write a draft."""
    panel = find_panel(slug)
    content = CampaignContent(
        **values,
        stream=MailStream(stream),
        html=_read(html_file),
        text=_read(text_file) if text_file else "",
        list_ids=tuple(_list_id(panel, name) for name in list_names),
    )
    campaign = campaigns.create_campaign(db.session, current_settings(), panel.id, content)
    say(summary(campaign), as_json, _status_line(campaign))


@group.command("list")
@panel_option
@click.option("--status", type=click.Choice([status.value for status in CampaignStatus]), default=None)
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True)
@json_option
def list_(slug: str, status: str | None, limit: int, as_json: bool) -> None:
    """The panel's campaigns, the newest first."""
    panel = find_panel(slug)
    statement = campaigns.listing(panel.id, status=status or "").order_by(Campaign.id.desc()).limit(limit)
    rows = list(db.session.scalars(statement))
    headers = ["ID", _("Estado"), _("Programada"), _("Terminada"), _("Campaña")]
    cells = [(c.id, status_name(c.status), *local_times(panel, c.scheduled_at, c.finished_at), c.name) for c in rows]
    say([summary(campaign) for campaign in rows], as_json, table(headers, cells))


@group.command()
@campaign_argument
@json_option
@told
def show(campaign_id: int, as_json: bool) -> None:
    """One campaign and its counts."""
    campaign = _campaign(campaign_id)
    _say_report(campaign, summary(campaign) | counts(campaign), as_json)


@group.command()
@campaign_argument
@click.option("--at", help="ISO 8601; without an offset it is the panel's local time. Now where none is given.")
@json_option
@told
def schedule(campaign_id: int, at: str | None, as_json: bool) -> None:
    """Send it now or later; told with when it will end and who else sends then."""
    campaign = _campaign(campaign_id)
    moment = _moment(campaign, at) if at else None
    campaigns.schedule_campaign(db.session, current_settings(), campaign.panel_id, campaign.id, at=moment)
    campaign = _campaign(campaign_id)
    facts, lines = forecast_of(campaign)
    say(summary(campaign) | {"forecast": facts}, as_json, f"{_status_line(campaign)}\n{lines}")


@group.command()
@campaign_argument
@click.option(
    "--at", help="If it began then; ISO 8601, as for schedule. As it is scheduled, or now, where none is given."
)
@json_option
@told
def forecast(campaign_id: int, at: str | None, as_json: bool) -> None:
    """When it will end, what that hangs on, and who else sends then."""
    campaign = _campaign(campaign_id)
    if campaign.status in OVER:
        raise CampaignProblem("wrong_status", status=campaign.status)
    moment = _moment(campaign, at) if at else None
    campaigns.check_time(moment, datetime.now(UTC))
    facts, lines = forecast_of(campaign, moment)
    say(summary(campaign) | {"forecast": facts}, as_json, lines)


@group.command()
@campaign_argument
@json_option
@told
def pause(campaign_id: int, as_json: bool) -> None:
    """No further mail leaves until it is resumed."""
    campaigns.pause_campaign(db.session, _campaign(campaign_id).panel_id, campaign_id, reason=PauseReason.COMMAND)
    _say_status(campaign_id, as_json)


@group.command()
@campaign_argument
@json_option
@told
def resume(campaign_id: int, as_json: bool) -> None:
    """Go on where it was paused."""
    campaigns.resume_campaign(db.session, _campaign(campaign_id).panel_id, campaign_id)
    _say_status(campaign_id, as_json)


@group.command()
@campaign_argument
@json_option
@told
def cancel(campaign_id: int, as_json: bool) -> None:
    """For good: whoever has not got it yet will not."""
    campaigns.cancel_campaign(db.session, _campaign(campaign_id).panel_id, campaign_id, reason=PauseReason.COMMAND)
    _say_status(campaign_id, as_json)


@group.command()
@campaign_argument
@click.option(
    "--as",
    "settlement",
    type=click.Choice([settlement.value for settlement in Settlement]),
    required=True,
    help="sent: whoever did not get it never will; again: whoever did get it gets it twice.",
)
@json_option
@told
def settle(campaign_id: int, settlement: str, as_json: bool) -> None:
    """Decide about deliveries whose answer is lost and whose relay can't be asked."""
    panel_id = _campaign(campaign_id).panel_id
    settled = reconciling.settle_by_hand(db.session, panel_id, campaign_id, Settlement(settlement))
    if not settled:
        raise CampaignProblem("nothing_unconfirmed")
    sentence = _("Campaña %(id)s: correos decididos: %(number)s", id=campaign_id, number=settled)
    say(summary(_campaign(campaign_id)) | {"settled": settled}, as_json, sentence)


@group.command()
@campaign_argument
@click.option("--to", "addresses", multiple=True, required=True, help="Address; several times for several.")
@click.option("--contact", "contact_email", help="Whose merge data to use; the first of the lists where none is given.")
@json_option
@told
def proof(campaign_id: int, addresses: tuple[str, ...], contact_email: str | None, as_json: bool) -> None:
    """Queue test sends."""
    campaign = _campaign(campaign_id)
    contact_id = _contact_id(campaign, contact_email) if contact_email else None
    queued = previews.request_proofs(db.session, campaign.panel_id, campaign.id, list(addresses), contact_id=contact_id)
    rows = [{"proof_id": row.id, "email": row.email, "status": row.status} for row in queued]
    cells = [(row.id, proof_name(row.status), row.email) for row in queued]
    say({"proofs": rows}, as_json, table(["ID", _("Estado"), _("Dirección")], cells))


@group.command()
@campaign_argument
@json_option
@told
def report(campaign_id: int, as_json: bool) -> None:
    """Counts, reasons, opens, clicks, links."""
    campaign = _campaign(campaign_id)
    reactions = reports.reactions(db.session, campaign)
    links = reports.link_clicks(db.session, campaign)
    facts = summary(campaign) | counts(campaign)
    facts |= {"skipped_by_reason": reports.skipped_by_reason(db.session, campaign), **vars(reactions)}
    facts["links"] = [{"url": link.url, "clicks": link.clicks, "clickers": link.clickers} for link in links]
    _say_report(campaign, facts, as_json)


@group.command()
@campaign_argument
@click.option("--email", required=True, help="Of the recipient who called it spam.")
@json_option
@told
def complaint(campaign_id: int, email: str, as_json: bool) -> None:
    """Note a complaint: it counts for the campaign, and the address is never mailed again."""
    campaign = _campaign(campaign_id)
    seq = complaining.seq_of(db.session, campaign, email)
    if seq is None:
        raise click.BadParameter(f"{email!r} is no recipient of this campaign", param_hint="--email")
    is_new = complaining.note_complaint(db.session, campaign, seq, source=f"command:{campaign_id}:{seq}")
    sentence = _("Se anotó el reclamo.") if is_new else _("Ese reclamo ya estaba anotado.")
    say({"campaign_id": campaign_id, "seq": seq, "is_new": is_new}, as_json, sentence)


@group.command()
@click.argument("campaign_id", metavar="[ID]", type=int, required=False)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Make it, in this directory.")
@click.option("--verify", "made", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Check one.")
@click.option("--public-key", help="Of the installation that made it, base64; this one's where none is given.")
@json_option
@told
def certificate(
    campaign_id: int | None, out: Path | None, made: Path | None, public_key: str | None, as_json: bool
) -> None:
    """Every planned recipient, the sums and a signature; or check such a certificate."""
    if (made is None) == (out is None) or (out is not None and campaign_id is None):
        raise click.UsageError("either ID and --out DIR, or --verify DIR")
    if made is not None:
        say_verified(made, public_key, as_json)
    elif out is not None and campaign_id is not None:
        say_certified(_campaign(campaign_id).id, out, as_json)


# Reading what was asked for.


def _campaign(campaign_id: int) -> Campaign:
    campaign = db.session.get(Campaign, campaign_id, populate_existing=True)
    if campaign is None:
        raise CampaignProblem("not_found", campaign=campaign_id)
    return campaign


def _list_id(panel: Panel, name: str) -> int:
    row = lists.named(db.session, panel.id, name)
    if row is None:
        known = ", ".join(one.name for one in lists.choices(db.session, panel.id))
        raise click.BadParameter(f"no list {name!r}; there are: {known or 'none'}", param_hint="--list")
    return row.id


def _contact_id(campaign: Campaign, email: str) -> int:
    found = previews.find_contacts(db.session, campaign.panel_id, [], email, limit=1)
    if not found or found[0].email != email.strip().lower():
        raise click.BadParameter(f"no contact {email!r} in this panel", param_hint="--contact")
    return found[0].id


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise click.BadParameter(f"{file} is not UTF-8: {error}", param_hint="--html") from error


def _moment(campaign: Campaign, at: str) -> datetime:
    try:
        moment = datetime.fromisoformat(at)
    except ValueError as error:
        raise click.BadParameter(f"{at!r} is no ISO 8601 time, such as 2027-01-31T09:00", param_hint="--at") from error
    if moment.tzinfo is not None:
        return moment
    return campaigns.moment_in_zone(moment, _panel_of(campaign).timezone)


# Answering.


def _say_status(campaign_id: int, as_json: bool) -> None:
    campaign = _campaign(campaign_id)
    say(summary(campaign), as_json, _status_line(campaign))


def _status_line(campaign: Campaign) -> str:
    return _("Campaña %(id)s: %(status)s", id=campaign.id, status=status_name(campaign.status))


def _panel_of(campaign: Campaign) -> Panel:
    return db.session.get_one(Panel, campaign.panel_id)


def _say_report(campaign: Campaign, facts: dict[str, Any], as_json: bool) -> None:
    say(facts, as_json, report_text(campaign, _panel_of(campaign), facts))


def _refuse(problem: CampaignProblem, as_json: bool) -> NoReturn:
    more: dict[str, Any] = {}
    text = ""
    if isinstance(problem, ContentRefused):
        more["problems"] = [_told(one) for one in problem.problems]
        text = "\n".join(f"{one['field']}: {one['message']}" for one in more["problems"])
    if isinstance(problem, NotReady):
        more["blockers"] = [finding.code for finding in problem.blockers]
    refuse(problem.code, problem_sentence(problem), as_json, text=text, **more)


def _told(problem: ContentProblem) -> dict[str, Any]:
    return {
        "field": problem.field,
        "code": problem.code,
        "line": problem.line,
        "column": problem.column,
        "message": content_sentence(problem),
    }
