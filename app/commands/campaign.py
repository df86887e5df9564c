"""``flask campaign …``: writing, scheduling, watching campaigns from scripts and cron, through the same code as the pages.

With ``--json`` one line of JSON; exit code 1 where nothing was done, with a code and the sentence that says why.
"""

import json
import sys
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn

import click
from flask.cli import AppGroup
from sqlalchemy import select

from app.current import current_settings
from app.extensions import db
from app.flow import campaigns, lists, previews, reconciling, reports
from app.flow.campaign_content import CampaignContent
from app.flow.campaigns import CampaignProblem, ContentRefused, NotReady
from app.flow.reconciling import Settlement
from app.models import Campaign, CampaignStatus, Panel, PauseReason
from app.web.campaigns.causes import pause_cause
from app.web.campaigns.sentences import content_sentence, problem_sentence
from app.web.campaigns.statuses import status_name

group = AppGroup("campaign", help="Campaigns: create, schedule, watch.")
panel_option = click.option("--panel", "slug", required=True, help="Slug of the panel.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
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
@json_option
@told
def create(
    slug: str,
    html_file: Path,
    text_file: Path | None,
    list_names: tuple[str, ...],
    as_json: bool,
    **values: Any,
) -> None:
    """Write a draft."""
    panel = _panel(slug)
    content = CampaignContent(
        **values,
        html=_read(html_file),
        text=_read(text_file) if text_file else "",
        list_ids=tuple(_list_id(panel, name) for name in list_names),
    )
    campaign = campaigns.create_campaign(db.session, current_settings(), panel.id, content)
    _say(_summary(campaign), as_json, f"Campaña {campaign.id}: {status_name(campaign.status)}")


@group.command("list")
@panel_option
@click.option("--status", type=click.Choice([status.value for status in CampaignStatus]), default=None)
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True)
@json_option
def list_(slug: str, status: str | None, limit: int, as_json: bool) -> None:
    """The panel's campaigns, the newest first."""
    statement = campaigns.listing(_panel(slug).id, status=status or "").order_by(Campaign.id.desc()).limit(limit)
    rows = [_summary(campaign) for campaign in db.session.scalars(statement)]
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False))
        return
    for row in rows:
        click.echo(f"{row['campaign_id']}\t{row['status']}\t{row['scheduled_at'] or '-'}\t{row['name']}")


@group.command()
@campaign_argument
@json_option
@told
def show(campaign_id: int, as_json: bool) -> None:
    """One campaign and its counts."""
    campaign = _campaign(campaign_id)
    _say_report(campaign, _summary(campaign) | _counts(campaign), as_json)


@group.command()
@campaign_argument
@click.option("--at", help="ISO 8601; without an offset it is the panel's local time. Now where none is given.")
@json_option
@told
def schedule(campaign_id: int, at: str | None, as_json: bool) -> None:
    """Send it now or later."""
    campaign = _campaign(campaign_id)
    moment = _moment(campaign, at) if at else None
    campaigns.schedule_campaign(db.session, current_settings(), campaign.panel_id, campaign.id, at=moment)
    _say_status(campaign_id, as_json)


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
    _say(_summary(_campaign(campaign_id)) | {"settled": settled}, as_json, f"Campaña {campaign_id}: {settled}")


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
    _say({"proofs": rows}, as_json, "\n".join(f"{row['proof_id']}\t{row['status']}\t{row['email']}" for row in rows))


@group.command()
@campaign_argument
@json_option
@told
def report(campaign_id: int, as_json: bool) -> None:
    """Counts, reasons, opens, clicks, links."""
    campaign = _campaign(campaign_id)
    reactions = reports.reactions(db.session, campaign)
    links = reports.link_clicks(db.session, campaign)
    facts = _summary(campaign) | _counts(campaign)
    facts |= {"skipped_by_reason": reports.skipped_by_reason(db.session, campaign), **vars(reactions)}
    facts["links"] = [{"url": link.url, "clicks": link.clicks, "clickers": link.clickers} for link in links]
    _say_report(campaign, facts, as_json)


# Reading what was asked for.


def _panel(slug: str) -> Panel:
    panel = db.session.scalar(select(Panel).where(Panel.slug == slug))
    if panel is None:
        known = ", ".join(db.session.scalars(select(Panel.slug).order_by(Panel.slug)))
        raise click.BadParameter(f"no panel {slug!r}; there are: {known or 'none'}", param_hint="--panel")
    return panel


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
    return campaigns.moment_in_zone(moment, db.session.get_one(Panel, campaign.panel_id).timezone)


# Answering.


def _summary(campaign: Campaign) -> dict[str, Any]:
    return {
        "campaign_id": campaign.id,
        "name": campaign.name,
        "status": campaign.status.value,
        "status_reason": campaign.status_reason,
        "scheduled_at": _iso(campaign.scheduled_at),
        "started_at": _iso(campaign.started_at),
        "finished_at": _iso(campaign.finished_at),
    }


def _counts(campaign: Campaign) -> dict[str, Any]:
    current = reports.counts(db.session, campaign.id)
    speed = reports.speed(db.session, campaign, current)
    return {**vars(current), "per_second": speed.last_minute, "seconds_left": speed.seconds_left}


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _say(facts: dict[str, Any], as_json: bool, text: str) -> None:
    click.echo(json.dumps(facts, ensure_ascii=False) if as_json else text)


def _say_status(campaign_id: int, as_json: bool) -> None:
    campaign = _campaign(campaign_id)
    _say(_summary(campaign), as_json, f"Campaña {campaign.id}: {status_name(campaign.status)}")


def _say_report(campaign: Campaign, facts: dict[str, Any], as_json: bool) -> None:
    shown = facts | {"status_reason": pause_cause(campaign.status_reason) or campaign.status_reason}
    lines = [f"{name}\t{value}" for name, value in shown.items() if not isinstance(value, list | dict)]
    lines += [f"{link['clicks']}\t{link['clickers']}\t{link['url']}" for link in facts.get("links", [])]
    _say(facts, as_json, "\n".join(lines))


def _refuse(problem: CampaignProblem, as_json: bool) -> NoReturn:
    facts: dict[str, Any] = {"error": problem.code, "message": problem_sentence(problem)}
    if isinstance(problem, ContentRefused):
        facts["problems"] = [
            {"field": p.field, "code": p.code, "line": p.line, "column": p.column, "message": content_sentence(p)}
            for p in problem.problems
        ]
    if isinstance(problem, NotReady):
        facts["blockers"] = [finding.code for finding in problem.blockers]
    if as_json:
        click.echo(json.dumps(facts, ensure_ascii=False))
    else:
        lines = [f"{p['field']}: {p['message']}" for p in facts.get("problems", [])] or [facts["message"]]
        click.echo("\n".join(lines), err=True)
    sys.exit(1)
