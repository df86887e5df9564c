"""What a hit has to know of its campaign, kept in the process: bounded, renewed after a minute, loaded once for all threads."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from sqlalchemy.exc import SQLAlchemyError
from werkzeug.urls import iri_to_uri

from app.flow.events import CampaignFacts
from app.logs import get_logger

log = get_logger(__name__)

MAX_CAMPAIGNS = 5_000
KEEP_SECONDS = 60.0
"""A deleted campaign answers for so long."""
KEEP_MISSING_SECONDS = 5.0
KEEP_GROWING_SECONDS = 1.0
"""While a campaign is a draft (proofs) or its audience is being frozen, its facts change."""
REST_SECONDS = 2.0
"""How long PostgreSQL is left alone after it failed."""

LoadFacts = Callable[[int], CampaignFacts | None]


class FactsUnavailable(Exception):
    """The database can't be asked now, and nothing is remembered."""


@dataclass(frozen=True, slots=True)
class KnownCampaign:
    frozen: bool
    audience_size: int
    expires_at: float
    """When its tokens end, seconds since 1970; infinite while it isn't frozen."""
    locations: dict[str, str]
    """Where ``/c/<token>/<n>`` leads, by ``n`` as it is written, fit for a header. Nothing else is ever redirected to."""


@dataclass(slots=True)
class _Kept:
    campaign: KnownCampaign | None
    fresh_until: float


class CampaignCache:
    """Parameters: ``load``, the query; ``token_days``, how long tokens live after the audience was frozen."""

    def __init__(self, load: LoadFacts, *, token_days: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._load = load
        self._token_days = token_days
        self._clock = clock
        self._kept: dict[int, _Kept] = {}
        self._loading = threading.Lock()
        self._resume_at = 0.0

    def get(self, campaign_id: int) -> KnownCampaign | None:
        """None where there is no such campaign; raises :class:`FactsUnavailable`."""
        kept = self._kept.get(campaign_id)
        if kept is not None and self._clock() < kept.fresh_until:
            return kept.campaign
        # One thread asks; the others wait for it only where there is nothing older to go by.
        if not self._loading.acquire(blocking=kept is None):
            return kept.campaign if kept is not None else None
        try:
            kept = self._kept.get(campaign_id)
            if kept is not None and self._clock() < kept.fresh_until:
                return kept.campaign
            return self._renew(campaign_id, kept)
        finally:
            self._loading.release()

    def _renew(self, campaign_id: int, old: _Kept | None) -> KnownCampaign | None:
        if self._clock() >= self._resume_at:
            try:
                return self._keep(campaign_id, self._load(campaign_id))
            except SQLAlchemyError as error:
                self._resume_at = self._clock() + REST_SECONDS
                log.warning("campaign_facts_unavailable", error=repr(error))
        # What was true a minute ago is better than a link that leads nowhere.
        if old is not None and old.campaign is not None:
            return old.campaign
        raise FactsUnavailable

    def _keep(self, campaign_id: int, facts: CampaignFacts | None) -> KnownCampaign | None:
        while len(self._kept) >= MAX_CAMPAIGNS and campaign_id not in self._kept:
            del self._kept[next(iter(self._kept))]
        known = _known(facts, self._token_days) if facts is not None else None
        seconds = KEEP_MISSING_SECONDS if facts is None else KEEP_SECONDS
        if facts is not None and not facts.complete:
            seconds = KEEP_GROWING_SECONDS
        self._kept.pop(campaign_id, None)
        self._kept[campaign_id] = _Kept(known, self._clock() + seconds)
        return known


def _known(facts: CampaignFacts, token_days: int) -> KnownCampaign:
    expires_at = float("inf")
    if facts.frozen_on is not None:
        last_day = facts.frozen_on + timedelta(days=token_days)
        expires_at = datetime(last_day.year, last_day.month, last_day.day, tzinfo=UTC).timestamp() + 86_400
    locations = {str(position): uri for position, url in facts.links.items() if (uri := redirect_target(url))}
    return KnownCampaign(facts.frozen_on is not None, facts.audience_size, expires_at, locations)


def redirect_target(url: str) -> str | None:
    """``url`` as an ASCII URI for ``Location``; None for what no mail of ours links to by HTTP (``javascript:`` …)."""
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            return None
        uri = iri_to_uri(url)
    except ValueError:
        return None
    return uri if uri.isascii() and uri.isprintable() and " " not in uri else None
