"""«Elegir plataforma» (the panels as cards) and «Inicio» (the live monitor of one panel)."""

from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, current_app, g, render_template
from flask_login import current_user, login_required

from app.current import current_settings
from app.extensions import db
from app.flow import installation, monitoring
from app.flow import panels as panels_flow
from app.web import scope
from app.web.campaigns.pacing import running_waits
from app.web.campaigns.statuses import status_badge
from app.web.panels.sentences import alarm_sentence, import_status, subject_url
from app.web.scope import current_panel

blueprint = Blueprint("panels", __name__)
blueprint.url_value_preprocessor(scope.take_panel_slug)
blueprint.app_template_global()(alarm_sentence)
blueprint.app_template_global()(subject_url)
blueprint.app_template_global("import_status_badge")(import_status)
blueprint.app_template_global("campaign_status_badge")(status_badge)


@blueprint.before_request
def enter_panel() -> Any:
    """Of the two pages here, one belongs to a panel and one to none."""
    return None if g.panel_slug is None else scope.enter_panel()


@blueprint.url_defaults
def fill_in_panel_slug(endpoint: str, values: dict[str, Any]) -> None:
    if current_app.url_map.is_endpoint_expecting(endpoint, "panel"):
        scope.fill_in_panel_slug(endpoint, values)


@blueprint.get("/")
@login_required  # type: ignore[untyped-decorator]  # Flask-Login has no types
def choose() -> str:
    return render_template("panels/choose.html", **overview())


@blueprint.get("/overview")
@login_required  # type: ignore[untyped-decorator]  # Flask-Login has no types
def cards() -> str:
    """The part of the page that fetches itself."""
    return render_template("panels/cards.html", **overview())


def overview() -> dict[str, Any]:
    accesses = panels_flow.panels_of(db.session, current_user)
    panel_ids = [access.panel.id for access in accesses]
    return {
        "accesses": accesses,
        "days": monitoring.days(db.session, panel_ids),
        "alarms": monitoring.alarms(db.session, panel_ids),
        "installation": (
            installation.installation_state(db.session, current_settings()) if current_user.is_administrator else None
        ),
    }


@blueprint.get("/p/<panel>/")
def home() -> str:
    return render_template("panels/home.html", **monitor_facts())


@blueprint.get("/p/<panel>/monitor")
def monitor() -> str:
    """The part of the page that fetches itself."""
    return render_template("panels/monitor.html", **monitor_facts())


def monitor_facts() -> dict[str, Any]:
    found = monitoring.monitor(db.session, current_panel)
    return {"monitor": found, "waits": running_waits([row.campaign for row in found.running], datetime.now(UTC))}
