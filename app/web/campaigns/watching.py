"""Live page, report, recipients, download."""

from datetime import UTC, datetime
from tempfile import TemporaryFile
from typing import Any

from flask import abort, render_template, request, send_file
from flask_babel import format_datetime
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from app.current import current_settings
from app.extensions import db
from app.flow import campaigns, canary, certificate, recipient_search, recipients, reconciling, report_details, reports
from app.flow.relay_queue import figures as queue_figures
from app.models import Campaign, Delivery, SkipReason
from app.web.campaigns import blueprint
from app.web.campaigns.causes import reply_words
from app.web.campaigns.pacing import pace_facts
from app.web.campaigns.statuses import delivery_name, figure_names, reaction_names, skip_name
from app.web.campaigns.writing import redirect_to
from app.web.contacts.csv_answer import csv_answer
from app.web.paging import page_by_key
from app.web.scope import get_or_404


@blueprint.get("/<int:campaign_id>")
def show(campaign_id: int) -> str | Response:
    """The live page; a draft's is its preview."""
    campaign = get_or_404(Campaign, campaign_id)
    if campaign.status in campaigns.WRITABLE:
        return redirect_to("preview", campaign_id)
    return render_template("campaigns/show.html", campaign=campaign, **live_facts(campaign))


@blueprint.get("/<int:campaign_id>/live")
def live(campaign_id: int) -> str:
    """The moving part of the live page, fetched every two seconds."""
    campaign = get_or_404(Campaign, campaign_id)
    return render_template("campaigns/_live.html", campaign=campaign, **live_facts(campaign))


def live_facts(campaign: Campaign) -> dict[str, Any]:
    current, now = reports.counts(db.session, campaign.id), datetime.now(UTC)
    return {
        "counts": current,
        "figures": figure_names(),
        "reasons": reports.skipped_by_reason(db.session, campaign) if current.skipped else {},
        "speed": reports.speed(db.session, campaign, current),
        "points": reports.progress(db.session, campaign.id),
        "reactions": reports.reactions(db.session, campaign),
        "unconfirmed": unconfirmed(campaign, current),
        "part": canary.standing(db.session, campaign.id) if campaign.canary_stage else None,
        "in_relay": queue_figures.of_campaign(db.session, campaign.panel_id, campaign.id),
        "now": now,
        **pace_facts(campaign, now),
    }


def unconfirmed(campaign: Campaign, current: reports.Counts) -> int:
    """Deliveries that a person has to decide about."""
    waiting = reconciling.waiting_for_a_person(db.session, [campaign.id]) if current.unknown else {}
    return waiting.get(campaign.id, 0)


@blueprint.get("/<int:campaign_id>/report")
def report(campaign_id: int) -> str | Response:
    campaign = get_or_404(Campaign, campaign_id)
    if campaign.frozen_on is None:
        return redirect_to("show", campaign_id)
    return render_template(
        "campaigns/report.html",
        campaign=campaign,
        counts=reports.counts(db.session, campaign.id),
        figures=figure_names(),
        reactions=reports.reactions(db.session, campaign),
        details=report_details.details(db.session, campaign),
    )


@blueprint.get("/<int:campaign_id>/report/detail")
def report_detail(campaign_id: int) -> str:
    """What takes reading the whole ledger, asked for again while a worker makes it."""
    campaign = get_or_404(Campaign, campaign_id)
    return render_template(
        "campaigns/_report_detail.html", campaign=campaign, details=report_details.details(db.session, campaign)
    )


@blueprint.get("/<int:campaign_id>/recipients")
def people(campaign_id: int) -> str | Response:
    campaign = get_or_404(Campaign, campaign_id)
    if campaign.frozen_on is None:
        return redirect_to("show", campaign_id)
    chosen, query = request.args.get("status", ""), request.args.get("q", "").strip()
    seqs, are_many = recipient_search.seqs_matching(db.session, campaign, query) if query else (None, False)
    page = page_by_key(
        recipients.recipients(db.session, campaign, chosen=chosen, seqs=seqs),
        sorts={"seq": Delivery.seq},
        key=Delivery.seq,
        default="seq",
        scalars=False,
    )
    return render_template(
        "campaigns/recipients.html",
        campaign=campaign,
        page=page,
        choices={**figure_names(), "delivered": delivery_name("delivered"), **reaction_names()},
        is_filtered=bool(chosen or query),
        are_many=are_many,
    )


@blueprint.get("/<int:campaign_id>/recipients/<int:seq>")
def person(campaign_id: int, seq: int) -> str:
    campaign = get_or_404(Campaign, campaign_id)
    found = recipients.recipient(db.session, campaign, seq)
    if found is None:
        abort(404)
    captured = recipients.captured_message(db.session, current_settings(), campaign, found.delivery)
    return render_template(
        "campaigns/recipient.html", campaign=campaign, person=found, captured=captured, now=datetime.now(UTC)
    )


# Download.


@blueprint.get("/<int:campaign_id>/recipients.csv")
def download(campaign_id: int) -> Response:
    """All recipients as a file for spreadsheets, streamed."""
    campaign = get_or_404(Campaign, campaign_id)
    if campaign.frozen_on is None:
        abort(404)
    rows = (csv_cells(row) for row in recipients.export_rows(db.session, campaign))
    return csv_answer(f"campana-{campaign.id}-destinatarios.csv", csv_header(), rows)


@blueprint.get("/<int:campaign_id>/certificate.zip")
def download_certificate(campaign_id: int) -> Response:
    """Written to a file of ours first, which is sent without any transaction open and is gone with its last reader."""
    campaign = get_or_404(Campaign, campaign_id)
    name = f"campana-{campaign.id}-certificado.zip"
    db.session.rollback()
    file = TemporaryFile()  # noqa: SIM115  # the answer closes it
    try:
        certificate.write_zip(db.session, current_settings(), campaign_id, file)
    except certificate.CertificateProblem:
        file.close()
        abort(404)
    file.seek(0)
    return send_file(file, mimetype="application/zip", as_attachment=True, download_name=name)


def csv_header() -> list[str]:
    return [
        _("Número"),
        _("Correo"),
        _("Estado"),
        _("Motivo"),
        _("Intentos"),
        _("Primer intento"),
        _("Último intento"),
        _("Código"),
        _("Respuesta"),
        _("Aperturas"),
        _("Clics"),
        _("Primera apertura"),
        _("Primer clic"),
        _("Baja"),
    ]


def csv_cells(row: Any) -> list[Any]:
    reason = skip_name(SkipReason(row.skip_reason)) if row.skip_reason else ""
    times = [spreadsheet_time(getattr(row, name)) for name in ("first_attempt_at", "last_attempt_at")]
    reactions = [
        spreadsheet_time(getattr(row, name)) for name in ("first_open_at", "first_click_at", "unsubscribed_at")
    ]
    status = delivery_name(row.status)
    return [
        row.seq, row.email, status, reason, row.attempts, *times, row.reply_code, reply_words(row.reply_text),
        row.opens, row.clicks, *reactions,
    ]  # fmt: skip


def spreadsheet_time(moment: datetime | None) -> str:
    """In the panel's zone, in the one order that sorts."""
    return format_datetime(moment, "yyyy-MM-dd HH:mm:ss") if moment else ""
