"""Panels: which ones a person may enter, and their settings. Where a panel's mail goes is changed only while none of its
campaigns is under way, so that no campaign reaches half of its people and a practice mailbox the other half."""

from dataclasses import dataclass
from zoneinfo import available_timezones

from sqlalchemy import select

from app.flow.campaign_content import CANARY_LIMIT_FIELDS
from app.flow.problem import Problem
from app.flow.relays import MOST_PER_HOUR
from app.flow.sessions import AnySession
from app.models import Campaign, CampaignStatus, Membership, Panel, PanelMode, Relay, Role, User

COLOURS = ("blue", "indigo", "purple", "pink", "red", "orange", "green", "teal", "cyan")
"""Those of chaski.css: white text is readable on each."""
MAX_WEIGHT = 100
UNDER_WAY = (CampaignStatus.PREPARING, CampaignStatus.SENDING, CampaignStatus.PAUSED)


class PanelProblem(Problem):
    """``code``: ``campaigns_under_way`` (with their ``names``), ``relay_missing``, ``not_understood``, ``colour_unknown``,
    ``timezone_unknown``, ``weight_invalid``, ``rate_invalid``."""


@dataclass(frozen=True)
class PanelAccess:
    panel: Panel
    role: Role


def panels_of(session: AnySession, user: User) -> list[PanelAccess]:
    """The panels that ``user`` may enter; administrators manage all of them."""
    if user.is_administrator:
        return [PanelAccess(panel, Role.MANAGER) for panel in session.scalars(select(Panel).order_by(Panel.id))]
    rows = session.execute(
        select(Panel, Membership.role)
        .join(Membership, Membership.panel_id == Panel.id)
        .where(Membership.user_id == user.id)
        .order_by(Panel.id)
    )
    return [PanelAccess(panel, role) for panel, role in rows]


def update_panel(session: AnySession, panel: Panel, *, name: str, colour: str, timezone: str) -> None:
    """Raises :class:`PanelProblem`."""
    if colour not in COLOURS:
        raise PanelProblem("colour_unknown")
    if timezone not in available_timezones():
        raise PanelProblem("timezone_unknown")
    panel.name, panel.colour, panel.timezone = name.strip(), colour, timezone
    session.commit()


def limit_panel(session: AnySession, panel: Panel, *, weight: int, rate_per_hour: int | None) -> None:
    """Its share where several panels send at once, and the limit of all its campaigns together (``None``: no limit). Acts on
    what is under way, too. Raises :class:`PanelProblem`."""
    if not 1 <= weight <= MAX_WEIGHT:
        raise PanelProblem("weight_invalid")
    if rate_per_hour is not None and not 1 <= rate_per_hour <= MOST_PER_HOUR:
        raise PanelProblem("rate_invalid")
    panel.weight, panel.rate_per_hour = weight, rate_per_hour
    session.commit()


CANARY_FIELDS = ("canary_minutes", *CANARY_LIMIT_FIELDS)


def set_canary(
    session: AnySession,
    panel: Panel,
    *,
    canary_minutes: int,
    canary_bounced_percent: float,
    canary_deferred_percent: float,
    canary_complained_percent: float,
) -> None:
    """What holds for its campaigns that go to a part first and don't say otherwise; also for those under way."""
    panel.canary_minutes, panel.canary_bounced_percent = canary_minutes, canary_bounced_percent
    panel.canary_deferred_percent = canary_deferred_percent
    panel.canary_complained_percent = canary_complained_percent
    session.commit()


def use_practice(session: AnySession, panel: Panel) -> None:
    """From now on nothing of this panel reaches a real person. Raises :class:`PanelProblem`."""
    _refuse_while_under_way(session, panel)
    panel.mode = PanelMode.PRACTICE
    session.commit()


def use_relay(session: AnySession, panel: Panel, relay_id: int | None, *, understood: bool) -> None:
    """From now on the panel's mail goes to real people through this relay. ``understood``: the person confirmed exactly
    that. Raises :class:`PanelProblem`."""
    relay = session.get(Relay, relay_id) if relay_id is not None else None
    if relay is None:
        raise PanelProblem("relay_missing")
    if not understood:
        raise PanelProblem("not_understood")
    _refuse_while_under_way(session, panel)
    panel.relay_id, panel.mode = relay.id, PanelMode.REAL
    session.commit()


def _refuse_while_under_way(session: AnySession, panel: Panel) -> None:
    names = tuple(campaign.name for campaign in campaigns_under_way(session, panel.id))
    if names:
        raise PanelProblem("campaigns_under_way", names=names)


def campaigns_under_way(session: AnySession, panel_id: int) -> list[Campaign]:
    return list(
        session.scalars(
            select(Campaign)
            .where(Campaign.panel_id == panel_id, Campaign.status.in_(UNDER_WAY))
            .order_by(Campaign.id.desc())
        )
    )


def scheduled_campaigns(session: AnySession, panel_id: int) -> list[Campaign]:
    """What would go out by itself after a change of mode."""
    return list(
        session.scalars(
            select(Campaign)
            .where(Campaign.panel_id == panel_id, Campaign.status == CampaignStatus.SCHEDULED)
            .order_by(Campaign.scheduled_at)
        )
    )
