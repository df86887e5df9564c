"""The warm-up of a relay's IPs: the curve of each provider, and where every IP stands on it today."""

from datetime import UTC, datetime

from flask import render_template, request

from app.extensions import db
from app.flow.egress import warming
from app.flow.egress.warming import ProviderDay
from app.web.egress.entry import blueprint, relay_or_404
from app.web.scope import administrators_only


@blueprint.get("/warm-up")
@administrators_only
def warm_up(relay_id: int) -> str:
    relay = relay_or_404(relay_id)
    days = warming.today_of(db.session, relay_id, today=datetime.now(UTC).date())
    chosen = next((one for one in days if one.provider == request.args.get("provider")), days[0] if days else None)
    return render_template(
        "egress/warm_up.html", relay=relay, days=days, chosen=chosen, points=plot_of(chosen) if chosen else {}
    )


def plot_of(day: ProviderDay) -> dict[str, object]:
    """Days count from 1, as people do."""
    return {
        "caps": list(day.caps),
        "places": [{"name": place.address, "day": place.day, "sent": place.sent} for place in day.places],
    }
