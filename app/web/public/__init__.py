"""What recipients reach, with no session, cookie or log-in. Served by ``app.front`` beside the pages of the platform, or alone
(``app.front:tracking_application``) in a process or on a host of its own.

    endpoint         ``/o/<token>.gif`` and ``/c/<token>/<n>``: plain WSGI, since Flask costs more than the work does
    campaign_cache   what these two must know of a campaign, so that a hit asks PostgreSQL nothing
    pages            the Flask application behind ``/u/``, and the pages that a dead link leads to
    unsubscribe      ``/u/<token>``: unsubscribing (RFC 8058), straight into PostgreSQL

A hit leaves through ``app.flow.hit_stream.HitOutbox``; the tracker (``workers.tracker``) makes events of it.
"""

from typing import TYPE_CHECKING

from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from app.config import Settings
from app.flow.events import CampaignFacts, load_campaign_facts
from app.flow.hit_spool import HitSpool
from app.flow.hit_stream import HitOutbox
from app.web.public.campaign_cache import CampaignCache
from app.web.public.endpoint import TrackingEndpoint
from app.web.public.pages import create_pages, engine_options

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def create_tracking_application(settings: Settings) -> "WSGIApplication":
    """Everything below ``/o/``, ``/c/`` and ``/u/``; 404 for the rest."""
    pages = create_pages(settings)
    engine = create_engine(settings.database_url, **engine_options())

    def load(campaign_id: int) -> CampaignFacts | None:
        with Session(engine) as session:
            return load_campaign_facts(session, campaign_id)

    return TrackingEndpoint(
        settings,
        campaigns=CampaignCache(load, token_days=settings.tracking_token_days),
        put=HitOutbox(settings.redis_url, HitSpool(settings.spool_dir), backlog=settings.tracking_backlog).put,
        pages=pages,
        not_found=pages.extensions["not_found"],
        try_again=pages.extensions["try_again"],
    )
